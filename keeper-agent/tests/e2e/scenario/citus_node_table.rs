//! The coordinator's node table is what the monitor says, whatever has happened to it; and Citus refuses in the words
//! that keepers know.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::citus::{on_coordinator, small_formation, taken_over, wait_active, well_again};
use super::{SOON, TAKEOVER, scenarios};
use crate::harness::{Cluster, Formation, Host, Patience, Sql, sqlstate, wait_for};

scenarios! {
    small_formation:
        citus_new_primary_is_still_registered_as_a_secondary,
        citus_wrong_address_in_the_node_table_is_set_right,
        citus_refuses_in_the_words_that_keepers_know;
}

/// Somebody registered the standby for reads; then it has to become the primary.
fn citus_new_primary_is_still_registered_as_a_secondary(cluster: &mut Cluster) -> Result<()> {
    let address = cluster.host("worker1b")?.address();
    let clients = cluster.clients(Patience::Short)?;
    let register = format!("select citus_add_node('{address}', 5432, groupid => 1, noderole => 'secondary')");
    wait_for("worker1b to be registered as a secondary", TAKEOVER, || {
        on_coordinator(cluster, &register).map(Some)
    })?;
    let since = Instant::now();
    cluster.host_mut("worker1a")?.kill_everything()?;
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    wait_active(cluster, &["worker1b"], TAKEOVER)?;
    taken_over(cluster, clients, since, "worker1b", |cluster| cluster.host_mut("worker1a")?.run())
}

/// The row of the group names another server, as after a failover of which the coordinator has not heard.
fn citus_wrong_address_in_the_node_table_is_set_right(cluster: &mut Cluster) -> Result<()> {
    let address = cluster.host("worker1b")?.address();
    on_coordinator(
        cluster,
        &format!(
            "select citus_update_node(nodeid, '{address}', 5432) from pg_dist_node \
             where groupid = 1 and noderole = 'primary'"
        ),
    )?;
    wait_active(cluster, &["worker1a"], TAKEOVER)?;
    on_coordinator(
        cluster,
        "select citus_update_node(nodeid, '10.213.7.99', 5432) from pg_dist_node where groupid = 0",
    )?;
    let clients = cluster.clients(Patience::Long)?;
    well_again(cluster, clients)
}

/// Statements that change nothing, each with the SQLSTATE and the words of its refusal.
fn citus_refuses_in_the_words_that_keepers_know(cluster: &mut Cluster) -> Result<()> {
    let (coordinator, worker) = (cluster.host("coord0a")?, cluster.host("worker1a")?);
    let (primary, standby) = (worker.address(), cluster.host("worker1b")?.address());
    let own = coordinator.address();
    let group_1 = "from pg_dist_node where groupid = 1";
    let refusals = [
        ("select citus_activate_node('10.213.7.99', 5432)".to_owned(), "XX000", "does not exist"),
        ("select citus_remove_node('10.213.7.99', 5432)".to_owned(), "XX000", "does not exist"),
        ("select citus_update_node(99999, '10.213.7.99', 5432)".to_owned(), "P0002", "node 99999 not found"),
        (
            format!("select citus_add_node('{standby}', 5432, groupid => 1)"),
            "XX000",
            "group 1 already has a primary node",
        ),
        (
            format!("select citus_add_node('{standby}', 5432, groupid => 9, nodecluster => 'other')"),
            "XX000",
            "primaries must be added to the default cluster",
        ),
        (
            format!("select citus_update_node(nodeid, '{own}', 5432) {group_1}"),
            "55000",
            "there is already another node with the specified hostname and port",
        ),
        (
            format!("select citus_add_node('{primary}', 1, groupid => 9)"),
            "08006",
            "failed with the following error",
        ),
    ];
    for (statement, state, words) in &refusals {
        refused(cluster, coordinator, statement, state, words)?;
    }
    let on_worker = format!("select citus_add_node('{standby}', 5432, groupid => 9)");
    refused(cluster, worker, &on_worker, "XX000", "operation is not allowed on this node")?;
    let is_coordinator = "select citus_is_coordinator()";
    ensure!(coordinator.psql(Formation::DATABASE, is_coordinator)? == "t", "the coordinator says it is none");
    ensure!(worker.psql(Formation::DATABASE, is_coordinator)? == "f", "a worker says it is the coordinator");
    a_prepared_move_holds_writes(cluster, coordinator)
}

/// Not one of a keeper's: it is left alone, and holds what it has locked.
fn a_prepared_move_holds_writes(cluster: &Cluster, coordinator: &Host) -> Result<()> {
    let move_to = |port: u16| {
        let address = cluster.host("worker1b").map(Host::address)?;
        anyhow::Ok(format!(
            "select citus_update_node(nodeid, '{address}', {port}) from pg_dist_node \
             where groupid = 1 and noderole = 'primary'"
        ))
    };
    let prepare = format!("begin; {}; prepare transaction 'of-the-test'", move_to(5432)?);
    coordinator.psql(Formation::DATABASE, &prepare)?;
    let write = "insert into ledger select 98, value from generate_series(1, 64) value";
    for blocked in [write, &move_to(5433)?] {
        refused(
            cluster,
            coordinator,
            &format!("set lock_timeout = '200ms'; {blocked}"),
            "55P03",
            "lock timeout",
        )?;
    }
    let read = coordinator.psql(Formation::DATABASE, "select count(*) from ledger where writer = 98")?;
    ensure!(read == "0", "rows are there that were refused: {read}");
    coordinator.psql(Formation::DATABASE, "rollback prepared 'of-the-test'")?;
    coordinator.psql(Formation::DATABASE, write)?;
    cluster.wait_in_order(SOON)
}

fn refused(cluster: &Cluster, on: &Host, statement: &str, state: &str, words: &str) -> Result<()> {
    let session = Sql::open(&cluster.target(on), Duration::from_secs(5))?;
    match session.rows(statement) {
        Ok(_rows) => bail!("not refused on {}: {statement}", on.name),
        Err(error) => {
            let said = sqlstate(&error).with_context(|| format!("no answer: {error:#}"))?;
            ensure!(
                said == state && format!("{error:#}").contains(words),
                "{statement}\nis refused with {said} and not with {state} and {words:?}: {error:#}"
            );
            Ok(())
        }
    }
}
