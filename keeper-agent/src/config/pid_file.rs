//! Which process runs a node. A file that was left behind, or whose process id is now another program's, names nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::atomic_file;

/// A pid file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another process runs the node.
    #[error(
        "pg_autoctl already runs \"{}\" as process {pid}: stop it first with \"pg_autoctl stop\"", .pgdata.display()
    )]
    Running {
        /// Its process id.
        pid: i32,
        /// What it runs.
        pgdata: PathBuf,
    },
    /// The system's error.
    #[error("cannot use the pid file \"{}\": {source}", .path.display())]
    File {
        /// The pid file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The claim of this process to run a node, given up when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = atomic_file::remove(&self.path) {
            tracing::warn!("cannot remove the pid file {}: {error}", self.path.display());
        }
    }
}

/// Claims the node for this process.
///
/// The claim is a lock on a file beside the pid file, which the system gives up with the process: two processes that
/// start at once cannot both win.
///
/// # Errors
/// Another process has it, or the files cannot be written.
pub fn create(path: &Path, pgdata: &Path) -> Result<PidFile, PidFileError> {
    let failed = |source| PidFileError::File { path: path.to_owned(), source };
    let content = format!("{}\n{}\n", std::process::id(), pgdata.display());
    let lock_path = path.with_extension("lock");
    // Writing first makes the directory, and a lock needs a file that stays the same one.
    let lock_file = open_lock(&lock_path).map_err(failed)?;
    match Flock::lock(lock_file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => {
            atomic_file::write(path, content.as_bytes()).map_err(failed)?;
            Ok(PidFile { path: path.to_owned(), _lock: lock })
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            Err(PidFileError::Running { pid: read(path)?.unwrap_or_default(), pgdata: pgdata.to_owned() })
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        atomic_file::make_directory(directory)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.flush()?;
    Ok(file)
}

/// The process that runs the node; `None` when there is none.
///
/// # Errors
/// A file that cannot be read.
pub fn read(path: &Path) -> Result<Option<i32>, PidFileError> {
    let content = match std::fs::read_to_string(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(PidFileError::File { path: path.to_owned(), source });
        }
    };
    let pid = content.lines().next().and_then(|line| line.trim().parse().ok());
    Ok(pid.filter(|pid| is_held(&path.with_extension("lock")) && is_alive(*pid)))
}

/// Somebody holds the claim. It is asked by trying to share it, which never takes it from anybody.
fn is_held(lock_path: &Path) -> bool {
    File::open(lock_path).is_ok_and(|file| {
        matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
    })
}

fn is_alive(pid: i32) -> bool {
    pid > 0 && Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_claims_a_node() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/pg_autoctl.pid");
        let pgdata = Path::new("/data/pg");
        assert_eq!(read(&path).expect("read"), None);
        let claim = create(&path, pgdata).expect("claimed");
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert_eq!(read(&path).expect("read"), Some(me));
        let error = create(&path, pgdata).expect_err("claimed already");
        assert!(matches!(error, PidFileError::Running { pid, .. } if pid == me));
        drop(claim);
        assert_eq!(read(&path).expect("read"), None);
        create(&path, pgdata).expect("claimed again");
    }

    #[test]
    fn a_file_left_behind_names_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pg_autoctl.pid");
        // A live process that is not ours.
        std::fs::write(&path, "1\n/data/pg\n").expect("written");
        assert_eq!(read(&path).expect("read"), None);
        drop(create(&path, Path::new("/data/pg")).expect("claimed"));
        std::fs::write(&path, "garbage").expect("written");
        assert_eq!(read(&path).expect("read"), None);
    }
}
