//! The monitor is replaced by a new, empty one while the service runs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, three_nodes};
use crate::harness::Cluster;

scenarios! {
    three_nodes:
        the_monitor_is_replaced_and_nobody_notices;
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
