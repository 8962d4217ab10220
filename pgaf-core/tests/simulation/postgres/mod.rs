//! A Postgres as far as replication goes: its files, its server, the commits that wait.

mod commit;
mod names;
mod walsender;

use pgaf_core::keeper::{Receiver, StopMode};
use pgaf_core::{Lsn, NodeId};

use super::wal::{Archive, Position};
pub(crate) use names::Names;
pub(crate) use walsender::Walsender;

/// A clean shutdown whose standbys do not take everything is given up.
const STOP_PATIENCE_MS: u64 = 10_000;

/// A standby lets its keeper in before it has replayed the last records.
const NOT_YET_REPLAYED: u64 = 12;

/// What PGDATA holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    Missing,
    /// A copy or a rewind is under way, or was interrupted.
    Incomplete,
    /// `pg_control` is gone.
    Damaged,
    Present,
}

/// What the processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Stopped,
    /// It recovers, and will then be what `becomes` says.
    Starting {
        until: u64,
        becomes: Role,
    },
    Up(Role),
    /// A clean shutdown: its standbys get everything first.
    Stopping {
        since: u64,
        has_checkpoint: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Standby,
    /// A primary that lets in nobody but its standbys.
    Gated,
    Writer,
}

pub(crate) struct Postgres {
    pub(crate) files: Files,
    pub(crate) mode: Mode,
    /// The end of the log: written and flushed, or received and flushed.
    pub(crate) end: Position,
    pub(crate) replayed: u64,
    pub(crate) is_clean: bool,
    /// `standby.signal` is there.
    pub(crate) has_signal: bool,
    /// Where the latest checkpoint is.
    pub(crate) checkpoint: Position,
    /// The highest timeline that is known here: a promotion goes beyond.
    pub(crate) newest_timeline: u32,
    /// The timeline that the walreceiver of this server was seen to receive.
    pub(crate) received_timeline: u32,
    pub(crate) names: Names,
    /// Some backends may follow this value still.
    pub(crate) older_names: Option<Names>,
    /// The index of the host it would receive from.
    pub(crate) follows: Option<usize>,
    pub(crate) receiver: Receiver,
    /// It was told to follow nobody, and has replayed all it has since.
    pub(crate) is_replay_over: bool,
    /// When it last heard its upstream.
    pub(crate) heard_at: u64,
    /// One for each host that receives from here.
    pub(crate) walsenders: Vec<Option<Walsender>>,
    /// Nodes that may connect for replication.
    pub(crate) admitted: Vec<NodeId>,
    /// Ends of commits that wait, ascending.
    waiting: Vec<Position>,
}

impl Postgres {
    /// Without data, in a group of so many hosts.
    pub(crate) fn without_data(hosts: usize) -> Self {
        Self {
            files: Files::Missing,
            mode: Mode::Stopped,
            end: Archive::origin(),
            replayed: 0,
            is_clean: false,
            has_signal: false,
            checkpoint: Archive::origin(),
            newest_timeline: 1,
            received_timeline: 0,
            names: Names::default(),
            older_names: None,
            follows: None,
            receiver: Receiver::Absent,
            is_replay_over: false,
            heard_at: 0,
            walsenders: (0..hosts).map(|_| None).collect(),
            admitted: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// As `initdb` leaves it.
    pub(crate) fn initialized(hosts: usize) -> Self {
        Self { files: Files::Present, is_clean: true, ..Self::without_data(hosts) }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.mode == Mode::Stopped
    }

    pub(crate) fn is_writer(&self) -> bool {
        self.mode == Mode::Up(Role::Writer)
    }

    pub(crate) fn is_standby(&self) -> bool {
        self.mode == Mode::Up(Role::Standby)
    }

    /// It sends WAL to those who ask for it.
    pub(crate) fn sends(&self) -> bool {
        matches!(self.mode, Mode::Up(_) | Mode::Stopping { .. })
    }

    /// How far it got, as SQL tells it: what was received before a restart counts when it is replayed.
    pub(crate) fn position(&self) -> Lsn {
        let has_received = !self.is_standby() || self.received_timeline > 0;
        Lsn(if has_received { self.end.end } else { self.replayed })
    }

    /// Whom it lets in for replication. A standby has not been told whom to let in, and lets in everybody.
    pub(crate) fn admits(&self, node: NodeId) -> bool {
        match self.mode {
            Mode::Up(Role::Standby) => true,
            Mode::Up(_) => self.admitted.contains(&node),
            _ => false,
        }
    }

    /// Where the last record of a primary begins that was shut down cleanly.
    pub(crate) fn shutdown_lsn(&self) -> Option<Lsn> {
        let has_one = self.files == Files::Present && self.is_stopped() && self.is_clean && !self.has_signal;
        has_one.then(|| Lsn(self.end.end - 1))
    }

    /// Starts it on its files; it can be connected to after a while.
    pub(crate) fn start(&mut self, is_gated: bool, until: u64) {
        assert!(self.is_stopped(), "a running Postgres was started");
        let becomes = match (self.has_signal, is_gated) {
            (true, _) => Role::Standby,
            (false, true) => Role::Gated,
            (false, false) => Role::Writer,
        };
        self.mode = Mode::Starting { until, becomes };
        self.is_clean = false;
        self.older_names = None;
    }

    /// It lets in nobody but its standbys, or will once it is up.
    pub(crate) fn is_gated(&self) -> bool {
        matches!(self.mode, Mode::Up(Role::Gated) | Mode::Starting { becomes: Role::Gated, .. })
    }

    /// As a crash.
    pub(crate) fn crash(&mut self) {
        self.ends(false);
    }

    /// Begins a stop; a standby has nothing to wait for.
    pub(crate) fn begin_stop(&mut self, mode: StopMode, now: u64) {
        match (mode, self.mode) {
            (_, Mode::Stopped) => {}
            (StopMode::Fast, Mode::Up(Role::Gated | Role::Writer)) => {
                self.waiting.clear();
                self.mode = Mode::Stopping { since: now, has_checkpoint: false };
            }
            (StopMode::Fast, Mode::Stopping { .. }) => {}
            (StopMode::Fast, Mode::Up(Role::Standby)) => self.ends(true),
            (StopMode::Fast, Mode::Starting { .. }) | (StopMode::Immediate, _) => self.ends(false),
        }
    }

    fn ends(&mut self, is_clean: bool) {
        if !self.is_stopped() {
            self.is_clean = is_clean;
        }
        if is_clean {
            self.checkpoint = self.end;
        }
        self.mode = Mode::Stopped;
        self.receiver = Receiver::Absent;
        self.received_timeline = 0;
        self.is_replay_over = false;
        self.walsenders.iter_mut().for_each(|walsender| *walsender = None);
        self.waiting.clear();
    }

    /// What goes on by itself: recovery, replay, the end of a shutdown.
    pub(crate) fn time_passes(&mut self, archive: &mut Archive, now: u64, is_lazy: bool) {
        match self.mode {
            Mode::Starting { until, becomes } if until <= now => self.is_up(archive, becomes, now),
            Mode::Up(Role::Standby) if !is_lazy => self.replayed = self.end.end,
            Mode::Up(Role::Standby) => self.replayed += (self.end.end - self.replayed) / 4,
            Mode::Stopping { since, .. } if now - since >= STOP_PATIENCE_MS => self.ends(false),
            Mode::Stopping { since, has_checkpoint } => {
                let has_sent = self.walsenders.iter().flatten().all(|it| it.flushed >= self.end.lsn());
                if !has_checkpoint {
                    self.end = archive.append(self.end);
                    self.mode = Mode::Stopping { since, has_checkpoint: true };
                } else if has_sent {
                    self.ends(true);
                }
            }
            _ => {}
        }
        self.forget_silent_walsenders(now);
    }

    fn is_up(&mut self, archive: &mut Archive, role: Role, now: u64) {
        self.mode = Mode::Up(role);
        self.heard_at = now;
        if role == Role::Standby {
            self.replayed = self.checkpoint.end.max(self.end.end.saturating_sub(NOT_YET_REPLAYED));
        } else {
            self.end = archive.append(self.end);
        }
    }

    /// A checkpoint, or a restart point.
    pub(crate) fn checkpoints(&mut self) {
        if let Mode::Up(role) = self.mode {
            let end = if role == Role::Standby { self.replayed } else { self.end.end };
            if end >= self.checkpoint.end {
                self.checkpoint = Position { end, ..self.end };
            }
        }
    }

    /// Ends recovery on a new timeline.
    pub(crate) fn promote(&mut self, archive: &mut Archive) {
        self.newest_timeline = self.newest_timeline.max(archive.timeline(self.end).0) + 1;
        let begun = archive.fork(self.end, self.newest_timeline);
        self.end = archive.append(begun);
        self.has_signal = false;
        self.follows = None;
        self.receiver = Receiver::Absent;
        self.mode = Mode::Up(Role::Writer);
    }

    /// What a base backup or a rewind leaves: the other's log, as a standby.
    pub(crate) fn becomes_copy_of(&mut self, other: &Self) {
        self.files = Files::Present;
        self.end = other.end;
        self.checkpoint = other.checkpoint;
        self.newest_timeline = other.newest_timeline;
        self.is_clean = false;
        self.has_signal = true;
        self.follows = None;
    }

    /// Changes whom it follows; a standby that runs reconnects.
    pub(crate) fn follow(&mut self, upstream: Option<usize>) {
        assert!(!matches!(self.mode, Mode::Up(Role::Writer | Role::Gated)), "a primary was told to follow");
        self.has_signal = true;
        if self.follows != upstream || upstream.is_none() {
            self.receiver =
                if upstream.is_some() && self.is_standby() { Receiver::Idle } else { Receiver::Absent };
        }
        self.follows = upstream;
        self.is_replay_over = false;
    }

    /// A standby that follows nobody has replayed all it has.
    pub(crate) fn proves_replay_is_over(&mut self) -> bool {
        self.is_replay_over = self.is_standby() && self.follows.is_none() && self.replayed == self.end.end;
        self.is_replay_over
    }
}

#[cfg(test)]
mod tests;
