//! Hosts that get another address: nodes that were not told how they are reached find it out again.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios};
use crate::harness::{Cluster, wait_for};

scenarios! {
    monitor_only:
        nodes_follow_another_address_while_they_run_and_at_a_start;
}

fn nodes_follow_another_address_while_they_run_and_at_a_start(cluster: &mut Cluster) -> Result<()> {
    add_node_that_finds_its_address(cluster, "n1")?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    add_node_that_finds_its_address(cluster, "n2")?;
    cluster.wait_whole(WHOLE)?;
    let mut ledgers = vec![cluster.writer()?.stop()];

    // The standby, then the primary, while they run.
    for (name, number) in [("n2", 62), ("n1", 61)] {
        move_host(cluster, name, number)?;
        is_known_there(cluster, name, number)?;
        ledgers.push(cluster.writer()?.stop());
    }
    let follows = "select count(*) from pg_stat_wal_receiver where sender_host = '10.213.7.61'";
    wait_for("n2 to receive from the new address of n1", WHOLE, || {
        let standby = cluster.host("n2")?;
        Ok((cluster.primary()? != "n1" || standby.psql("postgres", follows)? == "1").then_some(()))
    })?;

    // Both at once, while they are down.
    for name in ["n1", "n2"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    for (name, number) in [("n1", 71), ("n2", 72)] {
        move_host(cluster, name, number)?;
        cluster.host_mut(name)?.run()?;
    }
    for (name, number) in [("n1", 71), ("n2", 72)] {
        is_known_there(cluster, name, number)?;
    }
    let writer = cluster.writer()?;
    cluster.ask(&["perform", "failover"])?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    ledgers.push(writer.stop());
    cluster.verify(&ledgers)?;

    // Who is told how it is reached stays with that.
    cluster.host("n1")?.autoctl(&["config", "set", "pg_autoctl.hostname", "10.213.7.71"])?.success()?;
    let asked = cluster.host("n1")?.autoctl(&["config", "get", "pg_autoctl.hostname_follows_network"])?;
    ensure!(asked.success()?.trim().is_empty(), "it goes on following the network");
    Ok(())
}

fn add_node_that_finds_its_address(cluster: &mut Cluster, name: &str) -> Result<()> {
    cluster.add_host(name)?;
    let mut args = cluster.create_args(cluster.host(name)?);
    if let Some(given) = args.iter().position(|arg| arg == "--hostname") {
        args.drain(given..given + 2);
    }
    args.push("--run".to_owned());
    cluster.host_mut(name)?.start(&args)
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, 7, number)
}

fn move_host(cluster: &mut Cluster, name: &str, number: u8) -> Result<()> {
    cluster.host_mut(name)?.link.readdress(address(number))
}

/// The monitor knows the new address, and the other node lets it in.
fn is_known_there(cluster: &Cluster, name: &str, number: u8) -> Result<()> {
    let sql = format!("select nodehost from pgautofailover.node where nodename = '{name}'");
    let address = address(number).to_string();
    wait_for("the monitor to know the new address", TAKEOVER, || {
        Ok((cluster.monitor.psql("pg_auto_failover", &sql)? == address).then_some(()))
    })?;
    cluster.wait_whole(WHOLE)?;
    let entry = format!(" {address}/32 ");
    for host in cluster.nodes.iter().filter(|host| host.name != name) {
        wait_for("pg_hba.conf of the other node to have the new address", WHOLE, || {
            Ok(fs::read_to_string(host.pgdata().join("pg_hba.conf"))?.contains(&entry).then_some(()))
        })?;
    }
    Ok(())
}
