//! The node's own configuration survives a copy or a rewind, which bring that of the source. It is put away outside of
//! PGDATA, so that it survives an interruption, too.

use std::fs;
use std::path::PathBuf;

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
    config.state_dir.join("kept")
}

/// Puts the files away, those that are there. In a directory that is marked already they are no longer the node's own.
pub(super) fn put_away(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config);
    make_private_directory(&kept)?;
    if marker::is_set(config) {
        return Ok(());
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
