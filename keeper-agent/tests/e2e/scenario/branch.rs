//! Branches of the log among three nodes: who has forked never wins and is rewound, and every node that may become the
//! primary has the whole history.

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, three_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    three_nodes:
        a_standby_ahead_of_the_new_primary_is_rewound,
        a_standby_that_was_promoted_by_hand_waits_for_a_person,
        a_node_that_was_away_for_two_timelines_becomes_primary;
}

/// n3 is asynchronous. It receives commits that n2, and so any client, never heard of, and is away when n2 takes over.
fn a_standby_ahead_of_the_new_primary_is_rewound(cluster: &mut Cluster) -> Result<()> {
    cluster.ask(&["set", "formation", "number-sync-standbys", "0"])?;
    cluster.ask(&["set", "node", "replication-quorum", "--name", "n3", "false"])?;
    cluster.wait_commits_wait("n1", 1, &["n2"], SOON)?;
    // Until the primary has confirmed it, an election would still count n3.
    cluster.wait_whole(SOON)?;
    let writer = cluster.writer()?;
    let copy = cluster.host("n3")?.identity_of_copy()?;
    let n2 = cluster.host("n2")?.address();
    cluster.host("n1")?.link.block(n2)?;
    let ahead = "select pg_logical_emit_message(false, 'ahead', repeat('x', 100000)), pg_switch_wal()";
    cluster.host("n1")?.psql("postgres", &format!("set synchronous_commit to local; {ahead}"))?;
    let end = cluster.host("n1")?.psql("postgres", "select pg_current_wal_insert_lsn()")?;
    wait_for("n3 to receive what n2 does not", SOON, || {
        let sql = format!("select pg_last_wal_receive_lsn() >= '{end}'");
        Ok((cluster.host("n3")?.psql("postgres", &sql)? == "t").then_some(()))
    })?;
    cluster.host("n3")?.link.cut()?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host("n1")?.link.unblock(n2)?;
    writer.wait_for_ack(SOON)?;
    cluster.host("n3")?.link.restore()?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.primary()? == "n2", "the primary was changed by a node that had forked");
    ensure!(
        cluster.host("n3")?.identity_of_copy()? == copy,
        "n3 was copied anew although a rewind is enough"
    );
    cluster.verify(&[writer.stop()])
}

/// Its timeline has a higher number than that of the primary, and is nobody else's.
fn a_standby_that_was_promoted_by_hand_waits_for_a_person(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.host_mut("n3")?.kill_keeper()?;
    let host = cluster.host("n3")?;
    let pgdata = host.pgdata().display().to_string();
    host.shell(&format!("pg_ctl promote -w -D {pgdata}"))?;
    host.psql("postgres", "set synchronous_commit to local; create table by_hand(); checkpoint")?;
    let before = cluster.last_event()?;
    cluster.host_mut("n3")?.run()?;
    cluster.wait_event(before, &["\"n3\"", "accept timeline"], TAKEOVER)?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.ask(&["accept", "timeline", "1"])?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.primary()? == "n1", "a node that had forked was elected");
    let by_hand = cluster.host("n3")?.psql("postgres", "select to_regclass('by_hand') is null")?;
    ensure!(by_hand == "t", "the other branch's table is still on n3");
    cluster.verify(&[writer.stop()])
}

/// The histories of all timelines are there when it writes one of its own, and the others can follow it.
fn a_node_that_was_away_for_two_timelines_becomes_primary(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.ask(&["set", "node", "candidate-priority", "--name", "n3", "0"])?;
    cluster.wait_whole(SOON)?;
    cluster.host_mut("n3")?.kill_everything()?;
    for (old, new) in [("n1", "n2"), ("n2", "n1")] {
        let others = [(old, "primary"), (new, "secondary")];
        cluster.wait_states(&others, TAKEOVER)?;
        cluster.monitor.psql("pg_auto_failover", "select pgautofailover.perform_failover()")?;
        cluster.wait_states(&[(new, "primary"), (old, "secondary")], WHOLE)?;
    }
    cluster.host_mut("n3")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.ask(&["set", "node", "candidate-priority", "--name", "n3", "50"])?;
    cluster.ask(&["perform", "promotion", "--name", "n3"])?;
    cluster.wait_primary_is("n3", SOON)?;
    cluster.wait_whole(WHOLE)?;
    for timeline in 2..=4 {
        let file = cluster.host("n3")?.pgdata().join(format!("pg_wal/0000000{timeline}.history"));
        ensure!(file.exists(), "{} is not there", file.display());
    }
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}
