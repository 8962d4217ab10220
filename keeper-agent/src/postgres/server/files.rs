//! Files that survive a crash: written aside, synced, renamed. All of this blocks: call it through `blocking`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::PostgresError;

/// How long a file system may take before it counts as hung.
pub(crate) const FILE_DEADLINE: Duration = Duration::from_secs(30);

/// Runs file work on a thread of its own, so that a hung file system does not hang the keeper.
///
/// # Errors
/// Those of `work`; `TimedOut` when it does not end.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, PostgresError> + Send + 'static,
) -> Result<T, PostgresError> {
    match tokio::time::timeout(FILE_DEADLINE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(PostgresError::Refused(format!("{what} failed: {panic}"))),
        Err(_) => Err(PostgresError::TimedOut { what: what.to_owned(), after: FILE_DEADLINE }),
    }
}

/// How many files were written aside so far.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Replaces the content of a file so that after a crash it is either the old or the new. An existing file keeps its
/// mode; a symbolic link stays one. Nothing is written when the content is the same already.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), PostgresError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::read(&target).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let mode = fs::metadata(&target).map_or(mode, |metadata| metadata.mode() & 0o7777);
    let mut aside = target.clone().into_os_string();
    // A write that was given up may still go on beside the next one.
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    aside.push(format!(".pg_autoctl.{}.{number}.tmp", std::process::id()));
    let aside = Path::new(&aside);
    let written = write_new(aside, content, mode).and_then(|()| {
        fs::rename(aside, &target).map_err(PostgresError::file("replace", &target))?;
        sync_parent(&target)
    });
    if written.is_err() {
        // A half-written file beside the good one; nothing reads it.
        drop(fs::remove_file(aside));
    }
    written
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), PostgresError> {
    remove_if_there(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(PostgresError::file("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(PostgresError::file("write", path))
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
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PostgresError::file("remove", path)(error)),
    }
}

/// Makes the entries of a file's directory survive a crash.
pub(crate) fn sync_parent(path: &Path) -> Result<(), PostgresError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    sync_directory(parent)
}

/// Makes the entries of a directory survive a crash.
pub(crate) fn sync_directory(path: &Path) -> Result<(), PostgresError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(PostgresError::file("sync", path))
}

/// Makes the directory, for its owner only, where it is missing.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), PostgresError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(PostgresError::file("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_mode_and_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().join("real");
        let link = directory.path().join("link");
        replace(&real, b"one", 0o640).expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        replace(&link, b"two", 0o600).expect("replaced");
        assert_eq!(fs::read(&real).expect("read"), b"two");
        assert_eq!(fs::metadata(&real).expect("metadata").mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("metadata").is_symlink());
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 2, "nothing is left aside");
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("none");
        assert_eq!(read_if_there(&path).expect("read"), None);
        remove_if_there(&path).expect("removed");
    }
}
