//! A container of the stand-in: namespaces for network, mounts, processes, host name and shared memory. Its first process
//! is the command of its service, run by user postgres; it has /tmp, /run, /dev/shm and a home directory for itself.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::image::Image;
use crate::harness::{
    Ended, Link, give_to_postgres, kill_namespace, pids_in_namespace, run_to_end_with_input, signal,
    wait_child, wait_for,
};

/// Until the first process runs.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that a command in a container may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// Between the request to stop and SIGKILL, as Docker does it.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// The home directory of user postgres, on Debian.
const HOME: &str = "/var/lib/postgresql";

/// Makes the mounts and becomes the command. Arguments: overlay option, directory, host name, pairs
/// of a volume and its place, command.
const ENTER: &str = r#"
mount -t overlay overlay -o "$1" /usr
for file in hosts resolv.conf nsswitch.conf; do mount --bind "$2/etc/$file" "/etc/$file"; done
mount -t overlay overlay -o "lowerdir=$2/lib:/var/lib" /var/lib
mount --bind "$2/home" /var/lib/postgresql
for pair in $4; do mount --bind "${pair%%:*}" "${pair#*:}"; done
mount -t tmpfs -o mode=755 tmpfs /run
install -d -o postgres -g postgres -m 2775 /run/postgresql
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
hostname "$3"
touch "$2/started"
mount --bind "$2/tmp" /tmp
shift 4
cd /
exec "$@"
"#;

/// What a container is made of.
pub(super) struct ContainerSpec {
    pub(super) service: String,
    /// From 1 on, among those of the service.
    pub(super) index: usize,
    pub(super) hostname: String,
    pub(super) image: Image,
    pub(super) environment: Vec<(String, String)>,
    pub(super) command: Vec<String>,
    /// Directories that outlive it, and where it has them.
    pub(super) mounts: Vec<(PathBuf, String)>,
}

/// A container that was started; it is killed on drop.
pub(super) struct Container {
    pub(super) spec: ContainerSpec,
    link: Link,
    directory: PathBuf,
    /// Outside its namespaces: the parent of its first process.
    child: Option<Child>,
}

impl Container {
    /// Makes its directories. `hosts` is what it finds in /etc/hosts.
    pub(super) fn new(spec: ContainerSpec, link: Link, directory: PathBuf, hosts: &str) -> Result<Self> {
        for part in ["", "tmp", "home", "etc", "lib"] {
            let path = directory.join(part);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(if part == "tmp" { 0o1777 } else { 0o755 }))?;
        }
        give_to_postgres(&directory.join("home"))?;
        for (volume, place) in &spec.mounts {
            let in_lib =
                place.strip_prefix("/var/lib/").with_context(|| format!("{place} is not in /var/lib"))?;
            fs::create_dir_all(directory.join("lib").join(in_lib))?;
            fs::create_dir_all(volume)?;
            give_to_postgres(volume)?;
        }
        fs::write(directory.join("etc/hosts"), hosts)?;
        // Nobody listens there: names that are not in the file are refused at once, as by Docker's own server.
        fs::write(directory.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
        fs::write(directory.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
        Ok(Self { spec, link, directory, child: None })
    }

    /// Starts its first process.
    pub(super) fn start(&mut self) -> Result<()> {
        let log = File::create(self.log())?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.link.namespace.name()]);
        command.args([
            "unshare",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command.args(["sh", "-ec", ENTER, "sh"]);
        command.arg(self.spec.image.overlay()).arg(&self.directory).arg(&self.spec.hostname);
        let pair = |(volume, place): &(PathBuf, String)| format!("{}:{place}", volume.display());
        command.arg(self.spec.mounts.iter().map(pair).collect::<Vec<_>>().join(" "));
        command.args(self.as_user(&self.spec.command));
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()?;
        self.child = Some(child);
        let started = self.directory.join("started");
        wait_for("a container to be there", START_DEADLINE, || {
            Ok((started.exists() || self.ended()?.is_some()).then_some(()))
        })
    }

    /// How its first process ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            bail!("{} has not been started", self.name());
        };
        Ok(child.try_wait()?)
    }

    /// Whether it has been started.
    pub(super) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// The name that Compose gives it.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.spec.service, self.spec.index)
    }

    /// Runs a command in it.
    pub(super) fn exec(&self, arguments: &[String], input: &str) -> Result<Ended> {
        let first = self.first_process().with_context(|| format!("{} does not run", self.name()))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &first.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
        command.args(self.as_user(arguments)).current_dir("/");
        run_to_end_with_input(&mut command, input, COMMAND_DEADLINE)
    }

    /// A command line that drops root's rights and has the variables of the service.
    fn as_user(&self, arguments: &[String]) -> Vec<String> {
        let words = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "env", "-i"];
        let mut line: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let usual = [("PATH", self.spec.image.path.as_str()), ("HOME", HOME), ("LANG", "C.UTF-8")];
        line.push("--chdir=/".to_owned());
        line.extend(usual.iter().map(|(name, value)| format!("{name}={value}")));
        line.extend(self.spec.environment.iter().map(|(name, value)| format!("{name}={value}")));
        line.extend_from_slice(arguments);
        line
    }

    /// Its first process, as this machine numbers it.
    fn first_process(&self) -> Option<i32> {
        pids_in_namespace(self.link.namespace.name()).into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            let numbers: Vec<&str> = numbers.split_whitespace().collect();
            numbers.len() > 1 && numbers.last() == Some(&"1")
        })
    }

    /// Asks its first process to end.
    pub(super) fn ask_to_stop(&self) -> Result<()> {
        self.first_process().map_or(Ok(()), |pid| signal(pid, Signal::SIGTERM))
    }

    /// Waits for that, then kills what is left.
    pub(super) fn stop(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        if wait_child(child, STOP_DEADLINE)?.is_none() {
            kill_namespace(self.link.namespace.name())?;
            child.wait()?;
        }
        self.child = None;
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The last lines of what its first process has printed, and of the logs of its server.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let server = self.directory.join("tmp/pgaf/log");
        let entries = fs::read_dir(server).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        logs.sort();
        std::iter::once(self.log()).chain(logs).map(|log| self.last_lines_of(&log, count)).collect()
    }

    fn last_lines_of(&self, log: &Path, count: usize) -> String {
        let text =
            fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(count)..].join("\n");
        let file = log.strip_prefix(&self.directory).unwrap_or(log).display();
        format!("--- {} {file}\n{last}\n", self.name())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Err(error) = kill_namespace(self.link.namespace.name()) {
            eprintln!("{}: {error:#}", self.name());
        }
        if let Some(mut child) = self.child.take() {
            // Killed above; it only has to be reaped.
            let _reaped = child.wait();
        }
    }
}
