//! What a person needs who has to find out why a scenario failed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cluster::{Cluster, relative};
use super::sweep::is_kept;
use super::watch::describe;

/// Lines shown of each log.
const LOG_LINES: usize = 40;

impl Cluster {
    /// The state, the last events and the ends of all logs.
    pub(crate) fn dump(&self) -> String {
        let mut text = String::new();
        match self.rows() {
            Ok(rows) => line(&mut text, &describe(&rows)),
            Err(error) => line(&mut text, &format!("the monitor does not say its state: {error:#}")),
        }
        line(&mut text, &self.events());
        for host in self.monitors().chain(&self.nodes) {
            for directory in [&host.directory, &host.pgdata().join("log")] {
                let entries = fs::read_dir(directory).into_iter().flatten().flatten();
                let mut logs: Vec<_> =
                    entries.map(|entry| entry.path()).filter(|path| is_log(path)).collect();
                logs.sort();
                for log in logs {
                    self.append_log(&mut text, &log);
                }
            }
        }
        let kept = if is_kept() {
            format!("kept: {}", self.directory.display())
        } else {
            "PGAF_KEEP=1 keeps the files of the next failure".to_owned()
        };
        line(&mut text, &kept);
        text
    }

    fn events(&self) -> String {
        let sql = "select to_char(eventtime, 'HH24:MI:SS.MS'), nodename, reportedstate, goalstate, description from \
                   (select * from pgautofailover.event order by eventid desc limit 40) last order by eventid";
        self.monitor
            .psql("pg_auto_failover", sql)
            .unwrap_or_else(|error| format!("the monitor does not say its events: {error:#}"))
    }

    fn append_log(&self, text: &mut String, path: &Path) {
        let Ok(content) = fs::read(path) else {
            return;
        };
        let content = String::from_utf8_lossy(&content);
        line(text, &format!("--- {}", relative(path, &self.directory)));
        let lines: Vec<&str> = content.lines().collect();
        for last in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            line(text, last);
        }
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn line(text: &mut String, content: &str) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "{content}");
}
