//! Debian's packages of pg_auto_failover, the system that ours is measured against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::cluster::Setup;
use super::process::{run, run_to_end};
use super::sweep::run_directory;
use super::tools::{Build, Installed, OLD_LIBRARY};

const PACKAGES: [&str; 2] = ["pg-auto-failover-cli", "postgresql-15-auto-failover"];
/// The version of Postgres that Debian's are for.
const DEBIANS_MAJOR: u32 = 15;

/// The packages, unpacked once in a run; or what is below the directory `PGAF_UPGRADE_FROM`, which has `usr`.
pub(crate) fn once() -> Result<Build> {
    static UNPACKED: OnceLock<Result<Build, String>> = OnceLock::new();
    UNPACKED
        .get_or_init(|| {
            let found = match std::env::var_os("PGAF_UPGRADE_FROM") {
                Some(given) => installed_below(Path::new(&given)),
                None => unpack(&run_directory().join("peer-packages")),
            };
            found.map_err(|error| format!("{error:#}"))
        })
        .clone()
        .map_err(|error| anyhow!(error))
}

/// Why a cluster of 2.x cannot be made, if that is what a scenario begins with.
pub(crate) fn lacks_older(setup: &Setup) -> Option<String> {
    if !setup.is_older {
        return None;
    }
    once().err().map(|error| format!("pg_auto_failover 2.x cannot be had: {error:#}"))
}

/// Downloads and unpacks the packages below `directory`; nothing is installed. Packages that lie in the directory
/// `PGAF_PEER_PACKAGES` are taken from there.
///
/// # Errors
/// They cannot be had: not a Debian, no network, no longer in the archive, another version of Postgres.
fn unpack(directory: &Path) -> Result<Build> {
    let major = Installed::find()?.major;
    ensure!(major == DEBIANS_MAJOR, "Debian's is for Postgres {DEBIANS_MAJOR}, not for {major}");
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
    installed_below(&root)
}

/// A build whose files are below that directory as they would be below `/`.
fn installed_below(root: &Path) -> Result<Build> {
    let major = Installed::find()?.major;
    let extension = root.join(format!("usr/share/postgresql/{major}/extension"));
    let mut extension_files = files(&extension, "sql")?;
    extension_files.extend(files(&extension, "control")?);
    let programs = root.join(format!("usr/lib/postgresql/{major}"));
    let places = [root.join("usr/bin/pg_autoctl"), programs.join("bin/pg_autoctl")];
    let autoctl = places.into_iter().find(|path| path.is_file());
    let autoctl = autoctl.with_context(|| format!("there is no pg_autoctl below {}", root.display()))?;
    Ok(Build {
        autoctl,
        library: programs.join("lib").join(OLD_LIBRARY),
        library_name: OLD_LIBRARY,
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
