//! The file of what a person has assigned to a node without a monitor. Commands write it, and whoever runs the node
//! follows it.

use std::io;
use std::path::Path;

use pgaf_core::keeper::{GroupMember, ManualAssignment};

use super::error::ConfigError;
use crate::files::atomic;

/// Reads the file; without one nothing is assigned.
///
/// # Errors
/// A file that cannot be read.
pub fn load(path: &Path) -> Result<ManualAssignment, ConfigError> {
    match std::fs::read(path) {
        Ok(content) => parse(path, &content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ManualAssignment::default()),
        Err(error) => Err(ConfigError::file("cannot read", path, &error)),
    }
}

/// Reads what people write: an array of nodes.
///
/// # Errors
/// A file that cannot be read, or is none.
pub fn load_nodes(path: &Path) -> Result<Vec<GroupMember>, ConfigError> {
    std::fs::read(path)
        .map_err(|error| ConfigError::file("cannot read", path, &error))
        .and_then(|content| parse(path, &content))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, ConfigError> {
    serde_json::from_slice(content)
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })
}

/// Writes the file.
///
/// # Errors
/// The system's.
pub fn store(path: &Path, manual: &ManualAssignment) -> Result<(), ConfigError> {
    serde_json::to_vec_pretty(manual)
        .map_err(io::Error::from)
        .and_then(|content| atomic::write(path, &content))
        .map_err(|error| ConfigError::file("cannot write", path, &error))
}

/// A monitor assigns from now on.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> Result<(), ConfigError> {
    atomic::remove(path).map_err(|error| ConfigError::file("cannot remove", path, &error))
}

#[cfg(test)]
mod tests {
    use pgaf_core::ReplicationState;

    use super::*;

    fn nodes() -> Vec<GroupMember> {
        let json = r#"[
            {"node_id":1,"node_name":"a","node_host":"h1","node_port":5432,"node_lsn":"0/1","node_is_primary":true},
            {"node_id":2,"node_name":"b","node_host":"h2","node_port":5433,"node_lsn":"0/1","node_is_primary":false}
        ]"#;
        serde_json::from_str(json).expect("as people write it")
    }

    #[test]
    fn what_is_written_reads_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pg_autoctl.assignment");
        assert_eq!(load(&path).expect("none"), ManualAssignment::default());
        let manual = ManualAssignment { goal: Some(ReplicationState::CatchingUp), nodes: nodes() };
        store(&path, &manual).expect("stored");
        assert_eq!(load(&path).expect("loaded"), manual);
        std::fs::write(&path, "{").expect("written");
        assert!(load(&path).is_err());
        remove(&path).expect("removed");
        assert!(load_nodes(&path).is_err());
    }
}
