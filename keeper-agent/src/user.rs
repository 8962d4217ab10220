//! The operating system's user that this process runs as.

use nix::unistd::{User, geteuid};

/// The name; `None` for a user who has none.
pub(crate) fn name() -> Option<String> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.name)
}
