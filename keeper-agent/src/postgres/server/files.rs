//! The files of a server: who reads and writes them off the loop, and how. Everything but [`Files`] blocks, and is called
//! in the work that it is given.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::error::PostgresError;
use crate::files::{FileWorker, atomic};

/// What a step does to files may take this long; then the step has failed.
const STEP_DEADLINE: Duration = Duration::from_secs(30);
/// A look reads a few small files: a disk that takes longer counts as hung.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Who works on the files of one server. Steps and looks do not wait for each other; of each there is one at a time, so
/// that every file has one writer, and a disk that hangs holds two threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    steps: FileWorker,
    looks: FileWorker,
}

impl Files {
    /// Does the file work of a step, after that which was asked for before.
    ///
    /// # Errors
    /// Those of `work`; `TimedOut` when it does not end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
    ) -> Result<T, PostgresError> {
        run(&self.steps, what, STEP_DEADLINE, work).await
    }

    /// Reads what a look, or a session, needs to know; changes nothing.
    ///
    /// # Errors
    /// Those of `read`; `TimedOut` when the disk hangs.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
    ) -> Result<T, PostgresError> {
        run(&self.looks, what, LOOK_DEADLINE, read).await
    }
}

async fn run<T: Send + 'static>(
    worker: &FileWorker,
    what: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
) -> Result<T, PostgresError> {
    let late = |_| PostgresError::TimedOut { what: what.to_owned(), after: deadline };
    worker.run(deadline, work).await.map_err(late)?
}

/// Replaces the content of a file so that after a crash it is either the old or the new. An existing file keeps its
/// mode; a symbolic link stays one. Nothing is written when the content is the same already.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), PostgresError> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    atomic::replace(path, content, mode).map_err(PostgresError::file("write", path))
}

/// Reads a text file; `None` when it is not there.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, PostgresError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PostgresError::file("read", path)(error)),
    }
}

/// Removes a file or a symbolic link; one that is not there is removed already.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), PostgresError> {
    atomic::remove(path).map_err(PostgresError::file("remove", path))
}

/// Makes the entries of a directory survive a crash.
pub(crate) fn sync_directory(path: &Path) -> Result<(), PostgresError> {
    atomic::sync_directory(path).map_err(PostgresError::file("sync", path))
}

/// Makes the directory, for its owner only, where it is missing.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), PostgresError> {
    atomic::make_directory(path).map_err(PostgresError::file("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("none");
        assert_eq!(read_if_there(&path).expect("read"), None);
        remove_if_there(&path).expect("removed");
    }
}
