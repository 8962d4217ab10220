//! A primary, two standbys in the quorum of which one is never primary, and an asynchronous one: changes of roles, and
//! nodes that leave and come back.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, four_nodes, scenarios};
use crate::harness::{Cluster, Writer, wait_for};

scenarios! {
    four_nodes:
        roles_are_changed_by_every_command,
        secondaries_cannot_be_disabled_while_there_are_some,
        nodes_leave_in_every_state_and_join_again;
}

const PAUSE_OF_A_SWITCHOVER: Duration = Duration::from_secs(5);

/// A command that changes the primary; afterwards the group is whole and `expected` (or somebody else) is primary.
fn change_roles(
    cluster: &Cluster,
    writer: &Writer,
    command: &[&str],
    expected: Option<&str>,
) -> Result<String> {
    let old = cluster.primary()?;
    let since = Instant::now();
    cluster.ask(command)?;
    let new = cluster.wait_another_primary(&old, SOON)?;
    ensure!(expected.is_none_or(|name| name == new), "{new} is primary after {command:?}");
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit after {command:?}");
    cluster.wait_whole(WHOLE)?;
    Ok(new)
}

fn roles_are_changed_by_every_command(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    // With the same priority, a member of the quorum goes before the asynchronous one.
    change_roles(cluster, &writer, &["perform", "failover"], Some("n2"))?;
    change_roles(cluster, &writer, &["perform", "switchover"], Some("n1"))?;
    cluster.ask_in_vain(&["perform", "promotion", "--name", "n4"], &["candidate priority 0"])?;
    ensure!(cluster.ask(&["perform", "promotion", "--name", "n1"]).is_ok(), "it is the primary already");
    make_asynchronous_node_lag(cluster)?;
    change_roles(cluster, &writer, &["perform", "promotion", "--name", "n3"], Some("n3"))?;
    // It writes, and the others follow it: those in the quorum are waited for.
    cluster.wait_commits_wait("n3", 1, &["n1", "n2", "n4"], SOON)?;
    change_roles(cluster, &writer, &["perform", "promotion", "--name", "n1"], Some("n1"))?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n4"], SOON)?;
    cluster.verify(&[writer.stop()])
}

/// n3 has received nothing of much WAL when its link is mended.
fn make_asynchronous_node_lag(cluster: &Cluster) -> Result<()> {
    let n3 = cluster.host("n3")?.address();
    cluster.host("n1")?.link.block(n3)?;
    let much =
        "select pg_logical_emit_message(false, 'bulk', repeat('x', 1000000)) from generate_series(1, 30)";
    cluster.host("n1")?.psql("postgres", much)?;
    cluster.host("n1")?.link.unblock(n3)
}

fn secondaries_cannot_be_disabled_while_there_are_some(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    let refused = cluster.host("n1")?.autoctl(&["disable", "secondary"])?;
    ensure!(refused.code() != 0, "secondaries were disabled under a group of four");
    ensure!(refused.stderr.contains("n2") || refused.stderr.contains("nodes"), "{}", refused.stderr);
    cluster.ask_on("n1", &["enable", "secondary"])?;
    cluster.wait_whole(SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(1), "{pause:?} without a commit");
    for name in ["n2", "n3", "n4"] {
        cluster.ask_on(name, &["drop", "node"])?;
    }
    cluster.wait_states(&[("n1", "single")], TAKEOVER)?;
    cluster.ask_on("n1", &["disable", "secondary"])?;
    cluster.ask_on("n1", &["enable", "secondary"])?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// Waits until a keeper has ended because its node was dropped.
fn wait_dropped(cluster: &mut Cluster, name: &str) -> Result<()> {
    let status = cluster.host_mut(name)?.keeper_end(TAKEOVER)?;
    ensure!(status.code() == Some(121), "the keeper of the dropped node {name} ended with {status}");
    wait_for("the monitor to forget the node", SOON, || {
        Ok(cluster.rows()?.iter().all(|row| row.name != name).then_some(()))
    })
}

/// Makes a node of nothing on the host of one that was dropped.
fn join_again(cluster: &mut Cluster, name: &str, options: &[&str]) -> Result<()> {
    cluster.ask_on(name, &["drop", "node", "--destroy"])?;
    ensure!(!cluster.host(name)?.pgdata().exists(), "the data of {name} is still there");
    let mut args = cluster.create_args(cluster.host(name)?);
    args.extend(options.iter().map(|option| (*option).to_owned()));
    args.push("--run".to_owned());
    cluster.host_mut(name)?.start(&args)?;
    Ok(())
}

fn nodes_leave_in_every_state_and_join_again(cluster: &mut Cluster) -> Result<()> {
    cluster.host("n1")?.psql(
        "postgres",
        "create table filler as select g, repeat('x', 1000) from generate_series(1, 30000) g; checkpoint",
    )?;
    let writer = cluster.writer()?;
    let slot_of_n4 = cluster.standby_names(1, &["n4"])?;
    let slot_of_n4 = slot_of_n4.trim_start_matches("ANY 1 (").trim_end_matches(')').to_owned();

    cluster.ask(&["drop", "node", "--name", "n4"])?;
    wait_dropped(cluster, "n4")?;
    cluster.wait_commits_wait("n1", 1, &["n2"], TAKEOVER)?;
    slot_is_gone(cluster, &slot_of_n4, &["n1", "n2", "n3"])?;

    cluster.ask_on("n3", &["enable", "maintenance"])?;
    cluster.wait_states(&[("n3", "maintenance")], SOON)?;
    cluster.ask_on("n3", &["drop", "node"])?;
    wait_dropped(cluster, "n3")?;

    // Gone for good, as far as the operator knows; and there again.
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.ask(&["drop", "node", "--name", "n2", "--force"])?;
    cluster.wait_states(&[("n1", "single")], TAKEOVER)?;
    cluster.host_mut("n2")?.run()?;
    wait_dropped(cluster, "n2")?;
    writer.wait_for_ack(SOON)?;

    // One is dropped again while its data is copied.
    join_again(cluster, "n4", &["--maximum-backup-rate", "4M"])?;
    wait_for("a base backup", TAKEOVER, || Ok(cluster.host("n4")?.process("pg_basebackup")))?;
    cluster.ask(&["drop", "node", "--name", "n4"])?;
    wait_dropped(cluster, "n4")?;
    for name in ["n2", "n3", "n4"] {
        join_again(cluster, name, &[])?;
    }
    cluster.wait_whole(WHOLE)?;

    cluster.ask(&["drop", "node", "--name", "n1"])?;
    let primary = cluster.wait_another_primary("n1", TAKEOVER)?;
    wait_dropped(cluster, "n1")?;
    writer.wait_for_ack(SOON)?;
    join_again(cluster, "n1", &[])?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.primary()? == primary, "the primary changed when a node joined");
    ensure!(fs::exists(cluster.host("n1")?.pgdata().join("PG_VERSION"))?, "n1 has no data");
    cluster.verify(&[writer.stop()])
}

/// Nobody keeps a slot, and so WAL, for a node that has left.
fn slot_is_gone(cluster: &Cluster, slot: &str, names: &[&str]) -> Result<()> {
    wait_for(&format!("slot {slot} to be gone"), TAKEOVER, || {
        for name in names {
            let sql = format!("select count(*) from pg_replication_slots where slot_name = '{slot}'");
            let count = cluster.host(name)?.psql("postgres", &sql)?;
            ensure!(count == "0", "it is still on {name}");
        }
        Ok(Some(()))
    })
    .context("orphan slots hold WAL back")
}
