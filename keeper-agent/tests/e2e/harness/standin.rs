//! The stand-in for Citus: an extension of that name with the functions that a keeper calls, their refusals and their
//! locks, but without shards.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const CONTROL: &str = include_str!("../standin/citus.control");
const SCRIPT: &str = include_str!("../standin/citus--13.2-1.sql");

/// Puts it into a private copy of the installation, in the place of what is called citus there.
pub(super) fn replace_citus(libraries: &Path, extensions: &Path) -> Result<()> {
    for directory in [libraries, extensions] {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("citus") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    // `shared_preload_libraries` wants a library of that name, and the stand-in has to connect to other servers:
    // dblink serves for both.
    let dblink = libraries.join("dblink.so");
    fs::copy(&dblink, libraries.join("citus.so"))
        .with_context(|| format!("copying {}; is Postgres's contrib installed?", dblink.display()))?;
    fs::write(extensions.join("citus.control"), CONTROL)?;
    fs::write(extensions.join("citus--13.2-1.sql"), SCRIPT)?;
    Ok(())
}
