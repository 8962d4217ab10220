//! What scripts written for pg_auto_failover 2.2 rely on, with real servers: commands return when it is done, and a
//! running node takes over what it is told.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::security::scram_verify_full;
use super::{SOON, WHOLE, scenarios, three_nodes, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        maintenance_is_reached_when_the_command_returns,
        settings_are_in_force_when_the_command_returns,
        a_node_that_is_run_under_another_name_runs,
        a_running_node_takes_over_what_is_configured,
        status_tells_what_does_not_run,
        a_failover_right_after_a_restart_of_the_standby_waits_for_it,
        clients_of_the_demo_write_through_a_failover,
        a_node_that_is_run_at_another_address_and_port_runs,
        the_monitors_database_belongs_to_its_role,
        postgres_is_restarted_in_place_on_command;
    three_nodes:
        a_switchover_takes_the_best_standby_and_the_lowest_id_among_equals;
    scram_verify_full:
        a_running_node_takes_over_role_programs_and_tls;
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

/// Both change the row, and what clients and the other node connect to.
fn a_node_that_is_run_at_another_address_and_port_runs(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let address = Ipv4Addr::new(10, 213, 7, 92);
    let host = cluster.host_mut("n2")?;
    host.autoctl(&["stop"])?.success()?;
    host.keeper_end(SOON)?;
    host.link.readdress(address)?;
    host.start(&["run", "--hostname", &address.to_string(), "--pgport", "5499"].map(str::to_owned))?;
    cluster.wait_whole(WHOLE)?;
    let query = "select nodehost || ' ' || nodeport from pgautofailover.node where nodename = 'n2'";
    let row = cluster.monitor.psql("pg_auto_failover", query)?;
    ensure!(row == format!("{address} 5499"), "{row}");
    let follows = "select count(*) from pg_stat_replication where client_addr = '10.213.7.92'";
    ensure!(cluster.host("n1")?.psql("postgres", follows)? == "1", "n2 does not follow from there");
    let host = cluster.host_mut("n2")?;
    host.autoctl(&["stop"])?.success()?;
    host.keeper_end(SOON)?;
    host.start(&["run", "--pgport", "5432"].map(str::to_owned))?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// Nobody takes over meanwhile.
fn postgres_is_restarted_in_place_on_command(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for name in ["n2", "n1"] {
        let since = Instant::now();
        let host = cluster.host_mut(name)?;
        host.environment.push(("PG_AUTOCTL_DEBUG".to_owned(), "1".to_owned()));
        let (keeper, postmaster) = (host.keeper_pid()?, host.postmaster_pid()?);
        host.autoctl(&["do", "service", "restart", "postgres"])?.success()?;
        ensure!(host.postmaster_pid()? != postmaster, "Postgres of {name} was not restarted");
        ensure!(host.keeper_pid()? == keeper, "the keeper of {name} was restarted");
        let pid = host.autoctl(&["do", "service", "getpid", "postgres"])?.success()?;
        ensure!(pid.trim() == host.postmaster_pid()?.to_string(), "{pid}");
        let pid = host.autoctl(&["do", "service", "getpid", "node-active"])?.success()?;
        ensure!(pid.trim() == keeper.to_string(), "{pid}");
        cluster.wait_whole(WHOLE)?;
        ensure!(cluster.primary()? == "n1", "another node took over");
        let pause = writer.pause_since(since, SOON)?;
        eprintln!("restart of Postgres on {name}: {:.2} s without a commit", pause.as_secs_f64());
    }
    cluster.verify(&[writer.stop()])
}

fn the_monitors_database_belongs_to_its_role(cluster: &mut Cluster) -> Result<()> {
    let query = "select pg_get_userbyid(datdba), rolcanlogin from pg_database join pg_roles r on r.oid = datdba \
                 where datname = 'pg_auto_failover'";
    let owner = cluster.monitor.psql("postgres", query)?;
    ensure!(owner == "autoctl|t", "{owner}");
    Ok(())
}

fn a_switchover_takes_the_best_standby_and_the_lowest_id_among_equals(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let switch = |cluster: &mut Cluster, expected: &str| -> Result<()> {
        cluster.ask(&["perform", "switchover"])?;
        ensure!(cluster.primary()? == expected, "{} is the primary", cluster.primary()?);
        cluster.wait_whole(WHOLE)
    };
    switch(cluster, "n2")?;
    switch(cluster, "n1")?;
    cluster.ask(&["set", "node", "candidate-priority", "--name", "n3", "60"])?;
    switch(cluster, "n3")?;
    switch(cluster, "n1")?;
    cluster.verify(&[writer.stop()])
}

/// Keys that are not those of the monitor's row.
fn a_running_node_takes_over_role_programs_and_tls(cluster: &mut Cluster) -> Result<()> {
    let postmaster = cluster.host("n2")?.postmaster_pid()?;
    let set = |setting: &str, value: &str| cluster.ask_on("n2", &["config", "set", setting, value]);
    let follows = |words: &str| -> Result<()> {
        wait_for("the walreceiver to connect anew", SOON, || {
            let settings = cluster.host("n2")?.psql("postgres", "show primary_conninfo")?;
            Ok(settings.contains(words).then_some(()))
        })
    };
    follows("verify-full")?;
    set("ssl.sslmode", "verify-ca")?;
    follows("verify-ca")?;
    set("ssl.sslmode", "verify-full")?;
    follows("verify-full")?;

    cluster.host("n1")?.psql("postgres", "create role keeper superuser login")?;
    wait_for("the role on n2", SOON, || {
        let query = "select count(*) from pg_roles where rolname = 'keeper'";
        Ok((cluster.host("n2")?.psql("postgres", query)? == "1").then_some(()))
    })?;
    cluster.host("n2")?.shell("sed -i '1i local all all trust' \"$PGDATA/pg_hba.conf\"")?;
    cluster.host("n2")?.psql("postgres", "select pg_reload_conf()")?;
    set("postgresql.username", "keeper")?;
    wait_for("the keeper to admit itself as the other role", WHOLE, || {
        let entries = std::fs::read_to_string(cluster.host("n2")?.pgdata().join("pg_hba.conf"))?;
        Ok(entries.contains("local all \"keeper\" ").then_some(()))
    })?;
    ensure!(cluster.host("n2")?.postmaster_pid()? == postmaster, "Postgres was restarted");

    let host = cluster.host("n2")?;
    let programs = host.directory.join("programs");
    symlink(&host.tools.bin, &programs)?;
    set("postgresql.pg_ctl", &programs.join("pg_ctl").display().to_string())?;
    host.kill_postmaster()?;
    wait_for("Postgres to be started by the other program", WHOLE, || {
        let postmaster = cluster.host("n2")?.postmaster_pid()?;
        let title = std::fs::read(format!("/proc/{postmaster}/cmdline"))?;
        Ok(String::from_utf8_lossy(&title).contains("/programs/postgres").then_some(()))
    })?;
    cluster.wait_whole(WHOLE)
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
