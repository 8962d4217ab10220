//! The one place that runs Postgres's programs: with a clean environment, a deadline, and no way to outlive the keeper.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::error::{PostgresError, says_disk_full};
use super::process;
use crate::process_group::ProcessGroup;

/// Variables a program of ours may see; everything else could change what it does.
const KEPT_VARIABLES: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    // Where the user has no entry in the system's own files, a library that is loaded first has it.
    "LD_PRELOAD",
    "ASAN_OPTIONS",
];
/// And those whose names begin so, which that library reads.
const KEPT_PREFIX: &str = "NSS_WRAPPER_";
/// How often a program that prints nothing is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a process may wait for its disk in one go, as it does while it flushes much.
const DISK_PATIENCE: Duration = Duration::from_secs(3600);
/// What a program does counts as progress when since the last progress it has moved so many bytes: less is what keeps a
/// connection open. pg_basebackup copies no slower than 32 kB a second.
const PROGRESS_BYTES: u64 = 64 << 10;
/// Or has computed for this part of the time.
const PROGRESS_CPU_PERCENT: u64 = 10;
/// Linux counts the time of processes in these.
const TICK: Duration = Duration::from_millis(10);
/// A test has programs without progress ended after so many seconds. For tests only.
const IDLE_VARIABLE: &str = "PGAF_TEST_IDLE_SECONDS";
/// Of what a program prints, this much is kept.
const KEPT_OUTPUT_BYTES: usize = 1 << 20;

/// Of that, a watcher sees this much.
const WATCHED_BYTES: usize = 512;

/// How long a program may run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// This long in all.
    Within(Duration),
    /// As long as it likes, if it prints, reads, writes or computes something that often, or waits for its disk.
    Idle(Duration),
}

/// Looks at output.
type Watcher = Box<dyn Fn(&str)>;

/// A program about to run.
pub(crate) struct Program {
    name: String,
    path: PathBuf,
    /// Where it writes, if that is known.
    target: PathBuf,
    command: Command,
    /// Gets the last of its error output whenever there is more.
    watcher: Option<Watcher>,
}

/// What a program that ended well has printed.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) printed: Printed,
}

impl Program {
    /// A program of Postgres in `bin_dir`.
    pub(crate) fn new(bin_dir: &Path, name: &str) -> Self {
        let path = bin_dir.join(name);
        let mut command = Command::new(&path);
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| is_inherited(name)));
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        die_with_the_keeper(&mut command);
        Self { name: name.to_owned(), target: path.clone(), path, command, watcher: None }
    }

    /// Says where it writes, for the error when that is full.
    pub(crate) fn writes_to(mut self, target: &Path) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Has `watcher` called with the last of what it has printed, whenever it prints more to its error output.
    pub(crate) fn watch(mut self, watcher: impl Fn(&str) + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// Adds an argument. Never a password: everybody on this machine can read it.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs it to a good end. Dropping the future kills it and all it has started.
    ///
    /// # Errors
    /// It cannot be started, ends with an error, or exceeds the limit.
    pub(crate) async fn run(self, limit: Limit) -> Result<Printed, PostgresError> {
        let (name, target) = (self.name.clone(), self.target.clone());
        let ended = self.finish(limit).await?;
        if ended.status.success() {
            return Ok(ended.printed);
        }
        Err(failure(&name, &target, &ended))
    }

    /// Runs it to any end.
    ///
    /// # Errors
    /// It cannot be started, or exceeds the limit.
    pub(crate) async fn finish(mut self, limit: Limit) -> Result<Ended, PostgresError> {
        tracing::debug!("running {:?}", self.command.as_std());
        let mut child = self.command.spawn().map_err(PostgresError::file("run", &self.path))?;
        let mut group = ProcessGroup::of(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut ends = Ends { out: stdout.map(Capture::new), err: stderr.map(Capture::new) };
        let (allowed, renews) = match limit {
            Limit::Within(allowed) => (allowed, false),
            Limit::Idle(allowed) => (allowed, true),
        };
        let allowed = if renews { idle_limit(allowed) } else { allowed };
        let timed_out = || match renews {
            true => PostgresError::NoProgress { program: self.name.clone(), after: allowed },
            false => PostgresError::TimedOut { what: self.name.clone(), after: allowed },
        };
        let mut patience = Patience::new(child.id(), allowed, renews);
        loop {
            match timeout_at(patience.next_look(), ends.read_more()).await {
                Ok(false) => break,
                Ok(true) => {
                    patience.note_output();
                    if let (Some(watcher), Some(err)) = (&self.watcher, &ends.err) {
                        watcher(&err.last());
                    }
                }
                Err(_) if patience.is_over() => return Err(timed_out()),
                Err(_) => {}
            }
        }
        let status = loop {
            match timeout_at(patience.next_look(), child.wait()).await {
                Ok(status) => break status.map_err(PostgresError::file("wait for", &self.path))?,
                Err(_) if patience.is_over() => return Err(timed_out()),
                Err(_) => {}
            }
        };
        group.disarm();
        let printed = ends.into_printed();
        // What is wrong is said on standard error; the rest is data, which whoever asked for it makes sense of.
        for line in printed.stderr.lines() {
            tracing::debug!("{}: {line}", self.name);
        }
        for line in printed.stdout.lines() {
            tracing::trace!("{}: {line}", self.name);
        }
        Ok(Ended { status, printed })
    }
}

fn idle_limit(allowed: Duration) -> Duration {
    let given = std::env::var(IDLE_VARIABLE).ok().and_then(|seconds| seconds.parse().ok());
    given.map_or(allowed, Duration::from_secs)
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| KEPT_VARIABLES.contains(&name) || name.starts_with(KEPT_PREFIX))
}

/// How long a program may go on.
struct Patience {
    pid: Option<i32>,
    allowed: Duration,
    renews: bool,
    deadline: Instant,
    /// When it was last seen to make progress, and what its processes had done by then.
    progress_at: Instant,
    work: Vec<Work>,
    /// Since when it has done nothing but to wait for its disk.
    at_disk_since: Option<Instant>,
}

/// What one of its processes has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    pid: i32,
    cpu_ticks: Option<u64>,
    bytes: Option<u64>,
}

impl Patience {
    fn new(pid: Option<u32>, allowed: Duration, renews: bool) -> Self {
        Self {
            pid: pid.and_then(|pid| i32::try_from(pid).ok()),
            allowed,
            renews,
            deadline: Instant::now() + allowed,
            progress_at: Instant::now(),
            work: Vec::new(),
            at_disk_since: None,
        }
    }

    fn next_look(&self) -> Instant {
        if self.renews { self.deadline.min(Instant::now() + LOOK_INTERVAL) } else { self.deadline }
    }

    fn note_output(&mut self) {
        if self.renews {
            self.deadline = Instant::now() + self.allowed;
        }
    }

    /// Looks at what it does, and says whether it has had its time.
    fn is_over(&mut self) -> bool {
        if let (true, Some(pid)) = (self.renews, self.pid) {
            self.look(pid);
        }
        Instant::now() >= self.deadline
    }

    /// pg_basebackup has a process of its own for WAL.
    fn look(&mut self, pid: i32) {
        let mut processes = process::children(pid);
        processes.push(pid);
        let is_at_disk = processes.iter().any(|pid| process::is_waiting_for_disk(*pid));
        let work: Vec<Work> = processes
            .into_iter()
            .map(|pid| Work {
                pid,
                cpu_ticks: process::cpu_ticks(pid),
                bytes: process::transferred_bytes(pid),
            })
            .collect();
        let now = Instant::now();
        let has_worked = is_progress(&self.work, &work, now - self.progress_at);
        if has_worked {
            self.progress_at = now;
            self.work = work;
        }
        if has_worked || !is_at_disk {
            self.at_disk_since = is_at_disk.then_some(now);
        }
        let is_flushing = self.at_disk_since.is_some_and(|since| since.elapsed() < DISK_PATIENCE);
        if has_worked || is_flushing {
            self.deadline = now + self.allowed;
        }
    }
}

/// Whether that was enough for this time. What a process did before it was first seen counts, too.
fn is_progress(before: &[Work], after: &[Work], time: Duration) -> bool {
    let (mut bytes, mut ticks) = (0_u64, 0_u64);
    for work in after {
        let known = before.iter().find(|known| known.pid == work.pid);
        let done = |now: Option<u64>, then: Option<u64>| {
            now.unwrap_or_default().saturating_sub(then.unwrap_or_default())
        };
        bytes = bytes.saturating_add(done(work.bytes, known.and_then(|known| known.bytes)));
        ticks = ticks.saturating_add(done(work.cpu_ticks, known.and_then(|known| known.cpu_ticks)));
    }
    let computed = TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
    bytes >= PROGRESS_BYTES
        || (ticks > 0 && computed.as_millis() * 100 >= time.as_millis() * u128::from(PROGRESS_CPU_PERCENT))
}

/// The error for a program that ended badly; `target` is where it writes.
pub(crate) fn failure(name: &str, target: &Path, ended: &Ended) -> PostgresError {
    let stderr = &ended.printed.stderr;
    if says_disk_full(stderr) {
        return PostgresError::DiskFull { path: target.to_owned() };
    }
    let message = match last_messages(stderr) {
        message if message.is_empty() => ended.status.to_string(),
        message => message,
    };
    PostgresError::Program { program: name.to_owned(), message }
}

/// The last lines that say something, in one line.
pub(crate) fn last_messages(output: &str) -> String {
    let mut lines: Vec<&str> =
        output.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).rev().take(3).collect();
    lines.reverse();
    lines.join("; ")
}

/// Asks the kernel to kill the program when the keeper dies, even by SIGKILL: another one may soon work in the same
/// directory.
fn die_with_the_keeper(command: &mut Command) {
    // SAFETY: prctl is a plain system call, allowed between fork and exec; the closure touches no memory.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// The pipes of a program.
struct Ends<O, E> {
    out: Option<Capture<O>>,
    err: Option<Capture<E>>,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Ends<O, E> {
    /// Waits for more output; false when both pipes are closed.
    async fn read_more(&mut self) -> bool {
        let has_out = self.out.as_ref().is_some_and(|capture| !capture.is_at_end);
        let has_err = self.err.as_ref().is_some_and(|capture| !capture.is_at_end);
        tokio::select! {
            () = Capture::read(&mut self.out), if has_out => true,
            () = Capture::read(&mut self.err), if has_err => true,
            else => false,
        }
    }

    fn into_printed(self) -> Printed {
        Printed {
            stdout: self.out.map(Capture::into_text).unwrap_or_default(),
            stderr: self.err.map(Capture::into_text).unwrap_or_default(),
        }
    }
}

/// One pipe and what came out of it.
struct Capture<R> {
    pipe: R,
    bytes: Vec<u8>,
    is_at_end: bool,
}

impl<R: AsyncRead + Unpin> Capture<R> {
    const fn new(pipe: R) -> Self {
        Self { pipe, bytes: Vec::new(), is_at_end: false }
    }

    async fn read(capture: &mut Option<Self>) {
        let Some(capture) = capture else { return };
        let mut chunk = [0; 4096];
        match capture.pipe.read(&mut chunk).await {
            Ok(count) if count > 0 => {
                capture.bytes.extend_from_slice(&chunk[..count]);
                if capture.bytes.len() > KEPT_OUTPUT_BYTES {
                    let excess = capture.bytes.len() - KEPT_OUTPUT_BYTES / 2;
                    capture.bytes.drain(..excess);
                }
            }
            _ => capture.is_at_end = true,
        }
    }

    fn last(&self) -> Cow<'_, str> {
        let start = self.bytes.len().saturating_sub(WATCHED_BYTES);
        String::from_utf8_lossy(&self.bytes[start..])
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new(Path::new("/bin"), "sh").arg("-c").arg(script)
    }

    #[tokio::test]
    async fn output_of_both_pipes_is_kept() {
        let limit = Limit::Within(Duration::from_secs(10));
        let printed = shell("echo one; echo two >&2").run(limit).await.expect("runs");
        assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), ("one\n", "two\n"));
    }

    #[tokio::test]
    async fn an_error_has_the_last_words() {
        let limit = Limit::Within(Duration::from_secs(10));
        let error =
            shell("echo first >&2; echo 'error: wrong' >&2; exit 3").run(limit).await.expect_err("fails");
        assert_eq!(error.to_string(), "sh failed: first; error: wrong");
        let error =
            shell("echo 'x: No space left on device' >&2; exit 1").run(limit).await.expect_err("fails");
        assert!(error.is_disk_full());
    }

    #[tokio::test]
    async fn idleness_ends_it_and_output_does_not() {
        let limit = Limit::Idle(Duration::from_millis(400));
        shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done")
            .run(limit)
            .await
            .expect("never silent for long");
        let error = shell("echo 1; sleep 20").run(limit).await.expect_err("idle");
        assert!(matches!(error, PostgresError::NoProgress { .. }), "{error}");
    }

    #[tokio::test]
    async fn work_without_a_word_is_not_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let limit = Limit::Idle(Duration::from_secs(2));
        let file = directory.path().join("copy");
        let writes = format!(
            "for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of={0} bs=8k count=10 conv=fsync 2>/dev/null; sleep 0.5; done",
            file.display()
        );
        shell(&writes).run(limit).await.expect("it writes all the time");
        let reads = "for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/dev/null bs=40k count=1 2>/dev/null; sleep 0.5; done";
        shell(reads).run(limit).await.expect("it reads all the time");
        let child = format!("({writes}) & wait");
        shell(&child).run(limit).await.expect("its child writes all the time");
        let error = shell("sleep 20 & wait").run(limit).await.expect_err("idle");
        assert!(matches!(error, PostgresError::NoProgress { .. }), "{error}");
        // As the receiver of WAL does beside a copy that has stopped.
        let trickles = "for i in 1 2 3 4 5 6 7 8 9; do read line < /proc/version; sleep 0.5; done";
        let error = shell(trickles).run(limit).await.expect_err("as good as idle");
        assert!(matches!(error, PostgresError::NoProgress { .. }), "{error}");
    }

    #[test]
    fn a_process_makes_progress_by_bytes_or_by_computing() {
        let work = |pid, cpu_ticks, bytes| Work { pid, cpu_ticks: Some(cpu_ticks), bytes: Some(bytes) };
        let second = Duration::from_secs(1);
        let before = [work(1, 100, 1000)];
        assert!(!is_progress(&before, &before, second));
        assert!(!is_progress(&before, &[work(1, 101, 1100)], second));
        assert!(is_progress(&before, &[work(1, 110, 1000)], second));
        assert!(!is_progress(&before, &[work(1, 110, 1000)], 60 * second), "as little as a connection takes");
        assert!(is_progress(&before, &[work(1, 100, 70_000)], 60 * second));
        assert!(is_progress(&before, &[work(1, 100, 1000), work(2, 0, 70_000)], second), "a child");
        assert!(!is_progress(&before, &[], second), "it has ended");
    }

    #[test]
    fn what_a_user_without_an_entry_needs_is_passed_on() {
        for name in ["LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP", "HOME"] {
            assert!(is_inherited(OsStr::new(name)), "{name}");
        }
        for name in ["PGOPTIONS", "PGDATA", "PGPASSWORD", "LC_ALL"] {
            assert!(!is_inherited(OsStr::new(name)), "{name}");
        }
    }

    #[tokio::test]
    async fn what_it_started_dies_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("pid");
        let script = format!("sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let limit = Limit::Within(Duration::from_secs(10));
        let run = shell(&script).run(limit);
        let pid = tokio::select! {
            _ = run => panic!("it sleeps"),
            pid = async {
                loop {
                    if let Ok(text) = std::fs::read_to_string(&file) {
                        break text;
                    }
                    tokio::task::yield_now().await;
                }
            } => pid.trim().to_owned(),
        };
        let stat = format!("/proc/{pid}/stat");
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "still there");
            tokio::task::yield_now().await;
        }
    }
}
