//! Which Citus the servers have: the one that is installed, or the stand-in of the tests.

use std::path::Path;

use super::super::cluster::Setup;
use super::super::tools::Installed;

/// What is called `citus` in the private copy of the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Citus {
    /// What the installation has.
    Installed,
    /// An extension with the functions that a keeper calls, and without shards. See `standin`.
    Standin,
}

impl Citus {
    /// The real one where there is one, unless `PGAF_CITUS=standin` asks for the other.
    pub(crate) fn here() -> Self {
        let asked = std::env::var_os("PGAF_CITUS").is_some_and(|value| value == "standin");
        if asked || !is_installed() { Self::Standin } else { Self::Installed }
    }
}

/// Whether `pg_available_extensions` has it.
fn is_installed() -> bool {
    let control = |share: &Path| share.join("extension/citus.control").exists();
    Installed::find().is_ok_and(|installed| control(&installed.share))
}

/// Why a cluster of that kind cannot be had, if it needs shards.
pub(crate) fn lacks_citus(setup: &Setup) -> Option<String> {
    let needs_shards = setup.formation.is_some_and(|formation| formation.needs_shards);
    match Citus::here() {
        Citus::Standin if needs_shards => Some("Citus is not installed, or PGAF_CITUS=standin".to_owned()),
        _ => None,
    }
}

/// Whether a test that cannot be played for want of Citus has failed.
pub(crate) fn is_citus_required() -> bool {
    std::env::var_os("PGAF_REQUIRE_CITUS").is_some_and(|value| value == "1")
}
