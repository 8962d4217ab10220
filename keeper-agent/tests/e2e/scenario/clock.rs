//! The wall clock jumps. Timers run on the boot-time clock, so nothing follows from it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios};
use crate::harness::{Cluster, run, wait_for};

scenarios! {
    monitor_only:
        a_clock_step_neither_fences_nor_keeps_from_fencing;
}

/// A library to preload: adds the seconds in a file to the wall clock, and leaves the other clocks alone.
const STEPPED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void)
{
    long seconds = 0;
    const char *path = getenv("STEPPED_CLOCK");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1)
            seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME && result == 0)
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void) zone;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (result)
        *result = precise.tv_sec;
    return precise.tv_sec;
}
"#;

fn a_clock_step_neither_fences_nor_keeps_from_fencing(cluster: &mut Cluster) -> Result<()> {
    let environment = stepped_clock(&cluster.directory)?;
    cluster.setup.environment = environment.clone();
    cluster.monitor.kill_everything()?;
    cluster.monitor.environment = environment;
    cluster.monitor.run()?;
    for name in ["n1", "n2"] {
        cluster.add_node(name, &[])?;
        cluster.wait_states(&[("n1", if name == "n1" { "single" } else { "primary" })], WHOLE)?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.prepare_database()?;

    let writer = cluster.writer()?;
    for step_seconds in [3600, -3600] {
        step(cluster, step_seconds)?;
        let since = Instant::now();
        wait_for("some time on the other clock", Duration::from_secs(30), || {
            writer.wait_for_ack(SOON)?;
            Ok((since.elapsed() > Duration::from_secs(8)).then_some(()))
        })?;
        let pause = writer.pause_since(since, SOON)?;
        ensure!(pause < Duration::from_secs(1), "{pause:?} without a commit after a step of the clock");
        ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
        cluster.wait_whole(SOON)?;
    }
    let isolated = cluster.local_writer("n1")?;
    cluster.host("n1")?.link.cut()?;
    step(cluster, -7200)?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    let fenced = cluster.host("n1")?.psql("postgres", "create table split_brain()");
    ensure!(fenced.is_err(), "the isolated primary has not fenced itself");
    cluster.host("n1")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}

fn stepped_clock(directory: &Path) -> Result<Vec<(String, String)>> {
    let source = directory.join("stepped_clock.c");
    let library = directory.join("stepped_clock.so");
    fs::write(&source, STEPPED_CLOCK)?;
    run(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl"))?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
    let offset = directory.join("clock_offset");
    fs::write(&offset, "0")?;
    Ok(vec![("LD_PRELOAD".to_owned(), text(&library)?), ("STEPPED_CLOCK".to_owned(), text(&offset)?)])
}

/// Steps the clocks of all hosts at once.
fn step(cluster: &Cluster, seconds: i32) -> Result<()> {
    let next = cluster.directory.join("clock_offset.next");
    fs::write(&next, seconds.to_string())?;
    Ok(fs::rename(next, cluster.directory.join("clock_offset"))?)
}
