//! From pg_auto_failover 2.x to this build, in place, while clients write.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Setup, Writer, is_process, signal, wait_for};

scenarios! {
    older_two_nodes:
        two_nodes_of_2x_are_upgraded_without_a_pause;
    older_three_nodes:
        three_nodes_of_2x_are_upgraded_without_a_pause;
}

fn older_two_nodes() -> Setup {
    Setup { is_older: true, ..Setup::nodes(2) }
}

fn older_three_nodes() -> Setup {
    Setup { is_older: true, ..Setup::nodes(3) }
}

/// The longest time without a commit during the whole upgrade.
const PAUSE: Duration = Duration::from_secs(1);

fn two_nodes_of_2x_are_upgraded_without_a_pause(cluster: &mut Cluster) -> Result<()> {
    is_upgraded_without_a_pause(cluster, &["n2", "n1"])
}

fn three_nodes_of_2x_are_upgraded_without_a_pause(cluster: &mut Cluster) -> Result<()> {
    is_upgraded_without_a_pause(cluster, &["n1", "n3", "n2"])
}

/// Packages, the monitor, then one keeper after the other: no server is restarted, nobody takes over, nothing is lost; and
/// then the group loses its primary as one that was made by this build.
fn is_upgraded_without_a_pause(cluster: &mut Cluster, order: &[&str]) -> Result<()> {
    let primary = cluster.primary()?;
    let servers = postmasters(cluster)?;
    let events = count(cluster, "select count(*) from pgautofailover.event")?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.install_ours()?;
    the_older_monitor_goes_on(cluster)?;
    upgrade_monitor(cluster)?;
    ensure!(count(cluster, "select count(*) from pgautofailover.event")? >= events, "events are gone");
    older_keepers_are_served(cluster, order)?;
    for name in order {
        upgrade_keeper(cluster, name)?;
        cluster.wait_whole(WHOLE)?;
    }
    let pause = writer.pause_since(since, SOON)?;
    eprintln!("upgrade of {} nodes: {:.2} s without a commit", order.len(), pause.as_secs_f64());
    ensure!(postmasters(cluster)? == servers, "a server was restarted");
    ensure!(cluster.primary()? == primary, "another node is the primary");
    ensure!(pause < PAUSE, "{pause:?} without a commit");
    loses_its_primary(cluster, &writer)?;
    cluster.verify(&[writer.stop()])
}

fn postmasters(cluster: &Cluster) -> Result<Vec<i32>> {
    cluster.nodes.iter().map(|host| host.postmaster_pid()).collect()
}

fn count(cluster: &Cluster, sql: &str) -> Result<i64> {
    Ok(cluster.monitor.psql("pg_auto_failover", sql)?.parse()?)
}

/// New sessions of the monitor that has not been restarted find its version and its library.
fn the_older_monitor_goes_on(cluster: &Cluster) -> Result<()> {
    let since = "select clock_timestamp()";
    let since = cluster.monitor.psql("pg_auto_failover", since)?;
    let behind = format!(
        "select count(*) from pgautofailover.node where reporttime <= '{since}'::timestamptz + interval '2 s'"
    );
    wait_for("reports to the monitor of 2.x", TAKEOVER, || Ok((count(cluster, &behind)? == 0).then_some(())))
}

/// Restarts the monitor's service, and waits for its extension.
fn upgrade_monitor(cluster: &mut Cluster) -> Result<()> {
    let pid = cluster.monitor.keeper_pid()?;
    signal(pid, nix::sys::signal::Signal::SIGTERM)?;
    cluster.monitor.keeper_end(TAKEOVER)?;
    cluster.forget_watch();
    cluster.monitor.run()?;
    wait_for("the extension to be updated", TAKEOVER, || {
        let sql = "select extversion from pg_extension where extname = 'pgautofailover'";
        Ok((cluster.monitor.psql("pg_auto_failover", sql)? == "3.0").then_some(()))
    })
}

/// Keepers of 2.x report to the monitor of this build.
fn older_keepers_are_served(cluster: &Cluster, names: &[&str]) -> Result<()> {
    for name in names {
        let sql = format!(
            "select count(*) from pgautofailover.node where nodename = '{name}' and reportclock is not null \
             and reportdetail is null and reportserverstart = pg_postmaster_start_time()"
        );
        wait_for("a report of a keeper of 2.x", TAKEOVER, || Ok((count(cluster, &sql)? == 1).then_some(())))?;
    }
    cluster.wait_whole(WHOLE)
}

/// Restarts a keeper's service as docs/upgrade.md says: the supervisor of 2.x is killed, Postgres goes on.
fn upgrade_keeper(cluster: &mut Cluster, name: &str) -> Result<()> {
    let host = cluster.host_mut(name)?;
    let server = host.postmaster_pid()?;
    signal(host.keeper_pid()?, nix::sys::signal::Signal::SIGKILL)?;
    host.keeper_end(SOON)?;
    host.run()?;
    let sql = format!(
        "select count(*) from pgautofailover.node where nodename = '{name}' and reportdetail is not null"
    );
    wait_for("the keeper of this build to report", TAKEOVER, || {
        Ok((count(cluster, &sql)? == 1).then_some(()))
    })?;
    ensure!(is_process(server), "the server of {name} has ended");
    Ok(())
}

fn loses_its_primary(cluster: &mut Cluster, writer: &Writer) -> Result<()> {
    let old = cluster.primary()?;
    let since = Instant::now();
    cluster.host(&old)?.kill_postmaster()?;
    cluster.wait_another_primary(&old, TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(5), "{pause:?} without a commit after the loss of {old}");
    cluster.wait_whole(WHOLE).context("after the loss of the primary")
}
