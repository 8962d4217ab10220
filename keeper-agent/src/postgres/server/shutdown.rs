//! A clean shutdown of Postgres that is bounded: what it waits for is told by the titles of its processes, and whoever holds
//! it up for too long is ended.
//!
//! Postgres itself waits for ever: for a session that does not react, before the last checkpoint for a walsender that
//! cannot send, and after it for every receiver to confirm the last record and for the archiver to archive. None of these
//! can lose anything that was acknowledged: no session commits any more, and a candidate takes over only when it has the
//! last record.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::{REPLICATION_ROLE, process};

/// How long a session may take to end. It rolls back, which takes no time in Postgres.
const SESSION_PATIENCE: Duration = Duration::from_secs(10);
/// How long the checkpoint may do nothing.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(10);
/// When only receivers are left, how long those may take that are no nodes of the group.
const SUBSCRIBER_PATIENCE: Duration = Duration::from_secs(2);
/// And how long nodes of the group may, and the archiver: a node that is slow to confirm is worth more.
const STANDBY_PATIENCE: Duration = Duration::from_secs(5);
/// What was told to end and has not is not waited for longer than this.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Where pg_control says how the cluster is, and the two values that stand for a clean shutdown.
const STATE_OFFSET: usize = 16;
const SHUT_DOWN: [u32; 2] = [1, 2];

/// A process of the server, as its title tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Serves a client, or works for one.
    Session,
    /// Sends to a node of the group.
    Standby,
    /// Sends to somebody else.
    Subscriber,
    Checkpointer,
    /// Ends by itself when the others have ended.
    Other,
}

/// Titles of processes that are no sessions.
const OTHERS: [&str; 14] = [
    "archiver",
    "autovacuum launcher",
    "background writer",
    "io worker",
    "logger",
    "logical replication launcher",
    "pgarch",
    "slotsync worker",
    "startup",
    "stats collector",
    "wal summarizer",
    "walreceiver",
    "walsummarizer",
    "walwriter",
];

/// One, from the signal on.
pub(super) struct Shutdown {
    began: Instant,
    /// Since when there are no sessions.
    sessions_ended: Option<Instant>,
    /// Since when the last record is written.
    log_ended: Option<Instant>,
    checkpointer: (Option<u64>, Option<u64>),
    checkpointer_worked: Instant,
    /// Since when somebody was told to end.
    told: Option<Instant>,
}

impl Shutdown {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            sessions_ended: None,
            log_ended: None,
            checkpointer: (None, None),
            checkpointer_worked: now,
            told: None,
        }
    }

    /// Looks at what is left, and tells those to end that hold it up; false when nothing but an immediate end is left.
    pub(super) fn goes_on(&mut self, postmaster: i32, pgdata: &Path) -> bool {
        let now = Instant::now();
        let processes: Vec<(i32, Kind)> = process::children(postmaster)
            .into_iter()
            .filter_map(|pid| Some((pid, kind(&process::title(pid)?))))
            .collect();
        self.watch_checkpointer(&processes, now);
        if self.log_ended.is_none() && is_shut_down(pgdata) {
            self.log_ended = Some(now);
            // Another phase, with a patience of its own.
            self.told = None;
        }
        let sessions = processes.iter().filter(|(_, kind)| *kind == Kind::Session).count();
        if sessions > 0 && self.log_ended.is_none() {
            self.sessions_ended = None;
            return self.has_patience(
                self.began,
                SESSION_PATIENCE,
                &format!("{sessions} sessions do not end"),
            );
        }
        let ended = *self.sessions_ended.get_or_insert(now);
        match self.log_ended {
            Some(since) => self.await_receivers(&processes, since),
            None => self.await_checkpoint(&processes, ended),
        }
    }

    fn watch_checkpointer(&mut self, processes: &[(i32, Kind)], now: Instant) {
        let pid = processes.iter().find(|(_, kind)| *kind == Kind::Checkpointer).map(|(pid, _)| *pid);
        let seen = (pid.and_then(process::cpu_ticks), pid.and_then(process::written_bytes));
        if seen != self.checkpointer {
            self.checkpointer = seen;
            self.checkpointer_worked = now;
        }
    }

    /// The last checkpoint may take as long as it works. It does not begin before every walsender has noticed the end,
    /// which one that cannot send does not.
    fn await_checkpoint(&mut self, processes: &[(i32, Kind)], since: Instant) -> bool {
        let idle = self.checkpointer_worked.elapsed().min(since.elapsed());
        if idle >= SUBSCRIBER_PATIENCE {
            self.end(processes, Kind::Subscriber);
        }
        if idle >= STANDBY_PATIENCE {
            self.end(processes, Kind::Standby);
        }
        self.has_patience(self.checkpointer_worked.max(since), CHECKPOINT_PATIENCE, "its last checkpoint")
    }

    /// The last record is written: the end by force leaves the same behind as a clean one.
    fn await_receivers(&mut self, processes: &[(i32, Kind)], since: Instant) -> bool {
        let has = |wanted: Kind| processes.iter().any(|(_, kind)| *kind == wanted);
        if since.elapsed() >= SUBSCRIBER_PATIENCE {
            self.end(processes, Kind::Subscriber);
        }
        if since.elapsed() >= STANDBY_PATIENCE {
            self.end(processes, Kind::Standby);
        }
        let is_told_in_vain = self.told.is_some_and(|told| told.elapsed() >= END_PATIENCE);
        if is_told_in_vain && !has(Kind::Standby) {
            tracing::warn!("the log of Postgres is complete, and a receiver does not end: ending Postgres");
            return false;
        }
        self.has_patience(since, STANDBY_PATIENCE + END_PATIENCE, "what is left after its last checkpoint")
    }

    fn end(&mut self, processes: &[(i32, Kind)], wanted: Kind) {
        for (pid, _) in processes.iter().filter(|(_, kind)| *kind == wanted) {
            if self.told.is_none() {
                let title = process::title(*pid).unwrap_or_default();
                tracing::warn!("a receiver holds up the stop of Postgres: ending process {pid} ({title})");
            }
            if let Some(pid) = Pid::from_raw(*pid)
                && let Err(error) = kill_process(pid, Signal::TERM)
            {
                tracing::debug!("could not end process {pid:?}: {error}");
            }
        }
        if processes.iter().any(|(_, kind)| *kind == wanted) {
            self.told.get_or_insert_with(Instant::now);
        }
    }

    fn has_patience(&self, since: Instant, patience: Duration, what: &str) -> bool {
        let is_within = since.elapsed() < patience;
        if !is_within {
            tracing::warn!("a clean stop of Postgres is held up for {} s: {what}", patience.as_secs());
        }
        is_within
    }
}

/// Titles are like `postgres: name: walsender role 127.0.0.1(41) streaming 0/3000060`, the name being that of the cluster
/// and optional.
fn kind(title: &str) -> Kind {
    let is = |words: &str| title.contains(&format!(": {words}"));
    if is("walsender ") {
        return if is(&format!("walsender {REPLICATION_ROLE} ")) { Kind::Standby } else { Kind::Subscriber };
    }
    if is("checkpointer") {
        return Kind::Checkpointer;
    }
    if OTHERS.iter().any(|words| is(words)) { Kind::Other } else { Kind::Session }
}

/// The checkpoint of a clean shutdown is on disk.
fn is_shut_down(pgdata: &Path) -> bool {
    let state = fs::read(pgdata.join("global/pg_control"))
        .ok()
        .and_then(|bytes| bytes.get(STATE_OFFSET..STATE_OFFSET + 4)?.try_into().ok())
        .map(u32::from_ne_bytes);
    state.is_some_and(|state| SHUT_DOWN.contains(&state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_tells_what_a_process_is_for() {
        let role = REPLICATION_ROLE;
        let standby = format!("postgres: n1: walsender {role} 127.0.0.1(4) streaming 0/3000060");
        assert_eq!(kind(&standby), Kind::Standby);
        assert_eq!(kind("postgres: walsender app app [local] START_REPLICATION"), Kind::Subscriber);
        assert_eq!(kind("postgres: n1: checkpointer "), Kind::Checkpointer);
        assert_eq!(kind("postgres: n1: archiver archiving 000000010000000000000003"), Kind::Other);
        assert_eq!(kind("postgres: n1: app app 10.0.0.1(99) SELECT"), Kind::Session);
        assert_eq!(kind("postgres: n1: autovacuum worker app"), Kind::Session);
    }
}
