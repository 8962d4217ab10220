//! The processes of a host die and its kernel lives: that is news, and nobody waits for silence. What only looks like it is
//! waited for, or changes nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, three_nodes, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        processes_of_the_primary_killed_are_news,
        keeper_killed_alone_changes_nothing,
        processes_killed_and_started_again_at_once,
        a_primary_behind_a_firewall_that_rejects_is_waited_for,
        monitor_restarted_while_a_keeper_is_killed,
        processes_of_the_standby_killed_change_no_primary;
    three_nodes:
        processes_of_the_primary_of_three_killed_are_news;
}

/// Shorter than any silence that counts.
const NEWS: Duration = Duration::from_millis(2500);
/// Longer than any.
const UNDISTURBED: Duration = Duration::from_secs(8);

/// The events since then; a monitor that was restarted meanwhile is asked again.
fn told_since(cluster: &Cluster, event: i64) -> Result<String> {
    wait_for("the events", SOON, || Ok(Some(cluster.events_after(event)?.join("\n"))))
}

/// Commits go on, and nobody is promoted, for as long as any silence may count.
fn expect_undisturbed(
    cluster: &mut Cluster,
    event: i64,
    broken: &str,
    break_it: impl FnOnce(&mut Cluster) -> Result<()>,
) -> Result<()> {
    let writer = cluster.writer()?;
    writer.wait_for_ack(SOON)?;
    let since = Instant::now();
    break_it(cluster)?;
    while since.elapsed() < UNDISTURBED {
        writer.wait_for_ack(SOON)?;
    }
    let told = told_since(cluster, event)?;
    ensure!(!told.contains("prepare_promotion"), "somebody was to be promoted:\n{told}");
    let ledger = writer.stop();
    // A node without its keeper is not one that is settled.
    cluster.host_mut(broken)?.run()?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    cluster.verify(&[ledger])
}

fn expect_news(cluster: &mut Cluster, rule: &str) -> Result<()> {
    let writer = cluster.writer()?;
    writer.wait_for_ack(SOON)?;
    let event = cluster.last_event()?;
    let since = Instant::now();
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_another_primary("n1", TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    let told = told_since(cluster, event)?;
    ensure!(told.contains(rule), "{pause:?} without a commit, and not by {rule}:\n{told}");
    ensure!(pause < NEWS, "{pause:?} without a commit");
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn processes_of_the_primary_killed_are_news(cluster: &mut Cluster) -> Result<()> {
    expect_news(cluster, "[primary_is_gone]")
}

fn processes_of_the_primary_of_three_killed_are_news(cluster: &mut Cluster) -> Result<()> {
    expect_news(cluster, "[election_after_end]")
}

fn keeper_killed_alone_changes_nothing(cluster: &mut Cluster) -> Result<()> {
    let event = cluster.last_event()?;
    expect_undisturbed(cluster, event, "n1", |cluster| cluster.host_mut("n1")?.kill_keeper())?;
    let told = told_since(cluster, event)?;
    ensure!(told.contains("has hung up"), "nobody noticed:\n{told}");
    Ok(())
}

/// Whoever comes first, the keeper or the monitor's decision: there is one primary, and everything is there.
fn processes_killed_and_started_again_at_once(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for name in ["n1", "n2", "n1"] {
        writer.wait_for_ack(SOON)?;
        cluster.host_mut(name)?.kill_everything()?;
        cluster.host_mut(name)?.run()?;
        cluster.wait_whole(WHOLE)?;
    }
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_primary_behind_a_firewall_that_rejects_is_waited_for(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let isolated = cluster.local_writer("n1")?;
    writer.wait_for_ack(SOON)?;
    let event = cluster.last_event()?;
    cluster.host("n1")?.link.reject()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let fenced = cluster.host("n1")?.psql("postgres", "create table split_brain()");
    ensure!(fenced.is_err(), "the isolated primary has not fenced itself");
    let told = told_since(cluster, event)?;
    ensure!(!told.contains("primary_is_gone"), "it lives:\n{told}");
    cluster.host("n1")?.link.unreject()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}

fn monitor_restarted_while_a_keeper_is_killed(cluster: &mut Cluster) -> Result<()> {
    let event = cluster.last_event()?;
    expect_undisturbed(cluster, event, "n1", |cluster| {
        cluster.monitor.kill_postmaster()?;
        cluster.host_mut("n1")?.kill_keeper()
    })
}

fn processes_of_the_standby_killed_change_no_primary(cluster: &mut Cluster) -> Result<()> {
    let event = cluster.last_event()?;
    expect_undisturbed(cluster, event, "n2", |cluster| cluster.host_mut("n2")?.kill_everything())
}
