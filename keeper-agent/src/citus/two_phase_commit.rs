//! Transactions over several groups that a lost node has left undecided: prepared on a worker, and nobody is there who
//! ends them. Their rows are locked until somebody does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::Address;
use super::coordinator::{Coordinator, Login};
use crate::postgres::PostgresError;

/// Citus's own recovery asks every worker, and some may not answer.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(5);

/// What the coordinators have prepared on a worker: `citus_<group>_<process>_<transaction number>_<connection>`.
const PREPARED: &str = r"SELECT gid FROM pg_catalog.pg_prepared_xacts
     WHERE database = current_database() AND gid ~ '^citus_0_[0-9]+_[0-9]+_[0-9]+$'";

/// Those of them that no process of this coordinator is at work on.
const ENDED: &str = "SELECT gid FROM unnest($1::text[]) AS gid WHERE NOT EXISTS (
     SELECT FROM pg_catalog.get_all_active_transactions() AS active
     WHERE active.process_id::text = split_part(gid, '_', 3)
     AND active.transaction_number::text = split_part(gid, '_', 4))";

/// Those of them that were committed at a coordinator; some depend on a transaction of another database.
const COMMITTED: &str = "SELECT gid, to_jsonb(t) ->> 'outer_xid' IS NOT NULL
     FROM pg_catalog.pg_dist_transaction AS t WHERE gid = ANY ($1)";

/// Decides what is undecided on these workers, after a coordinator or a worker was lost. One sentence for each failure.
///
/// Citus does so itself, once a minute. But it takes for a transaction that still runs whatever has the number of one, and
/// a new coordinator counts from 1 again: clients that wait for a transaction of before would keep it from being decided.
/// What Citus leaves is decided here, in its ways: what is recorded as committed is committed, all else is not.
pub(super) async fn recover(coordinator: &Coordinator, login: &Login, workers: &[Address]) -> Vec<String> {
    let by_citus = coordinator
        .run(
            RECOVERY_DEADLINE,
            "recover two-phase commits",
            "SELECT pg_catalog.recover_prepared_transactions()",
        )
        .await;
    let mut failures: Vec<String> = by_citus.err().iter().map(ToString::to_string).collect();
    for address in workers {
        match decide(coordinator, login, address).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!("decided {count} prepared transactions of a former coordinator on {address}")
            }
            Err(error) => {
                failures.push(format!("could not decide prepared transactions on {address}: {error}"))
            }
        }
    }
    failures
}

/// Returns how many it has ended. The order of the questions matters: what was prepared and is not being worked on has
/// been committed or given up by the time the records are read.
async fn decide(coordinator: &Coordinator, login: &Login, address: &Address) -> Result<usize, PostgresError> {
    let worker = Coordinator::at(login, address).await?;
    let rows = worker.query("read pg_prepared_xacts", PREPARED, &[]).await?;
    let prepared: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if prepared.is_empty() {
        return Ok(0);
    }
    let rows = coordinator.query("read the running transactions", ENDED, &[&prepared]).await?;
    let ended: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let rows = coordinator.query("read pg_dist_transaction", COMMITTED, &[&ended]).await?;
    let committed: BTreeMap<String, bool> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut count = 0;
    for gid in ended {
        let verb = match committed.get(&gid) {
            Some(true) => continue,
            Some(false) => "COMMIT",
            None => "ROLLBACK",
        };
        count += usize::from(worker.end_prepared(verb, &gid).await?);
    }
    Ok(count)
}
