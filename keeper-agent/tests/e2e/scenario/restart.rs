//! Keepers, nodes and everything at once, killed and started again in the middle of things.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, three_nodes, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        a_killed_keeper_adopts_its_running_postgres_when_it_is_back,
        the_keeper_of_the_candidate_killed_during_a_promotion,
        the_keeper_of_the_old_primary_killed_while_it_is_demoted,
        the_new_primary_killed_right_after_its_promotion,
        all_nodes_lost_at_once_and_back_standby_first,
        all_nodes_lost_at_once_and_back_primary_first;
    three_nodes:
        a_rolling_restart_puts_settings_in_force_and_loses_nothing,
        a_rolling_restart_ends_at_the_first_node_that_does_not_come_back;
    monitor_only:
        a_node_that_is_alone_is_restarted_in_place,
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

fn allow_connections(cluster: &Cluster, name: &str, number: u32) -> Result<()> {
    cluster.host(name)?.psql("postgres", &format!("alter system set max_connections = {number}")).map(drop)
}

fn allowed_connections(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.host(name)?.psql("postgres", "show max_connections")
}

/// Times a writer may stand still for: a switchover, and the moment in which a standby of its quorum is away.
const PAUSE_OF_A_ROLLING_RESTART: Duration = Duration::from_secs(5);

fn a_rolling_restart_puts_settings_in_force_and_loses_nothing(cluster: &mut Cluster) -> Result<()> {
    let names = ["n1", "n2", "n3"];
    let old = cluster.primary()?;
    let writer = cluster.writer()?;
    let postmasters: Vec<i32> =
        names.iter().map(|name| cluster.host(name)?.postmaster_pid()).collect::<Result<_>>()?;
    for name in names {
        allow_connections(cluster, name, 163)?;
        ensure!(allowed_connections(cluster, name)? == "100", "in force before a restart");
    }
    let since = Instant::now();
    cluster.ask(&["perform", "restart", "--formation", "default"])?;
    for (name, postmaster) in names.iter().zip(&postmasters) {
        ensure!(cluster.host(name)?.postmaster_pid()? != *postmaster, "{name} was not restarted");
        let number = allowed_connections(cluster, name)?;
        ensure!(number == "163", "max_connections of {name} is {number}");
    }
    ensure!(cluster.primary()? != old, "the former primary is the primary still");
    let pause = writer.pause_since(since, SOON)?;
    println!("rolling restart of three nodes took {:?}: writers paused {pause:?} at most", since.elapsed());
    ensure!(pause < PAUSE_OF_A_ROLLING_RESTART, "{pause:?} without a commit in a rolling restart");
    cluster.verify(&[writer.stop()])
}

/// The setting keeps the first standby from starting: the primary and the other standby go on as they are.
fn a_rolling_restart_ends_at_the_first_node_that_does_not_come_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let primary = cluster.primary()?;
    let postmaster = cluster.host(&primary)?.postmaster_pid()?;
    let standbys = cluster.secondaries()?;
    for name in &standbys {
        cluster
            .host(name)?
            .psql("postgres", "alter system set shared_preload_libraries = 'no_such_library'")?;
    }
    cluster.ask_in_vain(&["perform", "restart", "--wait", "10"], &["has not come back", &standbys[0]])?;
    ensure!(cluster.host(&primary)?.postmaster_pid()? == postmaster, "the primary was restarted");
    ensure!(cluster.primary()? == primary, "the primary has changed");
    // A group that is not whole is not touched.
    cluster.ask_in_vain(&["perform", "restart", "--wait", "10"], &["not whole"])?;
    let file = cluster.host(&standbys[0])?.pgdata().join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&file)?;
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with("shared_preload_libraries"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&file, kept)?;
    cluster.wait_whole(WHOLE)?;
    cluster.ask(&["pause"])?;
    cluster.ask_in_vain(&["perform", "restart"], &["paused"])?;
    cluster.verify(&[writer.stop()])
}

fn a_node_that_is_alone_is_restarted_in_place(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    let postmaster = cluster.host("n1")?.postmaster_pid()?;
    allow_connections(cluster, "n1", 163)?;
    cluster.ask(&["perform", "restart"])?;
    let restarted = cluster.host("n1")?.postmaster_pid()?;
    ensure!(restarted != postmaster, "not restarted");
    ensure!(allowed_connections(cluster, "n1")? == "163", "not in force");
    // The keeper that starts anew knows that it is done.
    cluster.host_mut("n1")?.kill_keeper()?;
    cluster.host_mut("n1")?.run()?;
    wait_for("the new keeper of n1 to report", SOON, || {
        let age = "select count(*) from pgautofailover.node where reporttime > now() - interval '1 second' \
                   and (reportdetail -> 'number' ->> 'start')::int > 1";
        Ok((cluster.on_monitor(|monitor| monitor.text(age))? == "1").then_some(()))
    })?;
    ensure!(cluster.host("n1")?.postmaster_pid()? == restarted, "restarted twice");
    Ok(())
}
