//! A disk is full: an error that says so, and no failover from node to node around a ring.

use std::fs;

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios};
use crate::harness::{Cluster, SmallDisk, wait_for};

scenarios! {
    monitor_only:
        a_full_disk_of_the_standby_does_not_stop_the_primary,
        a_full_disk_of_the_primary_fails_over_once,
        a_disk_too_small_for_a_new_node_is_said_so;
}

/// Two nodes; the data of one of them is on a disk of that many megabytes.
fn bring_up(cluster: &mut Cluster, on_small_disk: &str, megabytes: u32) -> Result<SmallDisk> {
    let disk = SmallDisk::mount(&cluster.directory.join(on_small_disk).join("data"), megabytes)?;
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    Ok(disk)
}

/// Fills what is free on the disk of a node.
fn fill(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.host(name)?.shell("dd if=/dev/zero of=data/ballast bs=64k 2>dd.log || true").map(drop)
}

fn free(cluster: &Cluster, name: &str) -> Result<()> {
    Ok(fs::remove_file(cluster.host(name)?.pgdata().join("ballast"))?)
}

/// Writes more WAL than a full disk has room for, and less than one that was freed has.
fn write_much(cluster: &Cluster, name: &str) -> Result<()> {
    let sql =
        "select pg_logical_emit_message(false, 'bulk', repeat('x', 1000000)) from generate_series(1, 80)";
    // It fails when the disk is full on the node itself, and is done when it is full on the standby.
    let _either = cluster.host(name)?.psql("postgres", sql);
    Ok(())
}

/// The directory that must be made room in is named.
fn says_so(message: &str) -> bool {
    message.contains("left on the device that holds") && message.contains("/n1/data")
}

fn a_full_disk_of_the_standby_does_not_stop_the_primary(cluster: &mut Cluster) -> Result<()> {
    let _disk = bring_up(cluster, "n2", 220)?;
    let writer = cluster.writer()?;
    fill(cluster, "n2")?;
    write_much(cluster, "n1")?;
    cluster.wait_states(&[("n1", "wait_primary")], WHOLE)?;
    writer.wait_for_ack(SOON)?;
    free(cluster, "n2")?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn a_full_disk_of_the_primary_fails_over_once(cluster: &mut Cluster) -> Result<()> {
    let _disk = bring_up(cluster, "n1", 220)?;
    let writer = cluster.writer()?;
    fill(cluster, "n1")?;
    write_much(cluster, "n1")?;
    cluster.wait_primary_is("n2", WHOLE)?;
    writer.wait_for_ack(SOON)?;
    wait_for("the keeper to say that the disk is full", TAKEOVER, || {
        let log = fs::read_to_string(cluster.host("n1")?.keeper_log())?;
        Ok(says_so(&log).then_some(()))
    })?;
    free(cluster, "n1")?;
    cluster.wait_states(&[("n2", "primary"), ("n1", "secondary")], WHOLE)?;
    ensure!(cluster.host("n2")?.timeline()? == 2, "more than one failover");
    cluster.verify(&[writer.stop()])
}

fn a_disk_too_small_for_a_new_node_is_said_so(cluster: &mut Cluster) -> Result<()> {
    let _disk = SmallDisk::mount(&cluster.directory.join("n1/data"), 8)?;
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    let ended = host.autoctl(&cluster.create_args(host))?;
    ensure!(ended.code() != 0, "a node was made on a disk of 8 MB");
    ensure!(says_so(&ended.stderr), "the error does not say that the disk is full:\n{}", ended.stderr);
    ensure!(cluster.rows()?.is_empty(), "a node is left behind at the monitor");
    ensure!(fs::read_dir(host.pgdata())?.next().is_none(), "files are left behind");
    Ok(())
}
