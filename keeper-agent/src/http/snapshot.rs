//! What a keeper has published last, and what that means at any later moment.

use std::sync::Arc;
use std::time::Duration;

use pgaf_core::keeper::{Moment, Observation, Receiver, Running, Server};
use pgaf_core::{Assignment, Lsn, Position, ReplicationState};

use crate::hooks::HookCounters;
use crate::postgres::Measured;

/// A keeper that has not gone round its loop for this long is stuck: it looks twice a second.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(5);
/// What is older says nothing of how far a standby is behind.
const LAG_KNOWN_FOR: Duration = Duration::from_secs(5);

/// Who a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub node: i64,
    /// Its name.
    pub name: String,
    /// Its formation.
    pub formation: String,
    /// Its group.
    pub group: i32,
    /// Its address.
    pub host: String,
    /// The port of its Postgres.
    pub port: u16,
}

/// One look at Postgres.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was seen. A server that refuses the keeper is as it was when it last did not, as long as it is the same.
    pub observation: Observation,
    /// When the keeper learned that.
    pub at: Moment,
}

/// What a keeper knew when it went round its loop last.
#[derive(Clone)]
pub struct NodeSnapshot {
    /// Who it is.
    pub identity: Identity,
    /// When that was.
    pub turned_at: Moment,
    /// The state that it has reached.
    pub reported: ReplicationState,
    /// What it shall be.
    pub assignment: Option<Assignment>,
    /// The newest look.
    pub seen: Option<Seen>,
    /// When a primary that can be replaced behind its back must have stopped.
    pub authority_ends: Option<Moment>,
    /// It stops Postgres for good.
    pub is_closing: bool,
    /// When the request was sent that the monitor answered last.
    pub monitor_answered: Option<Moment>,
    /// The monitor does not answer.
    pub is_monitor_silent: bool,
    /// What it waits for or is doing.
    pub doing: Option<String>,
    /// How far the other nodes were.
    pub positions: Vec<Position>,
    /// What Postgres says for people alone.
    pub measured: Measured,
    /// How often each hook was called, and what became of it.
    pub hooks: Arc<HookCounters>,
    /// The postmaster lives; can be asked at any time.
    pub is_postmaster_alive: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl NodeSnapshot {
    /// Of a keeper that has not looked yet.
    pub fn initial(identity: Identity, reported: ReplicationState, now: Moment) -> Self {
        Self {
            identity,
            turned_at: now,
            reported,
            assignment: None,
            seen: None,
            authority_ends: None,
            is_closing: false,
            monitor_answered: None,
            is_monitor_silent: false,
            doing: None,
            positions: Vec::new(),
            measured: Measured::default(),
            hooks: Arc::default(),
            is_postmaster_alive: Arc::new(|| false),
        }
    }

    pub(super) fn goal(&self) -> Option<ReplicationState> {
        self.assignment.as_ref().map(|assignment| assignment.goal)
    }

    pub(super) fn server(&self) -> Option<&Server> {
        self.seen.as_ref().map(|seen| &seen.observation.observed.server)
    }

    pub(super) fn running(&self) -> Option<&Running> {
        match self.server() {
            Some(Server::Running(running)) => Some(running),
            _ => None,
        }
    }

    /// The keeper has not gone round its loop for so long; `None` while it does.
    pub(super) fn stuck_for(&self, now: Moment) -> Option<Duration> {
        Some(now.since(self.turned_at)).filter(|time| *time >= STUCK_AFTER)
    }

    /// How many bytes of WAL it has not replayed, of all that it knows the primary to have; `None` when that is not known.
    pub(super) fn lag_bytes(&self, now: Moment) -> Option<u64> {
        let running = self.running()?;
        if !running.is_in_recovery {
            return Some(0);
        }
        let is_recent = |at: Moment| now.since(at) < LAG_KNOWN_FOR;
        let is_streaming = running.receiver == Receiver::Streaming;
        let primary = self.primary_position().filter(|_| self.monitor_answered.is_some_and(is_recent));
        let is_known =
            (is_streaming || primary.is_some()) && self.seen.as_ref().is_some_and(|seen| is_recent(seen.at));
        let end = primary.unwrap_or(Lsn::ZERO).max(running.lsn);
        is_known.then(|| running.replayed.bytes_behind(end))
    }

    fn primary_position(&self) -> Option<Lsn> {
        let upstream = self.assignment.as_ref()?.upstream.as_ref()?.node;
        self.positions.iter().find(|position| position.node == upstream).map(|position| position.lsn)
    }
}
