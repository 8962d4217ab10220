//! The node's own configuration, and its log, survive a copy or a rewind, which bring those of the source. They are
//! put away outside of PGDATA, so that they survive an interruption, too.

use std::fs;
use std::path::PathBuf;

use crate::config::KEPT_DIRECTORY;

use super::assemble::{self, LOGS};
use super::config::InstanceConfig;
use super::conninfo::make_private_directory;
use super::error::PostgresError;
use super::settings::{SETTINGS_FILE, STANDBY_FILE};
use super::{files, marker};

/// What is a node's own, not its cluster's.
const OWN_FILES: [&str; 9] = [
    "postgresql.conf",
    "postgresql.auto.conf",
    "pg_hba.conf",
    "pg_ident.conf",
    SETTINGS_FILE,
    STANDBY_FILE,
    "server.crt",
    "server.key",
    "root.crt",
];

fn directory(config: &InstanceConfig) -> PathBuf {
    config.state_dir.join(KEPT_DIRECTORY)
}

/// Puts the files away, those that are there. In a directory that is marked already they are no longer the node's own.
pub(super) fn put_away(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config);
    make_private_directory(&kept)?;
    if marker::is_set(config) {
        return Ok(());
    }
    for name in LOGS {
        // On another file system it has to stay where it is.
        if let Err(error) = fs::rename(config.in_pgdata(name), kept.join(name)) {
            tracing::debug!("\"{name}\" is not put away: {error}");
        }
    }
    for name in OWN_FILES {
        let target = kept.join(name);
        match fs::read(config.in_pgdata(name)) {
            Ok(content) => files::replace(&target, &content, 0o600)?,
            Err(_) => files::remove_if_there(&target)?,
        }
    }
    Ok(())
}

/// Puts back what was put away.
pub(super) fn put_back(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config);
    for name in OWN_FILES {
        if let Ok(content) = fs::read(kept.join(name)) {
            files::replace(&config.in_pgdata(name), &content, 0o600)?;
        }
    }
    for name in LOGS.iter().filter(|name| kept.join(name).exists()) {
        let target = config.in_pgdata(name);
        assemble::remove(&target)?;
        fs::rename(kept.join(name), &target).map_err(PostgresError::file("move", &target))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::config;

    #[test]
    fn the_first_copy_is_kept_when_a_second_run_begins() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory.path().join("data"));
        fs::create_dir(&config.pgdata).expect("created");
        let hba = config.pgdata.join("pg_hba.conf");
        fs::write(&hba, "own").expect("written");
        put_away(&config).expect("kept");
        marker::set(&config, "a test").expect("marked");
        fs::write(&hba, "of the source").expect("written");
        put_away(&config).expect("left alone");
        put_back(&config).expect("put back");
        assert_eq!(fs::read_to_string(&hba).expect("read"), "own");
    }
}
