//! What the program ends with: the exit codes that scripts and service managers rely on.

use std::process::ExitCode;

/// The exit codes of `pg_autoctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or asked to quit.
    Quit = 0,
    /// The command line makes no sense.
    BadArgs = 1,
    /// The configuration, or something it names, is not usable.
    BadConfig = 2,
    /// The files that remember a node's state are not usable, or the node is in no state for this.
    BadState = 3,
    /// A query failed.
    Sql = 4,
    /// Postgres could not be made, started or stopped.
    PgCtl = 5,
    /// The monitor cannot be reached, or refuses.
    Monitor = 6,
    /// The coordinator of a Citus formation cannot be reached, or refuses.
    Coordinator = 7,
    /// The keeper failed.
    Keeper = 8,
    /// A running process could not take over changed settings.
    Reload = 9,
    /// A mistake in this program.
    Internal = 12,
    /// The extension `pgautofailover` is not installed where it should be.
    ExtensionMissing = 13,
    /// The node was removed from its formation.
    Dropped = 121,
    /// Running again would only fail again.
    Fatal = 122,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
