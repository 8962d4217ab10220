//! The server process in every condition between alive and dead.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, pids_in_namespace, signal, wait_for};

scenarios! {
    two_nodes:
        a_pid_file_that_names_a_foreign_process_is_stale,
        a_zombie_postmaster_is_dead,
        a_server_that_starts_up_for_long_is_neither_broken_nor_copied_anew,
        a_hung_server_is_noticed,
        an_old_primary_started_by_hand_before_its_keeper_loses_nothing,
        a_commit_that_waited_is_not_seen_and_then_lost;
}

fn a_pid_file_that_names_a_foreign_process_is_stale(cluster: &mut Cluster) -> Result<()> {
    let host = cluster.host_mut("n2")?;
    host.kill_everything()?;
    let pid_file = host.pgdata().join("postmaster.pid");
    host.shell("setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $! > sleep.pid")?;
    let foreign: i32 = fs::read_to_string(host.directory.join("sleep.pid"))?.trim().parse()?;
    let content = fs::read_to_string(&pid_file)?;
    let rest = content.split_once('\n').context("an empty postmaster.pid")?.1;
    fs::write(&pid_file, format!("{foreign}\n{rest}"))?;
    host.run()?;
    cluster.wait_states(&[("n1", "wait_primary")], TAKEOVER).ok();
    cluster.wait_whole(WHOLE)?;
    let host = cluster.host("n2")?;
    ensure!(host.postmaster_pid()? != foreign, "the pid file still names the foreign process");
    ensure!(host.process("sleep") == Some(foreign), "the foreign process was killed");
    Ok(())
}

/// The postmaster's parent never reaps it, so that it stays in the process table when it is dead.
fn a_zombie_postmaster_is_dead(cluster: &mut Cluster) -> Result<()> {
    let host = cluster.host_mut("n2")?;
    host.kill_keeper()?;
    let pgdata = host.pgdata().display().to_string();
    host.shell(&format!("pg_ctl stop -w -m fast -D {pgdata}"))?;
    host.shell(&format!(
        "setsid sh -c 'postgres -D {pgdata} & exec sleep 600' >by-hand.log 2>&1 </dev/null & exit 0"
    ))?;
    wait_for("the server started by hand", SOON, || {
        let pid_file = fs::read_to_string(cluster.host("n2")?.pgdata().join("postmaster.pid"))?;
        Ok(pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready").then_some(()))
    })?;
    let postmaster = cluster.host("n2")?.postmaster_pid()?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.host("n2")?.postmaster_pid()? == postmaster, "the running server was not adopted");
    signal(postmaster, Signal::SIGKILL)?;
    wait_for("another postmaster", TAKEOVER, || {
        Ok(cluster.host("n2")?.postmaster_pid().is_ok_and(|pid| pid != postmaster).then_some(()))
    })?;
    let state = fs::read_to_string(format!("/proc/{postmaster}/stat")).unwrap_or_default();
    ensure!(
        state.contains(") Z "),
        "the dead postmaster was reaped, so this test has tested nothing: {state}"
    );
    cluster.wait_whole(WHOLE)
}

/// Longer than any time in which a start that is well should have ended.
const LONG_RECOVERY: Duration = Duration::from_secs(15);

fn a_server_that_starts_up_for_long_is_neither_broken_nor_copied_anew(cluster: &mut Cluster) -> Result<()> {
    let copy = cluster.host("n2")?.identity_of_copy()?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.host_mut("n2")?.run()?;
    let startup = wait_for("the startup process of n2", SOON, || {
        let found = cluster.host("n2")?.server_process("startup");
        if let Some(pid) = found {
            signal(pid, Signal::SIGSTOP)?;
        }
        Ok(found)
    })?;
    let postmaster = cluster.host("n2")?.postmaster_pid()?;
    let since = Instant::now();
    wait_for("the end of a long recovery", LONG_RECOVERY * 2, || {
        ensure!(cluster.host("n2")?.server_process("startup") == Some(startup), "the start was broken off");
        Ok((since.elapsed() > LONG_RECOVERY).then_some(()))
    })?;
    ensure!(cluster.host("n2")?.postmaster_pid()? == postmaster, "the start was broken off");
    signal(startup, Signal::SIGCONT)?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.host("n2")?.identity_of_copy()? == copy, "n2 was copied anew");
    Ok(())
}

/// The server accepts connections but answers nothing; the keeper beside it is well.
fn a_hung_server_is_noticed(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host("n1")?;
    let servers: Vec<i32> = pids_in_namespace(host.link.namespace.name())
        .into_iter()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "postgres")
        })
        .collect();
    let since = Instant::now();
    for pid in &servers {
        signal(*pid, Signal::SIGSTOP)?;
    }
    // By a takeover, or by another server in the place of the hung one.
    writer.wait_for_interruption(since, SOON)?;
    writer.wait_for_ack(TAKEOVER)?;
    for pid in &servers {
        signal(*pid, Signal::SIGCONT)?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// What an init system does that does not know of the keeper.
fn an_old_primary_started_by_hand_before_its_keeper_loses_nothing(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let of_the_old_primary = cluster.local_writer("n1")?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let host = cluster.host("n1")?;
    let pgdata = host.pgdata().display().to_string();
    // The dead postmaster is a zombie for a moment, whose lock file counts.
    let start = format!("setsid pg_ctl start -w -D {pgdata} -l by-hand.log >/dev/null 2>&1 </dev/null");
    wait_for("Postgres to be started by hand", SOON, || Ok(host.shell(&start).is_ok().then_some(())))?;
    let by_hand = host.postmaster_pid()?;
    ensure!(by_hand > 1, "nothing was started by hand");
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop(), of_the_old_primary.stop()])
}

/// A commit waits for the standby when the primary crashes. Whoever may read it afterwards must not see it vanish.
fn a_commit_that_waited_is_not_seen_and_then_lost(cluster: &mut Cluster) -> Result<()> {
    cluster.host("n1")?.psql("postgres", "create table seen(value int)")?;
    let n2 = cluster.host("n2")?.address();
    cluster.host("n1")?.link.block(n2)?;
    let socket = cluster.host("n1")?.directory.join("s").display().to_string();
    let insert = ["-Xq", "-h", &socket, "-d", "postgres", "-c", "insert into seen values (1)"];
    let mut waiting = cluster.host("n1")?.command("psql", &insert).spawn()?;
    wait_for("a commit that waits for the standby", SOON, || {
        let sql = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        Ok((cluster.host("n1")?.psql("postgres", sql)? != "0").then_some(()))
    })?;
    cluster.host("n1")?.kill_postmaster()?;
    waiting.wait()?;
    let reader = cluster.reader("n1", "select value from seen")?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host("n1")?.link.unblock(n2)?;
    cluster.wait_whole(WHOLE)?;
    let was_seen = reader.stop()?.contains("1");
    let primary = cluster.primary()?;
    let is_there = cluster.host(&primary)?.psql("postgres", "select count(*) from seen")? != "0";
    ensure!(is_there || !was_seen, "a row was read after the crash and is gone on {primary}");
    Ok(())
}
