//! What a person needs who has to find out why something went wrong: taken at once, because logs go on and disks are
//! unmounted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::bed::Bed;

/// Where the evidence of one run goes.
pub(super) struct Evidence {
    directory: PathBuf,
    taken: usize,
}

impl Evidence {
    /// Below `directory`; what an earlier run of the same name has left there is removed.
    pub(super) fn below(directory: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let directory = directory.join(format!("{name}-evidence"));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        Ok(Self { directory, taken: 0 })
    }

    /// Keeps the state, all events, what went wrong for the clients, and whole logs. Returns where.
    pub(super) fn take(&mut self, bed: &Bed, why: &str) -> Result<String> {
        self.taken += 1;
        let directory = self.directory.join(self.taken.to_string());
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("dump.txt"), format!("{why}\n\n{}", bed.cluster.dump()))?;
        let events = "select eventid, eventtime, nodename, reportedstate, goalstate, description \
                      from pgautofailover.event order by eventid";
        let events = bed.cluster.monitor.psql("pg_auto_failover", events);
        fs::write(directory.join("events.txt"), events.unwrap_or_else(|error| format!("{error:#}")))?;
        fs::write(directory.join("clients.txt"), errors_of_clients(bed))?;
        for host in std::iter::once(&bed.cluster.monitor).chain(&bed.cluster.nodes) {
            for from in [host.directory.clone(), host.pgdata().join("log"), host.pgdata()] {
                copy_logs(&from, &directory.join(&host.name))?;
            }
        }
        Ok(directory.display().to_string())
    }
}

fn errors_of_clients(bed: &Bed) -> String {
    let mut text = String::new();
    for writer in bed.writers() {
        let ledger = writer.ledger();
        for (at, error) in &ledger.errors {
            text.push_str(&format!(
                "writer {}, {:.1} s ago: {error}\n",
                ledger.writer,
                at.elapsed().as_secs_f64()
            ));
        }
    }
    text
}

fn copy_logs(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            fs::copy(&path, to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
