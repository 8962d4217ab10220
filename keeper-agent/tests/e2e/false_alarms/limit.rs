//! How long the primary's host may stand still: stalls that grow until they cause a failover.

use std::time::Duration;

use anyhow::{Context, Result};

use super::bed::WHOLE;
use super::play::{stall, timeline};
use crate::harness::{Cluster, Setup, Tools};

const STEP: Duration = Duration::from_millis(250);
/// Before the limit, and after it.
const BELOW: Duration = Duration::from_millis(2_000);
const ABOVE: Duration = Duration::from_millis(1_000);
/// How far from the documented limit a failover may begin to be possible, and must be certain.
const EXACT_TO: Duration = Duration::from_millis(500);
/// A stall can begin right before a report and right after one.
const TRIES: u32 = 3;

/// What stalls of one length have caused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    pub(super) stall: Duration,
    pub(super) tries: u32,
    pub(super) failovers: u32,
}

/// What was found for one size of group.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) nodes: usize,
    pub(super) documented: Duration,
    pub(super) tried: Vec<Tried>,
}

impl Limit {
    /// None below the documented limit, always above it, and half a second of doubt at most.
    pub(super) fn is_exact(&self) -> bool {
        self.tried.iter().all(|tried| {
            let may = tried.stall + EXACT_TO > self.documented;
            let must = tried.stall >= self.documented + EXACT_TO;
            (may || tried.failovers == 0) && (!must || tried.failovers == tried.tries)
        })
    }
}

/// Looks for it in a group of its own.
pub(super) fn find(tools: &Tools, nodes: usize) -> Result<Limit> {
    let cluster = Cluster::start(tools, Setup::nodes(nodes))?;
    let documented = documented(&cluster)?;
    let mut tried = Vec::new();
    let mut time = documented.saturating_sub(BELOW);
    while time <= documented + ABOVE {
        let mut failovers = 0;
        for _ in 0..TRIES {
            failovers += u32::from(fails_over(&cluster, time)?);
        }
        eprintln!("  {nodes} nodes, {:.2} s: {failovers} of {TRIES}", time.as_secs_f64());
        tried.push(Tried { stall: time, tries: TRIES, failovers });
        time += STEP;
    }
    Ok(Limit { nodes, documented, tried })
}

/// The silence after which a node may be lost.
fn documented(cluster: &Cluster) -> Result<Duration> {
    let sql =
        "select setting from pg_settings where name = 'pgautofailover.node_considered_unhealthy_timeout'";
    let milliseconds: u64 = cluster.on_monitor(|monitor| monitor.text(sql))?.parse().context("no number")?;
    Ok(Duration::from_millis(milliseconds))
}

fn fails_over(cluster: &Cluster, time: Duration) -> Result<bool> {
    cluster.wait_whole(WHOLE)?;
    let before = timeline(cluster)?;
    stall(cluster, &cluster.primary()?, time)?;
    // One that was decided on before the thaw is carried out after it.
    std::thread::sleep(Duration::from_secs(1));
    cluster.wait_whole(WHOLE)?;
    Ok(timeline(cluster)? > before)
}
