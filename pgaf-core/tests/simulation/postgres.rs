//! A Postgres as far as replication goes: a log, timelines, recovery, and commits that wait.

use pgaf_core::Timeline;

/// A record of the log: who wrote it on which timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) timeline: u32,
    pub(crate) id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Stopped,
    Standby,
    Gated,
    Writer,
}

#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    /// `None`: there is no usable data directory.
    pub(crate) log: Option<Vec<Record>>,
    pub(crate) timeline: u32,
    pub(crate) mode: Mode,
    pub(crate) is_clean: bool,
    pub(crate) has_signal: bool,
    /// `synchronous_standby_names`; kept over restarts.
    pub(crate) names: String,
    /// Whom it would receive from.
    pub(crate) follows: Option<usize>,
    pub(crate) is_streaming: bool,
    /// When it last heard its upstream.
    pub(crate) heard_at: u64,
    /// When its standby last replied, and how much it had then.
    pub(crate) reply: Option<(u64, usize)>,
    /// Positions of commits that wait for a standby.
    pub(crate) waiting: Vec<usize>,
}

impl Postgres {
    pub(crate) fn new(log: Option<Vec<Record>>) -> Self {
        Self {
            log,
            timeline: Timeline::FIRST.0,
            mode: Mode::Stopped,
            is_clean: true,
            has_signal: false,
            names: String::new(),
            follows: None,
            is_streaming: false,
            heard_at: 0,
            reply: None,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.log.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.mode != Mode::Stopped
    }

    pub(crate) fn waits_for_standby(&self) -> bool {
        !self.names.is_empty()
    }

    pub(crate) fn stop(&mut self, is_clean: bool) {
        if self.is_running() {
            self.mode = Mode::Stopped;
            self.is_clean = is_clean;
        }
        self.is_streaming = false;
        self.reply = None;
        self.waiting.clear();
    }

    pub(crate) fn write(&mut self, id: u64) {
        let timeline = self.timeline;
        if let Some(log) = &mut self.log {
            log.push(Record { timeline, id });
            self.waiting.push(log.len() - 1);
        }
    }

    /// What was written here is in the other's log, too, up to our end.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        match (&self.log, &other.log) {
            (Some(ours), Some(theirs)) => theirs.starts_with(ours) && self.timeline <= other.timeline,
            _ => false,
        }
    }

    /// What is missing at the end.
    pub(crate) fn receive_from(&mut self, other: &Self) {
        if let (Some(ours), Some(theirs)) = (&mut self.log, &other.log) {
            let end = ours.len();
            ours.extend_from_slice(&theirs[end..]);
        }
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.log.clone_from(&other.log);
        self.timeline = other.timeline;
        self.is_clean = true;
        self.has_signal = true;
    }
}
