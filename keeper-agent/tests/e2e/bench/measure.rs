//! One case, several times: the longest pause of a writer, and whether everything acknowledged is there.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use super::case::{Case, Group};
use super::load::Load;
use super::parts::Parts;
use crate::harness::{Clients, Cluster, Patience, Tools};

/// A client gives up on a dead socket, and on a host that does not answer, after this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// The slowest system measured needs a minute.
const TAKEOVER: Duration = Duration::from_secs(180);
const WHOLE: Duration = Duration::from_secs(180);
/// Of `pgbench`.
const LOAD_CLIENTS: u32 = 8;
const INTERRUPTED: Duration = Duration::from_secs(60);

/// The pauses of one case.
#[derive(Debug)]
pub(super) struct Measured {
    /// Seconds, one for each run, ascending.
    pub(super) pauses_s: Vec<f64>,
    /// The same from the loss until all was as before; what was taken is given back when clients are served again.
    pub(super) whole_s: Vec<f64>,
    /// Every run ended with one primary and all others secondary.
    pub(super) was_whole_again: bool,
    /// What must not happen: an acknowledged row lost, two writers, no service.
    pub(super) problem: Option<String>,
}

impl Measured {
    pub(super) const fn nothing() -> Self {
        Self { pauses_s: Vec::new(), whole_s: Vec::new(), was_whole_again: true, problem: None }
    }

    /// The median of the pauses, if anything was measured.
    pub(super) fn median_s(&self) -> Option<f64> {
        median(&self.pauses_s)
    }

    /// The median of the times until all was as before.
    pub(super) fn median_whole_s(&self) -> Option<f64> {
        median(&self.whole_s)
    }
}

fn median(ascending: &[f64]) -> Option<f64> {
    let count = ascending.len();
    let middle = ascending.get(count / 2)?;
    if count.is_multiple_of(2) {
        return ascending.get(count / 2 - 1).map(|lower| (lower + middle) / 2.0);
    }
    Some(*middle)
}

/// Clusters of one system: the next one is made for another kind of group, and when the last did not become whole
/// again.
pub(super) struct Bed<'a> {
    tools: &'a Tools,
    cluster: Option<(Kind, Cluster)>,
}

/// What tells clusters apart: how many nodes a group has, and whether it is one of a Citus formation.
type Kind = (usize, bool);

impl<'a> Bed<'a> {
    pub(super) const fn new(tools: &'a Tools) -> Self {
        Self { tools, cluster: None }
    }

    /// A cluster with a primary, and secondaries.
    pub(super) fn whole(&mut self, group: Group) -> Result<&mut Cluster> {
        let kind = (group.nodes(), group.is_citus());
        if self.cluster.as_ref().is_none_or(|(of, _)| *of != kind) {
            // Taken down before the next one is brought up.
            self.cluster = None;
            self.cluster = Some((kind, Cluster::start(self.tools, group.setup())?));
        }
        self.cluster.as_mut().map(|(_, cluster)| cluster).context("no cluster")
    }

    /// Measures one case.
    pub(super) fn measure(&mut self, case: Case, runs: usize) -> Result<Measured> {
        let mut measured = Measured::nothing();
        for run in 1..=runs {
            let cluster = self.whole(case.group)?;
            let (times, ended) = once(cluster, case)?;
            let [pause_s, whole_s] = [times.pause, times.whole].map(|time| time.as_secs_f64());
            let parts = times.parts.map(|parts| format!(" ({parts})")).unwrap_or_default();
            eprintln!(
                "  {} {run}/{runs}: {pause_s:.2} s{parts}, whole again after {whole_s:.2} s",
                case.name()
            );
            measured.pauses_s.push(pause_s);
            measured.whole_s.push(whole_s);
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
        measured.whole_s.sort_by(f64::total_cmp);
        Ok(measured)
    }
}

enum Ended {
    Whole,
    NotWhole(String),
    Wrong(String),
}

struct Times {
    pause: Duration,
    whole: Duration,
    /// Where the pause went, as far as the monitor tells.
    parts: Option<Parts>,
}

fn once(cluster: &mut Cluster, case: Case) -> Result<(Times, Ended)> {
    let loss = case.loss;
    let primary = cluster.primary_of(case.group.number())?;
    let load = if case.is_under_load { Some(Load::start(cluster, LOAD_CLIENTS)?) } else { None };
    let clients = match case.group {
        Group::Alone(_) => Clients::from(cluster.hasty_writer(PATIENCE)?),
        Group::Worker | Group::Coordinator if case.is_held() => cluster.clients(Patience::Long)?,
        Group::Worker | Group::Coordinator => cluster.clients(Patience::Short)?,
    };
    let (since, struck) = (Instant::now(), SystemTime::now());
    loss.strike(cluster, &primary)?;
    let interrupted = if case.is_held() { Ok(()) } else { clients.wait_for_interruption(since, INTERRUPTED) };
    let served = interrupted.and_then(|()| clients.wait_for_acks(TAKEOVER));
    drop(load);
    let parts = Parts::of(cluster, case.group.number(), struck);
    loss.heal(cluster, &primary)?;
    let whole = match case.group {
        Group::Alone(_) => cluster.wait_whole(WHOLE),
        Group::Worker | Group::Coordinator => cluster.wait_in_order(WHOLE),
    };
    let times = Times { pause: clients.longest_pause(since), whole: since.elapsed(), parts };
    let unharmed = if case.is_held() { clients.expect_no_errors() } else { Ok(()) };
    let ledgers = clients.stop();
    let verified = match case.group {
        Group::Alone(_) => cluster.verify(&ledgers),
        Group::Worker | Group::Coordinator => cluster.verify_formation(&ledgers),
    };
    let ended = match (served, whole, verified.and(unharmed)) {
        (Err(error), _, _) => Ended::Wrong(format!("{}: {error:#}\n{}", case.name(), cluster.dump())),
        (Ok(()), Err(_), _) => Ended::NotWhole(cluster.dump()),
        (Ok(()), Ok(()), Err(error)) => Ended::Wrong(format!("{}: {error:#}", case.name())),
        (Ok(()), Ok(()), Ok(())) => Ended::Whole,
    };
    Ok((times, ended))
}
