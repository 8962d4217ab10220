//! What the scenarios of Citus formations share: the clients write through the coordinator all the time, and each
//! scenario ends with a formation that is in order and has every acknowledged row.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE};
use crate::harness::{Clients, Cluster, Formation, Loss, Patience, Setup, wait_for};

/// Far above what `make bench` measures, and far below what a person calls automatic.
pub(super) const PAUSE_OF_A_SWITCHOVER: Duration = Duration::from_secs(15);
pub(super) const PAUSE_OF_A_LOST_HOST: Duration = Duration::from_secs(30);

/// coord0a and coord0b, worker1a and worker1b, worker2a and worker2b.
pub(super) fn formation() -> Setup {
    Setup::citus(2)
}

/// One group of workers, also where Citus is not installed.
pub(super) fn small_formation() -> Setup {
    Setup::citus(1).with_or_without_shards()
}

/// `pg_autoctl perform failover --group` without waiting for what comes of it.
pub(super) fn order_failover(cluster: &Cluster, group: i32) -> Result<()> {
    let sql = format!("select pgautofailover.perform_failover('default', {group})");
    cluster.monitor.psql("pg_auto_failover", &sql).map(drop)
}

/// Clients write, the primary is lost, its successor takes over, and it comes back.
pub(super) fn survive(cluster: &mut Cluster, loss: Loss, primary: &str, successor: &str) -> Result<()> {
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    loss.strike(cluster, primary)?;
    taken_over(cluster, clients, since, successor, |cluster| loss.heal(cluster, primary))
}

/// After a loss: the successor serves, clients do not wait long, and when the lost one is given back all is well.
pub(super) fn taken_over(
    cluster: &mut Cluster,
    clients: Clients,
    since: Instant,
    successor: &str,
    give_back: impl FnOnce(&mut Cluster) -> Result<()>,
) -> Result<()> {
    cluster.wait_primary_is(successor, TAKEOVER)?;
    let pause = clients.pause_since(since, TAKEOVER)?;
    ensure!(pause < PAUSE_OF_A_LOST_HOST, "{pause:?} without a commit");
    give_back(cluster)?;
    well_again(cluster, clients)
}

/// Clients are served again, and have not waited long since then.
pub(super) fn short_pause(clients: &Clients, since: Instant) -> Result<()> {
    let pause = clients.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit");
    Ok(())
}

/// The formation is in order while clients write, and everything that was acknowledged to them is there.
pub(super) fn well_again(cluster: &Cluster, clients: Clients) -> Result<()> {
    cluster.wait_in_order(WHOLE)?;
    clients.wait_for_acks(SOON)?;
    cluster.verify_formation(&clients.stop())
}

/// Waits until the coordinator sends writes to these workers and to no others.
pub(super) fn wait_active(cluster: &Cluster, names: &[&str], within: Duration) -> Result<()> {
    let mut expected = Vec::new();
    for name in names {
        expected.push(cluster.host(name)?.address().to_string());
    }
    expected.sort();
    let expected = expected.join("\n");
    wait_for(&format!("the active workers to be {names:?}"), within, || {
        let active =
            on_coordinator(cluster, "select node_name from citus_get_active_worker_nodes() order by 1")?;
        ensure!(active == expected, "they are {active:?}");
        Ok(Some(()))
    })
}

/// Runs SQL on the coordinator that is primary now.
pub(super) fn on_coordinator(cluster: &Cluster, sql: &str) -> Result<String> {
    cluster.host(&cluster.primary()?)?.psql(Formation::DATABASE, sql)
}
