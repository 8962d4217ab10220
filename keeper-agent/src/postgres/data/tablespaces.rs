//! Tablespaces outside of PGDATA, in a copy: each stays where it is on this node, and is emptied and filled in place.
//!
//! Like PGDATA, one is copied into a directory within it and moved up when the whole copy is complete. Only what is
//! known to be this node's own is ever removed: where its tablespaces are is written down before the copy begins.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::postgres::server::{InstanceConfig, PostgresError, files};

use super::assemble::{self, COPY};

/// Where they are, by the number that Postgres gives each.
pub(crate) type Tablespaces = BTreeMap<u32, PathBuf>;

/// Those that this data directory has outside of itself.
pub(crate) fn linked_from(pgdata: &Path) -> Tablespaces {
    let Ok(links) = fs::read_dir(pgdata.join("pg_tblspc")) else {
        return Tablespaces::new();
    };
    links
        .filter_map(|entry| {
            let link = entry.ok()?.path();
            let oid = link.file_name()?.to_str()?.parse().ok()?;
            fs::read_link(&link).ok().filter(|target| target.is_absolute()).map(|target| (oid, target))
        })
        .collect()
}

/// Where those of the source go: where this node has them, or where the source has them, if nothing is in the way.
///
/// # Errors
/// A directory has data of Postgres in it that is not known to be this node's.
pub(crate) fn place(own: &Tablespaces, source: &Tablespaces) -> Result<Tablespaces, PostgresError> {
    let mut placed = Tablespaces::new();
    for (oid, location) in source {
        if let Some(path) = own.get(oid) {
            placed.insert(*oid, path.clone());
            continue;
        }
        if !versions_in(location).is_empty() {
            return Err(PostgresError::Refused(format!(
                "a tablespace of the source has to go to \"{}\", where there is one already: move that away if it is \
                 not needed",
                location.display()
            )));
        }
        placed.insert(*oid, location.clone());
    }
    Ok(placed)
}

/// The arguments that make pg_basebackup copy each into a directory within its own.
pub(crate) fn mappings(source: &Tablespaces, placed: &Tablespaces) -> Vec<String> {
    let escape = |path: &Path| path.display().to_string().replace('=', "\\=");
    source
        .iter()
        .filter_map(|(oid, location)| {
            let copy = placed.get(oid)?.join(COPY);
            Some(format!("--tablespace-mapping={}={}", escape(location), escape(&copy)))
        })
        .collect()
}

/// Removes the data in them, and what an unfinished copy has left; what is not of Postgres stays.
pub(crate) fn clean(tablespaces: &Tablespaces) -> Result<(), PostgresError> {
    for path in tablespaces.values() {
        assemble::remove(&path.join(COPY))?;
        for version in versions_in(path) {
            assemble::remove(&version)?;
        }
    }
    Ok(())
}

/// In a tablespace, each major version has a directory of its own.
fn versions_in(path: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(path).into_iter().flatten();
    found
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("PG_")))
        .collect()
}

/// Moves the copies up, and the links of the copied data directory with them.
pub(crate) fn put_in_place(config: &InstanceConfig, placed: &Tablespaces) -> Result<(), PostgresError> {
    let links = assemble::copy_directory(&config.pgdata).join("pg_tblspc");
    for (oid, path) in placed {
        let copy = path.join(COPY);
        for version in versions_in(&copy) {
            let target = version.file_name().map(|name| path.join(name)).unwrap_or_default();
            fs::rename(&version, &target).map_err(PostgresError::file("move", &version))?;
        }
        assemble::remove(&copy)?;
        files::sync_directory(path)?;
        let link = links.join(oid.to_string());
        files::remove_if_there(&link)?;
        symlink(path, &link).map_err(PostgresError::file("create", &link))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spaces(entries: &[(u32, &Path)]) -> Tablespaces {
        entries.iter().map(|(oid, path)| (*oid, (*path).to_owned())).collect()
    }

    #[test]
    fn each_stays_where_this_node_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (here, there) = (directory.path().join("here"), directory.path().join("th=ere"));
        let other = directory.path().join("other");
        fs::create_dir_all(other.join("PG_15_1")).expect("created");
        let source = spaces(&[(1, &there)]);
        let placed = place(&spaces(&[(1, &here)]), &source).expect("placed");
        assert_eq!(placed, spaces(&[(1, &here)]));
        let arguments = mappings(&source, &placed);
        let expected = format!(
            "--tablespace-mapping={}={}",
            there.display().to_string().replace('=', "\\="),
            here.join(COPY).display()
        );
        assert_eq!(arguments, [expected]);
        assert_eq!(place(&Tablespaces::new(), &source).expect("free"), source);
        let refused = place(&Tablespaces::new(), &spaces(&[(1, &other)]));
        assert!(refused.is_err(), "what is there may be another node's");
        assert!(other.join("PG_15_1").exists());
    }

    #[test]
    fn what_is_not_of_postgres_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        for name in ["PG_15_1", "lost+found", "pg_autoctl.copy/PG_15_1"] {
            fs::create_dir_all(path.join(name)).expect("created");
        }
        clean(&spaces(&[(1, path)])).expect("cleaned");
        let left: Vec<_> =
            fs::read_dir(path).expect("listed").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["lost+found"]);
    }
}
