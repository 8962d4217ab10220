//! Elections among two standbys: who wins, what they wait for, and what happens when somebody is lost on the way.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, scenarios, three_nodes};
use crate::harness::{Cluster, Writer, signal, wait_for};

scenarios! {
    three_nodes:
        the_primary_and_its_best_standby_lost_at_once,
        commits_are_given_up_when_a_person_says_so,
        a_preferred_candidate_fetches_the_wal_that_it_lacks,
        the_source_of_the_wal_dies_while_it_is_fetched,
        the_candidate_killed_between_its_election_and_its_promotion,
        the_preferred_standby_killed_as_soon_as_it_is_chosen,
        all_three_lost_at_once_and_back_standbys_first,
        all_three_lost_at_once_and_back_primary_early;
}

/// Prefers a node to all others.
fn prefer(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.ask(&["set", "node", "candidate-priority", "--name", name, "90"])?;
    cluster.wait_whole(SOON)
}

/// n1 and n2 die at the same moment, and n3 has fewer commits than n2. It stays cut off from n1: the kernel of a host
/// still sends what a dead process has left to it.
fn lose_primary_and_best_standby(cluster: &mut Cluster, writer: &Writer) -> Result<()> {
    let n3 = cluster.host("n3")?.address();
    cluster.host("n1")?.link.block(n3)?;
    for _commits_that_n3_lacks in 0..20 {
        writer.wait_for_ack(SOON)?;
    }
    for name in ["n1", "n2"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    Ok(())
}

fn mend_link(cluster: &Cluster) -> Result<()> {
    cluster.host("n1")?.link.unblock(cluster.host("n3")?.address())
}

/// The group waits for these nodes, and whoever asks is told so.
fn waits_for(cluster: &Cluster, names: &[&str]) -> Result<()> {
    let waits = wait_for("the monitor to say what the group waits for", TAKEOVER, || {
        cluster.on_monitor(|monitor| monitor.text("select pgautofailover.waits_for()")).map(Some)
    })?;
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    ensure!(quoted.iter().all(|name| waits.contains(name)), "{waits}");
    let words: Vec<&str> = quoted.iter().map(String::as_str).chain(["waits until"]).collect();
    cluster.ask_in_vain(&["perform", "failover"], &words)?;
    cluster.wait_event(0, &words, SOON)?;
    let state = cluster.monitor.autoctl(&["show", "state"])?;
    let state = format!("{}{}", state.stdout, state.stderr);
    ensure!(state.contains(&waits), "`show state` does not say that {waits}:\n{state}");
    Ok(())
}

/// The last standby may lack commits: it waits until one of the others is back, whichever that is.
fn the_primary_and_its_best_standby_lost_at_once(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    lose_primary_and_best_standby(cluster, &writer)?;
    waits_for(cluster, &["n1", "n2"])?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "somebody was promoted");
    cluster.host_mut("n2")?.run()?;
    writer.wait_for_ack(TAKEOVER)?;
    mend_link(cluster)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    // The same again, and this time it is the primary that returns.
    let primary = cluster.primary()?;
    let standbys = cluster.secondaries()?;
    for name in [&primary, &standbys[0]] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    waits_for(cluster, &[&primary, &standbys[0]])?;
    cluster.host_mut(&primary)?.run()?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.host_mut(&standbys[0])?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// What was acknowledged before may be lost, nothing after; and the event says who decided.
fn commits_are_given_up_when_a_person_says_so(cluster: &mut Cluster) -> Result<()> {
    cluster.ask_in_vain(&["perform", "failover", "--allow-data-loss"], &["not lost"])?;
    let writer = cluster.writer()?;
    lose_primary_and_best_standby(cluster, &writer)?;
    waits_for(cluster, &["n1", "n2"])?;
    let before = cluster.last_event()?;
    let given_up = Instant::now();
    // It waits for a whole group, which nobody can make: the command may end with an error.
    let _not_whole = cluster.monitor.autoctl(&["perform", "failover", "--allow-data-loss", "--wait", "1"])?;
    cluster.wait_event(before, &["allowed to lose commits", "[failover_with_data_loss]"], SOON)?;
    cluster.wait_primary_is("n3", TAKEOVER)?;
    mend_link(cluster)?;
    for name in ["n1", "n2"] {
        cluster.host_mut(name)?.run()?;
    }
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON)?;
    let ledger = writer.stop().after(given_up);
    ensure!(!ledger.acks.is_empty(), "nothing was acknowledged afterwards");
    cluster.verify(&[ledger])
}

/// n3 is preferred, and lacks what n2 has.
fn make_preferred_standby_lag(cluster: &mut Cluster, writer: &Writer) -> Result<()> {
    prefer(cluster, "n3")?;
    let n3 = cluster.host("n3")?.address();
    cluster.host("n1")?.link.block(n3)?;
    for _commits_that_n3_lacks in 0..20 {
        writer.wait_for_ack(SOON)?;
    }
    Ok(())
}

fn a_preferred_candidate_fetches_the_wal_that_it_lacks(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let before = cluster.last_event()?;
    make_preferred_standby_lag(cluster, &writer)?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_event(before, &["\"n3\"", "fast_forward"], TAKEOVER)?;
    cluster.wait_primary_is("n3", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    // A crash straight after the promotion must not bring it back on the old timeline.
    cluster.host("n3")?.kill_postmaster()?;
    writer.wait_for_ack(TAKEOVER)?;
    mend_link(cluster)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    let history = cluster.host("n3")?.pgdata().join("pg_wal/00000002.history");
    let parent = std::fs::read_to_string(&history)?;
    ensure!(parent.starts_with("1\t"), "{}: {parent}", history.display());
    cluster.verify(&[writer.stop()])
}

fn the_source_of_the_wal_dies_while_it_is_fetched(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    make_preferred_standby_lag(cluster, &writer)?;
    let n2 = cluster.host("n2")?.address();
    // It is told to fetch, and never gets anything.
    cluster.host("n3")?.link.block(n2)?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_goal("n3", &["fast_forward"], TAKEOVER)?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.wait_goal("n3", &["report_lsn"], TAKEOVER)?;
    cluster.host("n3")?.link.unblock(n2)?;
    waits_for(cluster, &["n2"])?;
    cluster.host_mut("n2")?.run()?;
    writer.wait_for_ack(TAKEOVER)?;
    mend_link(cluster)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// The old primary does not stop, so the candidate may not begin; then the candidate is gone.
fn the_candidate_killed_between_its_election_and_its_promotion(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    prefer(cluster, "n2")?;
    let keeper = cluster.host("n1")?.keeper_pid()?;
    signal(keeper, Signal::SIGSTOP)?;
    cluster.monitor.psql("pg_auto_failover", "select pgautofailover.perform_failover()")?;
    cluster.wait_goal("n2", &["prepare_promotion"], TAKEOVER)?;
    cluster.host_mut("n2")?.kill_everything()?;
    signal(keeper, Signal::SIGCONT)?;
    writer.wait_for_ack(TAKEOVER)?;
    let primary = wait_for("another primary than n2", TAKEOVER, || cluster.primary().map(Some))?;
    ensure!(primary != "n2", "n2 is primary, and dead");
    cluster.host_mut("n2")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// The same where nobody holds it up: it may have come as far as being the primary.
fn the_preferred_standby_killed_as_soon_as_it_is_chosen(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    prefer(cluster, "n2")?;
    cluster.host_mut("n1")?.kill_postmaster()?;
    cluster.wait_goal("n2", &["fast_forward", "prepare_promotion", "wait_primary"], TAKEOVER)?;
    cluster.host_mut("n2")?.kill_everything()?;
    let served = writer.wait_for_ack(Duration::from_secs(20));
    cluster.host_mut("n2")?.run()?;
    // Where it was told to write already, what it acknowledged is on it alone: then, and only then, it is waited for.
    if served.is_err() {
        writer.wait_for_ack(TAKEOVER)?;
        cluster.wait_primary_is("n2", SOON)?;
    }
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// All hosts are lost and come back in that order, each when the one before it has reported.
fn all_lost_and_back(cluster: &mut Cluster, writer: &Writer, order: &[&str]) -> Result<()> {
    for name in ["n1", "n2", "n3"] {
        cluster.host_mut(name)?.kill_everything()?;
    }
    for name in order {
        let started = cluster.on_monitor(|monitor| monitor.text("select now()"))?;
        cluster.host_mut(name)?.run()?;
        wait_for(&format!("{name} to report"), TAKEOVER, || {
            let sql = format!(
                "select count(*) from pgautofailover.node where nodename = '{name}' and reporttime > '{started}'"
            );
            Ok((cluster.on_monitor(|monitor| monitor.text(&sql))? == "1").then_some(()))
        })?;
    }
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(SOON).map(drop)
}

/// The names of the primary and of the standbys, in this order.
fn by_role(cluster: &Cluster) -> Result<[String; 3]> {
    let mut names = vec![cluster.primary()?];
    names.extend(cluster.secondaries()?);
    names.try_into().map_err(|names| anyhow::anyhow!("not one primary and two secondaries: {names:?}"))
}

fn all_three_lost_at_once_and_back_standbys_first(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for order in [[1, 2, 0], [2, 1, 0], [1, 0, 2]] {
        let names = by_role(cluster)?;
        all_lost_and_back(cluster, &writer, &order.map(|role: usize| names[role].as_str()))?;
    }
    cluster.verify(&[writer.stop()])
}

fn all_three_lost_at_once_and_back_primary_early(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
        let names = by_role(cluster)?;
        all_lost_and_back(cluster, &writer, &order.map(|role: usize| names[role].as_str()))?;
    }
    cluster.verify(&[writer.stop()])
}
