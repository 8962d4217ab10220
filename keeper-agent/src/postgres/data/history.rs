//! Timeline history files. A standby on an old timeline asks its upstream for every history file in between, and a
//! base backup brings the newest only: the missing ones are the beginnings of the newest.

use std::fs;
use std::path::Path;

use pgaf_core::lsn::{Timeline, TimelineHistory};

use crate::postgres::server::{PostgresError, files};

/// The name of the history file of a timeline.
pub(crate) fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.0)
}

/// The history of a timeline; `None` when its file is not there, or cannot be read.
pub(crate) fn read(pgdata: &Path, timeline: Timeline) -> Option<TimelineHistory> {
    if timeline == Timeline::FIRST {
        return Some(TimelineHistory::first());
    }
    let content = files::read_if_there(&pgdata.join("pg_wal").join(file_name(timeline))).ok()??;
    TimelineHistory::parse(timeline, &content).ok()
}

/// Writes the history files of all ancestors of the newest timeline that are not there.
pub(crate) fn complete(pgdata: &Path) -> Result<(), PostgresError> {
    let wal = pgdata.join("pg_wal");
    let Some(newest) = newest(&wal) else {
        return Ok(());
    };
    let path = wal.join(file_name(newest));
    let content = files::read_if_there(&path)?.unwrap_or_default();
    let Ok(history) = TimelineHistory::parse(newest, &content) else {
        tracing::warn!("\"{}\" is not a timeline history", path.display());
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
            timeline_of(name.to_str()?)
        })
        .max()
}

/// The timeline whose history file has that name.
fn timeline_of(name: &str) -> Option<Timeline> {
    let timeline = u32::from_str_radix(name.strip_suffix(".history")?, 16).ok().map(Timeline);
    timeline.filter(|timeline| file_name(*timeline) == name)
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_name_is_that_of_its_timeline_or_of_none(
            timeline: u32,
            name in prop_oneof!["[0-9A-Fa-f+-]{7,9}\\.history", any::<String>()],
        ) {
            prop_assert_eq!(timeline_of(&file_name(Timeline(timeline))), Some(Timeline(timeline)));
            if let Some(timeline) = timeline_of(&name) {
                prop_assert_eq!(file_name(timeline), name);
            }
        }

        #[test]
        fn the_beginning_of_a_history_is_that_of_an_ancestor(
            ends in proptest::collection::vec(0..=u32::MAX, 1..6),
            comment in "(#\\PC{0,20}\n)?",
        ) {
            let mut ends = ends;
            ends.sort_unstable();
            let lines = |count: usize| -> String {
                let line = |(index, end): (usize, &u32)| format!("{}\t0/{end:X}\treason\n\n", index + 1);
                ends.iter().take(count).enumerate().map(line).collect()
            };
            let newest = Timeline(u32::try_from(ends.len())? + 1);
            let content = comment + &lines(ends.len());
            let history = TimelineHistory::parse(newest, &content)?;
            for (index, (ancestor, _)) in history.ancestors.iter().enumerate().skip(1) {
                let beginning = TimelineHistory::parse(*ancestor, &before(&content, *ancestor))?;
                prop_assert_eq!(&beginning.ancestors, &history.ancestors[..index]);
            }
        }

        #[test]
        fn no_history_is_too_strange(content: String, timeline: u32) {
            let beginning = before(&content, Timeline(timeline));
            prop_assert!(beginning.lines().count() <= content.lines().count());
        }
    }
}
