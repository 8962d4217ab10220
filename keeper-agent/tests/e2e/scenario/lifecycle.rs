//! Nodes come and go, and people look at them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    monitor_only:
        an_existing_cluster_is_adopted_with_its_data;
    two_nodes:
        creating_again_what_exists_is_harmless,
        a_node_dropped_while_it_was_away_says_so,
        a_dropped_node_is_destroyed_on_request,
        state_changes_are_notified,
        the_show_commands_agree_with_the_monitor,
        settings_of_nodes_are_changed_and_shown,
        stop_reload_and_status;
}

fn an_existing_cluster_is_adopted_with_its_data(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    let pgdata = host.pgdata().display().to_string();
    let socket = host.directory.join("s").display().to_string();
    host.shell(&format!("initdb -A trust -D {pgdata} >initdb.log"))?;
    let server = format!("-o '-c listen_addresses= -c unix_socket_directories={socket}'");
    host.shell(&format!("setsid pg_ctl start -w -D {pgdata} {server} >/dev/null 2>&1 </dev/null"))?;
    host.psql("postgres", "create table mine as select 42 as answer")?;
    host.shell(&format!("pg_ctl stop -w -D {pgdata}"))?;
    let mut args = cluster.create_args(host);
    args.push("--run".to_owned());
    cluster.host_mut("n1")?.start(&args)?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    let answer = cluster.host("n2")?.psql("postgres", "select answer from mine")?;
    ensure!(answer == "42", "the adopted cluster's table says {answer:?} on the standby");
    Ok(())
}

fn creating_again_what_exists_is_harmless(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for name in ["n1", "n2"] {
        let postmaster = cluster.host(name)?.postmaster_pid()?;
        cluster.host(name)?.signal_keeper(Signal::SIGKILL)?;
        cluster.host_mut(name)?.keeper_end(SOON)?;
        let args = cluster.create_args(cluster.host(name)?);
        let host = cluster.host_mut(name)?;
        host.autoctl(&args)?.success()?;
        host.run()?;
        cluster.wait_whole(WHOLE)?;
        ensure!(cluster.host(name)?.postmaster_pid()? == postmaster, "Postgres on {name} was restarted");
    }
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_node_dropped_while_it_was_away_says_so(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.monitor.autoctl(&["drop", "node", "--name", "n2", "--force"])?.success()?;
    cluster.wait_states(&[("n1", "single")], TAKEOVER)?;
    cluster.host_mut("n2")?.run()?;
    let status = cluster.host_mut("n2")?.keeper_end(TAKEOVER)?;
    ensure!(status.code() == Some(121), "the keeper of a dropped node ended with {status}");
    ensure!(cluster.host("n2")?.pgdata().join("PG_VERSION").exists(), "its data is gone");
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_dropped_node_is_destroyed_on_request(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.host("n2")?.autoctl(&["drop", "node", "--destroy"])?.success()?;
    cluster.wait_states(&[("n1", "single")], TAKEOVER)?;
    ensure!(cluster.rows()?.len() == 1, "the monitor still knows the node");
    wait_for("the data to be gone", SOON, || Ok((!cluster.host("n2")?.pgdata().exists()).then_some(())))?;
    cluster.host_mut("n2")?.keeper_end(SOON)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])?;
    let mut args = cluster.create_args(cluster.host("n2")?);
    args.push("--run".to_owned());
    cluster.host_mut("n2")?.start(&args)?;
    cluster.wait_whole(WHOLE)
}

fn state_changes_are_notified(cluster: &mut Cluster) -> Result<()> {
    cluster.on_monitor(|monitor| monitor.rows("listen state"))?;
    cluster.monitor.psql("pg_auto_failover", "select pgautofailover.perform_failover()")?;
    let mut changes: Vec<Value> = Vec::new();
    wait_for("the notification of n2 being primary", TAKEOVER, || {
        for (channel, payload) in cluster.on_monitor(crate::harness::Sql::notifications)? {
            ensure!(channel == "state", "a notification on channel {channel}");
            changes.push(serde_json::from_str(&payload).with_context(|| payload)?);
        }
        let is_primary = |change: &Value| {
            change["name"] == "n2" && change["reportedState"] == "primary" && change["goalState"] == "primary"
        };
        Ok(changes.iter().any(is_primary).then_some(()))
    })?;
    for key in [
        "type",
        "formation",
        "groupId",
        "nodeId",
        "name",
        "host",
        "port",
        "reportedState",
        "goalState",
        "health",
    ] {
        ensure!(
            changes.iter().all(|change| change.get(key).is_some()),
            "a notification lacks {key}: {changes:?}"
        );
    }
    ensure!(changes.iter().all(|change| change["type"] == "state" && change["formation"] == "default"));
    Ok(())
}

fn json(cluster: &Cluster, args: &[&str]) -> Result<Value> {
    let said = cluster.monitor.autoctl(args)?.success()?;
    serde_json::from_str(&said).with_context(|| format!("{args:?} printed {said}"))
}

fn the_show_commands_agree_with_the_monitor(cluster: &mut Cluster) -> Result<()> {
    let state = json(cluster, &["show", "state", "--json"])?;
    let states: Vec<_> = state
        .as_array()
        .context("no list")?
        .iter()
        .map(|node| (&node["nodename"], &node["current_group_state"]))
        .collect();
    ensure!(format!("{states:?}").matches("primary").count() == 1, "{states:?}");
    ensure!(state[0]["nodehost"] == cluster.host("n1")?.address().to_string(), "{state}");
    let events = json(cluster, &["show", "events", "--count", "4", "--json"])?;
    ensure!(events.as_array().is_some_and(|events| events.len() == 4), "{events}");
    let settings = json(cluster, &["show", "settings", "--json"])?;
    ensure!(settings["primary"][0]["value"] == "'ANY 1 (pgautofailover_standby_2)'", "{settings}");
    let names = cluster.monitor.autoctl(&["show", "standby-names"])?.success()?;
    ensure!(names.trim() == "'ANY 1 (pgautofailover_standby_2)'", "{names}");
    let uris = json(cluster, &["show", "uri", "--json"])?;
    let uri = uris[1]["uri"].as_str().context("no URI of the formation")?;
    let answer = cluster.host("n2")?.shell(&format!("psql -XAt '{uri}' -c 'select pg_is_in_recovery()'"))?;
    ensure!(answer.trim() == "f", "{uri} leads to a server that says {answer}");
    let table = cluster.monitor.autoctl(&["show", "state"])?.success()?;
    ensure!(table.contains("Reported State") && table.contains("read-write"), "{table}");
    Ok(())
}

fn settings_of_nodes_are_changed_and_shown(cluster: &mut Cluster) -> Result<()> {
    let on_n2 = |args: &[&str]| cluster.host("n2")?.autoctl(args)?.success();
    on_n2(&["set", "node", "candidate-priority", "0"])?;
    let priority = on_n2(&["get", "node", "candidate-priority"])?;
    ensure!(priority.trim() == "0", "{priority}");
    let refused = cluster.monitor.autoctl(&["perform", "failover"])?;
    ensure!(refused.code() != 0, "a failover to a node of priority 0 was accepted");
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], SOON)?;
    on_n2(&["set", "node", "candidate-priority", "50"])?;
    on_n2(&["set", "node", "replication-quorum", "false"])?;
    wait_for("commits that wait for nobody", TAKEOVER, || {
        let names = cluster.host("n1")?.psql("postgres", "show synchronous_standby_names")?;
        Ok(names.is_empty().then_some(()))
    })?;
    on_n2(&["set", "node", "replication-quorum", "true"])?;
    wait_for("commits that wait for n2", TAKEOVER, || {
        let names = cluster.host("n1")?.psql("postgres", "show synchronous_standby_names")?;
        Ok(names.contains("pgautofailover_standby_2").then_some(()))
    })?;
    cluster.wait_whole(WHOLE)
}

fn stop_reload_and_status(cluster: &mut Cluster) -> Result<()> {
    let host = cluster.host_mut("n2")?;
    host.autoctl(&["status"])?.success()?;
    host.autoctl(&["reload"])?.success()?;
    let keeper = host.keeper_pid()?;
    host.autoctl(&["stop"])?.success()?;
    let status = host.keeper_end(TAKEOVER)?;
    ensure!(status.success(), "after `stop` the keeper, {keeper}, ended with {status}");
    ensure!(!host.is_populated(), "processes are left behind on n2");
    ensure!(host.autoctl(&["status"])?.code() != 0, "`status` of a stopped node says that all is well");
    host.run()?;
    cluster.wait_whole(WHOLE + Duration::from_secs(10))
}
