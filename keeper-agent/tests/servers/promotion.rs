//! Promotions that a server would wait with: for a query in the way of replay, for an archive that does not answer.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;
use crate::stop::hand_over;

/// A standby takes over no later, whatever holds it up.
const BOUND: Duration = Duration::from_secs(25);

cases! {
    2:
        a_query_that_replay_waits_for_holds_up_no_failover,
        a_query_that_replay_waits_for_holds_up_no_hand_over,
        a_restore_command_that_hangs_holds_up_no_failover,
        a_restore_command_that_hangs_holds_up_no_start,
        commands_of_the_owner_that_hang_hold_up_nothing,
        a_paused_replay_holds_up_no_failover;
}

/// A client that runs one statement; ended on drop.
struct Client(Child);

impl Client {
    fn start(bed: &Bed, name: &str, sql: &str) -> Result<Self> {
        let node = bed.node(name);
        let (socket, port) = (node.directory.join("s").display().to_string(), node.port.to_string());
        let args = ["-XAtq", "-h", &socket, "-p", &port, "-U", "postgres", "-d", "postgres", "-c", sql];
        let mut psql = node.command("psql", &args);
        psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(psql.spawn()?))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Its session may have been ended.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Writes these lines to both nodes, and lets their servers read them.
fn configure_both(bed: &Bed, lines: &str) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration(lines)?;
        bed.node(name).reload()?;
    }
    Ok(())
}

/// A query on n2 holds a lock that replay waits for, without a limit.
fn stop_replay(bed: &Bed) -> Result<Client> {
    configure_both(
        bed,
        "max_standby_streaming_delay = -1\nmax_standby_archive_delay = -1\nhot_standby_feedback = off",
    )?;
    bed.node("n1").sql("create table report (a int)")?;
    wait_for("the table on n2", WITHIN, || {
        bed.node("n2").sql("select 1 from report")?;
        Ok((bed.node("n2").setting("max_standby_streaming_delay")? == "-1").then_some(()))
    })?;
    let query = Client::start(bed, "n2", "select pg_sleep(900) from (select count(*) from report) counted")?;
    let in_the_way =
        "select count(*) from pg_locks where relation = 'report'::regclass and mode = 'AccessShareLock'";
    wait_for("the query", WITHIN, || Ok((bed.node("n2").sql(in_the_way)? == "1").then_some(())))?;
    bed.node("n1").sql("alter table report add b int")?;
    let waits =
        "select count(*) from pg_stat_activity where backend_type = 'startup' and wait_event_type = 'Lock'";
    wait_for("replay to wait for it", WITHIN, || Ok((bed.node("n2").sql(waits)? == "1").then_some(())))?;
    Ok(query)
}

/// The primary is lost; n2 takes over with everything in time, and n1 comes back.
fn take_over(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    let began = Instant::now();
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    ensure!(began.elapsed() < BOUND, "it took {:?}", began.elapsed());
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}

fn a_query_that_replay_waits_for_holds_up_no_failover(bed: &mut Bed) -> Result<()> {
    let _query = stop_replay(bed)?;
    take_over(bed)
}

fn a_query_that_replay_waits_for_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    let _query = stop_replay(bed)?;
    hand_over(bed)
}

fn a_restore_command_that_hangs_holds_up_no_failover(bed: &mut Bed) -> Result<()> {
    configure_both(bed, "restore_command = 'sleep 900'")?;
    take_over(bed)
}

fn a_restore_command_that_hangs_holds_up_no_start(bed: &mut Bed) -> Result<()> {
    configure_both(bed, "restore_command = 'sleep 900'")?;
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").run()?;
    bed.wait_whole()?;
    take_over(bed)
}

fn commands_of_the_owner_that_hang_hold_up_nothing(bed: &mut Bed) -> Result<()> {
    configure_both(bed, "archive_cleanup_command = 'sleep 900'\nrecovery_end_command = 'sleep 900'")?;
    bed.node("n1").sql("checkpoint")?;
    bed.node("n2").sql("checkpoint")?;
    take_over(bed)
}

fn a_paused_replay_holds_up_no_failover(bed: &mut Bed) -> Result<()> {
    bed.node("n2").sql("select pg_wal_replay_pause()")?;
    take_over(bed)
}
