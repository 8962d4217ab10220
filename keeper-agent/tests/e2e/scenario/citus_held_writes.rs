//! Somebody is lost while writes are held: the prepared transaction is finished or rolled back by whoever comes next.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::citus::{formation, on_coordinator, order_failover, small_formation, taken_over, well_again};
use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Patience, wait_for};

scenarios! {
    formation:
        citus_keeper_of_the_candidate_killed_while_it_holds_writes,
        citus_host_of_the_candidate_killed_while_it_holds_writes,
        citus_coordinator_lost_while_writes_are_held;
    small_formation:
        citus_forgotten_hold_is_released;
}

/// How often a candidate may be faster than the one who wants to kill it.
const ATTEMPTS: usize = 5;

/// The moment is short: the keeper of the candidate is killed while the transaction is prepared, or it is tried again.
fn citus_keeper_of_the_candidate_killed_while_it_holds_writes(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    for _ in 0..ATTEMPTS {
        let candidate = other_of_group_1(cluster)?;
        let held = cluster.watch_held_writes()?;
        order_failover(cluster, 1)?;
        let gid = held.wait(SOON)?;
        cluster.host_mut(candidate)?.kill_keeper()?;
        let was_held = held.gids()?.contains(&gid);
        cluster.host_mut(candidate)?.run()?;
        if was_held {
            held.wait_released(TAKEOVER)?;
            return well_again(cluster, clients);
        }
        cluster.wait_in_order(WHOLE)?;
    }
    bail!("the candidate was faster {ATTEMPTS} times")
}

/// It does not come back soon, and the old primary goes on. A candidate that was told already to be promoted is the only
/// one that may have newer rows: it is waited for, and then it is tried again.
fn citus_host_of_the_candidate_killed_while_it_holds_writes(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    for _ in 0..ATTEMPTS {
        let candidate = other_of_group_1(cluster)?;
        let held = cluster.watch_held_writes()?;
        let since = Instant::now();
        order_failover(cluster, 1)?;
        held.wait(SOON)?;
        cluster.host_mut(candidate)?.kill_everything()?;
        let old_primary_goes_on = wait_for("an end of the switchover", TAKEOVER, || {
            let rows = cluster.rows()?;
            let is_told = rows.iter().any(|row| row.name == candidate && row.goal == "wait_primary");
            let goes_on = held.gids()?.is_empty()
                && rows.iter().any(|row| row.name != candidate && row.group == 1 && row.writes());
            Ok((is_told || goes_on).then_some(goes_on))
        })?;
        if old_primary_goes_on {
            clients.pause_since(since, SOON)?;
            cluster.host_mut(candidate)?.run()?;
            return well_again(cluster, clients);
        }
        cluster.host_mut(candidate)?.run()?;
        cluster.wait_in_order(WHOLE)?;
    }
    bail!("the candidate was faster {ATTEMPTS} times")
}

/// Its standby inherits the prepared transaction, with its locks.
fn citus_coordinator_lost_while_writes_are_held(cluster: &mut Cluster) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let held = cluster.watch_held_writes()?;
    let since = Instant::now();
    order_failover(cluster, 1)?;
    held.wait(SOON)?;
    cluster.host_mut("coord0a")?.kill_everything()?;
    taken_over(cluster, clients, since, "coord0b", |cluster| cluster.host_mut("coord0a")?.run())
}

/// One that no candidate is going to finish: writes go on soon, to where they went before.
fn citus_forgotten_hold_is_released(cluster: &mut Cluster) -> Result<()> {
    let candidate = cluster.rows()?.into_iter().find(|row| row.name == "worker1b");
    let id = candidate.map(|row| row.id).unwrap_or_default();
    let address = cluster.host("worker1b")?.address();
    let held = cluster.watch_held_writes()?;
    on_coordinator(
        cluster,
        &format!(
            "begin; select citus_update_node(nodeid, '{address}', 5432) from pg_dist_node \
             where groupid = 1 and noderole = 'primary'; prepare transaction 'pgaf:1:{id}:1'"
        ),
    )?;
    held.wait_released(TAKEOVER)?;
    let clients = cluster.clients(Patience::Long)?;
    ensure!(cluster.primary_of(1)? == "worker1a", "the primary of group 1 was changed");
    well_again(cluster, clients)
}

fn other_of_group_1(cluster: &Cluster) -> Result<&'static str> {
    Ok(if cluster.primary_of(1)? == "worker1a" { "worker1b" } else { "worker1a" })
}
