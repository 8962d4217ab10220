//! Three monitors, and what is lost of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Host, Setup, wait_for};

scenarios! {
    three_monitors:
        three_monitors_become_one,
        leading_monitor_killed_and_another_leads;
}

fn three_monitors() -> Setup {
    Setup { has_three_monitors: true, ..Setup::nodes(2) }
}

fn leader(cluster: &Cluster) -> Result<String> {
    Ok(cluster.leading_monitor().context("no monitor leads")?.name.clone())
}

/// Waits until a monitor other than that one leads, and has heard of all nodes.
fn wait_another_leads(cluster: &Cluster, lost: &str) -> Result<Duration> {
    let since = Instant::now();
    let leads = |host: &&Host| {
        host.name != lost
            && host.psql("pg_auto_failover", "select pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
    };
    wait_for("another monitor to lead", TAKEOVER, || Ok(cluster.monitors().find(leads).map(|_| ())))?;
    let took = since.elapsed();
    cluster.forget_watch();
    Ok(took)
}

fn three_monitors_become_one(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_primary_is("n2", SOON)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_killed_and_another_leads(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let since = Instant::now();
    cluster.monitor_named_mut(&lost)?.kill_everything()?;
    let took = wait_another_leads(cluster, &lost)?;
    println!("another monitor leads after {took:?}");
    // The new one knows what the lost one did, and decides.
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_millis(1500), "{pause:?} without a commit while only a monitor was away");
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "a node was promoted");
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host_mut("n1")?.run()?;
    // The lost one comes back, and follows.
    cluster.monitor_named_mut(&lost)?.run()?;
    cluster.wait_three_monitors(WHOLE)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}
