//! One server and its keeper, in a directory and on a port of its own.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::denial::deny;
use crate::harness::{
    Ended, Target, Tools, give_to_postgres, is_process, run_to_end, signal, wait_child, wait_for,
};
use crate::port;

/// The longest that a command may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);
/// The longest that a server may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A monitor or a data node.
pub(crate) struct Node {
    /// Its name at the monitor.
    pub(crate) name: String,
    /// Where clients of the test find its server.
    pub(crate) address: Ipv4Addr,
    /// The port of its server.
    pub(crate) port: u16,
    /// Everything it has on disk.
    pub(crate) directory: PathBuf,
    /// Variables that its programs get beyond the usual ones.
    pub(crate) environment: Vec<(String, String)>,
    /// The superuser that `sql` connects as.
    pub(crate) superuser: String,
    /// System calls that its programs do not have, as on an older kernel.
    pub(crate) denied: Vec<i64>,
    /// What they get instead: `ENOSYS`, or another error.
    pub(crate) denied_with: i32,
    /// Variables that its programs do not get.
    pub(crate) removed: Vec<&'static str>,
    /// Files that its programs see at other places: what is there, and where.
    pub(crate) mounts: Vec<(PathBuf, PathBuf)>,
    /// Directories that its programs cannot write to, whoever they run as.
    pub(crate) read_only: Vec<PathBuf>,
    /// The user that its programs run as, and their group, when that is not `postgres`.
    pub(crate) user: Option<(u32, u32)>,
    /// Their umask, when it is another than usual.
    pub(crate) umask: Option<u32>,
    /// Its PGDATA, as its programs are told it, when it is not `data`.
    pub(crate) data: Option<String>,
    tools: Tools,
    keeper: Option<Child>,
}

impl Node {
    /// Directories for one; nothing runs yet.
    pub(crate) fn new(tools: &Tools, root: &Path, name: &str) -> Result<Self> {
        let directory = root.join(name);
        for part in ["", "home", "run", "s"] {
            let path = directory.join(part);
            fs::create_dir_all(&path)?;
            give_to_postgres(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        Ok(Self {
            name: name.to_owned(),
            address: Ipv4Addr::LOCALHOST,
            port: port::free()?,
            directory,
            environment: Vec::new(),
            denied: Vec::new(),
            denied_with: nix::libc::ENOSYS,
            removed: Vec::new(),
            mounts: Vec::new(),
            read_only: Vec::new(),
            user: None,
            umask: None,
            data: None,
            superuser: "postgres".to_owned(),
            tools: tools.clone(),
            keeper: None,
        })
    }

    /// Its PGDATA.
    pub(crate) fn pgdata(&self) -> PathBuf {
        self.directory.join(self.data.as_deref().unwrap_or("data"))
    }

    /// Gives its programs a variable from now on.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A program of the tools or of the system, run as user postgres with the environment of this node.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, program: &str, args: &[S]) -> Command {
        let mut command = self.outer_command();
        let in_tools = self.tools.bin.join(program);
        let program = if in_tools.exists() { in_tools } else { PathBuf::from(program) };
        let home = self.directory.join("home");
        command
            .arg(program)
            .args(args)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.tools.bin.display()))
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &home)
            .env("PGDATA", self.data.as_ref().map_or_else(|| self.pgdata().into_os_string(), Into::into))
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_RUNTIME_DIR", self.directory.join("run"))
            .env("PG_REGRESS_SOCK_DIR", self.directory.join("s"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        for name in &self.removed {
            command.env_remove(name);
        }
        if !self.denied.is_empty() {
            deny(&mut command, &self.denied, self.denied_with);
        }
        command
    }

    /// What makes the place where a program of this node runs, and then becomes that program.
    fn outer_command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        let mut script = String::from("set -e; ");
        if let Some(umask) = self.umask {
            script.push_str(&format!("umask {umask:04o}; "));
        }
        let user = match self.user {
            Some((user, group)) => format!("--reuid {user} --regid {group} --clear-groups"),
            None => "--reuid postgres --regid postgres --init-groups".to_owned(),
        };
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let mut inner = String::new();
        for (from, to) in &self.mounts {
            inner.push_str(&format!("mount --bind {} {}; ", quoted(from), quoted(to)));
        }
        for directory in &self.read_only {
            let directory = quoted(directory);
            inner.push_str(&format!(
                "mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}; "
            ));
        }
        inner.push_str(&format!("exec setpriv {user} \"$@\""));
        match self.mounts.is_empty() && self.read_only.is_empty() {
            true => command.args(["-c", &format!("{script}{inner}"), "sh"]),
            // Without --fork, so that the program is the process that was started.
            false => {
                let script = format!("{script} exec unshare --mount sh -ec \"$0\" sh \"$@\"");
                command.args(["-c", &script, &inner])
            }
        };
        command
    }

    /// Gives all that it has to the user that its programs run as.
    pub(crate) fn give_to_user(&self) -> Result<()> {
        let Some((user, group)) = self.user else { return Ok(()) };
        for part in ["", "home", "run", "s"] {
            std::os::unix::fs::chown(self.directory.join(part), Some(user), Some(group))?;
        }
        Ok(())
    }

    /// Runs a program to its end.
    pub(crate) fn program<S: AsRef<OsStr>>(&self, program: &str, args: &[S]) -> Result<Ended> {
        run_to_end(&mut self.command(program, args), COMMAND_DEADLINE)
    }

    /// Runs `pg_autoctl` to its end, which must be a success; returns what it printed.
    pub(crate) fn autoctl<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        self.program("pg_autoctl", args)?.success().with_context(|| format!("pg_autoctl on {}", self.name))
    }

    /// Runs a line of shell.
    pub(crate) fn shell(&self, line: &str) -> Result<String> {
        self.program("sh", &["-ec", line])?.success()
    }

    /// Runs SQL over the socket as superuser; all statements in one session, each in its own transaction.
    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        self.sql_as(&self.superuser, "postgres", sql)
    }

    /// The same as any role in any database.
    pub(crate) fn sql_as(&self, user: &str, dbname: &str, sql: &str) -> Result<String> {
        let (socket, port) = (self.directory.join("s").display().to_string(), self.port.to_string());
        let mut args =
            vec!["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", &socket, "-p", &port, "-U", user, "-d", dbname];
        for statement in sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            args.extend(["-c", statement]);
        }
        let said =
            self.program("psql", &args)?.success().with_context(|| format!("on {}: {sql}", self.name))?;
        Ok(said.trim_end().to_owned())
    }

    /// Connects locally as a user of the machine and a role; an error when that is refused.
    pub(crate) fn psql_of(&self, user: &str, role: &str, variables: &[(&str, &str)]) -> Result<String> {
        let (socket, port) = (self.directory.join("s").display().to_string(), self.port.to_string());
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", user, "--regid", "nogroup", "--clear-groups"])
            .arg(self.tools.bin.join("psql"))
            .args([
                "-XAtqw",
                "-h",
                &socket,
                "-p",
                &port,
                "-U",
                role,
                "-d",
                "postgres",
                "-c",
                "select current_user",
            ])
            .current_dir("/")
            .env_clear()
            .envs(variables.iter().copied());
        run_to_end(&mut command, COMMAND_DEADLINE)?.success()
    }

    /// Nobody is this role without a password: not locally, and not over the network.
    pub(crate) fn is_refused(&self, role: &str) -> Result<()> {
        let port = self.port.to_string();
        for host in [self.directory.join("s").display().to_string(), "127.0.0.1".to_owned()] {
            for dbname in ["postgres", "template1", "pg_auto_failover"] {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
                    .arg(self.tools.bin.join("psql"))
                    .args(["-XAtqw", "-h", &host, "-p", &port, "-U", role, "-d", dbname, "-c", "select 1"])
                    .current_dir("/")
                    .env_clear();
                let ended = run_to_end(&mut command, COMMAND_DEADLINE)?;
                ensure!(ended.code() == 2, "{role} at {host}: {}{}", ended.stdout, ended.stderr);
            }
        }
        Ok(())
    }

    /// What `SHOW` says to a new session.
    pub(crate) fn setting(&self, name: &str) -> Result<String> {
        self.sql(&format!("show {name}"))
    }

    /// `ALTER SYSTEM SET`; the server is not told.
    pub(crate) fn alter_system(&self, name: &str, value: &str) -> Result<()> {
        self.sql(&format!("alter system set {name} = {value}")).map(drop)
    }

    /// Appends lines to postgresql.conf; the server is not told.
    pub(crate) fn append_to_configuration(&self, lines: &str) -> Result<()> {
        let path = self.pgdata().join("postgresql.conf");
        let content = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(fs::write(path, format!("{content}\n{lines}\n"))?)
    }

    /// Sends SIGHUP to the server.
    pub(crate) fn reload(&self) -> Result<()> {
        signal(self.postmaster_pid()?, Signal::SIGHUP)
    }

    /// Where a client of the test's own connects to.
    pub(crate) fn target(&self, user: &'static str, dbname: &'static str) -> Target {
        Target { host: self.address, port: self.port, user, dbname, password: None, tls: None }
    }

    /// Starts `pg_autoctl` with these arguments in the background; what it says is appended to keeper.log.
    pub(crate) fn start<S: AsRef<OsStr>>(&mut self, args: &[S]) -> Result<()> {
        let log = self.open_log()?;
        let mut command = self.command("pg_autoctl", args);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.keeper = Some(command.spawn()?);
        Ok(())
    }

    /// Starts the keeper of a node that exists.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.start(&["run"])
    }

    fn open_log(&self) -> Result<File> {
        Ok(OpenOptions::new().create(true).append(true).open(self.keeper_log())?)
    }

    fn keeper_log(&self) -> PathBuf {
        self.directory.join("keeper.log")
    }

    /// What the keeper has said so far.
    pub(crate) fn said(&self) -> Result<String> {
        let bytes = fs::read(self.keeper_log())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until the keeper has said these words.
    pub(crate) fn wait_said(&self, words: &str, within: Duration) -> Result<()> {
        wait_for(&format!("{} to say \"{words}\"", self.name), within, || {
            Ok(self.said()?.contains(words).then_some(()))
        })
    }

    /// The process id of the keeper.
    pub(crate) fn keeper_pid(&self) -> Result<i32> {
        let keeper =
            self.keeper.as_ref().with_context(|| format!("no keeper was started on {}", self.name))?;
        Ok(i32::try_from(keeper.id())?)
    }

    /// How the keeper ended, if it did.
    pub(crate) fn keeper_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(match &mut self.keeper {
            Some(keeper) => keeper.try_wait()?,
            None => None,
        })
    }

    /// Stops keeper and server with SIGINT: at once and in good order, without a hand-over.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.end(Signal::SIGINT)
    }

    /// Stops both, hands over what is theirs to others if there are any, and starts them again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.end(Signal::SIGTERM)?;
        self.run()
    }

    /// Kills the keeper alone; the server runs on.
    pub(crate) fn kill_keeper(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL).map(drop)
    }

    fn end(&mut self, with: Signal) -> Result<ExitStatus> {
        signal(self.keeper_pid()?, with)?;
        let mut keeper = self.keeper.take().context("no keeper was started")?;
        match wait_child(&mut keeper, STOP_DEADLINE)? {
            Some(status) => Ok(status),
            None => {
                self.keeper = Some(keeper);
                bail!("the keeper of {} still runs {STOP_DEADLINE:?} after {with}", self.name)
            }
        }
    }

    /// The process id in `postmaster.pid`.
    pub(crate) fn postmaster_pid(&self) -> Result<i32> {
        let path = self.pgdata().join("postmaster.pid");
        let content = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let line = content.lines().next().unwrap_or_default();
        line.parse().with_context(|| format!("{}: {line:?}", path.display()))
    }

    /// Kills the postmaster with SIGKILL and waits for its end.
    pub(crate) fn kill_postmaster(&self) -> Result<()> {
        let pid = self.postmaster_pid()?;
        signal(pid, Signal::SIGKILL)?;
        wait_for("the postmaster to be gone", STOP_DEADLINE, || Ok((!is_process(pid)).then_some(())))
    }

    /// Restarts the server as an operator does who does not know of the keeper: a fast shutdown, after which the keeper
    /// starts it again.
    pub(crate) fn restart_postgres(&self) -> Result<()> {
        let pid = self.postmaster_pid()?;
        signal(pid, Signal::SIGINT)?;
        wait_for(&format!("another Postgres on {}", self.name), STOP_DEADLINE, || {
            let is_another = self.postmaster_pid()? != pid;
            if is_another {
                self.sql("select 1")?;
            }
            Ok(is_another.then_some(()))
        })
    }

    /// Stops the keeper, or lets it go on, without its noticing.
    pub(crate) fn freeze_keeper(&self, frozen: bool) -> Result<()> {
        signal(self.keeper_pid()?, if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Kills keeper and server.
    pub(crate) fn kill_both(&mut self) -> Result<()> {
        let pid = self.postmaster_pid()?;
        signal(self.keeper_pid()?, Signal::SIGKILL)?;
        signal(pid, Signal::SIGKILL)?;
        self.kill_keeper()
    }

    /// Runs something, and sees to it that the postmaster is the same afterwards.
    pub(crate) fn same_postmaster<T>(&self, during: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.postmaster_pid()?;
        let result = during()?;
        let after = self.postmaster_pid()?;
        ensure!(before == after, "{} was restarted: process {before} is now {after}", self.name);
        Ok(result)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // It may have ended by itself; the bed ends its server.
            let _ended = keeper.kill();
            let _reaped = keeper.wait();
        }
    }
}
