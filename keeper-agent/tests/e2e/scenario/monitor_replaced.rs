//! The monitor is replaced by a new, empty one while the service runs, or does not know the nodes any more.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, three_nodes, two_nodes};
use crate::harness::{Cluster, Host, Writer, wait_for};

scenarios! {
    three_nodes:
        the_monitor_is_replaced_and_nobody_notices,
        a_living_monitor_is_left_standbys_first,
        a_living_monitor_is_left_primary_first;
    two_nodes:
        nodes_that_an_emptied_monitor_does_not_know_go_on,
        nodes_of_another_monitor_go_on_until_theirs_is_back;
}

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn postmasters(cluster: &Cluster) -> Result<Vec<i32>> {
    NODES.iter().map(|name| cluster.host(name)?.postmaster_pid()).collect()
}

fn settings(cluster: &Cluster) -> Result<Vec<Vec<Option<String>>>> {
    let sql =
        "select nodename, candidatepriority, replicationquorum from pgautofailover.node order by nodename";
    cluster.on_monitor(|monitor| monitor.rows(sql))
}

fn the_monitor_is_replaced_and_nobody_notices(cluster: &mut Cluster) -> Result<()> {
    cluster.ask(&["set", "node", "candidate-priority", "--name", "n2", "80"])?;
    cluster.ask(&["set", "formation", "number-sync-standbys", "0"])?;
    cluster.ask(&["set", "node", "replication-quorum", "--name", "n3", "false"])?;
    cluster.wait_whole(SOON)?;
    let (postmasters_before, settings_before) = (postmasters(cluster)?, settings(cluster)?);
    let writer = cluster.writer()?;
    let since = Instant::now();
    let mut old_monitor = cluster.replace_monitor()?;
    // The old one is gone: nobody can say goodbye to it.
    old_monitor.kill_everything()?;
    for name in NODES {
        cluster.ask_on(name, &["disable", "monitor", "--force"])?;
    }
    for name in NODES {
        let uri = cluster.monitor_uri(cluster.host(name)?);
        cluster.ask_on(name, &["enable", "monitor", &uri])?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n1", 1, &["n2"], SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(2), "{pause:?} without a commit while the monitor was replaced");
    ensure!(cluster.primary()? == "n1", "there was a failover");
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    ensure!(postmasters(cluster)? == postmasters_before, "Postgres was restarted");
    let settings_now = settings(cluster)?;
    ensure!(settings_now == settings_before, "{settings_before:?} became {settings_now:?}");
    // And it does its work.
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// Its rows go with the nodes; it never tells anybody to take over, or to stop.
fn a_living_monitor_is_left_standbys_first(cluster: &mut Cluster) -> Result<()> {
    let postmasters_before = postmasters(cluster)?;
    let writer = cluster.writer()?;
    let old_monitor = cluster.replace_monitor()?;
    cluster.ask_in_vain_on("n1", &["disable", "monitor"], &["could promote node", "\"n2\"", "\"n3\""])?;
    for name in ["n3", "n2", "n1"] {
        cluster.ask_on(name, &["disable", "monitor"])?;
    }
    ensure!(known_to(&old_monitor)?.is_empty(), "the old monitor still knows {}", known_to(&old_monitor)?);
    writer.wait_for_ack(SOON)?;
    enable(cluster, ["n3", "n2", "n1"])?;
    ensure!(postmasters(cluster)? == postmasters_before, "Postgres was restarted");
    cluster.verify(&[writer.stop()])
}

/// The row of the primary stays, and its silence is no reason to promote anybody. The standbys go on streaming.
fn a_living_monitor_is_left_primary_first(cluster: &mut Cluster) -> Result<()> {
    let streams = |cluster: &Cluster| {
        let sql = "select string_agg(pid::text, ',' order by pid) from pg_stat_replication";
        cluster.host("n1")?.psql("postgres", sql)
    };
    let (postmasters_before, streams_before) = (postmasters(cluster)?, streams(cluster)?);
    let writer = cluster.writer()?;
    let old_monitor = cluster.replace_monitor()?;
    cluster.ask_on("n1", &["disable", "monitor", "--force"])?;
    wait_for("the old monitor to call n1 silent", TAKEOVER, || {
        let sql = "select now() - reporttime > interval '8 s' from pgautofailover.node where nodename = 'n1'";
        Ok((old_monitor.psql("pg_auto_failover", sql)? == "t").then_some(()))
    })?;
    let goals = "select string_agg(goalstate::text, ' ' order by nodename) from pgautofailover.node";
    let goals = old_monitor.psql("pg_auto_failover", goals)?;
    ensure!(goals == "primary secondary secondary", "the old monitor has assigned {goals}");
    for name in ["n2", "n3"] {
        cluster.ask_on(name, &["disable", "monitor"])?;
    }
    ensure!(known_to(&old_monitor)? == "n1", "the old monitor knows {}", known_to(&old_monitor)?);
    writer.wait_for_ack(SOON)?;
    ensure!(streams(cluster)? == streams_before, "a stream was interrupted");
    enable(cluster, ["n2", "n3", "n1"])?;
    ensure!(streams(cluster)? == streams_before, "a stream was interrupted");
    ensure!(postmasters(cluster)? == postmasters_before, "Postgres was restarted");
    cluster.verify(&[writer.stop()])
}

/// Longer than any timeout by which a node could react to a monitor that does not answer.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Both nodes say that the monitor does not know them, and clients notice nothing.
fn go_on_unknown(cluster: &Cluster, writer: &Writer) -> Result<()> {
    let since = Instant::now();
    for name in ["n1", "n2"] {
        wait_for("the node to say that the monitor does not know it", SOON, || {
            let shown = cluster.host(name)?.autoctl(&["show", "state", "--local"])?.success()?;
            Ok(shown.contains("unknown to the monitor").then_some(()))
        })?;
    }
    wait_for("commits while the monitor does not know the nodes", UNKNOWN_FOR * 2, || {
        writer.wait_for_ack(SOON)?;
        Ok((since.elapsed() > UNKNOWN_FOR).then_some(()))
    })?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(2), "{pause:?} without a commit");
    Ok(())
}

fn nodes_that_an_emptied_monitor_does_not_know_go_on(cluster: &mut Cluster) -> Result<()> {
    let postmasters = |cluster: &Cluster| -> Result<Vec<i32>> {
        ["n1", "n2"].iter().map(|name| cluster.host(name)?.postmaster_pid()).collect()
    };
    let before = postmasters(cluster)?;
    let writer = cluster.writer()?;
    cluster.monitor.psql("pg_auto_failover", "delete from pgautofailover.node")?;
    go_on_unknown(cluster, &writer)?;
    // A person decides.
    for name in ["n1", "n2"] {
        cluster.ask_on(name, &["disable", "monitor", "--force"])?;
    }
    for name in ["n1", "n2"] {
        let uri = cluster.monitor_uri(cluster.host(name)?);
        cluster.ask_on(name, &["enable", "monitor", &uri])?;
    }
    cluster.wait_whole(WHOLE)?;
    let shown = cluster.host("n1")?.autoctl(&["show", "state", "--local"])?.success()?;
    ensure!(!shown.contains("unknown to the monitor"), "{shown}");
    ensure!(postmasters(cluster)? == before, "Postgres was restarted");
    cluster.verify(&[writer.stop()])
}

/// It has rows for nodes with these numbers, and they are not these nodes.
fn nodes_of_another_monitor_go_on_until_theirs_is_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let identity = "select identity from pgautofailover.monitor";
    let ours = cluster.monitor.psql("pg_auto_failover", identity)?;
    let become_another = "update pgautofailover.monitor set identity = gen_random_uuid()";
    cluster.monitor.psql("pg_auto_failover", become_another)?;
    go_on_unknown(cluster, &writer)?;
    let come_back = format!("update pgautofailover.monitor set identity = '{ours}'");
    cluster.monitor.psql("pg_auto_failover", &come_back)?;
    cluster.wait_whole(WHOLE)?;
    wait_for("the node to be known again", SOON, || {
        let shown = cluster.host("n1")?.autoctl(&["show", "state", "--local"])?.success()?;
        Ok((!shown.contains("unknown to the monitor")).then_some(()))
    })?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    cluster.verify(&[writer.stop()])
}

fn known_to(monitor: &Host) -> Result<String> {
    monitor.psql("pg_auto_failover", "select string_agg(nodename, ' ') from pgautofailover.node")
}

/// At the new monitor, in this order; n1 stays the primary.
fn enable(cluster: &Cluster, order: [&str; 3]) -> Result<()> {
    for name in order {
        let uri = cluster.monitor_uri(cluster.host(name)?);
        cluster.ask_on(name, &["enable", "monitor", &uri])?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n3"], SOON)?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    Ok(())
}
