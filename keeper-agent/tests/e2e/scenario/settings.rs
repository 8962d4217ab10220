//! Settings that change while clients write: in force soon, shown as they are, refused with the reason.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{SOON, four_nodes, scenarios};
use crate::harness::Cluster;

scenarios! {
    four_nodes:
        the_quorum_is_changed_while_clients_write;
}

/// On a machine that has nothing else to do it is within one second.
const IN_FORCE: Duration = Duration::from_secs(5);

fn the_quorum_is_changed_while_clients_write(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    let set_number = |number: &str| cluster.ask(&["set", "formation", "number-sync-standbys", number]);
    let set_quorum = |name: &str, is_member: &str| {
        cluster.ask(&["set", "node", "replication-quorum", "--name", name, is_member])
    };
    cluster.wait_commits_wait("n1", 1, &["n2", "n4"], SOON)?;
    set_number("2")?;
    cluster.wait_commits_wait("n1", 2, &["n2", "n4"], IN_FORCE)?;
    let too_few = ["number_sync_standbys is 2"];
    cluster.ask_in_vain(&["set", "node", "replication-quorum", "--name", "n2", "false"], &too_few)?;
    cluster.ask_in_vain(&["set", "formation", "number-sync-standbys", "3"], &["which has 2"])?;
    set_quorum("n3", "true")?;
    cluster.wait_commits_wait("n1", 2, &["n2", "n3", "n4"], IN_FORCE)?;
    set_number("1")?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n3", "n4"], IN_FORCE)?;
    shown_as_set(cluster, "1", &cluster.standby_names(1, &["n2", "n3", "n4"])?)?;
    set_quorum("n2", "false")?;
    cluster.wait_commits_wait("n1", 1, &["n3", "n4"], IN_FORCE)?;
    set_number("0")?;
    set_quorum("n3", "false")?;
    cluster.wait_commits_wait("n1", 1, &["n4"], IN_FORCE)?;
    // Nobody is left in the quorum: commits wait for nobody, and the group is not called whole.
    set_quorum("n4", "false")?;
    cluster.wait_commits_wait("n1", 0, &[], IN_FORCE)?;
    for name in ["n2", "n4"] {
        set_quorum(name, "true")?;
    }
    cluster.wait_commits_wait("n1", 1, &["n2", "n4"], IN_FORCE)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(2), "{pause:?} without a commit while settings were changed");
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");

    for name in ["n2", "n3"] {
        cluster.ask(&["set", "node", "candidate-priority", "--name", name, "0"])?;
    }
    cluster.ask_in_vain(&["perform", "failover"], &["candidate priority 0"])?;
    let nobody_left = ["set", "node", "candidate-priority", "--name", "n1", "0"];
    cluster.ask_in_vain(&nobody_left, &["may be promoted"])?;
    cluster.wait_whole(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// `show settings`, `get` and `show standby-names` agree.
fn shown_as_set(cluster: &Cluster, number: &str, names: &str) -> Result<()> {
    let settings = cluster.ask_json(&["show", "settings"])?;
    ensure!(settings["primary"][0]["value"] == format!("'{names}'"), "{settings}");
    ensure!(settings["formation"][0]["value"] == number, "{settings}");
    let value = |name: &str, setting: &str| -> Result<Value> {
        let nodes = settings["nodes"].as_array().context("no nodes")?;
        let is_it = |node: &&Value| node["nodename"] == name && node["setting"] == setting;
        Ok(nodes.iter().find(is_it).with_context(|| format!("no {setting} of {name}"))?["value"].clone())
    };
    ensure!(value("n4", "candidate priority")? == "0", "{settings}");
    ensure!(value("n3", "replication quorum")? == "true", "{settings}");
    let said = cluster.ask(&["show", "standby-names"])?;
    ensure!(said.trim() == format!("'{names}'"), "{said}");
    let said = cluster.ask(&["get", "formation", "number-sync-standbys"])?;
    ensure!(said.trim() == number, "{said}");
    let said = cluster.ask(&["get", "node", "candidate-priority", "--name", "n4"])?;
    ensure!(said.trim() == "0", "{said}");
    let said = cluster.ask(&["get", "node", "replication-quorum", "--name", "n3"])?;
    ensure!(said.trim() == "true", "{said}");
    Ok(())
}
