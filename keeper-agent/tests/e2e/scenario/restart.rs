//! Keepers, nodes and everything at once, killed and started again in the middle of things.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        a_killed_keeper_adopts_its_running_postgres_when_it_is_back,
        the_keeper_of_the_candidate_killed_during_a_promotion,
        the_keeper_of_the_old_primary_killed_while_it_is_demoted,
        the_new_primary_killed_right_after_its_promotion,
        all_nodes_lost_at_once_and_back_standby_first,
        all_nodes_lost_at_once_and_back_primary_first;
    monitor_only:
        the_keeper_of_a_new_standby_killed_during_its_base_backup;
}

fn a_killed_keeper_adopts_its_running_postgres_when_it_is_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let postmaster = cluster.host("n1")?.postmaster_pid()?;
    let since = Instant::now();
    cluster.host_mut("n1")?.kill_keeper()?;
    cluster.host_mut("n1")?.run()?;
    wait_for("the new keeper of n1 to report", SOON, || {
        let age = "select count(*) from pgautofailover.node \
                   where nodename = 'n1' and now() - reporttime < interval '1 second'";
        let is_fresh = cluster.on_monitor(|monitor| monitor.text(age))? == "1";
        Ok((is_fresh && since.elapsed() > Duration::from_secs(3)).then_some(()))
    })?;
    cluster.wait_whole(SOON)?;
    ensure!(cluster.host("n1")?.postmaster_pid()? == postmaster, "Postgres was restarted");
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(1), "{pause:?} without a commit because a keeper was restarted");
    cluster.verify(&[writer.stop()])
}

fn ask_for_failover(cluster: &Cluster) -> Result<()> {
    cluster.monitor.psql("pg_auto_failover", "select pgautofailover.perform_failover()").map(drop)
}

fn the_keeper_of_the_candidate_killed_during_a_promotion(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    ask_for_failover(cluster)?;
    cluster.wait_goal("n2", &["prepare_promotion", "stop_replication", "wait_primary"], TAKEOVER)?;
    cluster.host_mut("n2")?.kill_keeper()?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.verify(&[writer.stop()])
}

fn the_keeper_of_the_old_primary_killed_while_it_is_demoted(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    ask_for_failover(cluster)?;
    cluster.wait_goal("n1", &["draining", "demote_timeout", "demoted", "catchingup"], TAKEOVER)?;
    cluster.host_mut("n1")?.kill_keeper()?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.verify(&[writer.stop()])
}

/// A crash straight after the promotion must not bring the node back on the old timeline.
fn the_new_primary_killed_right_after_its_promotion(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.host_mut("n2")?.run()?;
    writer.wait_for_ack(TAKEOVER)?;
    ensure!(cluster.host("n2")?.timeline()? == 2, "n2 is not on the timeline of its promotion");
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn all_lost_and_back(cluster: &mut Cluster, first: &str, second: &str) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.kill_everything()?;
    for name in ["n1", "n2"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    cluster.monitor.run()?;
    cluster.host_mut(first)?.run()?;
    wait_for("the first node to report", TAKEOVER, || {
        let sql = format!(
            "select count(*) from pgautofailover.node \
             where nodename = '{first}' and reporttime > pg_postmaster_start_time()"
        );
        Ok((cluster.on_monitor(|monitor| monitor.text(&sql))? == "1").then_some(()))
    })?;
    cluster.host_mut(second)?.run()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn all_nodes_lost_at_once_and_back_standby_first(cluster: &mut Cluster) -> Result<()> {
    all_lost_and_back(cluster, "n2", "n1")
}

fn all_nodes_lost_at_once_and_back_primary_first(cluster: &mut Cluster) -> Result<()> {
    all_lost_and_back(cluster, "n1", "n2")
}

/// What a killed base backup has left is never started and never reported as a standby.
fn the_keeper_of_a_new_standby_killed_during_its_base_backup(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    let filler =
        "create table filler as select g, repeat('x', 1000) from generate_series(1, 30000) g; checkpoint";
    cluster.host("n1")?.psql("postgres", filler)?;
    cluster.add_node("n2", &["--maximum-backup-rate", "10M"])?;
    wait_for("a base backup", WHOLE, || Ok(cluster.host("n2")?.process("pg_basebackup")))?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    let count = cluster.host("n2")?.psql("postgres", "select count(*) from filler")?;
    ensure!(count == "30000", "{count} rows arrived at the standby");
    Ok(())
}
