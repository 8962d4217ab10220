//! The coordinator's primary is lost in every way, alone and together with a worker.

use std::time::Instant;

use anyhow::Result;

use super::citus::{formation, small_formation, survive, taken_over, well_again};
use super::{TAKEOVER, scenarios};
use crate::harness::{Cluster, Loss, Patience};

scenarios! {
    formation:
        citus_coordinator_pg_control_lost_and_postgres_stopped,
        citus_coordinator_killed_and_started_again,
        citus_coordinator_cut_off_and_restored,
        citus_coordinator_frozen_and_thawed,
        citus_coordinator_and_worker_killed_in_the_same_second,
        citus_coordinator_and_worker_cut_off_in_the_same_second,
        citus_worker_is_promoted_while_no_coordinator_answers;
    small_formation:
        citus_postmasters_of_coordinator_and_worker_killed_at_once;
}

fn citus_coordinator_pg_control_lost_and_postgres_stopped(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::ControlFileLost, "coord0a", "coord0b")
}

fn citus_coordinator_killed_and_started_again(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostKilled, "coord0a", "coord0b")
}

fn citus_coordinator_cut_off_and_restored(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostCut, "coord0a", "coord0b")
}

/// Its sessions on the workers stay open, with whatever they had prepared or locked.
fn citus_coordinator_frozen_and_thawed(cluster: &mut Cluster) -> Result<()> {
    survive(cluster, Loss::HostFrozen, "coord0a", "coord0b")
}

fn citus_coordinator_and_worker_killed_in_the_same_second(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    for name in ["coord0a", "worker1a"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    taken_over(cluster, clients, since, "coord0b", |cluster| {
        cluster.host_mut("coord0a")?.run()?;
        cluster.host_mut("worker1a")?.run()
    })
}

fn citus_coordinator_and_worker_cut_off_in_the_same_second(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    for name in ["worker1a", "coord0a"] {
        cluster.host(name)?.link.cut()?;
    }
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    taken_over(cluster, clients, since, "coord0b", |cluster| {
        cluster.host("coord0a")?.link.restore()?;
        cluster.host("worker1a")?.link.restore()
    })
}

/// Both coordinators accept connections and answer nothing: a promotion does not wait for them.
fn citus_worker_is_promoted_while_no_coordinator_answers(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    for name in ["coord0a", "coord0b"] {
        cluster.host(name)?.freeze()?;
    }
    cluster.host_mut("worker1a")?.kill_everything()?;
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    for name in ["coord0a", "coord0b"] {
        cluster.host(name)?.thaw()?;
    }
    cluster.host_mut("worker1a")?.run()?;
    clients.wait_for_acks(TAKEOVER)?;
    well_again(cluster, clients)
}

fn citus_postmasters_of_coordinator_and_worker_killed_at_once(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    for name in ["coord0a", "worker1a"] {
        cluster.host(name)?.kill_postmaster()?;
    }
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    taken_over(cluster, clients, since, "coord0b", |_| Ok(()))
}
