//! One host: its namespace, its directories, its keeper.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::User;

use super::network::{Link, Network};
use super::process::{Ended, kill_namespace, pids_in_namespace, run_to_end, wait_child};
use super::tools::Tools;

/// The longest that a command of the operator may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(90);

/// A host of a cluster; on drop all its processes are killed.
pub(crate) struct Host {
    /// Its name, and that of the node on it.
    pub(crate) name: String,
    /// The build it runs.
    pub(crate) tools: Tools,
    /// Its cable.
    pub(crate) link: Link,
    /// Everything it has on disk.
    pub(crate) directory: PathBuf,
    /// Variables that its programs get beyond the usual ones.
    pub(crate) environment: Vec<(String, String)>,
    /// A directory of its own, below `directory`, that its programs find at a path where other hosts have another.
    pub(crate) own_directory: Option<(PathBuf, PathBuf)>,
    keeper: Option<Child>,
}

impl Host {
    /// Joins a new host to a network; its files are below `root`.
    pub(crate) fn new(network: &Network, tools: &Tools, root: &Path, name: &str, number: u8) -> Result<Self> {
        let link = network.join(name, number)?;
        let directory = root.join(name);
        for part in ["", "home", "run", "s", "tls"] {
            let path = directory.join(part);
            fs::create_dir_all(&path)?;
            give_to_postgres(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        let host = Self {
            name: name.to_owned(),
            tools: tools.clone(),
            link,
            directory,
            environment: Vec::new(),
            own_directory: None,
            keeper: None,
        };
        host.step_clock(0)?;
        Ok(host)
    }

    /// Its address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.link.address
    }

    /// Its PGDATA.
    pub(crate) fn pgdata(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What its keeper has said.
    pub(crate) fn keeper_log(&self) -> PathBuf {
        self.directory.join("keeper.log")
    }

    /// A program of the tools, to be run on this host as user postgres.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, program: &str, args: &[S]) -> Command {
        self.command_as("postgres", program, args)
    }

    fn command_as<S: AsRef<OsStr>>(&self, user: &str, program: &str, args: &[S]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.link.namespace.name()]);
        if let Some((own, path)) = &self.own_directory {
            // `ip netns exec` has made a mount namespace for this program alone.
            command.args(["sh", "-ec", r#"mount --bind "$0" "$1"; shift; exec "$@""#]).arg(own).arg(path);
        }
        command.arg("setpriv");
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        let in_tools = self.tools.bin.join(program);
        let program = if in_tools.exists() { in_tools } else { PathBuf::from(program) };
        command.arg(program).args(args);
        command.current_dir(&self.directory).env_clear();
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.tools.bin.display());
        let home = self.directory.join("home");
        command
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &home)
            .env("PGDATA", self.pgdata())
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_RUNTIME_DIR", self.directory.join("run"))
            .env("PG_REGRESS_SOCK_DIR", self.directory.join("s"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.tools.needs_pghost {
            command.env("PGHOST", self.directory.join("s"));
        }
        command
    }

    /// Runs `pg_autoctl` on this host to its end.
    pub(crate) fn autoctl<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Ended> {
        run_to_end(&mut self.command("pg_autoctl", args), COMMAND_DEADLINE)
    }

    /// The same as root, who may not.
    pub(crate) fn autoctl_as_root<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Ended> {
        run_to_end(&mut self.command_as("root", "pg_autoctl", args), COMMAND_DEADLINE)
    }

    /// Runs SQL on the host's own Postgres over its socket, as superuser; the answer is unaligned text.
    pub(crate) fn psql(&self, dbname: &str, sql: &str) -> Result<String> {
        let socket = self.directory.join("s").display().to_string();
        let args = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", &socket, "-p", "5432", "-d", dbname, "-c", sql];
        let ended = run_to_end(&mut self.command("psql", &args), COMMAND_DEADLINE)?;
        let said = ended.success().with_context(|| format!("on {}: {sql}", self.name))?;
        Ok(said.trim_end().to_owned())
    }

    /// Runs a line of shell on this host as user postgres.
    pub(crate) fn shell(&self, line: &str) -> Result<String> {
        run_to_end(&mut self.command("sh", &["-ec", line]), COMMAND_DEADLINE)?.success()
    }

    /// The timeline that its Postgres is on.
    pub(crate) fn timeline(&self) -> Result<u32> {
        let sql = "select case when pg_is_in_recovery() \
                   then (select min_recovery_end_timeline from pg_control_recovery()) \
                   else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end";
        Ok(self.psql("postgres", sql)?.parse()?)
    }

    /// Tells this copy of the data from a later one: pg_rewind changes files in place, a base backup makes new ones.
    pub(crate) fn identity_of_copy(&self) -> Result<u64> {
        let path = self.pgdata().join("PG_VERSION");
        let metadata = fs::metadata(&path).with_context(|| path.display().to_string())?;
        Ok(metadata.ino())
    }

    /// The first process of the host that runs that program.
    pub(crate) fn process(&self, program: &str) -> Option<i32> {
        let runs = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == program)
        };
        pids_in_namespace(self.link.namespace.name()).into_iter().find(runs)
    }

    /// The server process of the host whose title has that word.
    pub(crate) fn server_process(&self, word: &str) -> Option<i32> {
        let is_titled = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|title| title.starts_with("postgres:") && title.contains(word))
        };
        pids_in_namespace(self.link.namespace.name()).into_iter().find(is_titled)
    }

    /// Starts a keeper with these arguments; what it says is appended to the log.
    pub(crate) fn start<S: AsRef<OsStr>>(&mut self, args: &[S]) -> Result<()> {
        let log = self.open_log()?;
        let child = self
            .command("pg_autoctl", args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        self.keeper = Some(child);
        Ok(())
    }

    /// Starts the keeper of a node that exists with messages of all levels on a pipe that nobody reads.
    pub(crate) fn run_unread(&mut self) -> Result<()> {
        let child = self
            .command("pg_autoctl", &["run", "-vvv"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        self.keeper = Some(child);
        Ok(())
    }

    /// The pipe that nobody has read so far.
    pub(crate) fn unread(&mut self) -> Result<ChildStderr> {
        let pipe = self.keeper.as_mut().and_then(|child| child.stderr.take());
        pipe.with_context(|| format!("no pipe is unread on {}", self.name))
    }

    /// Starts the keeper of a node that exists.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.start(&["run"])
    }

    fn open_log(&self) -> Result<File> {
        Ok(OpenOptions::new().create(true).append(true).open(self.keeper_log())?)
    }

    /// The process id of the keeper that `start` started.
    pub(crate) fn keeper_pid(&self) -> Result<i32> {
        match &self.keeper {
            Some(child) => Ok(i32::try_from(child.id())?),
            None => bail!("no keeper was started on {}", self.name),
        }
    }

    /// Waits for the keeper's end.
    pub(crate) fn keeper_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let Some(child) = &mut self.keeper else {
            bail!("no keeper was started on {}", self.name);
        };
        match wait_child(child, within)? {
            Some(status) => {
                self.keeper = None;
                Ok(status)
            }
            None => bail!("the keeper of {} still runs after {within:?}", self.name),
        }
    }

    /// How the keeper ended, if it did.
    pub(crate) fn keeper_ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.keeper {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    /// The process id in `postmaster.pid`.
    pub(crate) fn postmaster_pid(&self) -> Result<i32> {
        let path = self.pgdata().join("postmaster.pid");
        let content = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let line = content.lines().next().unwrap_or_default();
        line.parse().with_context(|| format!("{}: {line:?}", path.display()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = kill_namespace(self.link.namespace.name()) {
            eprintln!("{}: {error:#}", self.name);
        }
        if let Some(mut child) = self.keeper.take() {
            // Killed above; it only has to be reaped.
            let _reaped = child.wait();
        }
    }
}

/// Makes user postgres the owner of a file.
pub(crate) fn give_to_postgres(path: &Path) -> Result<()> {
    let user = User::from_name("postgres")?.context("there is no user postgres")?;
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(|| path.display().to_string())
}
