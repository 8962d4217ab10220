//! What scripts written for pg_auto_failover 2.2 rely on, with real servers: commands return when it is done, and a
//! running node takes over what it is told.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        maintenance_is_reached_when_the_command_returns,
        settings_are_in_force_when_the_command_returns,
        a_node_that_is_run_under_another_name_runs,
        a_running_node_takes_over_what_is_configured,
        status_tells_what_does_not_run,
        a_failover_right_after_a_restart_of_the_standby_waits_for_it,
        clients_of_the_demo_write_through_a_failover;
}

fn reported(cluster: &Cluster, name: &str) -> Result<String> {
    let query = format!("select reportedstate from pgautofailover.node where nodename = '{name}'");
    cluster.monitor.psql("pg_auto_failover", &query)
}

fn maintenance_is_reached_when_the_command_returns(cluster: &mut Cluster) -> Result<()> {
    let table = cluster.ask_on("n2", &["enable", "maintenance"])?;
    ensure!(reported(cluster, "n2")? == "maintenance", "{table}");
    ensure!(table.contains("Current State") && table.contains("wait_maintenance"), "{table}");
    let again = cluster.ask_on("n2", &["enable", "maintenance"])?;
    ensure!(!again.contains("n2"), "{again}");
    let table = cluster.ask_on("n2", &["disable", "maintenance"])?;
    ensure!(reported(cluster, "n2")? == "secondary", "{table}");
    ensure!(table.contains("catchingup"), "{table}");
    cluster.wait_whole(WHOLE)?;
    let refused = cluster.host("n1")?.autoctl(&["enable", "maintenance"])?;
    ensure!(refused.code() == 1, "exit code {}: {}", refused.code(), refused.stderr);
    cluster.ask_on("n1", &["enable", "maintenance", "--allow-failover"])?;
    ensure!(reported(cluster, "n1")? == "maintenance");
    cluster.ask_on("n1", &["disable", "maintenance"])?;
    ensure!(reported(cluster, "n1")? == "secondary");
    cluster.wait_primary_is("n2", SOON)
}

fn settings_are_in_force_when_the_command_returns(cluster: &mut Cluster) -> Result<()> {
    let in_force = |cluster: &Cluster| cluster.host("n1")?.psql("postgres", "show synchronous_standby_names");
    for _ in 0..3 {
        cluster.ask(&["set", "node", "replication-quorum", "--name", "n2", "false"])?;
        let names = in_force(cluster)?;
        ensure!(names.is_empty(), "commits still wait for {names}");
        cluster.ask(&["set", "node", "replication-quorum", "--name", "n2", "on"])?;
        let names = in_force(cluster)?;
        ensure!(names.contains("pgautofailover_standby_2"), "commits do not wait: {names:?}");
    }
    let said = cluster.ask_json(&["set", "formation", "number-sync-standbys", "1"])?;
    ensure!(said["number-sync-standbys"] == 1, "{said}");
    ensure!(said["synchronous_standby_names"] == "ANY 1 (pgautofailover_standby_2)", "{said}");
    cluster.ask(&["set", "node", "candidate-priority", "--name", "n2", "60"])?;
    cluster.wait_whole(SOON)
}

fn a_node_that_is_run_under_another_name_runs(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host_mut("n2")?;
    host.autoctl(&["stop"])?.success()?;
    host.keeper_end(SOON)?;
    host.start(&["run", "--name", "renamed"].map(str::to_owned))?;
    cluster.wait_states(&[("n1", "primary"), ("renamed", "secondary")], WHOLE)?;
    let name = cluster.host("n2")?.autoctl(&["config", "get", "pg_autoctl.name"])?.success()?;
    ensure!(name.trim() == "renamed", "{name}");
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_running_node_takes_over_what_is_configured(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let postmaster = cluster.host("n2")?.postmaster_pid()?;
    let set = |setting: &str, value: &str| cluster.ask_on("n2", &["config", "set", setting, value]);
    set("pg_autoctl.name", "other")?;
    cluster.wait_states(&[("n1", "primary"), ("other", "secondary")], SOON)?;
    set("pg_autoctl.hostname", &cluster.host("n2")?.address().to_string())?;
    let refused = cluster.host("n2")?.autoctl(&["config", "set", "postgresql.pg_ctl", "/no/such/pg_ctl"])?;
    ensure!(refused.code() == 2, "exit code {}: {}", refused.code(), refused.stderr);
    set("timeout.network_partition_timeout", "5")?;
    let refused =
        cluster.host("n2")?.autoctl(&["config", "set", "postgresql.username", "nobody-of-this-name"])?;
    ensure!(refused.code() == 2, "exit code {}: {}", refused.code(), refused.stderr);
    cluster.ask_on("n2", &["config", "check"])?;
    let checked = cluster.ask_on("n2", &["config", "check", "--json"])?;
    let checked: serde_json::Value = serde_json::from_str(&checked)?;
    ensure!(checked["postgres"]["in_recovery"] == true, "{checked}");
    ensure!(checked["config"]["pg_autoctl"]["name"] == "other", "{checked}");
    // A monitor that does not answer is found.
    cluster.monitor.link.cut()?;
    let lost = cluster.host("n2")?.autoctl(&["config", "check"])?;
    cluster.monitor.link.restore()?;
    ensure!(lost.code() == 6, "exit code {}: {}", lost.code(), lost.stderr);
    ensure!(cluster.host("n2")?.postmaster_pid()? == postmaster, "Postgres was restarted");
    cluster.wait_states(&[("n1", "primary"), ("other", "secondary")], WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn status_tells_what_does_not_run(cluster: &mut Cluster) -> Result<()> {
    let code = |cluster: &Cluster| Ok::<_, anyhow::Error>(cluster.host("n2")?.autoctl(&["status"])?.code());
    ensure!(code(cluster)? == 0);
    // The keeper is frozen, so that it does not start Postgres again.
    let host = cluster.host("n2")?;
    let keeper = host.keeper_pid()?;
    crate::harness::signal(keeper, Signal::SIGSTOP)?;
    crate::harness::signal(host.postmaster_pid()?, Signal::SIGQUIT)?;
    wait_for("status to say that Postgres is down", SOON, || Ok((code(cluster)? == 5).then_some(())))?;
    crate::harness::signal(keeper, Signal::SIGCONT)?;
    cluster.wait_whole(WHOLE)?;
    let host = cluster.host_mut("n2")?;
    host.autoctl(&["stop"])?.success()?;
    host.keeper_end(SOON)?;
    ensure!(code(cluster)? == 3);
    ensure!(cluster.host("n2")?.autoctl(&["stop"])?.code() == 12);
    Ok(())
}

fn a_failover_right_after_a_restart_of_the_standby_waits_for_it(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host("n2")?;
    crate::harness::signal(host.postmaster_pid()?, Signal::SIGQUIT)?;
    wait_for("the monitor to hear of it", SOON, || {
        let query = "select reportedpgisrunning from pgautofailover.node where nodename = 'n2'";
        Ok((cluster.monitor.psql("pg_auto_failover", query)? == "f").then_some(()))
    })?;
    cluster.monitor.psql("pg_auto_failover", "select pgautofailover.perform_failover()")?;
    cluster.wait_primary_is("n2", WHOLE)?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn clients_of_the_demo_write_through_a_failover(cluster: &mut Cluster) -> Result<()> {
    cluster.monitor.environment.push(("PG_AUTOCTL_DEBUG".to_owned(), "1".to_owned()));
    let demo = ["do", "demo", "run", "--clients", "2", "--duration", "8", "--first-failover", "2"];
    let said = cluster.ask(&demo)?;
    for words in ["Client 1", "Client 2", "All Clients Combined", "Min Connect Time (ms)", "▒"] {
        ensure!(said.contains(words), "{words:?} is not in: {said}");
    }
    cluster.wait_primary_is("n2", WHOLE)?;
    let uri = cluster.ask(&["do", "demo", "uri"])?;
    ensure!(uri.contains("target_session_attrs=read-write"), "{uri}");
    let ping = cluster.ask(&["do", "demo", "ping"])?;
    ensure!(ping.contains(&cluster.host("n2")?.address().to_string()), "{ping}");
    let summary = cluster.ask(&["do", "demo", "summary"])?;
    ensure!(summary.contains("All Clients Combined"), "{summary}");
    cluster.wait_whole(WHOLE)
}
