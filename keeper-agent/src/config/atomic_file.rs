//! Files that are either the old or the new one, never half of it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Replaces `path` by `content`, readable by the owner alone; it is on disk when this returns. Directories on the way
/// are made.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make_directory(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = directory.join(name);
    let written = write_and_sync(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // The error that is told is the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write_and_sync(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a directory, and those it is in, for the owner alone.
///
/// # Errors
/// The system's.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Removes a file that may be gone already.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what is in a directory, and the directory if that can be: not the place where a disk is mounted. Links are
/// removed, what they lead to is not. It may be gone already.
///
/// # Errors
/// The system's.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    remove_entries(directory, |path| std::fs::remove_dir_all(path))
}

/// Removes the files in a directory, and the directory if nothing else is in it.
///
/// # Errors
/// The system's.
pub fn remove_files_in(directory: &Path) -> io::Result<()> {
    remove_entries(directory, |_| Ok(()))
}

fn remove_entries(directory: &Path, remove_subdirectory: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let entries = match directory.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_subdirectory(&entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    // It may be mounted, not be empty, or be in a directory that is not ours.
    if let Err(error) = std::fs::remove_dir(directory) {
        tracing::debug!("\"{}\" stays: {error}", directory.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b/file");
        for content in ["first", "second"] {
            write(&path, content.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
        }
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = std::fs::read_dir(directory.path().join("a/b")).expect("listed");
        assert_eq!(files.count(), 1);
        remove(&path).expect("removed");
        remove(&path).expect("gone already");
    }
}
