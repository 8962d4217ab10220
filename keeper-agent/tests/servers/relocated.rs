//! Nodes whose servers get another port.

use anyhow::{Context as _, Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;
use crate::port;

cases! {
    1:
        a_single_server_gets_another_port;
    2:
        a_standby_gets_another_port,
        a_primary_hands_over_before_it_gets_another_port,
        a_port_that_is_taken_is_refused,
        a_server_that_runs_without_its_keeper_keeps_its_port,
        a_primary_and_a_standby_get_other_host_names,
        an_address_at_which_the_server_does_not_listen_is_refused;
}

/// The server listens there, and the monitor says so.
fn check_moved(bed: &mut Bed, name: &str, port: u16) -> Result<()> {
    bed.node_mut(name).port = port;
    let shown = bed.node(name).setting("port")?;
    ensure!(shown == port.to_string(), "{name} listens on port {shown}");
    let sql = format!("select nodeport from pgautofailover.node where nodename = '{name}'");
    let known = bed.monitor.sql_as("postgres", "pg_auto_failover", &sql)?;
    ensure!(known == port.to_string(), "the monitor has {known}");
    let configured = bed.node(name).autoctl(&["config", "get", "postgresql.port"])?;
    ensure!(configured.trim() == port.to_string(), "the configuration has {configured}");
    Ok(())
}

fn a_single_server_gets_another_port(bed: &mut Bed) -> Result<()> {
    let port = port::free()?;
    bed.node("n1").autoctl(&["config", "set", "postgresql.port", &port.to_string()])?;
    check_moved(bed, "n1", port)?;
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    bed.check_no_failover()
}

fn a_standby_gets_another_port(bed: &mut Bed) -> Result<()> {
    let port = port::free()?;
    bed.node("n2").autoctl(&["set", "node", "metadata", "--pgport", &port.to_string()])?;
    check_moved(bed, "n2", port)?;
    bed.wait_whole()?;
    bed.check_no_failover()?;
    bed.fail_over()
}

fn a_primary_hands_over_before_it_gets_another_port(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    let port = port::free()?;
    let changed =
        bed.node("n1").program("pg_autoctl", &["set", "node", "metadata", "--pgport", &port.to_string()])?;
    ensure!(changed.stderr.contains("handing over"), "{}", changed.stderr);
    ensure!(changed.status.success(), "{}", changed.stderr);
    check_moved(bed, "n1", port)?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    writer.wait_for_ack(WITHIN)?;
    let ledger = writer.stop();
    // Back, on the new port.
    let after = bed.writer()?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n1")?;
    after.wait_for_ack(WITHIN)?;
    bed.wait_whole()?;
    bed.verify("n1", &[ledger, after.stop()])
}

fn a_port_that_is_taken_is_refused(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        let (node, other) = (bed.node(name), bed.monitor.port.to_string());
        let refused = node
            .same_postmaster(|| node.program("pg_autoctl", &["config", "set", "postgresql.port", &other]))?;
        ensure!(!refused.status.success() && refused.stderr.contains(&other), "{}", refused.stderr);
        let configured = node.autoctl(&["config", "get", "postgresql.port"])?;
        ensure!(configured.trim() == node.port.to_string(), "the configuration has {configured}");
    }
    bed.wait_whole()?;
    bed.check_no_failover()
}

fn a_server_that_runs_without_its_keeper_keeps_its_port(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n1").kill_keeper()?;
    let node = bed.node("n1");
    let port = port::free()?.to_string();
    let refused = node.program("pg_autoctl", &["set", "node", "metadata", "--pgport", &port])?;
    ensure!(!refused.status.success() && refused.stderr.contains("pg_autoctl run"), "{}", refused.stderr);
    let sql = "select nodeport from pgautofailover.node where nodename = 'n1'";
    let known = bed.monitor.sql_as("postgres", "pg_auto_failover", sql).context("the row of n1")?;
    ensure!(known == node.port.to_string(), "the monitor has {known}");
    bed.node_mut("n1").run()?;
    wait_for("n1 to report", WITHIN, || bed.node("n1").sql("select 1").map(Some))?;
    bed.wait_whole()
}

/// The monitor has it, the other node connects there, and nothing was restarted.
fn check_hostname(bed: &Bed, name: &str, hostname: &str) -> Result<()> {
    let sql = format!("select nodehost from pgautofailover.node where nodename = '{name}'");
    wait_for("the monitor to know the host name", WITHIN, || {
        let known = bed.monitor.sql_as("postgres", "pg_auto_failover", &sql)?;
        ensure!(known == hostname, "the monitor has {known}");
        Ok(Some(()))
    })?;
    bed.wait_whole()?;
    bed.check_no_failover()
}

fn a_primary_and_a_standby_get_other_host_names(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    let node = bed.node("n1");
    node.same_postmaster(|| {
        node.autoctl(&["set", "node", "metadata", "--hostname", "localhost"])?;
        check_hostname(bed, "n1", "localhost")
    })?;
    let node = bed.node("n2");
    wait_for("n2 to follow under the new name", WITHIN, || {
        let shown = node.sql("select sender_host from pg_stat_wal_receiver where status = 'streaming'")?;
        ensure!(shown == "localhost", "it receives from {shown:?}");
        Ok(Some(()))
    })?;
    node.same_postmaster(|| {
        node.autoctl(&["config", "set", "pg_autoctl.hostname", "localhost"])?;
        check_hostname(bed, "n2", "localhost")
    })?;
    writer.wait_for_ack(WITHIN)?;
    // And back, with the option of `run`.
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").start(&["run", "--hostname", "127.0.0.1"])?;
    check_hostname(bed, "n2", "127.0.0.1")?;
    bed.verify("n1", &[writer.stop()])?;
    bed.fail_over()
}

fn an_address_at_which_the_server_does_not_listen_is_refused(bed: &mut Bed) -> Result<()> {
    let node = bed.node("n2");
    for args in [
        ["config", "set", "postgresql.listen_addresses", "127.0.0.2"].as_slice(),
        &["config", "set", "postgresql.listen_addresses", ""],
    ] {
        let refused = node.program("pg_autoctl", args)?;
        ensure!(!refused.status.success() && refused.stderr.contains("127.0.0.1"), "{}", refused.stderr);
    }
    let changed =
        node.program("pg_autoctl", &["config", "set", "postgresql.listen_addresses", "127.0.0.1"])?;
    ensure!(changed.status.success() && changed.stderr.contains("restarted"), "{}", changed.stderr);
    let refused = node.program("pg_autoctl", &["set", "node", "metadata", "--hostname", "127.0.0.2"])?;
    ensure!(!refused.status.success() && refused.stderr.contains("listen_addresses"), "{}", refused.stderr);
    check_hostname(bed, "n2", "127.0.0.1")?;
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").run()?;
    wait_for("n2 to listen there alone", WITHIN, || {
        Ok((bed.node("n2").setting("listen_addresses")? == "127.0.0.1").then_some(()))
    })?;
    bed.wait_whole()?;
    bed.check_no_failover()
}
