//! One loss, several times: the longest pause of a writer, and whether everything acknowledged is there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::loss::Loss;
use crate::harness::{Cluster, Setup, Tools};

/// The slowest system measured needs a minute.
const TAKEOVER: Duration = Duration::from_secs(180);
const WHOLE: Duration = Duration::from_secs(180);
const INTERRUPTED: Duration = Duration::from_secs(60);

/// The pauses of one loss.
#[derive(Debug)]
pub(super) struct Measured {
    /// Seconds, one for each run, ascending.
    pub(super) pauses_s: Vec<f64>,
    /// Every run ended with one primary and one secondary.
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

/// Clusters of one system: the next one is made when the last did not become whole again.
pub(super) struct Bed<'a> {
    tools: &'a Tools,
    cluster: Option<Cluster>,
}

impl<'a> Bed<'a> {
    pub(super) const fn new(tools: &'a Tools) -> Self {
        Self { tools, cluster: None }
    }

    /// A cluster with a primary and a secondary.
    pub(super) fn whole(&mut self) -> Result<&mut Cluster> {
        if self.cluster.is_none() {
            self.cluster = Some(Cluster::start(self.tools, Setup::nodes(2))?);
        }
        self.cluster.as_mut().context("no cluster")
    }

    /// Measures one loss.
    pub(super) fn measure(&mut self, loss: Loss, runs: usize) -> Result<Measured> {
        let mut measured = Measured { pauses_s: Vec::new(), was_whole_again: true, problem: None };
        for run in 1..=runs {
            let cluster = self.whole()?;
            let (pause, ended) = once(cluster, loss)?;
            eprintln!("  {} {run}/{runs}: {:.2} s", loss.name(), pause.as_secs_f64());
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

fn once(cluster: &mut Cluster, loss: Loss) -> Result<(Duration, Ended)> {
    let primary = cluster.primary()?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    loss.strike(cluster, &primary)?;
    let served = writer
        .wait_for_interruption(since, INTERRUPTED)
        .and_then(|()| writer.wait_for_ack(TAKEOVER).map(drop));
    loss.heal(cluster, &primary)?;
    let whole = cluster.wait_whole(WHOLE);
    let pause = writer.ledger().longest_pause(since);
    let ledger = writer.stop();
    let verified = cluster.verify(&[ledger]);
    let ended = match (served, whole, verified) {
        (Err(error), _, _) => Ended::Wrong(format!("{}: {error:#}\n{}", loss.name(), cluster.dump())),
        (Ok(()), Err(_), _) => Ended::NotWhole(cluster.dump()),
        (Ok(()), Ok(()), Err(error)) => Ended::Wrong(format!("{}: {error:#}", loss.name())),
        (Ok(()), Ok(()), Ok(())) => Ended::Whole,
    };
    Ok((pause, ended))
}
