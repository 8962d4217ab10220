//! The moment in which a candidate holds the writes to its group: between PREPARE and COMMIT PREPARED.

use std::time::Duration;

use anyhow::Result;

use super::super::cluster::Cluster;
use super::super::sql::Sql;
use super::super::wait::wait_for;

/// A view of the coordinator that is open before the moment comes.
pub(crate) struct Held(Sql);

impl Cluster {
    /// Opens it.
    pub(crate) fn watch_held_writes(&self) -> Result<Held> {
        let coordinator = self.primary()?;
        Sql::open(&self.target(self.host(&coordinator)?), Duration::from_secs(2)).map(Held)
    }
}

impl Held {
    /// Waits for a prepared transaction of a keeper; returns its name.
    pub(crate) fn wait(&self, within: Duration) -> Result<String> {
        wait_for("writes to be held by a prepared transaction", within, || {
            Ok(self.gids()?.into_iter().next())
        })
    }

    /// Waits until there is none.
    pub(crate) fn wait_released(&self, within: Duration) -> Result<()> {
        wait_for("no writes to be held", within, || Ok(self.gids()?.is_empty().then_some(())))
    }

    /// The names of those that are there now.
    pub(crate) fn gids(&self) -> Result<Vec<String>> {
        let rows = self.0.rows("select gid from pg_prepared_xacts where gid like 'pgaf:%'")?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }
}
