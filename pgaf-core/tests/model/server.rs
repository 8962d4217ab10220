//! A Postgres server and its files, as far as the two state machines can tell.

use pgaf_core::keeper::StopMode;
use pgaf_core::{CommitRule, Lsn, NodeId, Timeline, TimelineHistory};

/// A record of the log: the timeline it was written on, and the commit that it is; 0 for anything else.
pub(crate) type Record = (u8, u8);

/// The state of PGDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    Missing,
    /// A copy or a rewind was interrupted.
    Incomplete,
    Whole,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Stopped,
    Standby,
    /// A primary that lets in only the keeper and standbys.
    Gated,
    Writer,
}

/// What a walsender knows of its standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reply {
    pub(crate) standby: usize,
    /// How many records the standby has flushed.
    pub(crate) flushed: u8,
    /// Ticks since it last replied.
    pub(crate) age: u8,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) data: Data,
    pub(crate) log: Vec<Record>,
    pub(crate) timeline: u8,
    pub(crate) mode: Mode,
    /// `standby.signal` is there.
    pub(crate) has_signal: bool,
    /// Shut down cleanly, as a primary: the last record says so.
    pub(crate) is_clean: bool,
    pub(crate) names: String,
    pub(crate) follows: Option<usize>,
    pub(crate) is_streaming: bool,
    /// Ticks since a standby heard its upstream.
    pub(crate) unheard: u8,
    pub(crate) replies: Vec<Reply>,
    /// Positions in the log of commits that wait for standbys.
    pub(crate) waiting: Vec<u8>,
}

impl Server {
    pub(crate) const fn new(data: Data) -> Self {
        Self {
            data,
            log: Vec::new(),
            timeline: 1,
            mode: Mode::Stopped,
            has_signal: false,
            is_clean: true,
            names: String::new(),
            follows: None,
            is_streaming: false,
            unheard: 0,
            replies: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.mode != Mode::Stopped
    }

    /// It sends its log to whoever connects.
    pub(crate) fn sends(&self) -> bool {
        self.is_running() && self.data == Data::Whole
    }

    /// All its records are the other's, too.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        other.log.starts_with(&self.log)
    }

    /// The first of these commits that its log does not have.
    pub(crate) fn first_missing(&self, commits: &[u8]) -> Option<u8> {
        commits.iter().copied().find(|commit| !self.log.iter().any(|(_, id)| id == commit))
    }

    pub(crate) fn history(&self) -> TimelineHistory {
        let mut ancestors: Vec<(Timeline, Lsn)> = Vec::new();
        for (position, (timeline, _)) in self.log.iter().enumerate() {
            let parent = position.checked_sub(1).map_or(1, |before| self.log[before].0);
            if *timeline != parent {
                ancestors.push((Timeline(parent.into()), Lsn(position as u64)));
            }
        }
        TimelineHistory { timeline: Timeline(self.timeline.into()), ancestors }
    }

    /// Where the log ends, for a primary that was shut down cleanly.
    pub(crate) fn shutdown_lsn(&self) -> Option<Lsn> {
        let is_so = self.mode == Mode::Stopped && self.is_clean && !self.has_signal && !self.log.is_empty();
        is_so.then(|| Lsn(self.log.len() as u64 - 1))
    }

    /// Writes a commit; it waits when `synchronous_standby_names` says so.
    pub(crate) fn commit(&mut self, id: u8) {
        self.log.push((self.timeline, id));
        self.waiting.push(self.log.len() as u8);
    }

    /// The commits that need not wait any longer.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        let rule = rule_of(&self.names);
        let is_released = |position: &u8| {
            let flushed = self.replies.iter().filter(|reply| {
                reply.flushed >= *position && rule.standbys.contains(&NodeId(reply.standby as i64 + 1))
            });
            flushed.count() >= rule.acks as usize
        };
        let (released, waiting): (Vec<u8>, Vec<u8>) = self.waiting.iter().partition(|at| is_released(at));
        self.waiting = waiting;
        released.into_iter().map(|position| self.log[position as usize - 1].1).collect()
    }

    /// A standby has received everything and said so.
    pub(crate) fn hear(&mut self, standby: usize, flushed: u8) {
        self.replies.retain(|reply| reply.standby != standby);
        self.replies.push(Reply { standby, flushed, age: 0 });
        self.replies.sort_by_key(|reply| reply.standby);
    }

    /// What waits is not acknowledged, and stays in the log.
    pub(crate) fn stop(&mut self, mode: StopMode) {
        if self.mode == Mode::Stopped {
            return;
        }
        let is_primary = matches!(self.mode, Mode::Writer | Mode::Gated);
        self.is_clean = is_primary && mode == StopMode::Fast;
        if self.is_clean {
            self.log.push((self.timeline, 0));
        }
        self.mode = Mode::Stopped;
        self.is_streaming = false;
        self.waiting.clear();
        self.replies.clear();
    }

    pub(crate) fn start(&mut self, is_gated: bool) {
        self.is_clean = false;
        self.mode = match (self.has_signal, is_gated) {
            (true, _) => Mode::Standby,
            (false, true) => Mode::Gated,
            (false, false) => Mode::Writer,
        };
    }

    pub(crate) fn promote(&mut self) {
        self.mode = Mode::Writer;
        self.has_signal = false;
        self.is_streaming = false;
        self.replies.clear();
        self.timeline += 1;
        self.log.push((self.timeline, 0));
    }

    pub(crate) fn copy_from(&mut self, source: &Self) {
        self.data = Data::Whole;
        self.log.clone_from(&source.log);
        self.timeline = source.timeline;
        self.has_signal = true;
        self.is_clean = false;
        self.names.clear();
    }
}

/// Reads a value of `synchronous_standby_names` that the keeper wrote.
pub(crate) fn rule_of(names: &str) -> CommitRule {
    let Some((acks, list)) = names.strip_prefix("ANY ").and_then(|rest| rest.split_once(" (")) else {
        return CommitRule::ASYNCHRONOUS;
    };
    let node = |name: &str| name.rsplit('_').next().and_then(|id| id.parse().ok()).map(NodeId);
    let standbys = list.trim_end_matches(')').split(", ").filter_map(node).collect();
    CommitRule { standbys, acks: acks.parse().unwrap_or(u32::MAX) }
}
