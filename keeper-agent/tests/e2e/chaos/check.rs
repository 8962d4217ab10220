//! What must hold, whatever the faults. Each check reads the history of a life and says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::history::Life;
use super::reader::{Element, Reading};
use crate::harness::{Ack, check_one_writer};

/// So many rows are named in one anomaly; the rest is counted.
const NAMED: usize = 5;
/// How long the sessions of a server may live on whose postmaster was killed.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    AcknowledgedRowsStay,
    NoRowIsInvented,
    OneWriter,
    ReadRowsStay,
    NodesAgree,
    WholeInTime,
}

/// Something that must not happen.
#[derive(Clone, Debug)]
pub(super) struct Anomaly {
    pub(super) check: Check,
    /// When it was found.
    pub(super) at: Instant,
    pub(super) text: String,
}

impl Check {
    pub(super) const ALL: [Self; 6] = [
        Self::AcknowledgedRowsStay,
        Self::NoRowIsInvented,
        Self::OneWriter,
        Self::ReadRowsStay,
        Self::NodesAgree,
        Self::WholeInTime,
    ];

    /// What holds, in a sentence.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::AcknowledgedRowsStay => "every acknowledged row is there in the end",
            Self::NoRowIsInvented => "no row is there that was never sent",
            Self::OneWriter => "no two nodes acknowledged in the same epoch",
            Self::ReadRowsStay => "no row vanished that was read from a server that accepts writes",
            Self::NodesAgree => "all nodes have the same rows in the end",
            Self::WholeInTime => "the group was whole within 60 s of every healing",
        }
    }

    /// What is wrong with a life that is over. `WholeInTime` is found out while it goes on.
    pub(super) fn examine(self, life: &Life) -> Vec<String> {
        let Some((_, set)) = life.sets.first() else {
            return match self {
                Self::OneWriter => one_writer(life),
                _ => Vec::new(),
            };
        };
        match self {
            Self::AcknowledgedRowsStay => acknowledged_rows_stay(life, set),
            Self::NoRowIsInvented => no_row_is_invented(life),
            Self::OneWriter => one_writer(life),
            Self::ReadRowsStay => read_rows_stay(life, set),
            Self::NodesAgree => nodes_agree(life, set),
            Self::WholeInTime => Vec::new(),
        }
    }
}

fn acknowledged_rows_stay(life: &Life, set: &BTreeSet<Element>) -> Vec<String> {
    let lost_by = |ledger: &crate::harness::Ledger| -> Option<String> {
        let lost: Vec<&Ack> =
            ledger.acks.iter().filter(|ack| !set.contains(&(ledger.writer, ack.value))).collect();
        let first = lost.first()?;
        let values: Vec<u64> = lost.iter().map(|ack| ack.value).take(NAMED).collect();
        Some(format!(
            "{} of {} rows acknowledged to writer {} are lost: {values:?}; the first was acknowledged by {} on \
             timeline {} at {:.3} s",
            lost.len(),
            ledger.acks.len(),
            ledger.writer,
            life.name_of(&first.server),
            first.timeline,
            life.since(first.acked).as_secs_f64()
        ))
    };
    life.ledgers.iter().filter_map(lost_by).collect()
}

fn no_row_is_invented(life: &Life) -> Vec<String> {
    let was_sent = |(writer, value): &Element| {
        life.ledgers.iter().any(|ledger| ledger.writer == *writer && (1..=ledger.last_sent).contains(value))
    };
    let mut found = Vec::new();
    for (node, set) in &life.sets {
        let invented: Vec<&Element> = set.iter().filter(|element| !was_sent(element)).take(NAMED).collect();
        if !invented.is_empty() {
            found.push(format!("{node} has rows (writer, value) that nobody sent: {invented:?}"));
        }
    }
    for reading in life.readings.iter().filter(|reading| !was_sent(&reading.element)).take(NAMED) {
        let server = life.name_of(&reading.server);
        found.push(format!("{server} answered with a row that nobody sent: {:?}", reading.element));
    }
    found
}

fn one_writer(life: &Life) -> Vec<String> {
    let mut found = Vec::new();
    let mut writers: BTreeMap<u32, &Ack> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for ack in life.ledgers.iter().flat_map(|ledger| &ledger.acks) {
        let first = writers.entry(ack.timeline).or_insert(ack);
        if first.server != ack.server && told.insert(ack.timeline) {
            found.push(format!(
                "{} and {} both acknowledged on timeline {}",
                life.name_of(&first.server),
                life.name_of(&ack.server),
                ack.timeline
            ));
        }
    }
    found.extend(check_one_writer(&life.ledgers).err().map(|error| error.to_string()));
    found
}

/// Rows that were read from a server that was not in recovery, and are not there in the end.
fn vanished<'a>(life: &'a Life, set: &BTreeSet<Element>) -> Vec<&'a Reading> {
    let is_gone = |reading: &&Reading| reading.timeline.is_some() && !set.contains(&reading.element);
    life.readings.iter().filter(is_gone).collect()
}

fn read_rows_stay(life: &Life, set: &BTreeSet<Element>) -> Vec<String> {
    let vanished: Vec<&Reading> =
        vanished(life, set).into_iter().filter(|reading| !is_in_last_moments(life, reading)).collect();
    let say = |reading: &&Reading| {
        format!(
            "row {:?} was read at {:.3} s from {}, which wrote to timeline {}, and has vanished",
            reading.element,
            life.since(reading.at).as_secs_f64(),
            life.name_of(&reading.server),
            reading.timeline.unwrap_or_default(),
        )
    };
    let mut found: Vec<String> = vanished.iter().take(NAMED).map(say).collect();
    if vanished.len() > NAMED {
        found.push(format!("and {} more", vanished.len() - NAMED));
    }
    found
}

/// The reads that do not count: of a server whose postmaster is dead, in the moment until its last sessions are. They
/// see commits that will never be acknowledged, and nobody can keep them from it.
pub(super) fn reads_in_last_moments(life: &Life) -> usize {
    let Some((_, set)) = life.sets.first() else {
        return 0;
    };
    vanished(life, set).into_iter().filter(|reading| is_in_last_moments(life, reading)).count()
}

/// The server acknowledged something shortly before, and nothing afterwards.
fn is_in_last_moments(life: &Life, reading: &Reading) -> bool {
    let acks = life.ledgers.iter().flat_map(|ledger| &ledger.acks);
    let last = acks
        .filter(|ack| *ack.server == *reading.server && Some(ack.timeline) == reading.timeline)
        .map(|ack| ack.acked)
        .max();
    last.is_some_and(|last| last < reading.at && reading.at - last < LAST_MOMENTS)
}

fn nodes_agree(life: &Life, set: &BTreeSet<Element>) -> Vec<String> {
    let differs = |(node, other): &(String, BTreeSet<Element>)| -> Option<String> {
        let lacks: Vec<&Element> = set.difference(other).take(NAMED).collect();
        let exceeds: Vec<&Element> = other.difference(set).take(NAMED).collect();
        (!lacks.is_empty() || !exceeds.is_empty())
            .then(|| format!("{node} lacks {lacks:?} and has {exceeds:?}, which the primary has not"))
    };
    life.sets.iter().skip(1).filter_map(differs).collect()
}
