//! The mark of a data directory that is being copied or rewound: while it is there, Postgres must not be started.
//!
//! There are two: one in PGDATA, for those who look there, and one outside, because `pg_rewind` removes from the
//! target what the source does not have. Either one counts.

use std::path::PathBuf;

use crate::postgres::server::{InstanceConfig, PostgresError, files};

/// The name of the mark.
pub(crate) const MARKER: &str = "pg_autoctl.incomplete";

fn inside(config: &InstanceConfig) -> PathBuf {
    config.in_pgdata(MARKER)
}

fn outside(config: &InstanceConfig) -> PathBuf {
    config.state_dir.join(MARKER)
}

/// The data directory is marked. A mark outside means nothing without a data directory.
pub(crate) fn is_set(config: &InstanceConfig) -> bool {
    inside(config).exists() || (outside(config).exists() && config.pgdata.exists())
}

/// Sets it; `reason` is for the person who finds it.
pub(crate) fn set(config: &InstanceConfig, reason: &str) -> Result<(), PostgresError> {
    files::make_private_directory(&config.state_dir)?;
    let content = format!("{reason}: these files are not a database cluster until it has ended.\n");
    files::replace(&outside(config), content.as_bytes(), 0o600)?;
    files::replace(&inside(config), content.as_bytes(), 0o600)
}

/// Takes it away: everything else is on the disk by now.
pub(crate) fn clear(config: &InstanceConfig) -> Result<(), PostgresError> {
    files::sync_directory(&config.pgdata)?;
    files::remove_if_there(&inside(config))?;
    files::remove_if_there(&outside(config))
}
