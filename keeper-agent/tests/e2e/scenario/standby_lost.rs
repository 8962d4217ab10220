//! The standby is lost: the primary goes on alone within the same times and is `primary` again when it is back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::Cluster;

scenarios! {
    two_nodes:
        standby_killed,
        standby_cut_off,
        standby_frozen,
        only_the_link_between_primary_and_standby_cut;
}

const PAUSE_OF_A_LOST_STANDBY: Duration = Duration::from_secs(20);

/// The standby is lost by `lose` and comes back by `bring_back`; all the time the primary is n1.
fn standby_lost(
    cluster: &mut Cluster,
    lose: fn(&mut Cluster) -> Result<()>,
    bring_back: fn(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    lose(cluster)?;
    cluster.wait_states(&[("n1", "wait_primary")], TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_LOST_STANDBY, "{pause:?} without a commit");
    bring_back(cluster)?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn standby_killed(cluster: &mut Cluster) -> Result<()> {
    standby_lost(
        cluster,
        |cluster| cluster.host_mut("n2")?.kill_everything(),
        |cluster| cluster.host_mut("n2")?.run(),
    )
}

fn standby_cut_off(cluster: &mut Cluster) -> Result<()> {
    standby_lost(
        cluster,
        |cluster| cluster.host("n2")?.link.cut(),
        |cluster| cluster.host("n2")?.link.restore(),
    )
}

fn standby_frozen(cluster: &mut Cluster) -> Result<()> {
    standby_lost(cluster, |cluster| cluster.host("n2")?.freeze(), |cluster| cluster.host("n2")?.thaw())
}

/// Both see the monitor, but not each other: commits neither hang for ever nor is the stale standby promoted.
fn only_the_link_between_primary_and_standby_cut(cluster: &mut Cluster) -> Result<()> {
    standby_lost(
        cluster,
        |cluster| cluster.host("n1")?.link.block(cluster.host("n2")?.address()),
        |cluster| cluster.host("n1")?.link.unblock(cluster.host("n2")?.address()),
    )
}
