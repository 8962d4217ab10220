//! What a keeper costs while nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::harness::{Cluster, pids_in_namespace};

/// Long enough to see half a percent of a core in clock ticks of 10 ms.
const OBSERVED_FOR: Duration = Duration::from_secs(20);

/// Of the keeper of a secondary, all its processes but Postgres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    /// Resident memory, in megabytes.
    pub(super) resident_mb: f64,
    /// Share of one core, in percent.
    pub(super) cpu_percent: f64,
}

impl Footprint {
    /// Looks at the keeper of n2 for a while.
    pub(super) fn of_idle_keeper(cluster: &Cluster) -> Result<Self> {
        let namespace = cluster.host("n2")?.link.namespace.name();
        let keepers: Vec<i32> = pids_in_namespace(namespace)
            .into_iter()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|comm| comm.starts_with("pg_autoctl"))
            })
            .collect();
        let ticks = || -> Result<u64> { keepers.iter().map(|pid| cpu_ticks(*pid)).sum() };
        let (began, before) = (Instant::now(), ticks()?);
        std::thread::sleep(OBSERVED_FOR);
        let used = ticks()?.saturating_sub(before);
        let resident: Result<u64> = keepers.iter().map(|pid| resident_kb(*pid)).sum();
        // Ticks are hundredths of a second: as many as percent in one second.
        let cpu_percent = f64::from(u32::try_from(used)?) / began.elapsed().as_secs_f64();
        Ok(Self { resident_mb: f64::from(u32::try_from(resident?)?) / 1024.0, cpu_percent })
    }
}

fn cpu_ticks(pid: i32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; the 14th and 15th fields are user and system time.
    let after_name = stat.rsplit_once(") ").context("no /proc stat line")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).context("a short /proc stat line");
    Ok(field(14)?.parse::<u64>()? + field(15)?.parse::<u64>()?)
}

fn resident_kb(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(number.parse()?)
}
