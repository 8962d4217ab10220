//! The keeper itself: signals at the wrong time, peers that vanish, and what it must not leak.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, two_nodes};
use crate::harness::{Cluster, Host, is_process, wait_for};

scenarios! {
    two_nodes:
        both_keepers_stopped_at_once_end_and_come_back,
        a_vanished_monitor_does_not_block_the_keeper,
        connections_do_not_pile_up_while_others_are_away,
        commands_that_only_read_change_nothing;
    monitor_only:
        a_reload_does_not_break_a_running_base_backup;
}

fn both_keepers_stopped_at_once_end_and_come_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for name in ["n1", "n2"] {
        cluster.host(name)?.signal_keeper(Signal::SIGTERM)?;
    }
    for name in ["n1", "n2"] {
        let status = cluster.host_mut(name)?.keeper_end(WHOLE)?;
        ensure!(status.success(), "the keeper of {name} ended with {status}");
        ensure!(!cluster.host(name)?.is_populated(), "processes are left behind on {name}");
    }
    for name in ["n2", "n1"] {
        cluster.host_mut(name)?.run()?;
    }
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// The monitor's host vanishes without a word while its answer is waited for; then Postgres dies.
fn a_vanished_monitor_does_not_block_the_keeper(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.freeze()?;
    let since = Instant::now();
    cluster.host("n1")?.kill_postmaster()?;
    writer.wait_for_interruption(since, SOON)?;
    writer.pause_since(since, TAKEOVER)?;
    cluster.monitor.thaw()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn connections(host: &Host) -> Result<u32> {
    Ok(host
        .psql("postgres", "select count(*) from pg_stat_activity where client_addr is not null")?
        .parse()?)
}

fn connections_do_not_pile_up_while_others_are_away(cluster: &mut Cluster) -> Result<()> {
    let before = (connections(cluster.host("n1")?)?, connections(&cluster.monitor)?);
    let away = Duration::from_secs(12);
    for host in [cluster.host("n2")?, &cluster.monitor] {
        host.link.cut()?;
        let since = Instant::now();
        wait_for("many attempts to connect", away * 2, || Ok((since.elapsed() > away).then_some(())))?;
        host.link.restore()?;
        cluster.wait_whole(WHOLE)?;
    }
    wait_for("as few connections as before", TAKEOVER, || {
        let now = (connections(cluster.host("n1")?)?, connections(&cluster.monitor)?);
        ensure!(now.0 <= before.0 + 1 && now.1 <= before.1 + 1, "before {before:?}, now {now:?}");
        Ok(Some(()))
    })
}

fn commands_that_only_read_change_nothing(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    let host = cluster.host("n1")?;
    let files = "find home run data/*.conf -type f -printf '%p %i\\n' | sort; ls data/*.pid";
    let before = host.shell(files)?;
    for command in [
        vec!["status"],
        vec!["show", "file", "--all"],
        vec!["show", "file", "--state", "--contents"],
        vec!["config", "get"],
        vec!["config", "check"],
        vec!["show", "systemd"],
        vec!["show", "state"],
        vec!["show", "uri"],
    ] {
        let ended = host.autoctl(&command)?;
        ensure!(ended.code() == 0, "{command:?}: {} {}", ended.code(), ended.stderr);
    }
    let paths = |listing: &str| -> Vec<String> {
        listing.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let after = host.shell(files)?;
    ensure!(paths(&before) == paths(&after), "before:\n{before}\nafter:\n{after}");
    ensure!(cluster.host_mut("n1")?.keeper_ended()?.is_none(), "the keeper has ended");
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(1), "{pause:?} without a commit");
    cluster.wait_whole(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_reload_does_not_break_a_running_base_backup(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    let filler =
        "create table filler as select g, repeat('x', 1000) from generate_series(1, 30000) g; checkpoint";
    cluster.host("n1")?.psql("postgres", filler)?;
    cluster.add_node("n2", &["--maximum-backup-rate", "10M"])?;
    let backup = wait_for("a base backup", WHOLE, || Ok(cluster.host("n2")?.process("pg_basebackup")))?;
    cluster.host("n2")?.signal_keeper(Signal::SIGHUP)?;
    wait_for("the end of the base backup", WHOLE, || match cluster.host("n2")?.process("pg_basebackup") {
        None => Ok(Some(())),
        Some(pid) if pid == backup => Ok(None),
        // One backup is two processes of the same name: the second receives WAL.
        Some(_another) if is_process(backup) => Ok(None),
        Some(_another) => anyhow::bail!("the base backup was started again"),
    })?;
    cluster.wait_whole(WHOLE)?;
    let log = std::fs::read_to_string(cluster.host("n2")?.keeper_log())?;
    ensure!(!log.contains("ERROR"), "the reload has disturbed the keeper:\n{log}");
    Ok(())
}
