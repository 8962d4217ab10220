//! Debian's packages of pg_auto_failover, the system that ours is measured against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::process::{run, run_to_end};
use super::tools::Build;

const PACKAGES: [&str; 2] = ["pg-auto-failover-cli", "postgresql-15-auto-failover"];

/// Downloads and unpacks the packages below `directory`; nothing is installed. Packages that lie in the directory
/// `PGAF_PEER_PACKAGES` are taken from there.
///
/// # Errors
/// They cannot be had: not a Debian, no network, no longer in the archive.
pub(crate) fn unpack(directory: &Path) -> Result<Build> {
    let downloads = directory.join("packages");
    let root = directory.join("root");
    fs::create_dir_all(&downloads)?;
    fs::create_dir_all(&root)?;
    let packages = match std::env::var_os("PGAF_PEER_PACKAGES") {
        Some(given) => PathBuf::from(given),
        None => {
            download(&downloads)?;
            downloads
        }
    };
    for package in files(&packages, "deb")? {
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    let extension = root.join("usr/share/postgresql/15/extension");
    let mut extension_files = files(&extension, "sql")?;
    extension_files.extend(files(&extension, "control")?);
    Ok(Build {
        autoctl: root.join("usr/bin/pg_autoctl"),
        library: root.join("usr/lib/postgresql/15/lib/pgautofailover.so"),
        extension_files,
    })
}

fn download(into: &Path) -> Result<()> {
    let within = std::time::Duration::from_secs(120);
    let ended = run_to_end(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(into), within)?;
    if !ended.status.success() {
        bail!("apt-get download of {} failed: {}", PACKAGES.join(" and "), ended.stderr.trim());
    }
    Ok(())
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}
