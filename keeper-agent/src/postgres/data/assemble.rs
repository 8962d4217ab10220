//! A new data directory is made aside, in a directory within the old one, and moved up when it is complete: what is in
//! PGDATA before that is no cluster to anybody. That needs no second disk and no space for two copies.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::postgres::server::{InstanceConfig, PostgresError, files};

use super::marker::MARKER;

/// Where the new one is made.
pub(crate) const COPY: &str = "pg_autoctl.copy";

/// Where Postgres writes its log: the directory is its default, the file is ours.
pub(crate) const LOGS: [&str; 2] = ["log", "startup.log"];

/// The directory, within PGDATA, in which a new one is made.
pub(crate) fn copy_directory(pgdata: &Path) -> PathBuf {
    pgdata.join(COPY)
}

/// Makes an empty data directory where there is none; one that is there becomes its owner's only, as Postgres wants.
pub(crate) fn make_data_directory(pgdata: &Path) -> Result<(), PostgresError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(pgdata)
        .map_err(PostgresError::file("create", pgdata))?;
    fs::set_permissions(pgdata, fs::Permissions::from_mode(0o700))
        .map_err(PostgresError::file("change the mode of", pgdata))
}

/// Nothing is in there, but what file systems put into their root.
pub(crate) fn is_empty(pgdata: &Path) -> Result<bool, PostgresError> {
    Ok(entries(pgdata)?.iter().all(|path| path.ends_with("lost+found")))
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    fs::read_dir(directory)
        .and_then(|found| found.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(PostgresError::file("list", directory))
}

/// Where pg_wal really is, when it is a symbolic link.
pub(crate) fn wal_directory(pgdata: &Path) -> Option<PathBuf> {
    let target = fs::read_link(pgdata.join("pg_wal")).ok()?;
    Some(pgdata.join(target))
}

/// Removes what is in the data directory, and in a WAL directory elsewhere. The mark stays, the link to that WAL
/// directory, and what the server has logged.
pub(crate) fn clean(config: &InstanceConfig) -> Result<(), PostgresError> {
    let pgdata = &config.pgdata;
    if let Some(wal) = wal_directory(pgdata).filter(|wal| wal.is_dir()) {
        for path in entries(&wal)? {
            remove(&path)?;
        }
    }
    for path in entries(pgdata)? {
        let is_link_to_wal = path.ends_with("pg_wal") && path.is_symlink();
        let is_kept = [MARKER, "lost+found"].iter().chain(&LOGS).any(|name| path.ends_with(name));
        if !is_kept && !is_link_to_wal {
            remove(&path)?;
        }
    }
    files::sync_directory(pgdata)
}

/// Removes a file or a directory with all in it.
pub(crate) fn remove(path: &Path) -> Result<(), PostgresError> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PostgresError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Moves the finished copy up. The control file comes last: without it nothing starts.
pub(crate) fn put_in_place(pgdata: &Path) -> Result<(), PostgresError> {
    let copy = copy_directory(pgdata);
    let mut found = entries(&copy)?;
    found.sort_by_key(|path| path.ends_with("global"));
    for path in found {
        let Some(name) = path.file_name() else {
            continue;
        };
        let target = pgdata.join(name);
        // The source's log is not this node's.
        if LOGS.iter().any(|log| name == *log) {
            continue;
        }
        fs::rename(&path, &target).map_err(PostgresError::file("move", &path))?;
    }
    remove(&copy)?;
    files::sync_directory(pgdata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing::config;

    #[test]
    fn what_is_cleaned_is_everything_but_the_mark_and_the_logs() {
        let directory = tempfile::tempdir().expect("a directory");
        let pgdata = directory.path().join("data");
        let wal = directory.path().join("wal");
        for path in [&pgdata.join("base/1"), &pgdata.join("log"), &wal.join("archive_status")] {
            fs::create_dir_all(path).expect("created");
        }
        for path in [pgdata.join(MARKER), pgdata.join("base/1/2"), wal.join("000000010000000000000001")] {
            fs::write(path, "x").expect("written");
        }
        std::os::unix::fs::symlink(&wal, pgdata.join("pg_wal")).expect("linked");
        clean(&config(&pgdata)).expect("cleaned");
        let names = |path: &Path| -> Vec<String> {
            let mut names: Vec<String> = entries(path)
                .expect("listed")
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&pgdata), ["log", MARKER, "pg_wal"]);
        assert_eq!(names(&wal), Vec::<String>::new());
    }
}
