//! The primary of a worker group is lost in every way: the coordinator sends writes to its successor.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::citus::{formation, on_coordinator, small_formation, survive, taken_over, wait_active};
use super::{TAKEOVER, scenarios};
use crate::harness::{Cluster, Loss, Patience, Sql};

scenarios! {
    formation:
        citus_worker_pg_control_lost_and_postgres_stopped,
        citus_worker_killed_and_started_again,
        citus_worker_cut_off_and_restored,
        citus_worker_frozen_and_thawed,
        citus_worker_lost_while_a_transaction_is_left_open;
    small_formation:
        citus_worker_postmaster_killed;
}

fn citus_worker_pg_control_lost_and_postgres_stopped(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::ControlFileLost, "worker1a", "worker1b")
}

fn citus_worker_killed_and_started_again(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostKilled, "worker1a", "worker1b")
}

fn citus_worker_cut_off_and_restored(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostCut, "worker1a", "worker1b")
}

/// Its connections stay open: whoever at the coordinator waits for an answer on one of them waits for ever, with locks.
fn citus_worker_frozen_and_thawed(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostFrozen, "worker1a", "worker1b")
}

fn citus_worker_postmaster_killed(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::PostmasterKilled, "worker1a", "worker1b")
}

/// An application that has written to every shard and does not commit holds the locks that moving a node needs.
fn citus_worker_lost_while_a_transaction_is_left_open(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let idle = Sql::open(&cluster.target(cluster.host("coord0a")?), TAKEOVER)?;
    idle.rows("begin; insert into ledger select 99, value from generate_series(1, 64) value")?;
    let since = Instant::now();
    cluster.host_mut("worker1a")?.kill_everything()?;
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    wait_active(cluster, &["worker1b", "worker2a"], TAKEOVER)?;
    taken_over(cluster, clients, since, "worker1b", |cluster| cluster.host_mut("worker1a")?.run())?;
    if idle.rows("commit").is_ok() {
        let there = on_coordinator(cluster, "select count(*) from ledger where writer = 99")?;
        ensure!(there == "64", "a transaction was committed, and {there} of its 64 rows are there");
    }
    Ok(())
}
