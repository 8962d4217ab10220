//! A primary and two standbys: how they come together, and what happens when nodes are lost, one or two at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, three_nodes};
use crate::harness::{Cluster, Writer};

scenarios! {
    monitor_only:
        three_nodes_join_one_at_a_time,
        three_nodes_join_all_at_once;
    three_nodes:
        of_three_the_primary_hands_over_or_loses_its_postgres,
        of_three_the_host_of_the_primary_killed,
        of_three_the_host_of_the_primary_cut_off,
        of_three_the_host_of_the_primary_frozen,
        of_three_the_primary_and_its_successor_lost_one_at_a_time,
        of_three_a_standby_and_then_another_node_lost,
        of_three_only_the_link_to_one_standby_cut,
        commits_wait_when_fewer_standbys_are_left_than_is_insisted_on,
        alone_in_the_end_and_then_it_fails_too;
}

/// As for two nodes: far above what `make bench` measures, far below what a person calls automatic.
const PAUSE_OF_A_SWITCHOVER: Duration = Duration::from_secs(5);
const PAUSE_OF_A_LOST_HOST: Duration = Duration::from_secs(20);

fn three_nodes_join_one_at_a_time(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n1", 1, &["n2"], SOON)?;
    cluster.add_node("n3", &[])?;
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n3"], SOON)?;
    shows_one_of_two(cluster, "n1")?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE_OF_A_SWITCHOVER, "{pause:?} without a commit while nodes joined");
    cluster.verify(&[writer.stop()])
}

/// Whoever registers first is the primary.
fn three_nodes_join_all_at_once(cluster: &mut Cluster) -> Result<()> {
    for name in ["n1", "n2", "n3"] {
        cluster.add_node(name, &[])?;
    }
    cluster.wait_whole(WHOLE)?;
    let primary = cluster.primary()?;
    shows_one_of_two(cluster, &primary)?;
    cluster.prepare_database_on(cluster.host(&primary)?)?;
    let writer = cluster.writer()?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// With the third node `number_sync_standbys` becomes 1, as in 2.2.
fn shows_one_of_two(cluster: &Cluster, primary: &str) -> Result<()> {
    let standbys = cluster.secondaries()?;
    let standbys: Vec<&str> = standbys.iter().map(String::as_str).collect();
    cluster.wait_commits_wait(primary, 1, &standbys, SOON)?;
    let expected = cluster.standby_names(1, &standbys)?;
    let settings = cluster.ask(&["show", "settings"])?;
    ensure!(settings.contains(&format!("'{expected}'")), "{settings}");
    let number = cluster.ask(&["get", "formation", "number-sync-standbys"])?;
    ensure!(number.trim() == "1", "number_sync_standbys is {number}");
    Ok(())
}

type Act = fn(&mut Cluster, &str) -> Result<()>;

/// The primary is lost by `strike`; another node takes over; after `heal` there is a primary with two secondaries.
fn lose_primary(
    cluster: &mut Cluster,
    writer: &Writer,
    longest_pause: Duration,
    strike: Act,
    heal: Act,
) -> Result<()> {
    let old = cluster.primary()?;
    let since = Instant::now();
    strike(cluster, &old)?;
    cluster.wait_another_primary(&old, TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < longest_pause, "{pause:?} without a commit after the loss of {old}");
    heal(cluster, &old)?;
    cluster.wait_whole(WHOLE)
}

/// What needs nobody's help to be whole again.
fn by_itself(_cluster: &mut Cluster, _name: &str) -> Result<()> {
    Ok(())
}

fn of_three_the_primary_hands_over_or_loses_its_postgres(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let switchover: Act = |cluster, _| cluster.ask(&["perform", "switchover"]).map(drop);
    let strikes: [(Act, Duration); 3] = [
        (switchover, PAUSE_OF_A_SWITCHOVER),
        (|cluster, name| cluster.host(name)?.kill_postmaster(), PAUSE_OF_A_SWITCHOVER),
        (|cluster, name| cluster.host(name)?.lose_pg_control(), PAUSE_OF_A_LOST_HOST),
    ];
    for (strike, longest_pause) in strikes {
        lose_primary(cluster, &writer, longest_pause, strike, by_itself)?;
    }
    cluster.verify(&[writer.stop()])
}

fn of_three_the_host_of_the_primary_killed(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    lose_primary(
        cluster,
        &writer,
        PAUSE_OF_A_LOST_HOST,
        |cluster, name| cluster.host_mut(name)?.kill_everything(),
        |cluster, name| cluster.host_mut(name)?.run(),
    )?;
    ensure!(cluster.host("n1")?.identity_of_copy()? == copy, "n1 was copied anew");
    cluster.verify(&[writer.stop()])
}

fn of_three_the_host_of_the_primary_cut_off(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let isolated = cluster.local_writer("n1")?;
    lose_primary(
        cluster,
        &writer,
        PAUSE_OF_A_LOST_HOST,
        |cluster, name| cluster.host(name)?.link.cut(),
        |cluster, name| {
            let fenced = cluster.host(name)?.psql("postgres", "create table split_brain()");
            ensure!(fenced.is_err(), "the isolated primary has not fenced itself");
            cluster.host(name)?.link.restore()
        },
    )?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}

fn of_three_the_host_of_the_primary_frozen(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let on_the_host = cluster.local_writer("n1")?;
    lose_primary(
        cluster,
        &writer,
        PAUSE_OF_A_LOST_HOST,
        |cluster, name| cluster.host(name)?.freeze(),
        |cluster, name| cluster.host(name)?.thaw(),
    )?;
    cluster.verify(&[writer.stop(), on_the_host.stop()])
}

/// Commits do not insist on a standby: the primary may go on alone.
fn insist_on_nobody(cluster: &Cluster) -> Result<()> {
    cluster.ask(&["set", "formation", "number-sync-standbys", "0"]).map(drop)
}

/// One host is lost already; when the other two have settled, another is; the last one serves; they come back in turn.
fn lose_another(cluster: &mut Cluster, writer: &Writer, first: &str, second: &str) -> Result<()> {
    let third = ["n1", "n2", "n3"].into_iter().find(|name| *name != first && *name != second);
    let third = third.context("no third node")?;
    wait_for_pair(cluster, second, third)?;
    cluster.host_mut(second)?.kill_everything()?;
    cluster.wait_states(&[(third, "wait_primary")], TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host_mut(first)?.run()?;
    cluster.host_mut(second)?.run()?;
    cluster.wait_whole(WHOLE)
}

/// Waits until one of them is primary, and commits wait for the other.
fn wait_for_pair(cluster: &Cluster, one: &str, other: &str) -> Result<()> {
    crate::harness::wait_for(&format!("{one} and {other} to go on together"), TAKEOVER, || {
        let primary = cluster.primary()?;
        let standby = if primary == one { other } else { one };
        cluster.wait_states(&[(&primary, "primary"), (standby, "secondary")], Duration::ZERO)?;
        cluster.wait_commits_wait(&primary, 1, &[standby], Duration::ZERO)?;
        Ok(Some(()))
    })
}

fn of_three_the_primary_and_its_successor_lost_one_at_a_time(cluster: &mut Cluster) -> Result<()> {
    insist_on_nobody(cluster)?;
    let writer = cluster.writer()?;
    for successor_is_second in [true, false] {
        let old = cluster.primary()?;
        cluster.host_mut(&old)?.kill_everything()?;
        let successor = cluster.wait_another_primary(&old, TAKEOVER)?;
        let is_left = |name: &&str| *name != old && *name != successor;
        let left = ["n1", "n2", "n3"].into_iter().find(is_left).context("nobody is left")?;
        let second = if successor_is_second { successor.as_str() } else { left };
        lose_another(cluster, &writer, &old, second)?;
    }
    cluster.verify(&[writer.stop()])
}

fn of_three_a_standby_and_then_another_node_lost(cluster: &mut Cluster) -> Result<()> {
    insist_on_nobody(cluster)?;
    let writer = cluster.writer()?;
    for second in ["n3", "n1"] {
        cluster.host_mut("n2")?.kill_everything()?;
        lose_another(cluster, &writer, "n2", second)?;
    }
    let primary = cluster.primary()?;
    ensure!(primary == "n3", "{primary} is primary after n2 and then n1 were lost");
    cluster.verify(&[writer.stop()])
}

/// Everybody sees the monitor, but one standby not the primary: commits go on with the other one, nobody is promoted.
fn of_three_only_the_link_to_one_standby_cut(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    let n3 = cluster.host("n3")?.address();
    cluster.host("n1")?.link.block(n3)?;
    cluster.wait_commits_wait("n1", 1, &["n2"], TAKEOVER)?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], TAKEOVER)?;
    cluster.host("n1")?.link.unblock(n3)?;
    cluster.wait_whole(WHOLE)?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n3"], SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(2), "{pause:?} without a commit although n2 was there");
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    cluster.verify(&[writer.stop()])
}

/// `number_sync_standbys` 1: no commit is acknowledged by the primary alone.
fn commits_wait_when_fewer_standbys_are_left_than_is_insisted_on(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for name in ["n2", "n3"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    let since = Instant::now();
    writer.wait_for_interruption(since, SOON)?;
    // Longer than it takes to go on alone where nobody insists.
    let alone = writer.wait_for_ack(Duration::from_secs(12));
    ensure!(alone.is_err(), "a commit was acknowledged although no standby was there");
    cluster.host_mut("n3")?.run()?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.host_mut("n2")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// The quorum has shrunk to nobody when the primary fails: it must be able to come back from there.
fn alone_in_the_end_and_then_it_fails_too(cluster: &mut Cluster) -> Result<()> {
    insist_on_nobody(cluster)?;
    let writer = cluster.writer()?;
    for name in ["n2", "n3"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    cluster.wait_states(&[("n1", "wait_primary")], TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host("n1")?.kill_postmaster()?;
    writer.wait_for_ack(TAKEOVER)?;
    // Once more, with standbys that lack what was written meanwhile.
    let since = Instant::now();
    cluster.host_mut("n1")?.kill_everything()?;
    writer.wait_for_interruption(since, SOON)?;
    for name in ["n2", "n3"] {
        cluster.host_mut(name)?.run()?;
    }
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.primary()? == "n1", "a standby that lacked commits was promoted");
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}
