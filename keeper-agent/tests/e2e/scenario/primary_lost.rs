//! The primary is lost in every way; the standby takes over, nothing acknowledged is gone, and the old primary
//! comes back as a secondary by itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        failover_on_command,
        switchover_there_and_back,
        postmaster_killed,
        pg_control_lost_and_postgres_stopped,
        host_killed_and_started_again,
        host_cut_off_and_restored,
        timeouts_are_shortened_while_the_primary_is_cut_off,
        host_frozen_and_thawed,
        a_supervised_stop_of_the_primary_hands_over_first;
}

/// Far above what `make bench` measures, so that a busy machine fails no test, and far below what a person calls
/// automatic.
const PAUSE_OF_A_SWITCHOVER: Duration = Duration::from_secs(5);
const PAUSE_OF_A_LOST_HOST: Duration = Duration::from_secs(20);

fn failover_on_command(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    let said = cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    ensure!(said.contains("wait_primary"), "the state changes are not shown:\n{said}");
    cluster.wait_primary_is("n2", SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit");
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn switchover_there_and_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for expected in ["n2", "n1", "n2"] {
        cluster.monitor.autoctl(&["perform", "switchover"])?.success()?;
        cluster.wait_primary_is(expected, SOON)?;
        cluster.wait_whole(WHOLE)?;
    }
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn postmaster_killed(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.host("n1")?.kill_postmaster()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit");
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn pg_control_lost_and_postgres_stopped(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.host("n1")?.lose_pg_control()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_LOST_HOST, "{pause:?} without a commit");
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn host_killed_and_started_again(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    let since = Instant::now();
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_LOST_HOST, "{pause:?} without a commit");
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    let now = cluster.host("n1")?.identity_of_copy()?;
    ensure!(now == copy, "n1 was copied anew although pg_rewind was enough");
    cluster.verify(&[writer.stop()])
}

fn host_cut_off_and_restored(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let isolated = cluster.local_writer("n1")?;
    let since = Instant::now();
    cluster.host("n1")?.link.cut()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_LOST_HOST, "{pause:?} without a commit");
    let fenced = cluster.host("n1")?.psql("postgres", "create table split_brain()");
    ensure!(fenced.is_err(), "the isolated primary has not fenced itself");
    cluster.host("n1")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}

/// The primary was told that it may go on for nine seconds, and nobody can tell it otherwise.
fn timeouts_are_shortened_while_the_primary_is_cut_off(cluster: &mut Cluster) -> Result<()> {
    let set_timeout = |cluster: &Cluster, value: &str| -> Result<()> {
        let name = "pgautofailover.node_considered_unhealthy_timeout";
        cluster.monitor.psql("pg_auto_failover", &format!("alter system set {name} = '{value}'"))?;
        cluster.monitor.psql("pg_auto_failover", "select pg_reload_conf()").map(drop)
    };
    set_timeout(cluster, "10s")?;
    for name in ["n1", "n2"] {
        cluster.ask_on(name, &["config", "set", "timeout.network_partition_timeout", "30"])?;
    }
    wait_for("the monitor to know the longer time", SOON, || {
        let sql = "select count(*) from pgautofailover.node where reportdetail->>'fence_after_ms' = '9750'";
        Ok((cluster.monitor.psql("pg_auto_failover", sql)? == "2").then_some(()))
    })?;
    let writer = cluster.writer()?;
    let isolated = cluster.local_writer("n1")?;
    cluster.host("n1")?.link.cut()?;
    set_timeout(cluster, "3s")?;
    let serves =
        |cluster: &Cluster| cluster.host("n1").and_then(|host| host.psql("postgres", "select 1")).is_ok();
    let has_served = wait_for("n2 to be promoted", TAKEOVER, || {
        let has_served = serves(cluster);
        let is_promoted = cluster.host("n2")?.psql("postgres", "select pg_is_in_recovery()")? == "f";
        Ok(is_promoted.then_some(has_served))
    })?;
    ensure!(!has_served, "n2 was promoted while n1 served");
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host("n1")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}

fn host_frozen_and_thawed(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let on_the_host = cluster.local_writer("n1")?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    let since = Instant::now();
    cluster.host("n1")?.freeze()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_LOST_HOST, "{pause:?} without a commit");
    cluster.host("n1")?.thaw()?;
    cluster.wait_whole(WHOLE)?;
    let now = cluster.host("n1")?.identity_of_copy()?;
    ensure!(now == copy, "n1 was copied anew after the thaw");
    cluster.verify(&[writer.stop(), on_the_host.stop()])
}

fn a_supervised_stop_of_the_primary_hands_over_first(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.host("n1")?.signal_keeper(nix::sys::signal::Signal::SIGTERM)?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let status = cluster.host_mut("n1")?.keeper_end(WHOLE)?;
    ensure!(status.success(), "the stopped keeper ended with {status}");
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit");
    ensure!(!cluster.host("n1")?.is_populated(), "processes are left behind on n1");
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}
