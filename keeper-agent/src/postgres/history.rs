//! Timeline history files. A standby on an old timeline asks its upstream for every history file in between, and a
//! base backup brings the newest only: the missing ones are the beginnings of the newest.

use std::fs;
use std::path::Path;

use pgaf_core::lsn::{Timeline, TimelineHistory};

use super::error::PostgresError;
use super::files;

/// The name of the history file of a timeline.
pub(super) fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.0)
}

/// The history of a timeline; `None` when its file is not there, or cannot be read.
pub(super) fn read(pgdata: &Path, timeline: Timeline) -> Option<TimelineHistory> {
    if timeline == Timeline::FIRST {
        return Some(TimelineHistory::first());
    }
    let content = files::read_if_there(&pgdata.join("pg_wal").join(file_name(timeline))).ok()??;
    TimelineHistory::parse(timeline, &content).ok()
}

/// Writes the history files of all ancestors of the newest timeline that are not there.
pub(super) fn complete(pgdata: &Path) -> Result<(), PostgresError> {
    let wal = pgdata.join("pg_wal");
    let Some(newest) = newest(&wal) else {
        return Ok(());
    };
    let path = wal.join(file_name(newest));
    let content = files::read_if_there(&path)?.unwrap_or_default();
    let Ok(history) = TimelineHistory::parse(newest, &content) else {
        tracing::warn!("\"{}\" does not read like a history", path.display());
        return Ok(());
    };
    for (ancestor, _) in history.ancestors {
        let path = wal.join(file_name(ancestor));
        if ancestor > Timeline::FIRST && !path.exists() {
            files::replace(&path, before(&content, ancestor).as_bytes(), 0o600)?;
        }
    }
    Ok(())
}

fn newest(wal: &Path) -> Option<Timeline> {
    fs::read_dir(wal)
        .ok()?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let stem = name.to_str()?.strip_suffix(".history")?;
            u32::from_str_radix(stem, 16).ok().map(Timeline)
        })
        .max()
}

/// The lines of a history that come before that of a timeline.
fn before(content: &str, timeline: Timeline) -> String {
    let is_earlier = |line: &&str| {
        let first = line.split_whitespace().next();
        first.and_then(|word| word.parse().ok()) != Some(timeline.0)
    };
    content.lines().take_while(is_earlier).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use pgaf_core::lsn::Lsn;

    use super::*;

    #[test]
    fn missing_ancestors_are_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let wal = directory.path().join("pg_wal");
        fs::create_dir(&wal).expect("created");
        let newest = "1\t0/3000000\tfirst\n\n2\t0/5000000\tsecond\n\n3\t0/6000000\tthird\n";
        fs::write(wal.join("00000004.history"), newest).expect("written");
        complete(directory.path()).expect("completed");
        let read = |name: &str| fs::read_to_string(wal.join(name)).ok();
        assert_eq!(
            read("00000003.history").as_deref(),
            Some("1\t0/3000000\tfirst\n\n2\t0/5000000\tsecond\n\n")
        );
        assert_eq!(read("00000002.history").as_deref(), Some("1\t0/3000000\tfirst\n\n"));
        assert_eq!(read("00000001.history"), None);
        complete(directory.path()).expect("idempotent");
        let third = super::read(directory.path(), Timeline(3)).expect("there");
        assert_eq!(third.ancestors, [(Timeline(1), Lsn(0x300_0000)), (Timeline(2), Lsn(0x500_0000))]);
        assert_eq!(super::read(directory.path(), Timeline(5)), None);
    }
}
