//! Runs one program to its end, or ends it.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::call::Call;
use crate::config::HookCommand;
use crate::process_group::ProcessGroup;

/// A program that prints more is ended.
const MOST_OUTPUT_BYTES: usize = 64 << 10;
/// Of what it printed, so much is logged.
const LOGGED_BYTES: usize = 500;
/// Once the program has ended, what it has printed is waited for this long: it may have left a child with the pipe.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(100);
/// Variables of this process that a hook sees. Connection strings and passwords are not among them.
const KEPT_VARIABLES: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LANG"];

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("could not be started: {0}")]
    NotStarted(io::Error),
    #[error("ended with {status}{}", said(.output))]
    Failed { status: ExitStatus, output: String },
    #[error("was ended after {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("was ended: it printed more than {} kB", MOST_OUTPUT_BYTES >> 10)]
    Flooded,
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

/// Runs it; gives the end of what it printed. Dropping the future ends the program and all that it has started.
pub(super) async fn run(command: &HookCommand, call: &Call, limit: Duration) -> Result<String, Failure> {
    match timeout(limit, finish(command, call)).await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

async fn finish(command: &HookCommand, call: &Call) -> Result<String, Failure> {
    let mut child = start(command, call).await?;
    let mut group = ProcessGroup::of(child.id());
    if let Some(mut input) = child.stdin.take() {
        // It need not read it.
        let _unread = input.write_all(call.json().as_bytes()).await;
    }
    let mut output = Output::default();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.map_err(Failure::NotStarted)?,
            chunk = more(&mut out), if out.is_some() => output.take(&chunk),
            chunk = more(&mut err), if err.is_some() => output.take(&chunk),
        }
        if output.is_too_much() {
            return Err(Failure::Flooded);
        }
    };
    // What it has left running on purpose goes on.
    group.disarm();
    let rest = async {
        while (out.is_some() || err.is_some()) && !output.is_too_much() {
            tokio::select! {
                chunk = more(&mut out), if out.is_some() => output.take(&chunk),
                chunk = more(&mut err), if err.is_some() => output.take(&chunk),
            }
        }
    };
    // Late output is of no use.
    let _is_complete = timeout(OUTPUT_PATIENCE, rest).await.is_ok();
    let output = output.last();
    if status.success() { Ok(output) } else { Err(Failure::Failed { status, output }) }
}

/// Starts it on a thread of its own: the file system that it is on may hang.
async fn start(command: &HookCommand, call: &Call) -> Result<Child, Failure> {
    let mut program = Command::new(command.program());
    program
        .args(command.arguments())
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_inherited(name)))
        .envs(call.variables())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    match tokio::task::spawn_blocking(move || program.spawn()).await {
        Ok(started) => started.map_err(Failure::NotStarted),
        Err(error) => Err(Failure::NotStarted(io::Error::other(error))),
    }
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| KEPT_VARIABLES.contains(&name) || name.starts_with("LC_"))
}

/// Reads more of a pipe; at its end it is `None`.
async fn more<R: AsyncRead + Unpin>(pipe: &mut Option<R>) -> Vec<u8> {
    let Some(reader) = pipe else { return Vec::new() };
    let mut chunk = vec![0; 4096];
    let count = reader.read(&mut chunk).await.unwrap_or_default();
    if count == 0 {
        *pipe = None;
    }
    chunk.truncate(count);
    chunk
}

/// What a program prints.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    fn take(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
    }

    const fn is_too_much(&self) -> bool {
        self.0.len() > MOST_OUTPUT_BYTES
    }

    /// The end of it, in one line without control characters.
    fn last(&self) -> String {
        let begin = self.0.len().saturating_sub(LOGGED_BYTES);
        let text = String::from_utf8_lossy(&self.0[begin..]);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join("; ");
        line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
    }
}
