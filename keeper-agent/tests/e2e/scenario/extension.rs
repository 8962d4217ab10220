//! The monitor's database: its worker, its removal, its version.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, one_node, scenarios};
use crate::harness::{Cluster, wait_for};

scenarios! {
    monitor_only:
        drop_database_does_not_hang_on_the_worker;
    one_node:
        a_worker_that_ended_is_started_again,
        an_extension_of_another_version_is_refused_with_a_hint;
}

fn worker(cluster: &Cluster) -> Result<Option<i32>> {
    let sql = "select coalesce(min(pid), 0) from pg_stat_activity where backend_type like '%auto%failover%' \
               or backend_type like '%pgaf%' or backend_type like '%pgautofailover%'";
    let pid: i32 = cluster.monitor.psql("postgres", sql)?.parse()?;
    Ok(Some(pid).filter(|pid| *pid > 0))
}

/// Probes go on: the health of the only node follows what happens to it.
fn probes_go_on(cluster: &mut Cluster) -> Result<()> {
    let wait_health = |cluster: &Cluster, health: i32| {
        wait_for(&format!("health {health}"), TAKEOVER, || {
            let is_so = cluster.rows()?.iter().any(|row| row.name == "n1" && row.health == health);
            Ok(is_so.then_some(()))
        })
    };
    wait_health(cluster, 1)?;
    cluster.host("n1")?.link.cut()?;
    wait_health(cluster, 0)?;
    cluster.host("n1")?.link.restore()?;
    wait_health(cluster, 1)
}

fn drop_database_does_not_hang_on_the_worker(cluster: &mut Cluster) -> Result<()> {
    wait_for("the worker", TAKEOVER, || worker(cluster))?;
    cluster.forget_watch();
    let since = Instant::now();
    cluster.monitor.psql("postgres", "drop database pg_auto_failover")?;
    ensure!(since.elapsed() < SOON, "DROP DATABASE took {:?}", since.elapsed());
    cluster.monitor.psql("postgres", "create database pg_auto_failover owner autoctl_node")?;
    cluster.monitor.psql("pg_auto_failover", "create extension pgautofailover cascade")?;
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    probes_go_on(cluster)
}

fn a_worker_that_ended_is_started_again(cluster: &mut Cluster) -> Result<()> {
    let before = wait_for("the worker", TAKEOVER, || worker(cluster))?;
    cluster.monitor.psql("postgres", &format!("select pg_terminate_backend({before})"))?;
    wait_for("another worker", TAKEOVER, || Ok(worker(cluster)?.filter(|pid| *pid != before)))?;
    probes_go_on(cluster)
}

fn an_extension_of_another_version_is_refused_with_a_hint(cluster: &mut Cluster) -> Result<()> {
    let set_version = |cluster: &Cluster, version: &str| {
        let sql =
            format!("update pg_extension set extversion = '{version}' where extname = 'pgautofailover'");
        cluster.monitor.psql("pg_auto_failover", &sql)
    };
    set_version(cluster, "2.2")?;
    cluster.add_host("n2")?;
    let host = cluster.host("n2")?;
    let ended = host.autoctl(&cluster.create_args(host))?;
    ensure!(ended.code() == 6, "exit code {}: {}", ended.code(), ended.stderr);
    ensure!(ended.stderr.contains("2.2"), "the error does not name the version: {}", ended.stderr);
    ensure!(!host.pgdata().exists(), "a data directory is left behind");
    set_version(cluster, "3.0")?;
    let args = cluster.create_args(cluster.host("n2")?);
    let host = cluster.host_mut("n2")?;
    host.autoctl(&args)?.success()?;
    host.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.wait_states(&[("n1", "primary")], SOON)
}
