//! Files that are either the old or the new one, never half of it.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Of what is written aside; a file that a crash has left there can be told by it.
const ASIDE_SUFFIX: &str = ".pg_autoctl.tmp";

/// Replaces `path` by `content`; it is on disk when this returns. A new file gets this mode, one that is there keeps its
/// own. A symbolic link stays one: what it leads to is replaced.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&target).map_or(mode, |metadata| metadata.permissions().mode() & 0o7777);
    write_aside(&target, content, mode)
}

/// Replaces `path` by `content`, readable by the owner alone; it is on disk when this returns. Directories on the way
/// are made.
///
/// # Errors
/// The system's; the old file is then still there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    make_directory(directory_of(path))?;
    write_aside(path, content, 0o600)
}

/// Writes beside the file, under a name of its own: two at once disturb nobody.
fn write_aside(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = directory_of(path);
    let mut aside = tempfile::Builder::new()
        .prefix(path.file_name().unwrap_or_default())
        .suffix(ASIDE_SUFFIX)
        .tempfile_in(directory)?;
    aside.write_all(content)?;
    aside.as_file().set_permissions(Permissions::from_mode(mode))?;
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Makes the entries of a directory survive a crash.
///
/// # Errors
/// The system's.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory, and those it is in, for the owner alone.
///
/// # Errors
/// The system's.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Removes a file that may be gone already; it stays away after a crash.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
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
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("there").permissions().mode() & 0o7777
    }

    fn files_in(directory: &Path) -> usize {
        std::fs::read_dir(directory).expect("listed").count()
    }

    #[test]
    fn a_file_is_written_and_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b/file");
        for content in ["first", "second"] {
            write(&path, content.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
        }
        assert_eq!(mode(&path), 0o600);
        assert_eq!(files_in(&directory.path().join("a/b")), 1);
        remove(&path).expect("removed");
        remove(&path).expect("gone already");
    }

    #[test]
    fn a_file_that_is_replaced_keeps_mode_and_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        replace(&real, b"one", 0o640).expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        replace(&link, b"two", 0o600).expect("replaced");
        assert_eq!(std::fs::read(&real).expect("read"), b"two");
        assert_eq!(mode(&real), 0o640);
        assert!(link.symlink_metadata().expect("metadata").is_symlink());
        assert_eq!(files_in(directory.path()), 2, "nothing is left aside");
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_leaves_nothing_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("taken");
        std::fs::create_dir_all(path.join("inside")).expect("made");
        write(&path, b"x").expect_err("a directory is there");
        assert_eq!(files_in(directory.path()), 1);
    }
}
