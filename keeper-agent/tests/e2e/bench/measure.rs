//! One case, several times: the longest pause of a writer, and whether everything acknowledged is there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::case::Case;
use super::load::Load;
use crate::harness::{Cluster, Setup, Tools};

/// The slowest system measured needs a minute.
const TAKEOVER: Duration = Duration::from_secs(180);
const WHOLE: Duration = Duration::from_secs(180);
const INTERRUPTED: Duration = Duration::from_secs(60);

/// The pauses of one case.
#[derive(Debug)]
pub(super) struct Measured {
    /// Seconds, one for each run, ascending.
    pub(super) pauses_s: Vec<f64>,
    /// Every run ended with one primary and all others secondary.
    pub(super) was_whole_again: bool,
    /// What must not happen: an acknowledged row lost, two writers, no service.
    pub(super) problem: Option<String>,
}

impl Measured {
    /// The median, if anything was measured.
    pub(super) fn median_s(&self) -> Option<f64> {
        let count = self.pauses_s.len();
        let middle = self.pauses_s.get(count / 2)?;
        if count.is_multiple_of(2) {
            return self.pauses_s.get(count / 2 - 1).map(|lower| (lower + middle) / 2.0);
        }
        Some(*middle)
    }
}

/// Clusters of one system: the next one is made for another number of nodes, and when the last did not become whole
/// again.
pub(super) struct Bed<'a> {
    tools: &'a Tools,
    cluster: Option<Cluster>,
}

impl<'a> Bed<'a> {
    pub(super) const fn new(tools: &'a Tools) -> Self {
        Self { tools, cluster: None }
    }

    /// A cluster with a primary, and secondaries.
    pub(super) fn whole(&mut self, nodes: usize) -> Result<&mut Cluster> {
        if self.cluster.as_ref().is_none_or(|cluster| cluster.setup.nodes != nodes) {
            // Taken down before the next one is brought up.
            self.cluster = None;
            self.cluster = Some(Cluster::start(self.tools, Setup::nodes(nodes))?);
        }
        self.cluster.as_mut().context("no cluster")
    }

    /// Measures one case.
    pub(super) fn measure(&mut self, case: Case, runs: usize) -> Result<Measured> {
        let mut measured = Measured { pauses_s: Vec::new(), was_whole_again: true, problem: None };
        for run in 1..=runs {
            let cluster = self.whole(case.nodes)?;
            let (pause, ended) = once(cluster, case)?;
            eprintln!("  {} {run}/{runs}: {:.2} s", case.name(), pause.as_secs_f64());
            measured.pauses_s.push(pause.as_secs_f64());
            match ended {
                Ended::Whole => {}
                Ended::NotWhole(dump) => {
                    eprintln!("  not whole again:\n{dump}");
                    measured.was_whole_again = false;
                    self.cluster = None;
                }
                Ended::Wrong(problem) => {
                    eprintln!("  {problem}");
                    measured.problem = Some(problem);
                    self.cluster = None;
                }
            }
        }
        measured.pauses_s.sort_by(f64::total_cmp);
        Ok(measured)
    }
}

enum Ended {
    Whole,
    NotWhole(String),
    Wrong(String),
}

fn once(cluster: &mut Cluster, case: Case) -> Result<(Duration, Ended)> {
    let loss = case.loss;
    let primary = cluster.primary()?;
    let load = if case.is_under_load { Some(Load::start(cluster)?) } else { None };
    let writer = cluster.writer()?;
    let since = Instant::now();
    loss.strike(cluster, &primary)?;
    let served = writer
        .wait_for_interruption(since, INTERRUPTED)
        .and_then(|()| writer.wait_for_ack(TAKEOVER).map(drop));
    drop(load);
    loss.heal(cluster, &primary)?;
    let whole = cluster.wait_whole(WHOLE);
    let pause = writer.ledger().longest_pause(since);
    let ledger = writer.stop();
    let verified = cluster.verify(&[ledger]);
    let ended = match (served, whole, verified) {
        (Err(error), _, _) => Ended::Wrong(format!("{}: {error:#}\n{}", case.name(), cluster.dump())),
        (Ok(()), Err(_), _) => Ended::NotWhole(cluster.dump()),
        (Ok(()), Ok(()), Err(error)) => Ended::Wrong(format!("{}: {error:#}", case.name())),
        (Ok(()), Ok(()), Ok(())) => Ended::Whole,
    };
    Ok((pause, ended))
}
