//! A disk that stops for a while: a file system on a file, which is frozen and thawed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::disk::unmount;
use super::host::give_to_postgres;
use super::process::{run, run_to_end};

/// Whatever becomes of the test, nobody is left waiting for this disk for ever.
const STOP: &str = "trap '' INT TERM HUP; fsfreeze --freeze \"$0\"; sleep \"$1\"; fsfreeze --unfreeze \"$0\"";

/// A file system of its own for a directory; unmounted on drop.
pub(crate) struct StoppableDisk {
    directory: PathBuf,
}

impl StoppableDisk {
    /// Mounts an empty one of so many megabytes, which is kept in `image`.
    pub(crate) fn mount(directory: &Path, image: &Path, megabytes: u64) -> Result<Self> {
        fs::create_dir_all(directory)?;
        fs::File::create(image)?.set_len(megabytes << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(directory))?;
        let disk = Self { directory: directory.to_owned() };
        give_to_postgres(directory)?;
        Ok(disk)
    }

    /// Whoever writes to it waits for so long; returns when that is over.
    pub(crate) fn stop_for(&self, time: Duration) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-ec", STOP]).arg(&self.directory).arg(format!("{}", time.as_secs_f64()));
        command.process_group(0);
        run_to_end(&mut command, time + Duration::from_secs(20))?.success().map(drop)
    }
}

impl Drop for StoppableDisk {
    fn drop(&mut self) {
        unmount(&self.directory);
    }
}
