//! Where somebody's cluster has its configuration, and how it gets into the data directory, where all of ours is.
//!
//! Debian keeps it in `/etc/postgresql/VERSION/CLUSTER`, and starts the cluster with the system. Others name a file with
//! `-c config_file`, or pg_hba.conf with `hba_file`. The files are moved, links to them are left behind, settings that
//! point elsewhere are commented out, and the system no longer starts the cluster. Everything can be repeated.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::postgres::configuration::written;
use crate::postgres::configuration::{SETTINGS_FILE, STANDBY_FILE};
use crate::postgres::server::{
    Limit, LocalServer, LocalSession, PostgresError, Program, connection, connection::PidFile, files,
};

/// How long the server's program may take to say what is configured.
const ASK_DEADLINE: Duration = Duration::from_secs(10);
/// Where Debian has the configuration of its clusters, unless `PG_CLUSTER_CONF_ROOT` says otherwise.
const DEBIAN_ROOT: &str = "/etc/postgresql";
const MAIN_FILE: &str = "postgresql.conf";
/// They would lead the server, or those who look for it, away from the data directory.
const POINTS_ELSEWHERE: [&str; 5] =
    ["config_file", "data_directory", "external_pid_file", "hba_file", "ident_file"];

/// A cluster as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// A server runs.
    pub is_running: bool,
    /// The port it listens on, or would.
    pub port: u16,
    /// The addresses it listens on, or would.
    pub listen_addresses: String,
    /// The directory of its postgresql.conf.
    pub configuration: PathBuf,
    hba_file: PathBuf,
    ident_file: PathBuf,
}

impl Layout {
    /// The configuration is where we have it.
    pub fn is_ours(&self, pgdata: &Path) -> bool {
        self.moves(pgdata).is_empty()
    }

    /// What is to be moved: from where, to which name.
    fn moves(&self, pgdata: &Path) -> Vec<(PathBuf, PathBuf)> {
        let files = [
            (self.configuration.join(MAIN_FILE), MAIN_FILE),
            (self.hba_file.clone(), "pg_hba.conf"),
            (self.ident_file.clone(), "pg_ident.conf"),
        ];
        let is_elsewhere = |(from, to): &(PathBuf, PathBuf)| {
            from.exists() && fs::canonicalize(from).ok() != fs::canonicalize(to).ok()
        };
        files.map(|(from, name)| (from, pgdata.join(name))).into_iter().filter(is_elsewhere).collect()
    }
}

impl LocalServer {
    /// Looks for the configuration of a cluster that others have made; the server itself is asked when it runs.
    ///
    /// # Errors
    /// There is none, or Postgres cannot read it.
    pub async fn layout(&self) -> Result<Layout, PostgresError> {
        let config = self.config();
        let is_running = self.is_postmaster_running().await;
        if is_running && let Ok(session) = self.any_session().await {
            return of_session(&session, &config.pgdata).await;
        }
        let file = configuration_file(&config.pgdata)?;
        let ask = async |name: &str| -> Result<String, PostgresError> {
            let printed = Program::new(&config.bin_dir, "postgres")
                .arg("-C")
                .arg(name)
                .arg("-D")
                .arg(&config.pgdata)
                .arg("-c")
                .arg(format!("config_file={}", file.display()))
                .run(Limit::Within(ASK_DEADLINE))
                .await?;
            Ok(printed.stdout.trim().to_owned())
        };
        let port = ask("port").await?;
        let running_port = PidFile::read(&config.pgdata).filter(|_| is_running).map(|found| found.port);
        Ok(Layout {
            is_running,
            port: match running_port {
                Some(port) => port,
                None => port.parse().map_err(|_| unexpected("port", &port))?,
            },
            listen_addresses: ask("listen_addresses").await?,
            hba_file: config.pgdata.join(ask("hba_file").await?),
            ident_file: config.pgdata.join(ask("ident_file").await?),
            configuration: parent(&file),
        })
    }

    /// Moves the configuration of a cluster into its data directory. Gives one sentence for each thing that was done.
    ///
    /// # Errors
    /// A file cannot be written: it stays where it is.
    pub async fn bring_in(&self, layout: &Layout) -> Result<Vec<String>, PostgresError> {
        let (config, layout) = (self.config(), layout.clone());
        self.files().run("moving the configuration files", move || bring_in(&layout, &config.pgdata)).await
    }

    /// Settings of a running server that differ from what its files say, until it is restarted.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn awaiting_restart(&self) -> Result<Vec<String>, PostgresError> {
        let session = self.any_session().await?;
        let question = "SELECT coalesce(string_agg(name, ',' ORDER BY name), '') \
                        FROM pg_catalog.pg_settings WHERE pending_restart";
        let row = connection::row(&session, "look for settings that need a restart", question, &[]).await?;
        let names: &str = row.get(0);
        Ok(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

async fn of_session(session: &LocalSession, pgdata: &Path) -> Result<Layout, PostgresError> {
    let question = "SELECT current_setting('port'), current_setting('listen_addresses'), \
                    current_setting('config_file'), current_setting('hba_file'), current_setting('ident_file')";
    let row =
        connection::row(session, "ask the running Postgres for its configuration", question, &[]).await?;
    let text = |index: usize| row.get::<_, &str>(index);
    Ok(Layout {
        is_running: true,
        port: text(0).parse().map_err(|_| unexpected("port", text(0)))?,
        listen_addresses: text(1).to_owned(),
        configuration: parent(&pgdata.join(text(2))),
        hba_file: pgdata.join(text(3)),
        ident_file: pgdata.join(text(4)),
    })
}

fn unexpected(name: &str, value: &str) -> PostgresError {
    PostgresError::Refused(format!("Postgres has an unexpected {name}: \"{value}\""))
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The postgresql.conf of a cluster that does not run: where the system would start it from, where it was started from
/// last, or in its data directory.
fn configuration_file(pgdata: &Path) -> Result<PathBuf, PostgresError> {
    let own = pgdata.join(MAIN_FILE);
    let found = of_debian(pgdata).or_else(|| of_last_start(pgdata)).filter(|found| found.is_file());
    match found {
        Some(found) => Ok(found),
        None if own.is_file() => Ok(own),
        None => Err(PostgresError::Refused(format!(
            "no postgresql.conf was found for the cluster in \"{}\": put it there, or start Postgres and try again",
            pgdata.display()
        ))),
    }
}

/// The one whose `data_directory` this is.
fn of_debian(pgdata: &Path) -> Option<PathBuf> {
    let root = std::env::var_os("PG_CLUSTER_CONF_ROOT").filter(|root| !root.is_empty());
    let root = root.map_or_else(|| PathBuf::from(DEBIAN_ROOT), PathBuf::from);
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let pgdata = fs::canonicalize(pgdata).ok()?;
    let clusters = below(&root).into_iter().flat_map(|version| below(&version));
    clusters.map(|cluster| cluster.join(MAIN_FILE)).find(|file| {
        let content = fs::read_to_string(file).unwrap_or_default();
        let mut directory =
            content.lines().filter_map(written::parse).filter(|(name, _)| name == "data_directory");
        directory.next_back().is_some_and(|(_, value)| fs::canonicalize(value).ok().as_ref() == Some(&pgdata))
    })
}

/// The one that the last server of this data directory was started with.
fn of_last_start(pgdata: &Path) -> Option<PathBuf> {
    let options = fs::read_to_string(pgdata.join("postmaster.opts")).ok()?;
    let after = options.split("config_file=").nth(1)?;
    let path = after.split(['"', '\n']).next()?.trim();
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

fn bring_in(layout: &Layout, pgdata: &Path) -> Result<Vec<String>, PostgresError> {
    let mut done = Vec::new();
    let moves = layout.moves(pgdata);
    if moves.is_empty() {
        return Ok(done);
    }
    // First of all: two who start the same cluster would have two primaries.
    done.extend(leave_the_system(&layout.configuration)?);
    if fs::canonicalize(&layout.configuration).ok() != fs::canonicalize(pgdata).ok() {
        done.extend(bring_included(&layout.configuration, pgdata)?);
    }
    for (from, to) in moves {
        let content = files::read_if_there(&from)?.unwrap_or_default();
        let content = if to.ends_with(MAIN_FILE) { without_pointers(&content) } else { content };
        set_aside(&to)?;
        files::replace(&to, content.as_bytes(), 0o600)?;
        link_from(&from, &to)?;
        done.push(format!("moved \"{}\" to \"{}\"", from.display(), to.display()));
    }
    let main = pgdata.join(MAIN_FILE);
    let content = files::read_if_there(&main)?.unwrap_or_default();
    files::replace(&main, without_pointers(&content).as_bytes(), 0o600)?;
    Ok(done)
}

/// Debian's tools do not start a cluster that is disabled.
fn leave_the_system(configuration: &Path) -> Result<Option<String>, PostgresError> {
    let file = configuration.join("start.conf");
    let Some(content) = files::read_if_there(&file)? else { return Ok(None) };
    let is_word = |line: &&str| !line.trim_start().starts_with('#') && !line.trim().is_empty();
    if content.lines().filter(is_word).all(|line| line.trim() == "disabled") {
        return Ok(None);
    }
    let kept = content.lines().filter(|line| !is_word(line)).map(|line| format!("{line}\n"));
    let content = kept.collect::<String>() + "# pg_autoctl runs this cluster\ndisabled\n";
    files::replace(&file, content.as_bytes(), 0o644)?;
    Ok(Some(format!("set \"{}\" to disabled: the system no longer starts this cluster", file.display())))
}

/// What postgresql.conf includes from beside it comes along. Our own files get links, so that a server which still runs
/// with the old postgresql.conf finds them.
fn bring_included(configuration: &Path, pgdata: &Path) -> Result<Vec<String>, PostgresError> {
    let mut done = Vec::new();
    let content = files::read_if_there(&configuration.join(MAIN_FILE))?.unwrap_or_default();
    for (name, value) in content.lines().filter_map(written::parse) {
        let (from, to) = (configuration.join(&value), pgdata.join(&value));
        let is_beside = name.starts_with("include") && Path::new(&value).components().count() == 1;
        if !is_beside || !from.exists() || to.exists() {
            continue;
        }
        if from.is_dir() {
            copy_directory(&from, &to)?;
        } else {
            let content = files::read_if_there(&from)?.unwrap_or_default();
            files::replace(&to, content.as_bytes(), 0o600)?;
        }
        link_from(&from, &to)?;
        done.push(format!("moved \"{}\" to \"{}\"", from.display(), to.display()));
    }
    for name in [SETTINGS_FILE, STANDBY_FILE] {
        let from = configuration.join(name);
        if fs::symlink_metadata(&from).is_err() {
            symlink(pgdata.join(name), &from).map_err(PostgresError::file("link", &from))?;
        }
    }
    Ok(done)
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), PostgresError> {
    files::make_private_directory(to)?;
    let entries = fs::read_dir(from).map_err(PostgresError::file("read", from))?;
    for entry in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let content = files::read_if_there(&entry)?.unwrap_or_default();
        let name = entry.file_name().unwrap_or_default();
        files::replace(&to.join(name), without_pointers(&content).as_bytes(), 0o600)?;
    }
    Ok(())
}

/// A file of the same name that did not count is kept under another.
fn set_aside(file: &Path) -> Result<(), PostgresError> {
    match fs::rename(file, with_suffix(file, ".orig")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PostgresError::file("rename", file)(error))
        }
        _ => Ok(()),
    }
}

/// Leaves a link where the file was; the file itself is kept beside it.
fn link_from(from: &Path, to: &Path) -> Result<(), PostgresError> {
    let aside = with_suffix(from, ".pg_autoctl.tmp");
    files::remove_if_there(&aside)?;
    symlink(to, &aside).map_err(PostgresError::file("link", &aside))?;
    if fs::symlink_metadata(from).is_ok_and(|metadata| !metadata.is_symlink()) {
        fs::rename(from, with_suffix(from, ".orig")).map_err(PostgresError::file("rename", from))?;
    }
    fs::rename(&aside, from).map_err(PostgresError::file("rename", &aside))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The content with settings that point elsewhere commented out.
fn without_pointers(content: &str) -> String {
    let line = |line: &str| match written::parse(line) {
        Some((name, _)) if POINTS_ELSEWHERE.contains(&name.as_str()) => {
            format!("#{line} # commented out by pg_autoctl\n")
        }
        _ => format!("{line}\n"),
    };
    content.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `pg_createcluster` leaves it.
    fn debian(root: &Path) -> (Layout, PathBuf) {
        let (etc, pgdata) = (root.join("etc"), root.join("data"));
        fs::create_dir_all(etc.join("conf.d")).expect("made");
        fs::create_dir_all(&pgdata).expect("made");
        let main = format!(
            "data_directory = '{}' # use data in another directory\nhba_file = '{}/pg_hba.conf'\nport = 5433\n\
             #ident_file = 'x'\ninclude_dir = 'conf.d'\n",
            pgdata.display(),
            etc.display()
        );
        for (name, content) in [
            (MAIN_FILE, main.as_str()),
            ("pg_hba.conf", "local all all peer\n"),
            ("pg_ident.conf", ""),
            ("conf.d/10.conf", "work_mem = '8MB'\n"),
            ("start.conf", "# how\nauto\n"),
        ] {
            fs::write(etc.join(name), content).expect("written");
        }
        let layout = Layout {
            is_running: false,
            port: 5433,
            listen_addresses: "localhost".to_owned(),
            hba_file: etc.join("pg_hba.conf"),
            ident_file: etc.join("pg_ident.conf"),
            configuration: etc,
        };
        (layout, pgdata)
    }

    #[test]
    fn a_configuration_of_debian_is_moved_once() {
        let root = tempfile::tempdir().expect("a directory");
        let (layout, pgdata) = debian(root.path());
        let read = |name: &str| fs::read_to_string(pgdata.join(name)).expect(name);
        let of_etc = |name: &str| fs::read_to_string(layout.configuration.join(name)).expect(name);
        assert!(!layout.is_ours(&pgdata));
        let done = bring_in(&layout, &pgdata).expect("moved");
        assert_eq!(done.len(), 5, "{done:?}");
        assert!(layout.is_ours(&pgdata));
        let main = read(MAIN_FILE);
        assert!(main.starts_with("#data_directory = "), "{main}");
        assert!(main.contains("\n#hba_file = ") && main.contains("\nport = 5433\n"), "{main}");
        assert!(main.contains("\n#ident_file = 'x'\n"), "{main}");
        assert_eq!(read("conf.d/10.conf"), "work_mem = '8MB'\n");
        assert_eq!(of_etc("start.conf"), "# how\n# pg_autoctl runs this cluster\ndisabled\n");
        fs::write(pgdata.join("pg_hba.conf"), "changed\n").expect("written");
        assert_eq!(of_etc("pg_hba.conf"), "changed\n", "a link leads to the file that counts");
        assert_eq!(of_etc("pg_hba.conf.orig"), "local all all peer\n");
        assert_eq!(bring_in(&layout, &pgdata).expect("again"), Vec::<String>::new());
    }

    #[test]
    fn an_hba_file_elsewhere_takes_the_place_of_the_one_that_did_not_count() {
        let root = tempfile::tempdir().expect("a directory");
        let pgdata = root.path().join("data");
        fs::create_dir(&pgdata).expect("made");
        let elsewhere = root.path().join("my_hba.conf");
        fs::write(pgdata.join(MAIN_FILE), "hba_file = '../my_hba.conf'\n").expect("written");
        fs::write(pgdata.join("pg_hba.conf"), "unused\n").expect("written");
        fs::write(&elsewhere, "local all all md5\n").expect("written");
        let layout = Layout {
            is_running: false,
            port: 5432,
            listen_addresses: "*".to_owned(),
            configuration: pgdata.clone(),
            hba_file: elsewhere,
            ident_file: pgdata.join("pg_ident.conf"),
        };
        bring_in(&layout, &pgdata).expect("moved");
        let read = |name: &str| fs::read_to_string(pgdata.join(name)).expect(name);
        assert_eq!(read("pg_hba.conf"), "local all all md5\n");
        assert_eq!(read("pg_hba.conf.orig"), "unused\n");
        assert!(read(MAIN_FILE).starts_with("#hba_file"), "{}", read(MAIN_FILE));
    }

    #[test]
    fn the_file_of_the_last_start_is_known() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(
            root.path().join("postmaster.opts"),
            "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/data\" \"-c\" \"config_file=/etc/a b/postgresql.conf\"\n",
        )
        .expect("written");
        assert_eq!(of_last_start(root.path()), Some(PathBuf::from("/etc/a b/postgresql.conf")));
        assert_eq!(of_last_start(&root.path().join("none")), None);
    }
}
