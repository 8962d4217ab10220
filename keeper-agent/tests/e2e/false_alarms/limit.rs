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

/// What a stall has caused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// As it was meant.
    pub(super) meant: Duration,
    /// As it was.
    pub(super) lasted: Duration,
    pub(super) failed_over: bool,
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
            let may = tried.lasted + EXACT_TO > self.documented;
            let must = tried.lasted >= self.documented + EXACT_TO;
            if tried.failed_over { may } else { !must }
        })
    }
}

/// Looks for it in a group of its own.
pub(super) fn find(tools: &Tools, nodes: usize) -> Result<Limit> {
    let cluster = Cluster::start(tools, Setup::nodes(nodes))?;
    let documented = documented(&cluster)?;
    let mut tried = Vec::new();
    let mut meant = documented.saturating_sub(BELOW);
    while meant <= documented + ABOVE {
        for _ in 0..TRIES {
            let event = cluster.last_event()?;
            let one = once(&cluster, meant)?;
            if one.failed_over && one.lasted + EXACT_TO <= documented {
                eprintln!("{}\n{}", cluster.events_after(event)?.join("\n"), cluster.dump());
            }
            eprintln!("  {nodes} nodes: {one:?}");
            tried.push(one);
        }
        meant += STEP;
    }
    Ok(Limit { nodes, documented, tried })
}

/// The silence after which a node counts as lost: the longer one of two settings.
fn documented(cluster: &Cluster) -> Result<Duration> {
    let sql = "select max(setting::integer) from pg_settings \
               where name in ('pgautofailover.loss_timeout', 'pgautofailover.node_considered_unhealthy_timeout')";
    let milliseconds: u64 = cluster.on_monitor(|monitor| monitor.text(sql))?.parse().context("no number")?;
    Ok(Duration::from_millis(milliseconds))
}

fn once(cluster: &Cluster, meant: Duration) -> Result<Tried> {
    cluster.wait_whole(WHOLE)?;
    let before = timeline(cluster)?;
    let lasted = stall(cluster, &cluster.primary()?, meant)?;
    // One that was decided on before the thaw is carried out after it.
    std::thread::sleep(Duration::from_secs(1));
    cluster.wait_whole(WHOLE)?;
    Ok(Tried { meant, lasted, failed_over: timeline(cluster)? > before })
}
