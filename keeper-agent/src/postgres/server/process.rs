//! Which processes belong to a data directory, as /proc says. A pid file alone proves nothing: it may be stale, its
//! number may be another program's by now, and a zombie is not alive.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// What is used of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessStat {
    parent: i32,
    is_dead: bool,
    is_waiting_for_disk: bool,
    cpu_ticks: u64,
    /// In clock ticks after the machine booted.
    started: Option<u64>,
}

fn stat(pid: i32) -> Option<ProcessStat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name, in parentheses, may hold anything, even parentheses: the fields begin after the last one.
fn parse_stat(line: &str) -> Option<ProcessStat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(ProcessStat {
        is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        is_waiting_for_disk: *fields.first()? == "D",
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(11)?.saturating_add(number(12)?),
        started: number(19),
    })
}

/// CPU time a process has used, in clock ticks; a measure of progress.
pub(crate) fn cpu_ticks(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.cpu_ticks)
}

/// When a process was started, in clock ticks after the machine booted; `None` for one that has ended. With its number it
/// means one process only.
pub(crate) fn started(pid: i32) -> Option<u64> {
    stat(pid).filter(|stat| !stat.is_dead).and_then(|stat| stat.started)
}

/// How often a process has given up the CPU by itself, to wait for something.
pub(crate) fn sleeps(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    value.trim().parse().ok()
}

/// Bytes a process has sent to storage.
pub(crate) fn written_bytes(pid: i32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let value = io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?;
    value.trim().parse().ok()
}

/// Bytes a process has read and written, wherever they are.
pub(crate) fn transferred_bytes(pid: i32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let value = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(value("rchar:")?.wrapping_add(value("wchar:")?))
}

/// A process waits in the kernel, and no signal ends that: for a disk, as a rule.
pub(crate) fn is_waiting_for_disk(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.is_waiting_for_disk)
}

/// The title a process shows, like `postgres: n1: startup recovering 000000010000000000000003`.
pub(crate) fn title(pid: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text: String = String::from_utf8_lossy(&bytes).replace('\0', " ");
    Some(text.trim_end().to_owned())
}

/// The processes that a process has started.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect())
        .unwrap_or_default()
}

/// The processes that a process has started, and those that these have.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut looked = 0;
    while let Some(next) = found.get(looked) {
        found.extend(children(*next));
        looked += 1;
    }
    found
}

/// A live process of Postgres that works in this data directory: the postmaster, or one of its children.
pub(crate) fn is_postgres_of(pid: i32, pgdata: &Path) -> bool {
    let same_directory = || {
        let here = fs::metadata(pgdata).ok()?;
        let there = fs::metadata(format!("/proc/{pid}/cwd")).ok()?;
        Some(here.dev() == there.dev() && here.ino() == there.ino())
    };
    is_postgres(pid) && same_directory().unwrap_or(false)
}

/// A live process of some Postgres.
fn is_postgres(pid: i32) -> bool {
    let runs_it = || {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = exe.file_name()?.to_string_lossy().into_owned();
        // A package upgrade leaves "postgres (deleted)".
        Some(name.starts_with("postgres") || name.starts_with("postmaster"))
    };
    stat(pid).is_some_and(|stat| !stat.is_dead) && runs_it().unwrap_or(false)
}

/// The postmaster of this data directory, found by its pid file and verified.
pub(crate) fn postmaster_of(pgdata: &Path) -> Option<i32> {
    let content = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
    let pid: i32 = content.lines().next()?.trim().parse().ok()?;
    let is_postmaster = pid > 0
        && is_postgres_of(pid, pgdata)
        && stat(pid).is_some_and(|stat| !is_postgres_of(stat.parent, pgdata));
    is_postmaster.then_some(pid)
}

/// Every process of Postgres in this data directory; after the death of a postmaster, those it left behind.
pub(crate) fn processes_of(pgdata: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is_postgres_of(*pid, pgdata))
        .collect()
}

/// Every process of Postgres whose working directory has this path, as the system has it: no link is followed, so that no
/// disk is asked. Another path to the same directory is not found.
pub(crate) fn working_in(real_pgdata: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            is_postgres(*pid)
                && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == real_pgdata)
        })
        .collect()
}

/// The one whose parent is none of them.
pub(crate) fn postmaster_among(processes: &[i32]) -> Option<i32> {
    let is_postmaster = |pid: &&i32| stat(**pid).is_some_and(|stat| !processes.contains(&stat.parent));
    processes.iter().find(is_postmaster).copied()
}

/// Sends SIGKILL to each; one that is gone already is no error.
pub(crate) fn kill_all(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        if let Err(error) = kill_process(pid, Signal::KILL) {
            tracing::debug!("could not kill process {pid}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_read() {
        let line = "12 (a) b) Z 7 1 1 0 -1 4 1 0 0 0 30 12 0 0 20 0 1 0 99 0 0";
        assert_eq!(
            parse_stat(line),
            Some(ProcessStat {
                parent: 7,
                is_dead: true,
                is_waiting_for_disk: false,
                cpu_ticks: 42,
                started: Some(99)
            })
        );
        assert_eq!(parse_stat("12 (a"), None);
    }

    #[test]
    fn another_program_is_no_postgres() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let here = std::env::current_dir().expect("a directory");
        assert!(!is_postgres_of(own, &here));
    }

    #[test]
    fn a_pid_file_of_another_program_is_stale() {
        let directory = tempfile::tempdir().expect("a directory");
        let content = format!("{}\n/data\n", std::process::id());
        fs::write(directory.path().join("postmaster.pid"), content).expect("written");
        assert_eq!(postmaster_of(directory.path()), None);
    }
}
