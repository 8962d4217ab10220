//! What persons arrange: pauses of automatic failover, and switchovers at a time.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    2:
        nobody_takes_over_while_failover_is_paused,
        a_pause_ends_by_itself,
        a_switchover_takes_place_at_its_time,
        a_switchover_that_cannot_be_carried_out_expires;
}

/// Longer than a primary may be silent before it is replaced.
const LONG_ENOUGH: Duration = Duration::from_secs(9);

fn nobody_takes_over_while_failover_is_paused(bed: &mut Bed) -> Result<()> {
    bed.monitor.autoctl(&["pause"])?;
    bed.wait_shown("automatic failover is paused, by")?;
    // A Postgres that crashes is started again where it was.
    bed.node("n1").kill_postmaster()?;
    bed.wait_whole()?;
    bed.wait_primary("n1")?;
    bed.check_no_failover()?;
    // One whose host is lost is waited for.
    bed.node_mut("n1").kill_both()?;
    bed.wait_shown("automatic failover is paused")?;
    wait_for("the group to say what it waits for", WITHIN, || {
        let shown = bed.monitor.autoctl(&["show", "state"])?;
        ensure!(
            shown.contains("waits until node 1") && shown.contains("pg_autoctl perform failover"),
            "{shown}"
        );
        Ok(Some(()))
    })?;
    bed.check_no_failover()?;
    // A person has the standby take over.
    bed.monitor.autoctl(&["perform", "failover"])?;
    bed.wait_primary("n2")?;
    bed.monitor.autoctl(&["resume"])?;
    let shown = bed.monitor.autoctl(&["show", "state"])?;
    ensure!(!shown.contains("paused"), "{shown}");
    bed.node_mut("n1").run()?;
    bed.wait_whole()
}

fn a_pause_ends_by_itself(bed: &mut Bed) -> Result<()> {
    bed.monitor.autoctl(&["pause", "--for", "20s"])?;
    bed.wait_shown("automatic failover is paused until")?;
    bed.node_mut("n1").kill_both()?;
    std::thread::sleep(LONG_ENOUGH);
    bed.check_no_failover()?;
    bed.wait_event("the pause of automatic failover is over")?;
    bed.wait_primary("n2")
}

fn a_switchover_takes_place_at_its_time(bed: &mut Bed) -> Result<()> {
    let soon = bed.monitor.sql_as("postgres", "pg_auto_failover", "select now() + interval '6 seconds'")?;
    bed.monitor.autoctl(&["perform", "switchover", "--at", "2999-01-01 00:00+00"])?;
    bed.wait_shown("switchover of group 0 is scheduled for 2999")?;
    bed.monitor.autoctl(&["perform", "switchover", "--cancel"])?;
    let shown = bed.monitor.autoctl(&["show", "state"])?;
    ensure!(!shown.contains("scheduled"), "{shown}");
    bed.monitor.autoctl(&["perform", "switchover", "--at", &soon])?;
    bed.wait_primary("n2")?;
    bed.wait_event("carrying out the switchover that % scheduled for %")?;
    bed.wait_whole()?;
    let shown = bed.monitor.autoctl(&["show", "state"])?;
    ensure!(!shown.contains("scheduled"), "{shown}");
    for time in ["2999-01-01 00:00", "yesterday", "2020-01-01 00:00+00"] {
        let ended = bed.monitor.program("pg_autoctl", &["perform", "switchover", "--at", time])?;
        ensure!(ended.code() != 0, "\"{time}\" was accepted");
    }
    Ok(())
}

fn a_switchover_that_cannot_be_carried_out_expires(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n2").kill_both()?;
    bed.wait(&[("n1", "wait_primary")])?;
    bed.monitor.sql_as(
        "postgres",
        "pg_auto_failover",
        "select pgautofailover.schedule_switchover('default', 0, now() + interval '2 seconds', interval '3 seconds')",
    )?;
    bed.wait_event("the switchover that % scheduled for % has expired: %")?;
    bed.wait_primary("n1")?;
    bed.check_no_failover()
}
