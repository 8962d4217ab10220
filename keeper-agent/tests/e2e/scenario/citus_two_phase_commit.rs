//! A transaction over several shards that a lost coordinator has left prepared on a worker.

use anyhow::{Result, ensure};

use super::citus::{formation, on_coordinator, order_failover, well_again};
use super::{SOON, TAKEOVER, scenarios};
use crate::harness::{Cluster, Formation, Patience, Sql, prepared_transactions, wait_for};

scenarios! {
    formation:
        citus_transaction_of_before_has_the_number_of_one_that_runs;
}

/// No backend of any coordinator has this process id.
const GONE: &str = "4194305";

/// A new coordinator counts its transactions from 1 again. Citus takes a prepared one for its own that still runs when
/// only the number is the same: clients that want its rows would wait until that one ends.
fn citus_transaction_of_before_has_the_number_of_one_that_runs(cluster: &mut Cluster) -> Result<()> {
    let coordinator = cluster.primary()?;
    let running = Sql::open(&cluster.target(cluster.host(&coordinator)?), SOON)?;
    running.rows("begin")?;
    running.rows(&format!("insert into ledger values (1001, {})", value_of_group(cluster, 2)?))?;
    let number = running.text("select transaction_number from get_current_transaction_id()")?;

    let value = value_of_group(cluster, 1)?;
    let shard = on_coordinator(
        cluster,
        &format!(
            "select shard_name from citus_shards where shardid = get_shard_id_for_distribution_column('ledger', {value})"
        ),
    )?;
    let left = |kind: u8| format!("citus_0_{GONE}_{number}_{kind}");
    for (kind, writer) in [(1, 1002), (2, 1003)] {
        let prepare = format!(
            "begin; insert into {shard} values ({writer}, {value}); prepare transaction '{}'",
            left(kind)
        );
        cluster.host("worker1a")?.psql(Formation::DATABASE, &prepare)?;
    }
    // The coordinator of before has committed one of them.
    on_coordinator(cluster, &format!("insert into pg_dist_transaction values (1, '{}')", left(1)))?;

    order_failover(cluster, 1)?;
    cluster.wait_primary_is("worker1b", TAKEOVER)?;
    let worker = cluster.host("worker1b")?;
    wait_for("what was left to be decided", SOON, || {
        Ok(prepared_transactions(worker)?.is_empty().then_some(()))
    })?;
    running.rows("commit")?;
    let found = on_coordinator(
        cluster,
        "select string_agg(writer::text, ' ' order by writer) from ledger where writer > 1000",
    )?;
    ensure!(found == "1001 1002", "the rows of {found} are there");
    let clients = cluster.clients(Patience::Long)?;
    well_again(cluster, clients)
}

/// A value whose rows of `ledger` are in a shard of that group.
fn value_of_group(cluster: &Cluster, group: i32) -> Result<String> {
    on_coordinator(
        cluster,
        &format!(
            "select value from generate_series(1, 100) value, pg_dist_placement p \
             where p.shardid = get_shard_id_for_distribution_column('ledger', value) and p.groupid = {group} limit 1"
        ),
    )
}
