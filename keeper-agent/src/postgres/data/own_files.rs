//! The node's own configuration, its log, and the slots of its user survive a copy or a rewind, which bring the
//! configuration of the source and no slots. They are put away outside of PGDATA, so that they survive an interruption,
//! too.

use std::fs;
use std::path::{Path, PathBuf};

use pgaf_core::NodeId;

use crate::config::OWN_FILES_DIRECTORY;
use crate::postgres::configuration::settings::FILE_OF_2X;
use crate::postgres::configuration::{SETTINGS_FILE, STANDBY_FILE, fresh::FRESH_FILE};
use crate::postgres::server::{InstanceConfig, PostgresError, files};

use super::assemble::{self, LOGS};
use super::marker;
use super::tablespaces::Tablespaces;

/// What is a node's own, not its cluster's.
const OWN_FILES: [&str; 11] = [
    "postgresql.conf",
    "postgresql.auto.conf",
    "pg_hba.conf",
    "pg_ident.conf",
    SETTINGS_FILE,
    STANDBY_FILE,
    FRESH_FILE,
    FILE_OF_2X,
    "server.crt",
    "server.key",
    "root.crt",
];

/// Where the slots are, in PGDATA as in what is kept.
const SLOTS: &str = "pg_replslot";
const SLOT_STATE: &str = "state";
/// Where this node has its tablespaces.
const TABLESPACES: &str = "tablespaces.json";

fn directory(config: &InstanceConfig) -> PathBuf {
    config.state_dir.join(OWN_FILES_DIRECTORY)
}

/// Puts the files away, those that are there. In a directory that is marked already they are no longer the node's own.
pub(crate) fn save(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config);
    files::make_private_directory(&kept)?;
    if marker::is_set(config) {
        return Ok(());
    }
    for name in LOGS {
        // On another file system it has to stay where it is.
        if let Err(error) = fs::rename(config.in_pgdata(name), kept.join(name)) {
            tracing::debug!("could not save \"{name}\": {error}");
        }
    }
    save_slots(config)?;
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
pub(crate) fn restore(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config);
    for name in OWN_FILES {
        if let Ok(content) = fs::read(kept.join(name)) {
            files::replace(&config.in_pgdata(name), &content, 0o600)?;
        }
    }
    restore_slots(config)?;
    for name in LOGS.iter().filter(|name| kept.join(name).exists()) {
        let target = config.in_pgdata(name);
        assemble::remove(&target)?;
        fs::rename(kept.join(name), &target).map_err(PostgresError::file("move", &target))?;
    }
    Ok(())
}

/// Writes down where this node's tablespaces are: of a copy that is cut off, nothing else tells.
pub(crate) fn note_tablespaces(config: &InstanceConfig, of: &Tablespaces) -> Result<(), PostgresError> {
    let path = directory(config).join(TABLESPACES);
    let content =
        serde_json::to_vec(of).map_err(|error| PostgresError::Refused(format!("a tablespace: {error}")))?;
    files::replace(&path, &content, 0o600)
}

/// Those that were written down.
pub(crate) fn noted_tablespaces(config: &InstanceConfig) -> Result<Tablespaces, PostgresError> {
    let path = directory(config).join(TABLESPACES);
    let content = files::read_if_there(&path)?.unwrap_or_else(|| "{}".to_owned());
    serde_json::from_str(&content)
        .map_err(|error| PostgresError::Refused(format!("\"{}\" is damaged: {error}", path.display())))
}

/// The user's physical slots. A logical one cannot be used on a standby, nor does the new log continue where it was.
fn save_slots(config: &InstanceConfig) -> Result<(), PostgresError> {
    let kept = directory(config).join(SLOTS);
    assemble::remove(&kept)?;
    for (name, state) in slots_in(&config.in_pgdata(SLOTS)) {
        if NodeId::of_slot_name(&name).is_none() && is_physical(&state) {
            write_slot(&kept, &name, &state)?;
        }
    }
    Ok(())
}

fn restore_slots(config: &InstanceConfig) -> Result<(), PostgresError> {
    let target = config.in_pgdata(SLOTS);
    for (name, state) in slots_in(&directory(config).join(SLOTS)) {
        if !target.join(&name).exists() {
            write_slot(&target, &name, &state)?;
        }
    }
    Ok(())
}

/// Each slot is a directory with one file.
fn slots_in(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(found) = fs::read_dir(directory) else {
        return Vec::new();
    };
    found
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, fs::read(path.join(SLOT_STATE)).ok()?))
        })
        .collect()
}

fn write_slot(directory: &Path, name: &str, state: &[u8]) -> Result<(), PostgresError> {
    let path = directory.join(name);
    files::make_private_directory(&path)?;
    files::replace(&path.join(SLOT_STATE), state, 0o600)?;
    files::sync_directory(directory)
}

/// After four numbers and its name, a slot has the database it decodes; a physical one has none.
fn is_physical(state: &[u8]) -> bool {
    state.get(80..84) == Some(&[0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing::config;

    #[test]
    fn the_first_copy_is_kept_when_a_second_run_begins() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory.path().join("data"));
        fs::create_dir(&config.pgdata).expect("created");
        let hba = config.pgdata.join("pg_hba.conf");
        fs::write(&hba, "own").expect("written");
        save(&config).expect("kept");
        marker::set(&config, "a test").expect("marked");
        fs::write(&hba, "of the source").expect("written");
        save(&config).expect("left alone");
        restore(&config).expect("put back");
        assert_eq!(fs::read_to_string(&hba).expect("read"), "own");
    }

    #[test]
    fn the_users_physical_slots_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory.path().join("data"));
        let slots = config.in_pgdata(SLOTS);
        fs::create_dir_all(&slots).expect("created");
        let mut logical = vec![0; 200];
        let physical = logical.clone();
        logical[80] = 5;
        for (name, state) in
            [("mine", &physical), ("decoding", &logical), ("pgautofailover_standby_2", &physical)]
        {
            write_slot(&slots, name, state).expect("written");
        }
        save(&config).expect("kept");
        assemble::remove(&slots).expect("removed");
        fs::create_dir_all(&slots).expect("created");
        restore(&config).expect("put back");
        assert_eq!(slots_in(&slots), [("mine".to_owned(), physical)]);
    }
}
