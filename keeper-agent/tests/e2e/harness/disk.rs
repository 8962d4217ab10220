//! A file system small enough to be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::host::give_to_postgres;
use super::process::run;
use super::sweep::release_shared_memory;

/// A file system of its own for a directory; unmounted on drop.
pub(crate) struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Mounts an empty one of so many megabytes.
    pub(crate) fn mount(directory: &Path, megabytes: u32) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let options = format!("size={megabytes}m,mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory))?;
        let disk = Self { directory: directory.to_owned() };
        give_to_postgres(directory)?;
        Ok(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.directory);
    }
}

/// Unmounts everything that a run has mounted below its directory.
pub(crate) fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mounted in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(mounted).starts_with(directory) {
            unmount(Path::new(mounted));
        }
    }
}

pub(super) fn unmount(directory: &Path) {
    // Afterwards nobody can tell which segments its servers had.
    release_shared_memory(directory);
    if let Err(error) = run(Command::new("umount").arg("--lazy").arg(directory)) {
        eprintln!("{} stays mounted: {error:#}", directory.display());
    }
}
