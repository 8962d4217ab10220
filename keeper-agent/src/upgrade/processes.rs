//! The processes of pg_autoctl 2.x: one that supervises, and under it one that starts and stops Postgres, and one that
//! reports to the monitor. Each has written its process id to a file; Postgres is a child of the second.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// The services, in the order in which they are ended: whoever would start or stop Postgres first.
const SERVICES: [&str; 3] = ["postgres", "node-active", "listener"];

/// A process that was killed is gone within this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Those that run a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// The one that supervises the others.
    pub supervisor: Option<i32>,
    /// The others.
    pub services: Vec<i32>,
}

impl Processes {
    /// Those that the pid files name, as far as they live.
    pub fn find(pid_file: &Path) -> Self {
        let supervisor =
            first_line(pid_file).filter(|pid| is_pg_autoctl(*pid)).filter(|_| is_of_2x(pid_file));
        let services = SERVICES
            .iter()
            .filter_map(|name| first_line(&service_file(pid_file, name)))
            .filter(|pid| is_pg_autoctl(*pid) && is_service(*pid))
            .collect();
        Self { supervisor, services }
    }

    /// Ends the services and leaves Postgres running.
    ///
    /// # Errors
    /// One that cannot be ended.
    pub async fn end_services(&self) -> Result<(), i32> {
        for pid in &self.services {
            tracing::info!("ending process {pid} of pg_autoctl 2.x, Postgres goes on running");
            if let Some(process) = Pid::from_raw(*pid) {
                // One that is gone already is what is wanted.
                let _ = kill_process(process, Signal::KILL);
            }
            let give_up = Instant::now() + GONE_WITHIN;
            while is_pg_autoctl(*pid) {
                if Instant::now() >= give_up {
                    return Err(*pid);
                }
                sleep(LOOK_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Removes the pid files of services that have ended.
    pub fn remove_files(pid_file: &Path) {
        for name in SERVICES {
            let path = service_file(pid_file, name);
            if let Err(error) = crate::files::atomic::remove(&path) {
                tracing::warn!("could not remove \"{}\": {error}", path.display());
            }
        }
    }
}

fn service_file(pid_file: &Path, service: &str) -> PathBuf {
    pid_file.with_file_name(format!("pg_autoctl_{service}.pid"))
}

fn first_line(path: &Path) -> Option<i32> {
    std::fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The third line is the version of the program; ours writes two lines.
fn is_of_2x(pid_file: &Path) -> bool {
    let content = std::fs::read_to_string(pid_file).unwrap_or_default();
    content.lines().nth(2).is_some_and(|version| version.starts_with("2."))
}

/// It lives, and is that program.
fn is_pg_autoctl(pid: i32) -> bool {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let is_dead =
        read("stat").rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    read("comm").trim_end() == "pg_autoctl" && !is_dead
}

/// 2.x's services show this title; a program that was started since, and was given the same id, does not.
fn is_service(pid: i32) -> bool {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    title.starts_with("pg_autoctl: ") || title.contains("\0service\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_names_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let pid_file = directory.path().join("pg_autoctl.pid");
        assert_eq!(Processes::find(&pid_file), Processes::default());
        // A process that lives and is another program.
        let own = std::process::id();
        std::fs::write(&pid_file, format!("{own}\n/data\n2.0\n2.0\n1\n{own} postgres\n")).expect("written");
        std::fs::write(service_file(&pid_file, "postgres"), format!("{own}\n/data\n")).expect("written");
        assert_eq!(Processes::find(&pid_file), Processes::default());
        assert!(is_of_2x(&pid_file));
        std::fs::write(&pid_file, format!("{own}\n/data\n")).expect("written");
        assert!(!is_of_2x(&pid_file), "a file of ours");
    }
}
