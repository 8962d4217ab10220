//! What must be right on this machine before a node is made or run; nothing is changed here.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use super::error::{CliError, CliResult};
use crate::client::{self, ConnectionString};
use crate::config::init_file::PgdataContent;
use crate::exit::Exit;
use crate::own_address;
use crate::user;

/// Postgres refuses to run as root, and so do we.
pub(super) fn not_root(action: &str) -> CliResult {
    if Uid::effective().is_root() {
        return Err(CliError::new(
            Exit::BadArgs,
            format!(
                "cannot {action} as root, as Postgres does not run as root: use the user that owns the data, as in \"sudo -u postgres pg_autoctl …\""
            ),
        ));
    }
    Ok(())
}

/// Programs of Postgres ask for the name of the user they run as, and initdb ends without one.
pub(super) fn user_has_name() -> CliResult {
    if user::name().is_some() {
        return Ok(());
    }
    Err(CliError::new(
        Exit::BadArgs,
        format!(
            "the user with the id {} has no name, which Postgres needs: add the user to /etc/passwd, or name the user with libnss_wrapper (LD_PRELOAD, NSS_WRAPPER_PASSWD and NSS_WRAPPER_GROUP)",
            Uid::effective()
        ),
    ))
}

/// What is in PGDATA, which must be ours to use.
pub(super) fn inspect_pgdata(pgdata: &Path) -> CliResult<PgdataContent> {
    let refuse = |why: String| Err(CliError::new(Exit::BadConfig, why));
    let shown = pgdata.display();
    let existing = pgdata.ancestors().find_map(|path| Some((path, path.metadata().ok()?)));
    let Some((path, metadata)) = existing else {
        return refuse(format!("\"{shown}\" is no path that can be made"));
    };
    if !metadata.is_dir() {
        return refuse(format!("\"{}\" is not a directory: choose another --pgdata", path.display()));
    }
    if path != pgdata {
        if nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_err() {
            return refuse(format!(
                "cannot make \"{shown}\", \"{}\" does not let us: make the directory and give it to user \"{}\"",
                path.display(),
                user_name(Uid::effective())
            ));
        }
        return Ok(PgdataContent::Empty);
    }
    let owner = Uid::from_raw(metadata.uid());
    if owner != Uid::effective() {
        return refuse(format!(
            "\"{shown}\" belongs to user \"{}\" and we run as \"{}\": run pg_autoctl as the owner, or choose another --pgdata",
            user_name(owner),
            user_name(Uid::effective())
        ));
    }
    let mut entries = pgdata
        .read_dir()
        .map_err(|error| CliError::new(Exit::BadConfig, format!("cannot look into \"{shown}\": {error}")))?;
    if pgdata.join("PG_VERSION").is_file() {
        return Ok(PgdataContent::Cluster);
    }
    let is_empty = !entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found"));
    if !is_empty {
        return refuse(format!(
            "\"{shown}\" has files in it that are no Postgres cluster: empty it, or choose another --pgdata"
        ));
    }
    Ok(PgdataContent::Empty)
}

fn user_name(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

/// Nobody listens on this port.
pub(super) fn port_is_free(port: u16) -> CliResult {
    // Both ends of what Postgres would bind to.
    for address in [IpAddr::from([0, 0, 0, 0]), IpAddr::from([0_u16; 8])] {
        match TcpListener::bind((address, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(CliError::new(
                    Exit::BadConfig,
                    format!(
                        "port {port} is in use on this machine: choose another with --pgport, or stop what uses it"
                    ),
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(CliError::new(
                    Exit::BadConfig,
                    format!("port {port} is not for ordinary users: choose one above 1023 with --pgport"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The pg_ctl to use: the given one, that of PG_CONFIG, the first in PATH, or the newest in Debian's directories.
pub(super) fn find_pg_ctl(given: Option<&Path>) -> CliResult<PathBuf> {
    if let Some(given) = given {
        let given = std::path::absolute(given).unwrap_or_else(|_| given.to_owned());
        return if given.is_file() {
            Ok(given)
        } else {
            Err(CliError::bad_arguments(format!(
                "there is no pg_ctl at \"{}\": --pgctl is the path of the program",
                given.display()
            )))
        };
    }
    if let Some(config) = std::env::var_os("PG_CONFIG").filter(|path| !path.is_empty()) {
        return pg_ctl_of(Path::new(&config));
    }
    let in_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|directory| directory.join("pg_ctl")).find(|file| file.is_file())
    });
    in_path.map(beside_postgres).or_else(newest_of_debian).ok_or_else(|| {
        CliError::new(
            Exit::BadConfig,
            "pg_ctl is not in PATH: install the Postgres server, or give --pgctl with the path of its pg_ctl",
        )
    })
}

/// A link leads to where the other programs are.
fn beside_postgres(pg_ctl: PathBuf) -> PathBuf {
    if pg_ctl.with_file_name("postgres").is_file() {
        return pg_ctl;
    }
    pg_ctl.canonicalize().unwrap_or(pg_ctl)
}

fn pg_ctl_of(pg_config: &Path) -> CliResult<PathBuf> {
    let failed = |why: String| {
        CliError::new(
            Exit::BadConfig,
            format!("PG_CONFIG is \"{}\", and running it failed: {why}", pg_config.display()),
        )
    };
    let output =
        Command::new(pg_config).arg("--bindir").output().map_err(|error| failed(error.to_string()))?;
    let pg_ctl = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("pg_ctl");
    if output.status.success() && pg_ctl.is_file() {
        Ok(pg_ctl)
    } else {
        Err(failed(format!("there is no \"{}\"", pg_ctl.display())))
    }
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let pg_ctl = entry.path().join("bin/pg_ctl");
            pg_ctl.is_file().then_some((version, pg_ctl))
        })
        .max()
        .map(|(_, pg_ctl)| pg_ctl)
}

/// The address that is given for this machine, which must resolve.
pub(super) fn given_hostname(given: &str) -> CliResult<String> {
    if client::is_taken_for_an_address(given) {
        return Err(CliError::new(
            Exit::BadConfig,
            format!(
                "the hostname \"{given}\" is taken for an address of the old form: give --hostname with the full name, as in \"{given}.example.org\", or an address"
            ),
        ));
    }
    match resolve(given) {
        Ok(_) => Ok(given.to_owned()),
        Err(error) => Err(CliError::new(
            Exit::BadConfig,
            format!(
                "the hostname \"{given}\" does not resolve ({error}): give --hostname with a name or an address that other nodes can reach"
            ),
        )),
    }
}

/// The address under which the other nodes reach this machine, found by the way to the monitor.
pub(super) async fn found_hostname(monitor: Option<&ConnectionString>) -> CliResult<String> {
    own_address::hostname(monitor).await.ok_or_else(|| {
        CliError::new(
            Exit::BadConfig,
            "could not detect the address of this machine: give --hostname with a name or an address that other nodes can reach",
        )
    })
}

/// The name of an address, as the system's name service has it.
pub(super) fn name_of(address: IpAddr) -> Option<String> {
    let output = std::process::Command::new("getent").args(["hosts", &address.to_string()]).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

pub(super) fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = (name, 0).to_socket_addrs()?;
    Ok(addresses.map(|address| address.ip()).collect())
}

/// TLS files must be there and readable before anything is made that needs them.
pub(super) fn readable_file(what: &str, file: &Path) -> CliResult<PathBuf> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    std::fs::File::open(&absolute).map(|_| absolute).map_err(|error| {
        CliError::bad_arguments(format!("cannot read {what} \"{}\": {error}", file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_pgdata_is_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let pgdata = directory.path().join("a/b");
        assert_eq!(inspect_pgdata(&pgdata).expect("can be made"), PgdataContent::Empty);
        std::fs::create_dir_all(&pgdata).expect("made");
        assert_eq!(inspect_pgdata(&pgdata).expect("empty"), PgdataContent::Empty);
        std::fs::write(pgdata.join("x"), "").expect("written");
        let error = inspect_pgdata(&pgdata).expect_err("somebody's files");
        assert!(error.message.contains("no Postgres cluster"), "{error}");
        std::fs::write(pgdata.join("PG_VERSION"), "15\n").expect("written");
        assert_eq!(inspect_pgdata(&pgdata).expect("a cluster"), PgdataContent::Cluster);
        let error = inspect_pgdata(&pgdata.join("x")).expect_err("a file");
        assert!(error.message.contains("not a directory"), "{error}");
    }

    #[test]
    fn a_link_to_pg_ctl_is_followed_to_the_other_programs() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("a real path");
        let (real, link) = (root.join("bin/pg_ctl"), root.join("pg_ctl"));
        std::fs::create_dir(root.join("bin")).expect("made");
        for program in ["pg_ctl", "postgres"] {
            std::fs::write(root.join("bin").join(program), "").expect("written");
        }
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert_eq!(beside_postgres(link.clone()), real);
        assert_eq!(beside_postgres(real.clone()), real);
        std::os::unix::fs::symlink(root.join("bin/postgres"), root.join("postgres")).expect("linked");
        assert_eq!(beside_postgres(link.clone()), link, "as others link all of them");
    }

    #[test]
    fn a_port_in_use_is_noticed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert!(port_is_free(port).expect_err("in use").message.contains("--pgport"));
        drop(listener);
        port_is_free(port).expect("free");
    }

    #[test]
    fn a_hostname_must_resolve() {
        assert_eq!(given_hostname("127.0.0.1").expect("an address"), "127.0.0.1");
        let error = given_hostname("no-such-host.invalid").expect_err("unknown");
        assert!(error.message.contains("does not resolve"), "{error}");
    }
}
