//! The wall clock jumps. Timers run on the boot-time clock, so nothing follows from it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios};
use crate::harness::{Cluster, SteppedClock, wait_for};

scenarios! {
    monitor_only:
        a_clock_step_neither_fences_nor_keeps_from_fencing;
}

fn a_clock_step_neither_fences_nor_keeps_from_fencing(cluster: &mut Cluster) -> Result<()> {
    let environment = SteppedClock::build(&cluster.directory)?;
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

/// Steps the clocks of all hosts at once.
fn step(cluster: &Cluster, seconds: i64) -> Result<()> {
    std::iter::once(&cluster.monitor).chain(&cluster.nodes).try_for_each(|host| host.step_clock(seconds))
}
