//! What has happened in a run, for the checks and the report.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::cast::Cast;
use super::check::{Anomaly, Check};
use super::reader::{Element, Reading};
use super::schedule::Round;
use crate::harness::Ledger;

/// A fault that was made.
#[derive(Clone, Debug)]
pub(super) struct Struck {
    /// Which of the round's faults.
    pub(super) index: usize,
    pub(super) from: Instant,
    /// When it was taken back.
    pub(super) to: Instant,
    /// Why it could not be made.
    pub(super) refused: Option<String>,
    /// Why it could not be taken back when it was tried last.
    pub(super) trouble: Option<String>,
}

/// A round that was played.
#[derive(Clone, Debug)]
pub(super) struct Played {
    pub(super) round: Round,
    pub(super) cast: Cast,
    pub(super) struck: Vec<Struck>,
    pub(super) began: Instant,
    /// Since when no fault was left.
    pub(super) healed: Instant,
    /// Since when the group was whole.
    pub(super) whole: Option<Instant>,
    /// The longest time without an acknowledgement to a client that looks for the primary.
    pub(super) pause: Duration,
}

impl Played {
    /// What it is counted as when pauses are compared.
    pub(super) fn label(&self) -> String {
        match self.round.faults.as_slice() {
            [only] => only.label(),
            several => format!("{} at once", several.len()),
        }
    }
}

/// What one cluster went through; a group that does not become whole again is replaced by a new cluster.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// The addresses and the names of the hosts, the monitor's first.
    pub(super) hosts: Vec<(Ipv4Addr, String)>,
    pub(super) rounds: Vec<Played>,
    pub(super) ledgers: Vec<Ledger>,
    /// So many of the ledgers are of clients that look for the primary; they come first.
    pub(super) followers: usize,
    pub(super) readings: Vec<Reading>,
    /// What is there in the end: the name of the node, and its rows. The primary's is first; none when there was no
    /// primary.
    pub(super) sets: Vec<(String, BTreeSet<Element>)>,
    /// What was found while it went on.
    pub(super) anomalies: Vec<Anomaly>,
    /// What is worth knowing and is nothing wrong.
    pub(super) notes: Vec<(Instant, String)>,
}

impl Life {
    pub(super) fn new(hosts: Vec<(Ipv4Addr, String)>) -> Self {
        Self {
            began: Instant::now(),
            ended: Instant::now(),
            hosts,
            rounds: Vec::new(),
            ledgers: Vec::new(),
            followers: 0,
            readings: Vec::new(),
            sets: Vec::new(),
            anomalies: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn found(&mut self, check: Check, text: String) {
        self.anomalies.push(Anomaly { check, at: Instant::now(), text });
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push((Instant::now(), text));
    }

    /// The name of the host with that address.
    pub(super) fn name_of<'a>(&'a self, address: &'a str) -> &'a str {
        let host = self.hosts.iter().find(|(of, _)| of.to_string() == address);
        host.map_or(address, |(_, name)| name)
    }

    /// Since it began.
    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }
}
