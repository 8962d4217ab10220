//! Commands of the server's owner that Postgres runs in recovery and waits for without a limit: `restore_command`,
//! `recovery_end_command`, `archive_cleanup_command`. One that hangs is ended, so that the standby starts, follows and is
//! promoted without it.
//!
//! Nothing that was acknowledged is in an archive alone. A commit is acknowledged when the standbys of its rule have
//! flushed it to their own `pg_wal`, a candidate is chosen by what it has there, and a segment that the archive does not
//! give is read from there or streamed. What is lost with a command that is ended is the attempt; it comes again.
//!
//! A server whose `restore_command` ends by a signal takes that for the end of everything. So Postgres is started with a
//! shell around the command ([`around_restore`]), and what runs inside that shell is what is ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::files::FileWorker;

use super::postmaster::Postmaster;
use super::process;

/// How the lines end that are put around commands, by which they are known again.
const RESTORE_ENDS_WITH: &str = ") || exit 1";
const RECOVERY_END_ENDS_WITH: &str = ") || false";
/// Where a file goes that an archive gives, until it is complete.
const ARRIVING: [&str; 2] = ["pg_wal/RECOVERYXLOG", "pg_wal/RECOVERYHISTORY"];
/// How long a command may take when nothing waits for it but the command's own server, and after one has hung.
const UNHURRIED: Patience = Patience { first: Duration::from_secs(10), next: Duration::from_secs(2) };
/// The same when the node is to be promoted, or to vote.
const HURRIED: Patience = Patience { first: Duration::from_secs(1), next: Duration::from_millis(100) };
/// What a `recovery_end_command` may do, an address that is moved for example, takes its time.
const RECOVERY_END_PATIENCE: Duration = Duration::from_secs(10);
/// One that was configured after the start has no shell around it: the server ends with it, and starts again.
const BARE_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// A server that is no standby has no startup process for so many looks.
const LOOKS_WITHOUT_RECOVERY: u32 = 5;

/// A `restore_command` whose end by a signal is a failure like any other.
pub(crate) fn around_restore(command: &str) -> String {
    around(command, RESTORE_ENDS_WITH)
}

/// The same for `recovery_end_command`.
pub(crate) fn around_recovery_end(command: &str) -> String {
    around(command, RECOVERY_END_ENDS_WITH)
}

fn around(command: &str, end: &str) -> String {
    // What stands behind a comment sign would be a part of the comment.
    let separator = if command.contains('#') { "\n" } else { " " };
    format!("( {command}{separator}{end}")
}

/// An archive has hung, and has not answered since. Of one server, whoever looks at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArchiveHangs(Arc<AtomicBool>);

#[derive(Clone, Copy, Debug)]
struct Patience {
    first: Duration,
    next: Duration,
}

/// The commands of one server, as they are seen from look to look.
pub(crate) struct OwnersCommands {
    patience: Patience,
    archive_hangs: ArchiveHangs,
    running: BTreeMap<i32, Seen>,
    /// Somebody waits for this server.
    is_hurried: bool,
}

/// A command that runs.
#[derive(Clone, Copy)]
struct Seen {
    /// When it began, or something of its file arrived.
    advanced: Instant,
    arrived: u64,
    /// It was told of, or ended.
    is_late: bool,
}

/// What was found of a server in recovery.
struct Found {
    is_in_recovery: bool,
    commands: Vec<Command>,
}

struct Command {
    pid: i32,
    title: String,
    /// The startup process waits for it, not the checkpointer.
    is_of_startup: bool,
}

impl OwnersCommands {
    /// For a node that is waited for: to be promoted, or to vote.
    pub(crate) const fn hurried(archive_hangs: ArchiveHangs) -> Self {
        Self { patience: HURRIED, archive_hangs, running: BTreeMap::new(), is_hurried: true }
    }

    const fn unhurried(archive_hangs: ArchiveHangs) -> Self {
        Self { patience: UNHURRIED, archive_hangs, running: BTreeMap::new(), is_hurried: false }
    }

    /// Ends those that have hung for too long; false when this server is not in recovery. Reads /proc, and blocks where
    /// that does.
    pub(crate) fn end_hung(&mut self, postmaster: i32, pgdata: &Path) -> bool {
        let found = find(postmaster);
        let arrived = arrived_bytes(pgdata);
        let before = self.running.len();
        self.running
            .retain(|pid, seen| seen.is_late || found.commands.iter().any(|command| command.pid == *pid));
        if self.running.len() < before {
            // It has ended by itself.
            self.archive_hangs.0.store(false, Ordering::Relaxed);
        }
        self.running.retain(|pid, _| found.commands.iter().any(|command| command.pid == *pid));
        for command in &found.commands {
            let now = Instant::now();
            let seen =
                self.running.entry(command.pid).or_insert(Seen { advanced: now, arrived, is_late: false });
            if seen.arrived != arrived {
                *seen = Seen { advanced: now, arrived, is_late: false };
            }
            let silent = seen.advanced.elapsed();
            let was_late = seen.is_late;
            if silent < self.patience_with(command) {
                continue;
            }
            if let Some(seen) = self.running.get_mut(&command.pid) {
                seen.is_late = true;
            }
            if self.is_hurried || command.can_be_ended() {
                self.archive_hangs.0.store(true, Ordering::Relaxed);
                command.end(silent);
            } else if !was_late {
                command.tell(silent, "restart Postgres with \"pg_autoctl restart\" to have it ended");
            }
        }
        found.is_in_recovery
    }

    fn patience_with(&self, command: &Command) -> Duration {
        match self.archive_hangs.0.load(Ordering::Relaxed) {
            _ if command.title.ends_with(RECOVERY_END_ENDS_WITH) => RECOVERY_END_PATIENCE,
            _ if !command.can_be_ended() => BARE_PATIENCE,
            true => self.patience.next,
            false => self.patience.first,
        }
    }
}

impl Command {
    fn has_shell_around(&self) -> bool {
        [RESTORE_ENDS_WITH, RECOVERY_END_ENDS_WITH].iter().any(|end| self.title.ends_with(end))
    }

    /// Without ending the server.
    fn can_be_ended(&self) -> bool {
        !self.is_of_startup || self.has_shell_around()
    }

    fn end(&self, silent: Duration) {
        self.tell(silent, "ending the command");
        let mut processes = process::descendants(self.pid);
        if !self.has_shell_around() {
            processes.push(self.pid);
        }
        process::kill_all(&processes);
    }

    fn tell(&self, silent: Duration, what_next: &str) {
        tracing::warn!(
            "process {} ({}), a command of postgresql.conf that recovery waits for, has done nothing for {:.1} s: {what_next}",
            self.pid,
            self.title,
            silent.as_secs_f64()
        );
    }
}

fn find(postmaster: i32) -> Found {
    let mut found = Found { is_in_recovery: false, commands: Vec::new() };
    for process in process::children(postmaster) {
        let title = process::title(process).unwrap_or_default();
        let is_startup = title.contains(": startup");
        found.is_in_recovery |= is_startup;
        if is_startup || title.contains(": checkpointer") {
            let of = |pid| Command {
                pid,
                title: process::title(pid).unwrap_or_default(),
                is_of_startup: is_startup,
            };
            found.commands.extend(process::children(process).into_iter().map(of));
        }
    }
    found
}

fn arrived_bytes(pgdata: &Path) -> u64 {
    ARRIVING.iter().filter_map(|file| fs::metadata(pgdata.join(file)).ok()).map(|file| file.len()).sum()
}

/// Ends what hangs, as long as the server is in recovery.
pub(super) async fn watch(postmaster: Arc<Postmaster>, pgdata: PathBuf, archive_hangs: ArchiveHangs) {
    let worker = FileWorker::default();
    let commands = Arc::new(Mutex::new(OwnersCommands::unhurried(archive_hangs)));
    let mut looks_without = 0;
    while looks_without < LOOKS_WITHOUT_RECOVERY {
        if timeout(LOOK_INTERVAL, postmaster.exited()).await.is_ok() {
            return;
        }
        let (pid, directory, of_look) = (postmaster.pid(), pgdata.clone(), Arc::clone(&commands));
        let look = move || of_look.lock().unwrap_or_else(PoisonError::into_inner).end_hung(pid, &directory);
        // Nothing is known while the disk hangs.
        let is_in_recovery = worker.run(LOOK_DEADLINE, look).await.unwrap_or(true);
        looks_without = if is_in_recovery { 0 } else { looks_without + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_ended_has_failed_and_nothing_else() {
        for command in ["exit 200", "sh -c 'kill -9 $$'", "sh -c 'kill -9 $$' # a comment", "( false )"] {
            let status = std::process::Command::new("sh").args(["-c", &around_restore(command)]).status();
            assert_eq!(status.expect("a shell").code(), Some(1), "{command}");
        }
        let well = std::process::Command::new("sh").args(["-c", &around_restore("true # well")]).status();
        assert!(well.expect("a shell").success());
    }
}
