//! Where the files that belong to a PGDATA are.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Uid, User};

use super::ConfigError;
use crate::files::atomic;

/// The directory beside the state in which Postgres's own configuration survives a new copy of the data.
pub const OWN_FILES_DIRECTORY: &str = "kept";

/// The files of one node, named after its PGDATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration, an INI file.
    pub config: PathBuf,
    /// What the keeper must not forget.
    pub state: PathBuf,
    /// How far an unfinished `create` has come.
    pub init: PathBuf,
    /// The process that runs the node.
    pub pid: PathBuf,
}

impl Paths {
    /// The claim to run the node; beside the state, where everybody finds the same one.
    pub fn lock(&self) -> PathBuf {
        self.state.with_extension("lock")
    }

    /// What a person has assigned to a node without a monitor; beside the state.
    pub fn manual_assignment(&self) -> PathBuf {
        self.state.with_extension("assignment")
    }

    /// What clients of the HTTP server have to show, unless the configuration names another file; beside the configuration.
    pub fn http_secret(&self) -> PathBuf {
        self.config.with_extension("http")
    }

    /// What a monitor has as one of several: certificates, and the log of their elections; beside the state.
    pub fn monitors(&self) -> PathBuf {
        self.state.with_extension("monitors")
    }

    /// Removes all of them but the claim to run the node, and what else is kept beside the state.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_all(&self) -> io::Result<()> {
        let beside = |file: &Path| file.parent().map(Path::to_owned).unwrap_or_default();
        atomic::remove_files_in(&beside(&self.config))?;
        atomic::remove(&self.state)?;
        atomic::remove_tree(&beside(&self.state).join(OWN_FILES_DIRECTORY))?;
        atomic::remove_tree(&self.monitors())?;
        // With the init file, which says what was there before: as long as it is there, another try is safe.
        atomic::remove_files_in(&beside(&self.state))
    }
}

/// The directories of the XDG base directory specification.
#[derive(Clone, Debug)]
struct BaseDirectories {
    config: PathBuf,
    data: PathBuf,
    runtime: PathBuf,
}

impl Paths {
    /// The files for this PGDATA, which need not exist.
    ///
    /// # Errors
    /// Without an absolute path, or a home directory to put them in.
    pub fn of(pgdata: &Path) -> Result<Self, ConfigError> {
        let pgdata = absolute(pgdata)?;
        let owner = responsible_user(&pgdata);
        let directories = BaseDirectories::of_user(owner)?;
        Ok(Self::within(&directories, &pgdata))
    }

    fn within(directories: &BaseDirectories, pgdata: &Path) -> Self {
        let relative: PathBuf =
            pgdata.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let file = |base: &Path, suffix: &str| {
            base.join("pg_autoctl").join(&relative).join(format!("pg_autoctl.{suffix}"))
        };
        Self {
            config: file(&directories.config, "cfg"),
            state: file(&directories.data, "state"),
            init: file(&directories.data, "init"),
            pid: file(&directories.runtime, "pid"),
        }
    }
}

impl BaseDirectories {
    fn of_user(owner: Uid) -> Result<Self, ConfigError> {
        let home = || {
            home_of(owner).ok_or_else(|| {
                ConfigError::NoHome("set HOME, or XDG_CONFIG_HOME and XDG_DATA_HOME".to_owned())
            })
        };
        let config = match variable("XDG_CONFIG_HOME") {
            Some(directory) => directory,
            None => home()?.join(".config"),
        };
        let data = match variable("XDG_DATA_HOME") {
            Some(directory) => directory,
            None => home()?.join(".local/share"),
        };
        let runtime = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| {
            let of_session = PathBuf::from(format!("/run/user/{owner}"));
            if of_session.is_dir() { of_session } else { PathBuf::from(format!("/tmp/pg_autoctl-{owner}")) }
        });
        Ok(Self { config, data, runtime })
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
}

/// Whose files these are: our own, but for root, who looks after the node of the owner of PGDATA.
fn responsible_user(pgdata: &Path) -> Uid {
    let me = Uid::effective();
    if !me.is_root() {
        return me;
    }
    pgdata
        .ancestors()
        .find_map(|path| path.metadata().ok())
        .map_or(me, |metadata| Uid::from_raw(metadata.uid()))
}

fn home_of(owner: Uid) -> Option<PathBuf> {
    let is_mine = owner == Uid::effective();
    is_mine
        .then(|| variable("HOME"))
        .flatten()
        .or_else(|| User::from_uid(owner).ok().flatten().map(|user| user.dir))
}

/// The path with all links followed, as far as it exists.
///
/// # Errors
/// An empty path, or a current directory that is gone.
pub fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    let absolute =
        std::path::absolute(path).map_err(|error| ConfigError::file("cannot find", path, &error))?;
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_pgdata() {
        let directories = BaseDirectories {
            config: PathBuf::from("/home/me/.config"),
            data: PathBuf::from("/home/me/.local/share"),
            runtime: PathBuf::from("/run/user/1000"),
        };
        let paths = Paths::within(&directories, Path::new("/data/pg"));
        let expected = [
            (paths.config, "/home/me/.config/pg_autoctl/data/pg/pg_autoctl.cfg"),
            (paths.state, "/home/me/.local/share/pg_autoctl/data/pg/pg_autoctl.state"),
            (paths.init, "/home/me/.local/share/pg_autoctl/data/pg/pg_autoctl.init"),
            (paths.pid, "/run/user/1000/pg_autoctl/data/pg/pg_autoctl.pid"),
        ];
        for (path, text) in expected {
            assert_eq!(path, Path::new(text));
        }
    }

    #[test]
    fn a_directory_reached_through_a_link_has_the_same_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().join("real");
        std::fs::create_dir(&real).expect("made");
        std::os::unix::fs::symlink(&real, directory.path().join("link")).expect("linked");
        let through = |name: &str| absolute(&directory.path().join(name)).expect("absolute");
        assert_eq!(through("link/pg"), through("real/pg"));
        assert_eq!(through("link"), through("real"));
    }
}
