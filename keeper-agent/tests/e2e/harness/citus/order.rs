//! When a formation is in order: who is primary, as the monitor, the coordinator and every worker know it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::super::cluster::{Cluster, rows_of};
use super::super::host::Host;
use super::super::ledger::{Ledger, verify_ledgers};
use super::super::wait::wait_for;
use super::super::watch::NodeRow;
use super::available::Citus;
use super::formation::Formation;

/// How long clean-up may take after the last write.
const IN_ORDER: Duration = Duration::from_secs(60);

/// A row of `pg_dist_node`: its group, its address, and the Citus cluster.
type Entry = (i32, String, String);

impl Cluster {
    /// Waits until every group has one primary and secondaries, the coordinator's and every worker's node tables say
    /// just that, and no prepared transaction is left anywhere.
    pub(crate) fn wait_in_order(&self, within: Duration) -> Result<()> {
        wait_for("the formation to be in order", within, || self.check_in_order().map(Some))
    }

    fn check_in_order(&self) -> Result<()> {
        self.check_whole()?;
        let rows = self.rows()?;
        let primaries = self.entries(&rows, NodeRow::writes)?;
        let secondaries = self.entries(&rows, |row| row.citus_cluster != "default")?;
        let coordinator = self.host(&self.primary()?)?;
        let registered = self.node_table(coordinator, "secondary")?;
        ensure!(
            registered.is_superset(&secondaries),
            "{} has the secondaries {registered:?}, and not {secondaries:?}",
            coordinator.name
        );
        let addresses = |entries: &BTreeSet<Entry>| -> BTreeSet<String> {
            entries.iter().map(|(_, address, _)| address.clone()).collect()
        };
        ensure!(
            addresses(&registered).is_disjoint(&addresses(&primaries)),
            "primaries are registered as secondaries: {registered:?}"
        );
        let workers: BTreeSet<Entry> = primaries.iter().filter(|(group, ..)| *group > 0).cloned().collect();
        let active = active_workers(coordinator)?;
        ensure!(active == addresses(&workers), "the active workers are {active:?}, and not {workers:?}");
        if Citus::here() == Citus::Standin {
            sync_in_place_of_the_daemon(coordinator)?;
        }
        for row in rows.iter().filter(|row| row.writes()) {
            self.check_primary(self.host(&row.name)?, &primaries)?;
        }
        Ok(())
    }

    /// One primary knows all primaries, and has no prepared transaction.
    fn check_primary(&self, host: &Host, primaries: &BTreeSet<Entry>) -> Result<()> {
        let known = self.node_table(host, "primary")?;
        ensure!(known == *primaries, "{} knows {known:?}, and not {primaries:?}", host.name);
        let unsynced = host.psql(
            Formation::DATABASE,
            "select string_agg(nodename, ', ') from pg_dist_node where hasmetadata and not metadatasynced",
        )?;
        ensure!(unsynced.is_empty(), "to {} the node table of {unsynced} is out of sync", host.name);
        let prepared = prepared_transactions(host)?;
        ensure!(prepared.is_empty(), "prepared on {}: {prepared:?}", host.name);
        Ok(())
    }

    fn entries(&self, rows: &[NodeRow], is_meant: impl Fn(&NodeRow) -> bool) -> Result<BTreeSet<Entry>> {
        let entry = |row: &NodeRow| -> Result<Entry> {
            Ok((row.group, self.host(&row.name)?.address().to_string(), row.citus_cluster.clone()))
        };
        rows.iter().filter(|row| is_meant(row)).map(entry).collect()
    }

    /// What a node knows of the nodes with that role.
    fn node_table(&self, host: &Host, role: &str) -> Result<BTreeSet<Entry>> {
        let sql = format!(
            "select groupid, nodename, nodecluster from pg_dist_node where noderole = '{role}' and isactive"
        );
        let entry = |line: &str| -> Result<Entry> {
            match line.split('|').collect::<Vec<_>>().as_slice() {
                [group, address, cluster] => {
                    Ok((group.parse()?, (*address).to_owned(), (*cluster).to_owned()))
                }
                _ => bail!("no row of pg_dist_node: {line}"),
            }
        };
        host.psql(Formation::DATABASE, &sql)?.lines().map(entry).collect()
    }

    /// The formation is in order, every acknowledged row is there, a transaction over several shards is there as a
    /// whole or not at all, and there never were two coordinators. Clients must have been stopped.
    pub(crate) fn verify_formation(&self, ledgers: &[Ledger]) -> Result<()> {
        self.wait_in_order(IN_ORDER)?;
        let coordinator = self.host(&self.primary()?)?;
        let torn = coordinator.psql(
            Formation::DATABASE,
            "select writer, value, count(*) from pairs group by writer, value having count(*) <> 2",
        )?;
        ensure!(torn.is_empty(), "transactions that are there by half (writer, value, rows): {torn}");
        let mut present = rows_of(coordinator, Formation::DATABASE, "select writer, value from ledger")?;
        present.extend(rows_of(
            coordinator,
            Formation::DATABASE,
            "select distinct writer, value from pairs",
        )?);
        verify_ledgers(&present, "the coordinator", ledgers)
    }
}

/// Citus's maintenance daemon sends changes of the node table to the workers; the stand-in has none.
fn sync_in_place_of_the_daemon(coordinator: &Host) -> Result<()> {
    let sql = "select start_metadata_sync_to_all_nodes() \
               where exists (select from pg_dist_node where hasmetadata and not metadatasynced)";
    coordinator.psql(Formation::DATABASE, sql).map(drop)
}

/// What the application is told: `citus_get_active_worker_nodes()`.
fn active_workers(coordinator: &Host) -> Result<BTreeSet<String>> {
    let said = coordinator.psql(
        Formation::DATABASE,
        "select node_name from citus_get_active_worker_nodes() where node_port = 5432",
    )?;
    Ok(said.lines().map(str::to_owned).collect())
}

/// Those of keepers and of Citus; an application's own are none of our business.
pub(crate) fn prepared_transactions(host: &Host) -> Result<Vec<String>> {
    let sql =
        r"select gid from pg_prepared_xacts where gid like 'pgaf:%' or gid like 'citus\_%' order by gid";
    Ok(host.psql(Formation::DATABASE, sql)?.lines().map(str::to_owned).collect())
}
