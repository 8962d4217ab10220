//! Switchovers in a Citus formation: writes through the coordinator are held, not failed.

use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::citus::{formation, on_coordinator, order_failover, short_pause, small_formation, well_again};
use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Patience, Setup};

scenarios! {
    formation:
        citus_worker_switchover_without_an_error,
        citus_worker_switchovers_there_and_back_without_an_error,
        citus_switchover_of_both_worker_groups_at_once,
        citus_coordinator_switchover,
        citus_supervised_stop_of_a_worker;
    only_nodes_are_let_in:
        citus_switchovers_where_only_nodes_are_let_in;
}

fn only_nodes_are_let_in() -> Setup {
    small_formation().without_lan()
}

fn citus_worker_switchover_without_an_error(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Long)?;
    let since = Instant::now();
    cluster.ask(&["perform", "failover", "--group", "2"])?;
    cluster.wait_primary_is("worker2b", SOON)?;
    short_pause(&clients, since)?;
    cluster.wait_in_order(WHOLE)?;
    clients.expect_no_errors()?;
    well_again(cluster, clients)
}

fn citus_worker_switchovers_there_and_back_without_an_error(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Long)?;
    for (group, expected) in [("1", "worker1b"), ("2", "worker2b"), ("1", "worker1a"), ("2", "worker2a")] {
        cluster.ask(&["perform", "switchover", "--group", group])?;
        cluster.wait_primary_is(expected, SOON)?;
        cluster.wait_in_order(WHOLE)?;
    }
    clients.expect_no_errors()?;
    well_again(cluster, clients)
}

/// One waits for the other at the coordinator, which changes one node at a time.
fn citus_switchover_of_both_worker_groups_at_once(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Long)?;
    let since = Instant::now();
    order_failover(cluster, 1)?;
    order_failover(cluster, 2)?;
    for expected in ["worker1b", "worker2b"] {
        cluster.wait_primary_is(expected, TAKEOVER)?;
    }
    short_pause(&clients, since)?;
    well_again(cluster, clients)
}

fn citus_coordinator_switchover(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    cluster.ask(&["perform", "switchover", "--group", "0"])?;
    cluster.wait_primary_is("coord0b", SOON)?;
    short_pause(&clients, since)?;
    well_again(cluster, clients)
}

fn citus_supervised_stop_of_a_worker(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Long)?;
    let since = Instant::now();
    cluster.host("worker1a")?.signal_keeper(Signal::SIGTERM)?;
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    let status = cluster.host_mut("worker1a")?.keeper_end(WHOLE)?;
    ensure!(status.success(), "the stopped keeper ended with {status}");
    short_pause(&clients, since)?;
    clients.expect_no_errors()?;
    cluster.host_mut("worker1a")?.run()?;
    well_again(cluster, clients)
}

/// With the entries of pg_hba.conf that keepers make, and no others.
fn citus_switchovers_where_only_nodes_are_let_in(cluster: &mut Cluster) -> Result<()> {
    for name in ["coord0a", "worker1b"] {
        let hba = std::fs::read_to_string(cluster.host(name)?.pgdata().join("pg_hba.conf"))?;
        ensure!(!hba.contains("10.213.7.0/24"), "{name} lets the network in:\n{hba}");
    }
    let clients = cluster.clients(Patience::Long)?;
    cluster.ask(&["perform", "switchover", "--group", "1"])?;
    cluster.wait_primary_is("worker1b", SOON)?;
    cluster.wait_in_order(WHOLE)?;
    clients.expect_no_errors()?;
    let before = on_coordinator(cluster, "select nodeid from pg_dist_node where groupid = 1")?;
    cluster.ask(&["perform", "switchover", "--group", "0"])?;
    cluster.wait_primary_is("coord0b", SOON)?;
    cluster.wait_in_order(WHOLE)?;
    let after = on_coordinator(cluster, "select nodeid from pg_dist_node where groupid = 1")?;
    ensure!(before == after, "the worker was registered anew: {before} became {after}");
    cluster.ask(&["perform", "switchover", "--group", "1"])?;
    cluster.wait_primary_is("worker1a", SOON)?;
    well_again(cluster, clients)
}
