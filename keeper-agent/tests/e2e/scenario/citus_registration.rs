//! Nodes of a Citus formation come and go, in any order.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::citus::{formation, on_coordinator, wait_active, well_again};
use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Formation, Patience, Setup, prepared_transactions, wait_for};

scenarios! {
    no_nodes_yet:
        citus_workers_are_there_before_the_coordinator;
    formation:
        citus_worker_group_added_and_dropped_while_clients_write;
    shards_on_one_group:
        citus_secondary_cluster_follows;
}

/// Half a dozen servers on a busy machine.
const STARTED: Duration = Duration::from_secs(180);

fn no_nodes_yet() -> Setup {
    Setup::citus_without_nodes().with_or_without_shards()
}

fn shards_on_one_group() -> Setup {
    Setup::citus(1)
}

/// The primaries of workers wait for a coordinator, and are registered when it comes.
fn citus_workers_are_there_before_the_coordinator(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("worker2a", &[])?;
    cluster.wait_states(&[("worker2a", "single")], STARTED)?;
    for name in ["worker2b", "coord0b", "coord0a"] {
        cluster.add_node(name, &[])?;
    }
    cluster.wait_in_order(STARTED)?;
    cluster.distribute_tables()?;
    let clients = cluster.clients(Patience::Long)?;
    cluster.ask_on("worker2a", &["activate"])?;
    clients.expect_no_errors()?;
    well_again(cluster, clients)
}

fn citus_worker_group_added_and_dropped_while_clients_write(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Long)?;
    for name in ["worker3a", "worker3b"] {
        cluster.add_node(name, &[])?;
    }
    cluster.wait_in_order(STARTED)?;
    wait_active(cluster, &["worker1a", "worker2a", "worker3a"], SOON)
        .or_else(|_| wait_active(cluster, &["worker1a", "worker2a", "worker3b"], SOON))?;
    for name in ["worker3b", "worker3a"] {
        cluster.ask(&["drop", "node", "--name", name])?;
        let status = cluster.host_mut(name)?.keeper_end(TAKEOVER)?;
        ensure!(status.code() == Some(121), "the keeper of the dropped node {name} ended with {status}");
        cluster.nodes.retain(|host| host.name != name);
    }
    wait_active(cluster, &["worker1a", "worker2a"], TAKEOVER)?;
    clients.expect_no_errors()?;
    well_again(cluster, clients)
}

/// Nodes for reading: registered as secondaries of their own cluster, never promoted, answering from standbys.
fn citus_secondary_cluster_follows(cluster: &mut Cluster) -> Result<()> {
    const READS: &[&str] = &["--citus-secondary", "--citus-cluster", "reads", "--candidate-priority", "0"];
    let clients = cluster.clients(Patience::Short)?;
    for name in ["coord0c", "worker1c"] {
        cluster.add_node(name, READS)?;
    }
    cluster.wait_in_order(STARTED)?;
    answers_as_the_primary(cluster)?;
    cluster.ask(&["perform", "failover", "--group", "1"])?;
    cluster.wait_primary_is("worker1b", SOON)?;
    cluster.host_mut("coord0a")?.kill_everything()?;
    cluster.wait_primary_is("coord0b", TAKEOVER)?;
    cluster.host_mut("coord0a")?.run()?;
    cluster.wait_in_order(WHOLE)?;
    clients.wait_for_acks(SOON)?;
    cluster.verify_formation(&clients.stop())?;
    let left = prepared_transactions(cluster.host("coord0b")?)?;
    ensure!(left.is_empty(), "prepared transactions are left: {left:?}");
    answers_as_the_primary(cluster)
}

/// The coordinator for reads finds every row that was there when it was asked for.
fn answers_as_the_primary(cluster: &Cluster) -> Result<()> {
    let count = "select count(*) from ledger";
    let written: u64 = on_coordinator(cluster, count)?.parse()?;
    wait_for("the secondary cluster to answer", SOON, || {
        let read: u64 = cluster.host("coord0c")?.psql(Formation::DATABASE, count)?.parse()?;
        Ok((read >= written).then_some(()))
    })
}
