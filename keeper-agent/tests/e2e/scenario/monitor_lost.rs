//! The monitor is lost, alone or with others: nobody notices but `show`, and nothing is decided from stale rows.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        monitor_killed_and_nobody_notices,
        monitor_postgres_killed_is_restarted_by_its_keeper,
        monitor_away_while_the_primary_is_lost,
        monitor_and_standby_lost_at_once,
        a_restarted_monitor_promotes_nobody_before_it_has_heard_from_all,
        a_clean_stop_of_the_monitor_is_cut_short_by_sigquit,
        a_monitor_restored_from_an_old_backup_promotes_nobody;
}

/// Longer than any timeout by which a node could react to the monitor's absence.
const MONITOR_AWAY: Duration = Duration::from_secs(12);
const UNNOTICED: Duration = Duration::from_millis(1500);

fn monitor_killed_and_nobody_notices(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.monitor.kill_everything()?;
    wait_for("commits for as long as the monitor is away", MONITOR_AWAY * 2, || {
        writer.wait_for_ack(SOON)?;
        Ok((since.elapsed() > MONITOR_AWAY).then_some(()))
    })?;
    cluster.monitor.run()?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only the monitor was away");
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_primary_is("n2", SOON)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn monitor_postgres_killed_is_restarted_by_its_keeper(cluster: &mut Cluster) -> Result<()> {
    let before = cluster.monitor.postmaster_pid()?;
    cluster.monitor.kill_postmaster()?;
    wait_for("another postmaster of the monitor that answers", TAKEOVER, || {
        cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], SOON)?;
        Ok((cluster.monitor.postmaster_pid()? != before).then_some(()))
    })
}

fn monitor_away_while_the_primary_is_lost(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.kill_everything()?;
    cluster.host_mut("n1")?.kill_everything()?;
    writer.wait_for_interruption(Instant::now(), SOON)?;
    cluster.monitor.run()?;
    cluster.wait_primary_is("n2", WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// The primary cannot know whether the standby was promoted: it fences itself until somebody can tell.
fn monitor_and_standby_lost_at_once(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let on_the_host = cluster.local_writer("n1")?;
    cluster.monitor.link.cut()?;
    cluster.host("n2")?.link.cut()?;
    wait_for("the primary to fence itself", TAKEOVER, || {
        Ok(cluster.host("n1")?.psql("postgres", "select pg_is_in_recovery()").is_err().then_some(()))
    })?;
    cluster.monitor.link.restore()?;
    cluster.host("n2")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.verify(&[writer.stop(), on_the_host.stop()])
}

fn a_restarted_monitor_promotes_nobody_before_it_has_heard_from_all(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.kill_everything()?;
    // n1 goes on serving: only its keeper, which would report, is slow to come.
    let keeper = cluster.host("n1")?.keeper_pid()?;
    crate::harness::signal(keeper, nix::sys::signal::Signal::SIGSTOP)?;
    cluster.monitor.run()?;
    wait_for("n2 to report to the restarted monitor", TAKEOVER, || {
        let sql = "select count(*) from pgautofailover.node \
                   where nodename = 'n2' and reporttime > pg_postmaster_start_time()";
        Ok((cluster.on_monitor(|monitor| monitor.text(sql))? == "1").then_some(()))
    })?;
    crate::harness::signal(keeper, nix::sys::signal::Signal::SIGCONT)?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// With a checkpointer that does nothing, a clean stop takes its whole patience.
fn a_clean_stop_of_the_monitor_is_cut_short_by_sigquit(cluster: &mut Cluster) -> Result<()> {
    use nix::sys::signal::Signal;
    let checkpointer = cluster.monitor.server_process("checkpointer").context("no checkpointer")?;
    crate::harness::signal(checkpointer, Signal::SIGSTOP)?;
    cluster.monitor.signal_keeper(Signal::SIGTERM)?;
    wait_for("the monitor's Postgres to let nobody in", SOON, || {
        Ok(cluster.monitor.psql("pg_auto_failover", "select 1").is_err().then_some(()))
    })?;
    let asked = Instant::now();
    cluster.monitor.signal_keeper(Signal::SIGQUIT)?;
    cluster.monitor.keeper_end(TAKEOVER)?;
    let took = asked.elapsed();
    ensure!(took < Duration::from_secs(6), "the stop took {took:?} after SIGQUIT");
    cluster.monitor.run()?;
    cluster.wait_whole(WHOLE)
}

fn a_monitor_restored_from_an_old_backup_promotes_nobody(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let backup = cluster.monitor.directory.join("backup").display().to_string();
    let stop_monitor = |cluster: &mut Cluster| -> Result<()> {
        cluster.monitor.signal_keeper(nix::sys::signal::Signal::SIGTERM)?;
        cluster.monitor.keeper_end(TAKEOVER).map(drop)
    };
    stop_monitor(cluster)?;
    let pgdata = cluster.monitor.pgdata().display().to_string();
    cluster.monitor.shell(&format!("cp -a {pgdata} {backup}"))?;
    cluster.monitor.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_states(&[("n2", "primary"), ("n1", "secondary")], WHOLE)?;

    stop_monitor(cluster)?;
    cluster.monitor.shell(&format!("rm -rf {pgdata} && cp -a {backup} {pgdata}"))?;
    cluster.monitor.run()?;
    let since = Instant::now();
    wait_for("commits while the restored monitor learns what has happened", MONITOR_AWAY * 2, || {
        writer.wait_for_ack(SOON)?;
        Ok((since.elapsed() > MONITOR_AWAY).then_some(()))
    })?;
    let timeline = cluster.host("n2")?.timeline()?;
    ensure!(timeline == 2, "n2 is on timeline {timeline}: the restored monitor has caused a promotion");
    cluster.verify_on("n2", &[writer.stop()])
}
