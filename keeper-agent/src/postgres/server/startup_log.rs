//! Why a postmaster gave up: the last grave messages it wrote since it was started.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::config::InstanceConfig;
use super::files::Files;

/// Of a log, at most this much is read.
const TAIL_BYTES: u64 = 64 << 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LOOKS: u32 = 25;

/// How far the logs were written at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    bytes: u64,
    time: SystemTime,
}

impl Position {
    /// Before the start.
    pub(crate) async fn now(files: &Files, config: &Arc<InstanceConfig>) -> Self {
        let (time, log) = (SystemTime::now(), config.startup_log());
        let length = files.look("looking at the log of the start", move || {
            Ok(fs::metadata(log).map_or(0, |log| log.len()))
        });
        Self { bytes: length.await.unwrap_or_default(), time }
    }

    /// The messages since then that say why it ended. The process that writes the log may outlive the server by a
    /// moment.
    pub(crate) async fn reason(self, files: &Files, config: &Arc<InstanceConfig>) -> String {
        for _ in 0..LOOKS {
            let config = Arc::clone(config);
            match files.look("reading the log of the start", move || Ok(self.look(&config))).await {
                Ok(reason) if !reason.is_empty() => return reason,
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
            sleep(LOOK_INTERVAL).await;
        }
        "it ended without a message".to_owned()
    }

    fn look(self, config: &InstanceConfig) -> String {
        let mut text = read_from(&config.startup_log(), self.bytes);
        if let Some(newest) = newest_log(&config.in_pgdata("log"), self.time) {
            text.push_str(&read_from(&newest, 0));
        }
        grave_messages(&text)
    }
}

/// The last messages of the levels that end a server, and what was said just before with `LOG:` of sockets.
fn grave_messages(text: &str) -> String {
    let is_grave = |line: &&str| {
        ["FATAL:", "PANIC:", "could not bind", "postgres: "].iter().any(|word| line.contains(word))
    };
    let mut lines: Vec<&str> = text.lines().filter(is_grave).rev().take(3).collect();
    lines.reverse();
    let messages: Vec<&str> = lines
        .iter()
        .map(|line| {
            let from = ["FATAL:", "PANIC:", "LOG:"].iter().find_map(|word| line.find(word));
            line[from.unwrap_or(0)..].trim()
        })
        .collect();
    messages.join("; ")
}

fn read_from(path: &Path, start: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // A log that was begun anew is shorter.
        let start = if start > length { 0 } else { start };
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The log that the server writes by itself, when it has written to it since.
fn newest_log(directory: &Path, since: SystemTime) -> Option<PathBuf> {
    let written = |path: &Path| fs::metadata(path).and_then(|log| log.modified()).ok();
    fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| written(&path).map(|time| (time, path)))
        .filter(|(time, _)| *time >= since)
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_without_time_and_pid() {
        let text = "2024-01-01 [7] LOG:  starting\n\
                    2024-01-01 [7] LOG:  could not bind IPv4 address \"0.0.0.0\": Address already in use\n\
                    2024-01-01 [7] FATAL:  could not create any TCP/IP sockets\n\
                    2024-01-01 [7] LOG:  database system is shut down\n";
        assert_eq!(
            grave_messages(text),
            "LOG:  could not bind IPv4 address \"0.0.0.0\": Address already in use; \
             FATAL:  could not create any TCP/IP sockets"
        );
        assert_eq!(grave_messages(""), "");
    }
}
