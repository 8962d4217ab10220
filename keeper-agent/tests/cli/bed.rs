//! Where a test runs commands: a directory of its own, with all files of `pg_autoctl` in it.

use std::fmt::Display;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The user that commands run as.
pub(crate) const USER: &str = "postgres";

pub(crate) struct Bed {
    directory: TempDir,
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program as a user that Postgres takes.
pub(crate) fn as_user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--init-groups", "--inh-caps=-all", "--"]).arg(program);
    command
}

/// The program under test, where that user can run it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = assert_cmd::cargo::cargo_bin("pg_autoctl");
        let is_reachable =
            as_user("test").arg("-x").arg(&built).status().is_ok_and(|status| status.success());
        if is_reachable {
            return built;
        }
        let copy = std::env::temp_dir().join(format!("pg_autoctl-under-test-{USER}"));
        let own = copy.with_extension(std::process::id().to_string());
        std::fs::copy(&built, &own).expect("copied");
        std::fs::rename(&own, &copy).expect("put in place");
        copy
    })
}

impl Bed {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("pgaf-cli-").tempdir().expect("a directory");
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name(USER).expect("asked").expect("there is a user postgres");
            nix::unistd::chown(directory.path(), Some(user.uid), Some(user.gid)).expect("given away");
        }
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("readable");
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs `pg_autoctl` with these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: impl Display) -> Ended {
        self.run_with(arguments, &[])
    }

    /// The same where no message can be written: as with a log file on a full disk. Returns the exit code.
    pub(crate) fn run_without_messages(&self, arguments: impl Display) -> i32 {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let mut command = as_user(program());
        command
            .args(arguments.to_string().split_whitespace())
            .current_dir(self.directory.path())
            .stderr(full);
        command.status().expect("run").code().unwrap_or(-1)
    }

    /// The same with more in its environment.
    pub(crate) fn run_with(&self, arguments: impl Display, environment: &[(&str, &str)]) -> Ended {
        let mut command = as_user(program());
        command.args(arguments.to_string().split_whitespace());
        self.end(command, environment)
    }

    /// Runs `pg_autoctl` as the user who runs the test.
    pub(crate) fn run_as_is(&self, arguments: impl Display) -> Ended {
        let mut command = Command::new(program());
        command.args(arguments.to_string().split_whitespace());
        self.end(command, &[])
    }

    /// Starts `pg_autoctl` with these arguments; what it says goes to a file.
    pub(crate) fn start(&self, arguments: impl Display, log: &str) -> Child {
        let mut command = as_user(program());
        command.args(arguments.to_string().split_whitespace());
        let log = std::fs::File::create(self.path(log)).expect("a file");
        self.prepare(&mut command).stdout(Stdio::null()).stderr(log).spawn().expect("it runs")
    }

    /// `pg_autoctl` with these arguments, for a terminal that becomes its own: standard input.
    pub(crate) fn command_in_terminal(&self, arguments: impl Display) -> Command {
        let mut command = as_user("setsid");
        command.arg("--ctty").arg(program()).args(arguments.to_string().split_whitespace());
        self.prepare(&mut command).env("TERM", "xterm-256color");
        command
    }

    fn end(&self, mut command: Command, environment: &[(&str, &str)]) -> Ended {
        let output = self.prepare(&mut command).envs(environment.iter().copied()).output().expect("it runs");
        Ended::from(&output)
    }

    /// Nothing of the environment of the test gets in.
    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PG_REGRESS_SOCK_DIR", self.directory.path())
            .current_dir(self.directory.path())
    }

    /// Where the configuration of a PGDATA in this directory is.
    pub(crate) fn config_file(&self, pgdata: &str) -> PathBuf {
        let pgdata = self.path(pgdata);
        let relative = pgdata.strip_prefix("/").expect("absolute");
        self.path(".config/pg_autoctl").join(relative).join("pg_autoctl.cfg")
    }

    /// Writes a file that the user owns.
    pub(crate) fn write(&self, file: &Path, content: &str) {
        let made = as_user("mkdir").arg("-p").arg(file.parent().expect("a parent")).status();
        assert!(made.expect("mkdir runs").success());
        let touched = as_user("touch").arg(file).status();
        assert!(touched.expect("touch runs").success());
        std::fs::write(file, content).expect("written");
    }
}

impl From<&Output> for Ended {
    fn from(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Ended {
    /// It ended with this exit code, and one sentence with these words in it.
    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(words), "\"{words}\" is not in: {}", self.stderr);
        let errors = self.stderr.lines().filter(|line| line.contains(" ERROR "));
        assert!(errors.count() <= 1, "{}", self.stderr);
    }

    /// It did what it was asked for; gives what it printed.
    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
