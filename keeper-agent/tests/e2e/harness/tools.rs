//! The programs under test: a private tree of the Postgres installation in which one build of the extension and of
//! `pg_autoctl` is found, so that nothing has to be installed and two builds of the same names never meet.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

use super::citus::Citus;
use super::cluster::Setup;
use super::peer;
use super::process::run;
use super::standin;
use super::sweep::run_directory;

/// What both builds call their extension.
const EXTENSION: &str = "pgautofailover";
/// The library of this build.
pub(crate) const LIBRARY: &str = "pgautofailover3.so";
/// That of 2.x.
pub(crate) const OLD_LIBRARY: &str = "pgautofailover.so";

/// One build: which programs a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// The directory with `postgres`, `psql` and `pg_autoctl`.
    pub(crate) bin: PathBuf,
    /// `pg_autoctl` finds the socket of the local Postgres only with the help of PGHOST.
    pub(crate) needs_pghost: bool,
}

/// Where a build's files are.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) autoctl: PathBuf,
    pub(crate) library: PathBuf,
    /// What it is called where it is installed.
    pub(crate) library_name: &'static str,
    pub(crate) extension_files: Vec<PathBuf>,
}

impl Tools {
    /// The build of this repository: the binary cargo built for this test, and the extension beside it; or those that
    /// `PGAF_AUTOCTL` and `PGAF_EXTENSION_LIBRARY` name.
    pub(crate) fn ours() -> Result<Self> {
        static TREE: OnceLock<Result<Tools, String>> = OnceLock::new();
        once(&TREE, || Self::assemble("ours", &Build::ours()?, false, Citus::Installed))
    }

    /// The same, with the stand-in for Citus if that is what a cluster gets.
    pub(crate) fn ours_for(setup: &Setup) -> Result<Self> {
        static TREE: OnceLock<Result<Tools, String>> = OnceLock::new();
        if setup.formation.is_none() || Citus::here() == Citus::Installed {
            return Self::ours();
        }
        once(&TREE, || Self::assemble("standin", &Build::ours()?, false, Citus::Standin))
    }

    /// Debian's pg_auto_failover, unpacked but not installed.
    pub(crate) fn peer() -> Result<Self> {
        static TREE: OnceLock<Result<Tools, String>> = OnceLock::new();
        once(&TREE, || Self::assemble("peer", &peer::once()?, true, Citus::Installed))
    }

    /// The same in a tree of its own, into which this build can be installed as its packages would be.
    pub(crate) fn older(name: &str) -> Result<Self> {
        Self::assemble(&format!("older-{name}"), &peer::once()?, true, Citus::here())
    }

    /// The other way round, as installing the packages of 2.x in the place of ours does it.
    pub(crate) fn install_older(&self) -> Result<()> {
        let libraries = self.in_tree(&Installed::find()?.lib)?;
        let extensions = self.extension_directory()?;
        for directory in [&libraries, &extensions] {
            for entry in fs::read_dir(directory)? {
                let path = entry?.path();
                if is_of_extension(&path) {
                    fs::remove_file(&path)?;
                }
            }
        }
        peer::once()?.place(&self.bin, &libraries, &extensions)
    }

    /// Replaces the files of 2.x by those of this build; nothing is restarted.
    pub(crate) fn install_ours(&self) -> Result<()> {
        let libraries = self.in_tree(&Installed::find()?.lib)?;
        let extensions = self.extension_directory()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/beside-2");
        let beside = |when: &str| run(Command::new(&script).arg(when).arg(&extensions).arg(&libraries));
        beside("before")?;
        Build::ours()?.place(&self.bin, &libraries, &extensions)?;
        beside("after")
    }

    /// Where its servers find the scripts of extensions.
    pub(crate) fn extension_directory(&self) -> Result<PathBuf> {
        self.in_tree(&Installed::find()?.share.join("extension"))
    }

    fn in_tree(&self, path: &Path) -> Result<PathBuf> {
        let root = self.bin.ancestors().find(|path| path.file_name().is_some_and(is_tree));
        let root = root.with_context(|| format!("{} is not in a tree of programs", self.bin.display()))?;
        Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// The version of `pg_autoctl`.
    pub(crate) fn version(&self) -> Result<String> {
        let output = Command::new(self.bin.join("pg_autoctl")).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        Ok(text.split_whitespace().find(version).unwrap_or("of unknown version").to_owned())
    }

    fn assemble(name: &str, build: &Build, needs_pghost: bool, citus: Citus) -> Result<Self> {
        let root = run_directory().join(format!("tools-{name}"));
        let installed = Installed::find()?;
        let tree = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let bin = tree(&installed.bin);
        // A program finds its libraries and its share directory beside the file it was started from, symbolic links
        // resolved: programs are copied, all the rest is linked.
        copy_all(&installed.bin, &bin)?;
        link_all(&installed.lib, &tree(&installed.lib))?;
        link_all(&installed.share, &tree(&installed.share))?;
        let extensions = tree(&installed.share).join("extension");
        fs::remove_file(&extensions)?;
        link_all(&installed.share.join("extension"), &extensions)?;
        if citus == Citus::Standin {
            standin::replace_citus(&tree(&installed.lib), &extensions)?;
        }

        build.place(&bin, &tree(&installed.lib), &extensions)?;
        Ok(Self { bin, needs_pghost })
    }
}

impl Build {
    /// Puts its files where programs, libraries and extensions are.
    fn place(&self, bin: &Path, libraries: &Path, extensions: &Path) -> Result<()> {
        place(&self.autoctl, &bin.join("pg_autoctl"))?;
        place(&self.library, &libraries.join(self.library_name))?;
        if self.library_name != OLD_LIBRARY {
            let link = libraries.join(OLD_LIBRARY);
            let _absent = fs::remove_file(&link);
            symlink(self.library_name, &link)?;
        }
        for file in &self.extension_files {
            place(file, &extensions.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    /// What cargo has built.
    pub(crate) fn ours() -> Result<Self> {
        let built = env!("CARGO_BIN_EXE_pg_autoctl");
        let autoctl = PathBuf::from(std::env::var_os("PGAF_AUTOCTL").unwrap_or_else(|| built.into()));
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let library = match std::env::var_os("PGAF_EXTENSION_LIBRARY") {
            Some(path) => PathBuf::from(path),
            None => autoctl
                .with_file_name(format!("pg{}", Installed::find()?.major))
                .join(format!("lib{EXTENSION}.so")),
        };
        ensure!(
            library.exists(),
            "the extension is not built: {} is missing; run `make build-extension`, or set PGAF_EXTENSION_LIBRARY",
            library.display()
        );
        let mut extension_files = vec![repository.join(format!("pgaf-extension/{EXTENSION}.control"))];
        for entry in fs::read_dir(repository.join("sql"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                extension_files.push(path);
            }
        }
        Ok(Self { autoctl, library, library_name: LIBRARY, extension_files })
    }
}

fn once(cell: &OnceLock<Result<Tools, String>>, make: impl FnOnce() -> Result<Tools>) -> Result<Tools> {
    cell.get_or_init(|| make().map_err(|error| format!("{error:#}"))).clone().map_err(|error| anyhow!(error))
}

/// The Postgres that is tested with.
pub(crate) struct Installed {
    /// Its major version.
    pub(crate) major: u32,
    /// Its programs.
    pub(crate) bin: PathBuf,
    /// Libraries of extensions.
    pub(crate) lib: PathBuf,
    /// The directory with `extension`.
    pub(crate) share: PathBuf,
}

impl Installed {
    /// What `PG_CONFIG`, or Debian's Postgres 15, says.
    pub(crate) fn find() -> Result<Self> {
        let asked = std::env::var("PG_CONFIG");
        let default = "/usr/lib/postgresql/15/bin/pg_config".to_owned();
        let pg_config = asked.unwrap_or(default);
        let ask = |what: &str| -> Result<String> {
            let output = Command::new(&pg_config)
                .arg(what)
                .output()
                .with_context(|| format!("cannot run {pg_config}; is Postgres 15 installed?"))?;
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        // "PostgreSQL 15.18 (Debian 15.18-0+deb12u1)"
        let version = ask("--version")?;
        let major = version.split([' ', '.']).nth(1).and_then(|number| number.parse().ok());
        Ok(Self {
            major: major.with_context(|| format!("{pg_config} has an unknown version: {version}"))?,
            bin: ask("--bindir")?.into(),
            lib: ask("--pkglibdir")?.into(),
            share: ask("--sharedir")?.into(),
        })
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_file() && !is_of_extension(&path) {
            fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}

fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if !is_of_extension(&path) {
            symlink(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn is_of_extension(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "pg_autoctl" || name.starts_with(EXTENSION)
}

/// Copies a file; one that is there, and may be in use, is replaced at once.
fn place(file: &Path, target: &Path) -> Result<()> {
    let aside = target.with_extension("new");
    fs::copy(file, &aside)
        .and_then(|_bytes| fs::rename(&aside, target))
        .with_context(|| format!("copying {} to {}", file.display(), target.display()))
}

fn is_tree(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("tools-")
}

/// Why no cluster of namespaces can be made on this machine, if so.
pub(crate) fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root: network namespaces cannot be made".to_owned());
    }
    if !matches!(nix::unistd::User::from_name("postgres"), Ok(Some(_))) {
        return Some("there is no user postgres to run servers as".to_owned());
    }
    for program in ["ip", "iptables", "setpriv"] {
        if let Err(error) = Command::new(program).arg("--version").output() {
            return Some(format!("{program} cannot be run: {error}"));
        }
    }
    let name = format!("{}{}-probe", super::network::NAME_PREFIX, std::process::id());
    let made = Command::new("ip").args(["netns", "add", &name]).output();
    if made.is_ok_and(|output| output.status.success()) {
        super::network::delete_namespace(&name);
        None
    } else {
        Some("network namespaces cannot be made here (CAP_NET_ADMIN and CAP_SYS_ADMIN are needed)".to_owned())
    }
}
