//! A running postmaster, our child or one that was found running. Either way its death is noticed at once, through a
//! file descriptor of the process, which also cannot mean another process later.

use std::fs::OpenOptions;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgaf_core::keeper::PostgresExit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::config::{InstanceConfig, SocketDir};
use super::error::PostgresError;
use super::files::Files;
use super::process;

/// How its end is noticed.
enum Watch {
    /// Through a descriptor of the process, at once.
    Descriptor(AsyncFd<OwnedFd>),
    /// By looking, where the system gives no such descriptor: the number means this process as long as it started then.
    Looking { started: Option<u64> },
}

/// Between two looks, where the end cannot be waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long the disk may take to say whether a postmaster that has ended has left its pid file.
const PID_FILE_DEADLINE: Duration = Duration::from_secs(1);
/// Above this size the log of the start is begun anew.
const STARTUP_LOG_BYTES: u64 = 8 << 20;

/// Variables for clients, which a walreceiver would heed as well, or the server take for its defaults.
const FOREIGN_VARIABLES: [&str; 15] = [
    "PGPASSWORD",
    "PGOPTIONS",
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGREQUIREPEER",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
    "PGAPPNAME",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
    "PGTZ",
];

/// A postmaster.
pub(crate) struct Postmaster {
    pid: Pid,
    watch: Watch,
    is_child: bool,
    pgdata: PathBuf,
    end: Mutex<End>,
    is_asked_to_stop: AtomicBool,
}

/// What is known of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It lives.
    None,
    /// It has ended, and nobody has said how.
    Untold,
    Told(PostgresExit),
}

impl Postmaster {
    /// Starts one with these settings on its command line, and does not wait for it. When the future is dropped before it
    /// has ended, there is none.
    pub(super) async fn spawn(
        files: &Files,
        config: &Arc<InstanceConfig>,
        settings: Vec<(&'static str, String)>,
    ) -> Result<Self, PostgresError> {
        let started_with = Arc::clone(config);
        let start = move || Ok(Unwatched(Some(start(&started_with, &settings)?)));
        let mut started = files.run("starting the postmaster", start).await?;
        let pid = started.0.as_ref().and_then(|child| i32::try_from(child.id()).ok()).unwrap_or_default();
        let watched = Self::open(pid, true, &config.pgdata)?;
        started.0 = None;
        Ok(watched)
    }

    /// Takes over one that runs already. The caller makes sure afterwards that the number has not changed hands.
    pub(super) fn adopt(pid: i32, pgdata: &Path) -> Result<Self, PostgresError> {
        Self::open(pid, false, pgdata)
    }

    fn open(pid: i32, is_child: bool, pgdata: &Path) -> Result<Self, PostgresError> {
        let failed = |error: &dyn std::fmt::Display| {
            PostgresError::Refused(format!("cannot watch the postmaster {pid}: {error}"))
        };
        let pid = Pid::from_raw(pid).ok_or_else(|| failed(&"not a process id"))?;
        // Linux 5.3 to 5.9 know the call and not the flag, which only says that nobody waits in a read.
        let opened = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Err(Errno::INVAL) => pidfd_open(pid, PidfdFlags::empty()),
            opened => opened,
        };
        let watch = match opened {
            // SAFETY: an `OwnedFd` refers to the same open file until it is dropped, which the `AsyncFd` does.
            #[allow(unsafe_code)]
            Ok(fd) => unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
                .map(Watch::Descriptor)
                .map_err(|error| failed(&error))?,
            Err(Errno::SRCH) => return Err(failed(&Errno::SRCH)),
            Err(error) => {
                tracing::info!(
                    "this system gives no descriptors of processes (pidfd_open: {error}): looking at the postmaster \
                     every {} ms",
                    LOOK_INTERVAL.as_millis()
                );
                Watch::Looking { started: process::started(pid.as_raw_nonzero().get()) }
            }
        };
        Ok(Self {
            pid,
            watch,
            is_child,
            pgdata: pgdata.to_owned(),
            end: Mutex::new(End::None),
            is_asked_to_stop: AtomicBool::new(false),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// A descriptor that means this process, and never another one.
    /// `None` where the system gives none.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.watch {
            Watch::Descriptor(fd) => Some(fd.get_ref().as_fd()),
            Watch::Looking { .. } => None,
        }
    }

    /// Waits for its end, however it comes. May be awaited by several at a time, and given up.
    pub(crate) async fn exited(&self) -> PostgresExit {
        loop {
            if self.has_ended() {
                return self.exit().await;
            }
            let Watch::Descriptor(fd) = &self.watch else {
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            };
            match fd.readable().await {
                Ok(mut ready) => {
                    if !self.has_ended() {
                        ready.clear_ready();
                    }
                }
                // The runtime shuts down.
                Err(_) => return PostgresExit::Crashed,
            }
        }
    }

    /// It does not live any more. Reads nothing but /proc.
    pub(crate) fn has_ended(&self) -> bool {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if *end == End::None {
            *end = if self.is_child { self.reap() } else { self.look() };
        }
        *end != End::None
    }

    fn reap(&self) -> End {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let whom = self.as_fd().map_or(WaitId::Pid(self.pid), WaitId::PidFd);
        match waitid(whom, options) {
            Ok(None) => End::None,
            Ok(Some(status)) if status.exit_status() == Some(0) => End::Told(PostgresExit::Clean),
            Ok(Some(_)) => End::Told(PostgresExit::Crashed),
            // Somebody else reaped it.
            Err(_) => self.look(),
        }
    }

    /// It has ended, whether or not anybody has waited for it. Takes no lock, and waits for nothing.
    pub(crate) fn is_dead(&self) -> bool {
        match &self.watch {
            // A process file descriptor becomes readable when the process ends.
            Watch::Descriptor(fd) => {
                let mut fds = [PollFd::new(fd, PollFlags::IN)];
                poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
            }
            Watch::Looking { .. } => !self.is_there(),
        }
    }

    fn look(&self) -> End {
        if self.is_dead() { End::Untold } else { End::None }
    }

    /// How it ended. Whose child it was has its status; what else can be seen is that a postmaster that was killed leaves
    /// its pid file.
    async fn exit(&self) -> PostgresExit {
        if let End::Told(exit) = *self.end.lock().unwrap_or_else(PoisonError::into_inner) {
            return exit;
        }
        let pid_file = self.pgdata.join("postmaster.pid");
        let looked = tokio::task::spawn_blocking(move || pid_file.exists());
        let is_left = tokio::time::timeout(PID_FILE_DEADLINE, looked).await;
        let exit = match is_left {
            Ok(Ok(false)) => PostgresExit::Clean,
            // On a disk that does not answer nothing ends well.
            _ => PostgresExit::Crashed,
        };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = End::Told(exit);
        exit
    }

    /// The number means the process that it meant at first, and that is no zombie.
    fn is_there(&self) -> bool {
        let Watch::Looking { started } = &self.watch else { return true };
        started.is_some() && process::started(self.pid()) == *started
    }

    /// Its end is our wish: nobody has to react to it.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.is_asked_to_stop.load(Ordering::Relaxed)
    }

    /// Notes that its end is our wish, or is not any more.
    pub(crate) fn ask_to_stop(&self, is_asked: bool) {
        self.is_asked_to_stop.store(is_asked, Ordering::Relaxed);
    }

    /// Sends a signal; to one that is gone, none.
    pub(crate) fn signal(&self, signal: Signal) {
        let sent = match &self.watch {
            Watch::Descriptor(fd) => pidfd_send_signal(fd.as_fd(), signal),
            // A child that has not been waited for keeps its number.
            Watch::Looking { .. } if self.is_there() => kill_process(self.pid, signal),
            Watch::Looking { .. } => Err(Errno::SRCH),
        };
        if let Err(error) = sent {
            tracing::debug!("could not signal postmaster {}: {error}", self.pid());
        }
    }
}

/// Runs the program.
fn start(config: &InstanceConfig, settings: &[(&'static str, String)]) -> Result<Child, PostgresError> {
    let program = config.program("postgres");
    let log_path = config.startup_log();
    let is_long = std::fs::metadata(&log_path).is_ok_and(|log| log.len() > STARTUP_LOG_BYTES);
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .append(!is_long)
        .truncate(is_long)
        .mode(0o600)
        .open(&log_path)
        .map_err(PostgresError::file("open", &log_path))?;
    let errors = log.try_clone().map_err(PostgresError::file("open", &log_path))?;
    let mut command = Command::new(&program);
    command
        .arg("-D")
        .arg(&config.pgdata)
        .arg("-p")
        .arg(config.port.to_string())
        .arg("-h")
        .arg(&config.listen_addresses)
        .args(socket_arguments(&config.socket_dir))
        .args(settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]))
        .current_dir(&config.pgdata)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Signals of the terminal are for the keeper.
        .process_group(0)
        .env_remove("NOTIFY_SOCKET");
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    command.spawn().map_err(PostgresError::file("run", &program))
}

/// A postmaster that nobody watches yet: killed when nobody begins to.
struct Unwatched(Option<Child>);

impl Drop for Unwatched {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It may hang in the kernel, and must hold up nobody.
        std::thread::spawn(move || {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                tracing::warn!(
                    "could not end postmaster {}, which was started too late: {error}",
                    child.id()
                );
            }
        });
    }
}

fn socket_arguments(directory: &SocketDir) -> Vec<std::ffi::OsString> {
    match directory {
        SocketDir::Default => Vec::new(),
        SocketDir::Directory(path) => vec!["-k".into(), path.into()],
        SocketDir::Nowhere => vec!["-k".into(), "".into()],
    }
}
