//! Stops that Postgres itself would wait with for ever.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{signal, wait_for};

/// A hand-over takes no longer, whoever holds it up.
const BOUND: Duration = Duration::from_secs(25);

cases! {
    2:
        a_subscriber_that_confirms_nothing_holds_up_no_hand_over,
        an_archive_command_that_hangs_holds_up_no_hand_over,
        a_session_that_cannot_be_interrupted_holds_up_no_hand_over,
        a_frozen_receiver_holds_up_no_hand_over,
        somebody_elses_base_backup_holds_up_no_hand_over;
}

/// Hands over from n1 to n2 while a writer works; nothing is lost, and it takes no longer than it may.
pub(crate) fn hand_over(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    let began = Instant::now();
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    ensure!(began.elapsed() < BOUND, "it took {:?}", began.elapsed());
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}

/// Starts a program in the background on n1; its process id.
fn start(bed: &Bed, line: &str) -> Result<i32> {
    let pid = bed.node("n1").shell(&format!("{line} >/dev/null 2>&1 </dev/null & echo $!"))?;
    Ok(pid.trim().parse()?)
}

fn a_subscriber_that_confirms_nothing_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration("wal_level = logical\nwal_sender_timeout = 0")?;
    }
    bed.node_mut("n2").restart()?;
    bed.node_mut("n1").stop()?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    let rows = bed.rows()?;
    if !rows.iter().any(|row| row.name == "n1" && row.writes()) {
        bed.monitor.autoctl(&["perform", "switchover"])?;
        bed.wait_primary("n1")?;
        bed.wait_whole()?;
    }
    bed.node("n1").sql("select pg_create_logical_replication_slot('app', 'test_decoding')")?;
    let port = bed.node("n1").port;
    let subscriber = start(
        bed,
        &format!("pg_recvlogical -h 127.0.0.1 -p {port} -U postgres -d postgres -S app --start -f out.log"),
    )?;
    wait_for("the subscriber to read", WITHIN, || {
        let count = bed
            .node("n1")
            .sql("select count(*) from pg_stat_replication where application_name = 'pg_recvlogical'")?;
        Ok((count == "1").then_some(()))
    })?;
    signal(subscriber, Signal::SIGSTOP)?;
    // More than the buffers of the connection hold.
    bed.node("n1")
        .sql("create table big as select repeat(md5(i::text), 100) from generate_series(1, 20000) i")?;
    let result = hand_over(bed);
    signal(subscriber, Signal::SIGKILL)?;
    result
}

fn an_archive_command_that_hangs_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration("archive_mode = on\narchive_command = 'sleep 300'")?;
    }
    bed.node_mut("n2").stop()?;
    bed.wait(&[("n1", "wait_primary")])?;
    bed.node_mut("n1").stop()?;
    bed.node_mut("n1").run()?;
    bed.node_mut("n2").run()?;
    bed.wait_whole()?;
    bed.node("n1").sql("create table filler as select 1; select pg_switch_wal()")?;
    hand_over(bed)
}

fn a_session_that_cannot_be_interrupted_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    let (port, socket) = (bed.node("n1").port, bed.node("n1").directory.join("s").display().to_string());
    let client = start(
        bed,
        &format!("psql -h '{socket}' -p {port} -U postgres -d postgres -c 'select pg_sleep(600)'"),
    )?;
    let find = "select pid from pg_stat_activity where query like 'select pg_sleep(600)%' and pid <> pg_backend_pid()";
    let backend = wait_for("the session", WITHIN, || Ok(bed.node("n1").sql(find)?.parse::<i32>().ok()))?;
    signal(backend, Signal::SIGSTOP)?;
    let result = hand_over(bed);
    signal(client, Signal::SIGKILL)?;
    result
}

fn a_frozen_receiver_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    bed.node("n1").append_to_configuration("wal_sender_timeout = 0")?;
    bed.node("n1").reload()?;
    let port = bed.node("n1").port;
    let receiver = start(bed, &format!("pg_receivewal -h 127.0.0.1 -p {port} -U postgres -D . --no-loop"))?;
    wait_for("the receiver to read", WITHIN, || {
        let count = bed
            .node("n1")
            .sql("select count(*) from pg_stat_replication where application_name = 'pg_receivewal'")?;
        Ok((count == "1").then_some(()))
    })?;
    signal(receiver, Signal::SIGSTOP)?;
    let result = hand_over(bed);
    signal(receiver, Signal::SIGKILL)?;
    result
}

fn somebody_elses_base_backup_holds_up_no_hand_over(bed: &mut Bed) -> Result<()> {
    let port = bed.node("n1").port;
    let copier = start(
        bed,
        &format!(
            "pg_basebackup -h 127.0.0.1 -p {port} -U postgres -D copy -c fast -X stream --max-rate=200k"
        ),
    )?;
    wait_for("the backup to go on", WITHIN, || {
        let count = bed.node("n1").sql(
            "select count(*) from pg_stat_progress_basebackup where phase = 'streaming database files' \
             and backup_streamed > 100000",
        )?;
        Ok((count == "1").then_some(()))
    })?;
    signal(copier, Signal::SIGSTOP)?;
    let result = hand_over(bed);
    signal(copier, Signal::SIGKILL)?;
    result
}
