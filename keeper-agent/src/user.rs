//! The operating system's user that this process runs as.

use std::path::PathBuf;

use nix::unistd::{User, geteuid};

/// The name; `None` for a user who has none.
pub(crate) fn name() -> Option<String> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.name)
}

/// The home directory: that of the environment, or of the system's files.
pub(crate) fn home() -> Option<PathBuf> {
    let given = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    given.or_else(|| User::from_uid(geteuid()).ok().flatten().map(|user| user.dir))
}
