//! What a writer was told: which commits were acknowledged, when, and by whom.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// A commit that a server has acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    /// The value that was inserted.
    pub(crate) value: u64,
    /// When the statement was sent.
    pub(crate) sent: Instant,
    /// When the answer was there.
    pub(crate) acked: Instant,
    /// The address of the server.
    pub(crate) server: String,
    /// Its timeline.
    pub(crate) timeline: u32,
}

/// Everything that one writer was told.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Which writer.
    pub(crate) writer: usize,
    /// In the order of the answers.
    pub(crate) acks: Vec<Ack>,
    /// The highest value that was sent; all from 1 up to it were.
    pub(crate) last_sent: u64,
    /// Commits that a server reported with a warning: not replicated, so not acknowledged.
    pub(crate) unreplicated: Vec<u64>,
    /// How often something went wrong.
    pub(crate) failures: usize,
    /// The last things that went wrong, for people.
    pub(crate) errors: VecDeque<(Instant, String)>,
    /// When it began.
    pub(crate) began: Instant,
}

/// Errors remembered of one writer.
const ERRORS_KEPT: usize = 40;

impl Ledger {
    pub(crate) fn new(writer: usize) -> Self {
        Self {
            writer,
            acks: Vec::new(),
            last_sent: 0,
            unreplicated: Vec::new(),
            failures: 0,
            errors: VecDeque::new(),
            began: Instant::now(),
        }
    }

    pub(crate) fn error(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        if self.errors.len() >= ERRORS_KEPT {
            self.errors.pop_front();
        }
        self.errors.push_back((Instant::now(), format!("{error:#}")));
    }

    /// The first acknowledgement of a statement that was sent after `since`.
    pub(crate) fn first_after(&self, since: Instant) -> Option<&Ack> {
        let index = self.acks.partition_point(|ack| ack.sent <= since);
        self.acks.get(index)
    }

    /// The longest time without an acknowledgement that ended after `since`; one that goes on still is counted up
    /// to now.
    pub(crate) fn longest_pause(&self, since: Instant) -> Duration {
        let start = self.acks.partition_point(|ack| ack.acked < since);
        let before = start.checked_sub(1).map_or(self.began, |index| self.acks[index].acked);
        let mut previous = before;
        let mut longest = Duration::ZERO;
        for ack in &self.acks[start..] {
            longest = longest.max(ack.acked - previous);
            previous = ack.acked;
        }
        if self.acks[start..].is_empty() {
            longest = previous.elapsed();
        }
        longest
    }

    /// What was sent after that moment, and its answers.
    pub(crate) fn after(mut self, since: Instant) -> Self {
        self.acks.retain(|ack| ack.sent > since);
        self
    }

    /// The acknowledged values that are not among those present.
    pub(crate) fn missing(&self, present: &BTreeSet<(usize, u64)>) -> Vec<u64> {
        self.acks
            .iter()
            .map(|ack| ack.value)
            .filter(|value| !present.contains(&(self.writer, *value)))
            .collect()
    }
}

/// What psql prints of `select writer, value from ledger`.
pub(crate) fn parse_rows(text: &str) -> Result<BTreeSet<(usize, u64)>> {
    let row = |line: &str| -> Option<(usize, u64)> {
        let (writer, value) = line.split_once('|')?;
        Some((writer.parse().ok()?, value.parse().ok()?))
    };
    text.lines().map(|line| row(line).with_context(|| format!("no writer and value: {line}"))).collect()
}

/// Everything that was acknowledged is among the rows of the primary, and there never were two writers.
///
/// # Errors
/// Says what is not so.
pub(crate) fn verify_ledgers(
    present: &BTreeSet<(usize, u64)>,
    primary: &str,
    ledgers: &[Ledger],
) -> Result<()> {
    for ledger in ledgers {
        let missing = ledger.missing(present);
        ensure!(
            missing.is_empty(),
            "{} of {} commits acknowledged to writer {} are not on {primary}: {missing:?}",
            missing.len(),
            ledger.acks.len(),
            ledger.writer
        );
    }
    check_one_writer(ledgers)
}

/// Nobody acknowledges on an old timeline what was sent after somebody has acknowledged on a newer one.
///
/// # Errors
/// Two writers at the same time; says which.
pub(crate) fn check_one_writer(ledgers: &[Ledger]) -> Result<()> {
    let mut all: Vec<&Ack> = ledgers.iter().flat_map(|ledger| &ledger.acks).collect();
    all.sort_by_key(|ack| ack.acked);
    let mut newest: Option<&Ack> = None;
    let mut by_sent = all.clone();
    by_sent.sort_by_key(|ack| ack.sent);
    let mut done = all.iter().peekable();
    for ack in by_sent {
        while let Some(earlier) = done.next_if(|earlier| earlier.acked < ack.sent) {
            if newest.is_none_or(|newest| earlier.timeline > newest.timeline) {
                newest = Some(earlier);
            }
        }
        if let Some(newest) = newest {
            ensure!(
                ack.timeline >= newest.timeline,
                "two writers: {} acknowledged {} on timeline {} although {} had acknowledged on timeline {} before \
                 it was sent",
                ack.server,
                ack.value,
                ack.timeline,
                newest.server,
                newest.timeline
            );
        }
    }
    Ok(())
}
