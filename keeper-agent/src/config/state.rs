//! What a keeper must not forget: who it is, and the last assignment it received. Whoever runs the node writes it.

use std::io;
use std::path::{Path, PathBuf};

pub use pgaf_core::keeper::KeeperState;
use serde::Deserialize;

use crate::files::atomic;

/// The layout this program writes.
const VERSION: u32 = KeeperState::LAYOUT;

/// A state file that cannot be used. It is never replaced by an empty one: that would forget who may be primary.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Cannot be read or written.
    #[error("cannot {action} the state file \"{}\": {source}", .path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The state file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Is not what this program writes.
    #[error(
        "the state file \"{}\" is damaged ({reason}): restore it from a backup, or remove the node with \"pg_autoctl drop node\" and create it again", .path.display()
    )]
    Damaged {
        /// The state file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Was written by another version.
    #[error(
        "the state file \"{}\" has layout {found}, this program knows layout {VERSION}: run the version of pg_autoctl that wrote it", .path.display()
    )]
    Version {
        /// The state file.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
}

#[derive(Deserialize)]
struct Layout {
    version: u32,
}

/// Reads the state file; `None` when there is none.
///
/// # Errors
/// A file that cannot be read, is damaged, or has another layout.
pub fn load(path: &Path) -> Result<Option<KeeperState>, StateError> {
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StateError::File { action: "read", path: path.to_owned(), source });
        }
    };
    let damaged =
        |error: serde_json::Error| StateError::Damaged { path: path.to_owned(), reason: error.to_string() };
    let layout: Layout = serde_json::from_slice(&content).map_err(damaged)?;
    if layout.version != VERSION {
        return Err(StateError::Version { path: path.to_owned(), found: layout.version });
    }
    serde_json::from_slice(&content).map(Some).map_err(damaged)
}

/// Writes the state file; it is on disk when this returns.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn store(path: &Path, state: &KeeperState) -> Result<(), StateError> {
    serde_json::to_vec_pretty(state)
        .map_err(io::Error::from)
        .and_then(|content| atomic::write(path, &content))
        .map_err(|source| StateError::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use pgaf_core::{GroupId, NodeId};

    use super::*;

    #[test]
    fn a_state_reads_back_and_a_damaged_one_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pg_autoctl.state");
        assert!(matches!(load(&path), Ok(None)));
        let state = KeeperState::registered(NodeId(3), GroupId(0));
        store(&path, &state).expect("stored");
        assert_eq!(load(&path).expect("loaded"), Some(state.clone()));
        let all = serde_json::to_string(&state).expect("JSON");
        let without = all.replace(",\"has_left_monitor\":false,\"keeper_start\":0", "");
        assert_ne!(without, all);
        std::fs::write(&path, without).expect("written");
        assert_eq!(
            load(&path).expect("loaded"),
            Some(state.clone()),
            "as written before there were those keys"
        );
        store(&path, &state).expect("stored");

        let content = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, &content[..content.len() / 2]).expect("truncated");
        assert!(matches!(load(&path), Err(StateError::Damaged { .. })));
        std::fs::write(&path, "").expect("emptied");
        assert!(matches!(load(&path), Err(StateError::Damaged { .. })));
        std::fs::write(&path, r#"{"version": 2}"#).expect("written");
        assert!(matches!(load(&path), Err(StateError::Version { found: 2, .. })));
    }
}
