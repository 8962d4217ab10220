//! Which process runs a node. A file that was left behind, or whose process id is now another program's, names nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::Paths;
use crate::files::atomic;

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
    /// For people and programs that look there; nothing is concluded from it.
    path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = atomic::remove(&self.path) {
            tracing::warn!("cannot remove the pid file {}: {error}", self.path.display());
        }
    }
}

/// Claims the node for this process.
///
/// The claim is a lock on a file beside the state file, which the system gives up with the process: two processes that
/// start at once cannot both win, whatever the runtime directory of each is. The file says who has it.
///
/// # Errors
/// Another process has it, or the files cannot be written.
pub fn create(paths: &Paths, pgdata: &Path) -> Result<PidFile, PidFileError> {
    let (path, lock_path) = (&paths.pid, paths.lock());
    let failed = |source| PidFileError::File { path: path.clone(), source };
    let content = format!("{}\n{}\n", std::process::id(), pgdata.display());
    // A lock needs a file that stays the same one.
    let lock_file = open_lock(&lock_path).map_err(failed)?;
    match Flock::lock(lock_file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0).and_then(|()| lock.write_all(content.as_bytes())).map_err(failed)?;
            // What others made of the runtime directory is no reason not to run.
            if let Err(error) = atomic::write(path, content.as_bytes()) {
                tracing::warn!("could not write the pid file \"{}\": {error}", path.display());
            }
            Ok(PidFile { path: path.clone(), _lock: lock })
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            Err(PidFileError::Running { pid: read(paths)?.unwrap_or_default(), pgdata: pgdata.to_owned() })
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        atomic::make_directory(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The process that runs the node; `None` when there is none.
///
/// # Errors
/// A file that cannot be read.
pub fn read(paths: &Paths) -> Result<Option<i32>, PidFileError> {
    let path = paths.lock();
    let content = match std::fs::read_to_string(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(PidFileError::File { path, source });
        }
    };
    let pid = content.lines().next().and_then(|line| line.trim().parse().ok());
    Ok(pid.filter(|pid| is_held(&path) && is_owned_alike(*pid, &path)))
}

/// Somebody holds the claim. It is asked by trying to share it, which never takes it from anybody.
fn is_held(lock_path: &Path) -> bool {
    File::open(lock_path).is_ok_and(|file| {
        matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
    })
}

/// The process is there, and is of the user whose file names it: root must not be made to signal anybody else's.
fn is_owned_alike(pid: i32, file: &Path) -> bool {
    let owner = |path: &Path| path.metadata().map(|metadata| metadata.uid()).ok();
    pid > 0 && owner(file).is_some() && owner(file) == owner(Path::new(&format!("/proc/{pid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(directory: &Path, runtime: &str) -> Paths {
        Paths {
            config: directory.join("pg_autoctl.cfg"),
            state: directory.join("data/pg_autoctl.state"),
            init: directory.join("data/pg_autoctl.init"),
            pid: directory.join(runtime).join("pg_autoctl.pid"),
        }
    }

    #[test]
    fn one_process_at_a_time_claims_a_node() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = paths(directory.path(), "a");
        // From a shell with another runtime directory, it is the same node.
        let elsewhere = Paths { pid: directory.path().join("b/pg_autoctl.pid"), ..paths.clone() };
        let pgdata = Path::new("/data/pg");
        assert_eq!(read(&paths).expect("read"), None);
        let claim = create(&paths, pgdata).expect("claimed");
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert_eq!(read(&elsewhere).expect("read"), Some(me));
        let error = create(&elsewhere, pgdata).expect_err("claimed already");
        assert!(matches!(error, PidFileError::Running { pid, .. } if pid == me));
        drop(claim);
        assert_eq!(read(&paths).expect("read"), None);
        create(&paths, pgdata).expect("claimed again");
    }

    #[test]
    fn a_file_left_behind_names_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = paths(directory.path(), "run");
        std::fs::create_dir_all(directory.path().join("data")).expect("made");
        // A live process that does not hold the claim.
        std::fs::write(paths.lock(), "1\n/data/pg\n").expect("written");
        assert_eq!(read(&paths).expect("read"), None);
        drop(create(&paths, Path::new("/data/pg")).expect("claimed"));
        std::fs::write(paths.lock(), "garbage").expect("written");
        assert_eq!(read(&paths).expect("read"), None);
    }

    #[test]
    fn a_process_of_somebody_else_is_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = paths(directory.path(), "run");
        let _claim = create(&paths, Path::new("/data/pg")).expect("claimed");
        assert!(read(&paths).expect("read").is_some());
        let file = paths.lock();
        let me = std::process::id().cast_signed();
        assert!(is_owned_alike(me, &file));
        assert!(!is_owned_alike(i32::MAX, &file), "no such process");
        if Path::new("/proc/1").metadata().expect("there").uid() != file.metadata().expect("there").uid() {
            assert!(!is_owned_alike(1, &file));
        }
    }
}
