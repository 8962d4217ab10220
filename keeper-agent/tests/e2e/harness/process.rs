//! Processes: run to the end with a deadline, found by their namespace, signalled by id.

use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::network::namespace_path;
use super::wait::wait_for;

/// What a program that ended has said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code; -1 for a program that a signal ended.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The standard output of a program that must have succeeded.
    pub(crate) fn success(self) -> Result<String> {
        ensure!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// Runs a short command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let said = format!("{command:?}");
    run_to_end(command, Duration::from_secs(30)).and_then(Ended::success).map(drop).with_context(|| said)
}

/// Runs a command to its end, or kills it when the time is over.
pub(crate) fn run_to_end(command: &mut Command, within: Duration) -> Result<Ended> {
    finish(command.stdin(Stdio::null()), "", within)
}

/// The same with something to read, which must fit into a pipe.
pub(crate) fn run_to_end_with_input(command: &mut Command, input: &str, within: Duration) -> Result<Ended> {
    finish(command.stdin(Stdio::piped()), input, within)
}

fn finish(command: &mut Command, input: &str, within: Duration) -> Result<Ended> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let stdout = read_aside(child.stdout.take());
    let stderr = read_aside(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // It may end without reading; that shows in how it ends.
        let _reads_nothing = stdin.write_all(input.as_bytes());
    }
    let Some(status) = wait_child(&mut child, within)? else {
        child.kill()?;
        child.wait()?;
        bail!("{command:?} was still running after {within:?}");
    };
    Ok(Ended { status, stdout: stdout.collect(), stderr: stderr.collect() })
}

/// Waits for a child; `None` when it still runs at the end of the time.
pub(crate) fn wait_child(child: &mut Child, within: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A pipe that is read by a thread, so that its writer never blocks.
struct Aside(std::sync::mpsc::Receiver<String>);

impl Aside {
    /// What was read; a grandchild that still holds the pipe is not waited for. On a busy machine the thread that reads may
    /// come late.
    fn collect(self) -> String {
        let mut text = String::new();
        while let Ok(part) = self.0.recv_timeout(Duration::from_secs(5)) {
            text.push_str(&part);
        }
        text
    }
}

fn read_aside(pipe: Option<impl Read + Send + 'static>) -> Aside {
    let (sender, receiver) = std::sync::mpsc::channel();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count) = pipe.read(&mut buffer) {
                let part = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if count == 0 || sender.send(part).is_err() {
                    break;
                }
            }
        });
    }
    Aside(receiver)
}

/// The processes whose network namespace is the one of that name, by ascending id; never the test itself, whose
/// threads visit namespaces.
pub(crate) fn pids_in_namespace(name: &str) -> Vec<i32> {
    let Ok(namespace) = fs::metadata(namespace_path(name)) else {
        return Vec::new();
    };
    let mut pids: Vec<i32> = pids()
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| found.ino() == namespace.ino() && found.dev() == namespace.dev())
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Kills every process that works in a directory or below it, and waits until they are gone: keepers, their servers and
/// what these have started.
pub(crate) fn kill_below(directory: &Path) -> Result<()> {
    wait_for("the processes of a directory to be gone", Duration::from_secs(10), || {
        let pids = pids_below(directory);
        for pid in &pids {
            signal(*pid, Signal::SIGKILL)?;
        }
        Ok(pids.is_empty().then_some(()))
    })
}

fn pids_below(directory: &Path) -> Vec<i32> {
    let works_there = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|works_in| works_in.starts_with(directory))
    };
    pids().filter(works_there).collect()
}

/// All processes but the test itself.
fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id().cast_signed())
}

/// Whether a process has that id; a zombie counts.
pub(crate) fn is_process(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: i32, signal: Signal) -> Result<()> {
    ensure!(pid > 1, "{pid} is no process to signal");
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to {pid}")),
    }
}

/// Sends a signal to every process of a namespace, until no new one appears.
pub(crate) fn signal_namespace(name: &str, with: Signal) -> Result<()> {
    let mut signalled = Vec::new();
    loop {
        let new: Vec<i32> =
            pids_in_namespace(name).into_iter().filter(|pid| !signalled.contains(pid)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for pid in new {
            signal(pid, with)?;
            signalled.push(pid);
        }
    }
}

/// Kills every process of a namespace and waits until they are gone.
pub(crate) fn kill_namespace(name: &str) -> Result<()> {
    wait_for("the processes of a host to be gone", Duration::from_secs(10), || {
        signal_namespace(name, Signal::SIGKILL)?;
        Ok(pids_in_namespace(name).is_empty().then_some(()))
    })
}
