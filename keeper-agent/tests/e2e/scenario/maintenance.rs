//! Nodes that are taken out for a while, and what must still hold then.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, four_nodes, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    four_nodes:
        a_standby_in_maintenance_is_not_waited_for,
        the_primary_goes_to_maintenance_by_a_failover;
    two_nodes:
        maintenance_while_the_monitor_and_the_standby_are_lost;
}

/// Enters maintenance, twice, and restarts the keeper there.
fn enter_maintenance(cluster: &mut Cluster, name: &str, options: &[&str]) -> Result<()> {
    let enable = [&["enable", "maintenance"], options].concat();
    cluster.ask_on(name, &enable)?;
    cluster.wait_states(&[(name, "maintenance")], SOON)?;
    cluster.ask_on(name, &enable)?;
    cluster.host_mut(name)?.kill_keeper()?;
    cluster.host_mut(name)?.run()?;
    cluster.ask_on(name, &enable)?;
    cluster.wait_states(&[(name, "maintenance")], SOON)
}

fn a_standby_in_maintenance_is_not_waited_for(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    enter_maintenance(cluster, "n2", &[])?;
    cluster.wait_commits_wait("n1", 1, &["n4"], SOON)?;
    // One standby is insisted on, and it is the last one.
    let last = ["number_sync_standbys is 1"];
    cluster.ask_in_vain_on("n4", &["enable", "maintenance"], &last)?;
    // What is done there is the operator's business.
    cluster.host_mut("n2")?.kill_everything()?;
    writer.wait_for_ack(SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(2), "{pause:?} without a commit because a standby was taken out");
    // Roles change meanwhile, so that it has another primary to follow when it is back.
    cluster.ask(&["perform", "promotion", "--name", "n3"])?;
    cluster.wait_primary_is("n3", SOON)?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_states(&[("n2", "maintenance")], SOON)?;
    for _twice_is_harmless in 0..2 {
        // The second time it is a refusal, or nothing to do.
        let _ended = cluster.host("n2")?.autoctl(&["disable", "maintenance"])?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n3", 1, &["n1", "n2", "n4"], SOON)?;
    cluster.verify(&[writer.stop()])
}

fn the_primary_goes_to_maintenance_by_a_failover(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    cluster.ask_in_vain_on("n1", &["enable", "maintenance"], &["--allow-failover"])?;
    let since = Instant::now();
    enter_maintenance(cluster, "n1", &["--allow-failover"])?;
    cluster.wait_primary_is("n2", SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(5), "{pause:?} without a commit");
    // A primary is lost while another node is in maintenance: the election goes without it.
    let others = [("n2", "primary"), ("n3", "secondary"), ("n4", "secondary")];
    cluster.wait_states(&others, TAKEOVER)?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.wait_primary_is("n3", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.wait_states(&[("n1", "maintenance")], SOON)?;
    cluster.ask_on("n1", &["disable", "maintenance"])?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.host("n1")?.identity_of_copy()? == copy, "n1 was copied anew");
    cluster.verify(&[writer.stop()])
}

/// The primary fences itself while its standby is being taken out, and comes back with nobody to wait for.
fn maintenance_while_the_monitor_and_the_standby_are_lost(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let on_the_host = cluster.local_writer("n1")?;
    let keeper = cluster.host("n1")?.keeper_pid()?;
    crate::harness::signal(keeper, nix::sys::signal::Signal::SIGSTOP)?;
    cluster.monitor.psql("pg_auto_failover", "select pgautofailover.start_maintenance(2)")?;
    cluster.monitor.link.cut()?;
    cluster.host("n2")?.link.cut()?;
    crate::harness::signal(keeper, nix::sys::signal::Signal::SIGCONT)?;
    wait_for("the primary to fence itself", TAKEOVER, || {
        Ok(cluster.host("n1")?.psql("postgres", "select 1").is_err().then_some(()))
    })?;
    cluster.monitor.link.restore()?;
    cluster.wait_primary_is("n1", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host("n2")?.link.restore()?;
    cluster.wait_states(&[("n1", "wait_primary"), ("n2", "maintenance")], TAKEOVER)?;
    cluster.ask_on("n2", &["disable", "maintenance"])?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), on_the_host.stop()])
}
