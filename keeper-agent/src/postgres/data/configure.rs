//! Writes the configuration of a cluster.

use crate::config::HbaLevel;
use crate::postgres::configuration::{HbaAddress, HbaEntry, conninfo, hba, settings};
use crate::postgres::server::{LocalServer, PostgresError};

use super::marker;

impl LocalServer {
    /// Writes the included files, their include lines, and the passfile; a running server is not told. Without a
    /// cluster there is nothing to configure yet: a start does it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn write_settings(&self) -> Result<(), PostgresError> {
        let config = self.config();
        self.files()
            .run("writing the settings", move || {
                conninfo::write_passfile(&config)?;
                if marker::is_set(&config) || !config.in_pgdata("PG_VERSION").exists() {
                    return Ok(());
                }
                settings::update(&config, |_| {})
            })
            .await
    }

    /// Writes our entries of pg_hba.conf: the keeper's own, and these; false when they were there already. Those of the
    /// other nodes stay. A running server is not told.
    ///
    /// # Errors
    /// A file cannot be written, or the local network cannot be found out.
    pub async fn write_hba(&self, entries: &[HbaEntry]) -> Result<bool, PostgresError> {
        let config = self.config();
        let mut entries = entries.to_vec();
        if config.hba_level == HbaLevel::Lan {
            entries.push(HbaEntry {
                database: "all".to_owned(),
                user: "all".to_owned(),
                address: HbaAddress::Lan,
                method: config.auth,
            });
        }
        let access = hba::access_entries(&config, &entries).await?;
        self.files()
            .run("writing pg_hba.conf", move || hba::update(&config, |managed| managed.access = access))
            .await
    }
}
