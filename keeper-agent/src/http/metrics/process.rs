//! What the system says of this process, under the names that all exporters use.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::counters::{Exposition, float};
use crate::postgres::BootTime;

/// Fields of /proc/self/stat after the name, counted from the state.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

pub(super) fn add(exposition: &mut Exposition) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may have spaces and parentheses in it.
    let fields: Vec<&str> =
        stat.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect());
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).map(float);
    let ticks = float(rustix::param::clock_ticks_per_second());
    let page = float(u64::try_from(rustix::param::page_size()).unwrap_or(4096));
    let cpu = field(USER_TICKS).zip(field(SYSTEM_TICKS)).map(|(user, system)| (user + system) / ticks);
    exposition.counter_of("process_cpu_seconds", "CPU time that this process has used", cpu);
    exposition.gauge(
        "process_resident_memory_bytes",
        "Memory of this process that is resident",
        field(RESIDENT_PAGES).map(|pages| pages * page),
    );
    exposition.gauge("process_virtual_memory_bytes", "Address space of this process", field(VIRTUAL_BYTES));
    let files = std::fs::read_dir("/proc/self/fd").ok().and_then(|files| u64::try_from(files.count()).ok());
    exposition.gauge("process_open_fds", "Files that this process has open", files.map(float));
    let booted = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .map(|now| now.as_secs_f64() - BootTime::now().moment().since_boot().as_secs_f64());
    exposition.gauge(
        "process_start_time_seconds",
        "When this process began, in seconds since 1970",
        booted.zip(field(START_TICKS)).map(|(booted, start)| booted + start / ticks),
    );
}
