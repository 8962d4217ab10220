//! Where the log of a node ends, and on which timeline: what an election is decided by.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::{Running, Step, StopMode};
use pgaf_core::lsn::{Lineage, Lsn, Timeline, TimelineHistory};

use crate::bed::{Bed, Node, Outcome, check, lineage, processes_of, signal};

crate::tests![
    a_vote_is_cast_at_once,
    half_a_record_is_no_vote,
    what_was_received_counts_after_the_receiver_has_restarted,
    a_restarted_standby_votes_after_it_has_replayed,
    a_paused_replay_goes_on_for_a_vote,
    an_interrupted_cut_proves_nothing,
    a_timeline_is_known_without_an_upstream,
    a_primary_that_was_shut_down_says_where_its_log_ends,
    the_history_is_that_of_the_timeline,
    whoever_fetches_what_it_lacks_is_promoted,
    forks_of_every_kind_are_told_apart,
    losers_follow_the_winner_at_once,
];

/// How long a cut may take on a machine that does other things, too.
const SOON: Duration = Duration::from_secs(1);

async fn cut(node: &Node) -> Result<(Running, Duration), Box<dyn std::error::Error>> {
    node.running().await?;
    let started = Instant::now();
    node.follow(None).await?;
    let running = node.running().await?;
    let took = started.elapsed();
    eprintln!("node {}: cut after {} ms", node.id, took.as_millis());
    check(running.is_replay_over && running.lsn == running.replayed, "replay is over")?;
    Ok((running, took))
}

fn kill(node: &Node) {
    for pid in processes_of(&node.pgdata()) {
        // A session may end before its turn comes.
        let _gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
}

async fn a_vote_is_cast_at_once(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS a").await?;
    standby.catch_up(&primary).await?;
    check(!standby.running().await?.is_replay_over, "nothing is proved while it receives")?;
    kill(&primary);
    for _ in 0..2 {
        check(cut(&standby).await?.1 < SOON, "soon after a crash")?;
    }
    let reborn = standby.reborn();
    check(!reborn.running().await?.is_replay_over, "a new keeper does not know")?;
    check(cut(&reborn).await?.1 < SOON, "and proves it")?;
    primary.exited().await;
    primary.start().await?;
    standby.follow(Some(&primary)).await?;
    check(!standby.running().await?.is_replay_over, "it receives again")?;
    standby.await_stream().await?;
    check(cut(&standby).await?.1 < SOON, "soon, from a primary that runs")
}

/// A record that is far too long to be sent at once.
async fn write_endlessly(primary: &Node) -> Outcome {
    primary.sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 200 * 1024 * 1024))").await
}

/// The primary dies while a record is under way.
async fn with_half_a_record(bed: &Bed) -> Result<(Node, Node), Box<dyn std::error::Error>> {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t ()").await?;
    standby.catch_up(&primary).await?;
    let received = || async {
        standby.ask("SELECT (pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() > 8192)::text").await
    };
    tokio::select! {
        _ = write_endlessly(&primary) => return Err("the record was to be cut off".into()),
        outcome = async {
            while received().await? != "true" {}
            Ok::<_, Box<dyn std::error::Error>>(())
        } => outcome?,
    }
    kill(&primary);
    Ok((primary, standby))
}

async fn half_a_record_is_no_vote(bed: &Bed) -> Outcome {
    let (_primary, standby) = with_half_a_record(bed).await?;
    let before = standby.running().await?;
    check(before.lsn > before.replayed, "half a record is there")?;
    let (running, took) = cut(&standby).await?;
    check(running.lsn == before.replayed, "and does not count")?;
    check(took < SOON, "nor is it waited for")?;
    standby.stop(StopMode::Fast).await?;
    standby.start().await?;
    check(cut(&standby).await?.0.lsn == running.lsn, "the same after a restart")?;
    standby.execute(&Step::Promote).await?;
    standby.sql("CREATE TABLE u ()").await
}

async fn what_was_received_counts_after_the_receiver_has_restarted(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a").await?;
    standby.catch_up(&primary).await?;
    let before = standby.running().await?.lsn;
    primary.stop(StopMode::Immediate).await?;
    standby.stop(StopMode::Fast).await?;
    standby.start().await?;
    standby.running().await?;
    let fell_back = "SELECT coalesce(pg_last_wal_receive_lsn() < pg_last_wal_replay_lsn(), false)::text";
    let deadline = Instant::now() + Duration::from_secs(10);
    while standby.ask(fell_back).await? != "true" {
        check(Instant::now() < deadline, "a new receiver begins with the segment")?;
    }
    check(standby.running().await?.lsn >= before, "what is replayed counts")?;
    check(cut(&standby).await?.0.lsn >= before, "also as a vote")
}

async fn a_restarted_standby_votes_after_it_has_replayed(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.sql("SELECT pg_wal_replay_pause()").await?;
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 300000) AS a").await?;
    let end = primary.running().await?.lsn;
    let is_received = |running: &Running| running.lsn >= end && running.replayed < end;
    standby
        .until("the WAL", |observation| {
            matches!(&observation.observed.server, pgaf_core::keeper::Server::Running(running) if is_received(running))
        })
        .await?;
    kill(&primary);
    kill(&standby);
    standby.exited().await;
    standby.follow(None).await?;
    standby.start().await?;
    check(!standby.running().await?.is_replay_over, "it may have more than it says")?;
    check(cut(&standby).await?.0.lsn >= end, "and it has")
}

async fn a_paused_replay_goes_on_for_a_vote(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.sql("SELECT pg_wal_replay_pause()").await?;
    primary.sql("CREATE TABLE t ()").await?;
    let end = primary.running().await?.lsn;
    check(!standby.running().await?.is_replay_over, "nothing is proved")?;
    standby.execute(&Step::Follow { upstream: None }).await?;
    let running = standby.running().await?;
    check(running.is_replay_over && running.lsn >= end, "all is replayed")
}

async fn an_interrupted_cut_proves_nothing(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    // The process that would have to stop the walreceiver does not run.
    let startup: i32 = standby
        .ask("SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'startup'")
        .await?
        .parse()?;
    signal(startup, Signal::SIGSTOP);
    let cut = Step::Follow { upstream: None };
    let given_up = tokio::time::timeout(Duration::from_millis(600), standby.execute(&cut)).await;
    check(given_up.is_err(), "it is waited for")?;
    check(!standby.running().await?.is_replay_over, "nothing is proved")?;
    signal(startup, Signal::SIGCONT);
    standby.execute(&cut).await?;
    check(standby.running().await?.is_replay_over, "and then it is")
}

/// Three nodes; the second has been promoted, and the third follows it.
async fn after_a_failover(bed: &Bed) -> Result<[Node; 3], Box<dyn std::error::Error>> {
    let one = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    one.admit(&[&two, &three]).await?;
    two.join(&one).await?;
    three.join(&one).await?;
    two.admit(&[&one, &three]).await?;
    three.admit(&[&one, &two]).await?;
    one.sql("CREATE TABLE t (a int)").await?;
    for standby in [&two, &three] {
        standby.catch_up(&one).await?;
    }
    one.stop(StopMode::Fast).await?;
    two.execute(&Step::Promote).await?;
    three.follow(Some(&two)).await?;
    two.sql("INSERT INTO t SELECT generate_series(1, 10)").await?;
    three.catch_up(&two).await?;
    Ok([one, two, three])
}

async fn a_timeline_is_known_without_an_upstream(bed: &Bed) -> Outcome {
    let [_one, two, three] = after_a_failover(bed).await?;
    let (history, end) = {
        let observation = three.observe(None).await;
        (observation.history, three.running().await?.lsn)
    };
    kill(&three);
    three.exited().await;
    three.follow(None).await?;
    three.start().await?;
    let (running, _) = cut(&three).await?;
    check(running.timeline == Timeline(2), "the timeline it has received")?;
    check(running.lsn >= end, "and all of it")?;
    check(three.reborn().running().await?.timeline == Timeline(2), "for another keeper, too")?;
    check(three.observe(None).await.history == history, "with the same history")?;
    check(lineage(&three, &two).await == Some(Lineage::Behind), "behind")?;
    // Seen from another standby, it is on that timeline, too.
    two.stop(StopMode::Immediate).await?;
    two.follow(None).await?;
    two.start().await?;
    cut(&two).await?;
    three.admit(&[&two]).await?;
    check(lineage(&two, &three).await == Some(Lineage::Behind), "no fork")?;
    three.stop(StopMode::Fast).await?;
    let stopped = three.observe(None).await;
    check(stopped.history.is_some_and(|history| history.timeline == Timeline(2)), "also when it is stopped")
}

async fn a_primary_that_was_shut_down_says_where_its_log_ends(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    check(primary.observe(None).await.shutdown_lsn.is_none(), "not while it runs")?;
    primary.stop(StopMode::Fast).await?;
    let shutdown = primary.observe(None).await.shutdown_lsn.ok_or("it does not say")?;
    check(primary.reborn().observe(None).await.shutdown_lsn == Some(shutdown), "to every keeper")?;
    let end = cut(&standby).await?.0.lsn;
    check(end > shutdown && end < Lsn(shutdown.0 + 512), &format!("the standby has it: {end}, {shutdown}"))?;
    standby.stop(StopMode::Fast).await?;
    check(standby.observe(None).await.shutdown_lsn.is_none(), "a standby says nothing")?;
    primary.start().await?;
    primary.stop(StopMode::Immediate).await?;
    check(primary.observe(None).await.shutdown_lsn.is_none(), "nor does one that has crashed")
}

async fn the_history_is_that_of_the_timeline(bed: &Bed) -> Outcome {
    let [one, two, three] = after_a_failover(bed).await?;
    check(one.observe(None).await.history == Some(TimelineHistory::first()), "of the first timeline")?;
    let history = two.observe(None).await.history.ok_or("none")?;
    check(history.timeline == Timeline(2), "of the second")?;
    let end = one.observe(None).await.shutdown_lsn.ok_or("none")?;
    let forks = history.ancestors.as_slice();
    check(matches!(forks, [(Timeline(1), at)] if *at > end && at.0 < end.0 + 512), "and where it began")?;
    three
        .until("the history", |observation| observation.history.as_ref() == Some(&history))
        .await
        .map(|_| ())
        .map_err(Into::into)
}

async fn whoever_fetches_what_it_lacks_is_promoted(bed: &Bed) -> Outcome {
    let one = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    one.admit(&[&two, &three]).await?;
    two.join(&one).await?;
    three.join(&one).await?;
    two.admit(&[&one, &three]).await?;
    three.admit(&[&one, &two]).await?;
    one.sql("CREATE TABLE t (a int)").await?;
    three.catch_up(&one).await?;
    cut(&three).await?;
    one.sql("INSERT INTO t SELECT generate_series(1, 1000)").await?;
    two.catch_up(&one).await?;
    kill(&one);
    one.exited().await;
    let source = cut(&two).await?.0;
    check(three.running().await?.lsn < source.lsn, "it lacks something")?;
    let follow = Step::Follow { upstream: Some(two.peer()) };
    let given_up = tokio::time::timeout(Duration::from_millis(5), three.execute(&follow)).await;
    drop(given_up);
    let started = Instant::now();
    for _ in 0..2 {
        three.execute(&follow).await?;
    }
    let has_all = |running: &Running| running.lsn >= source.lsn;
    three
        .until("what it lacks", |observation| {
            matches!(&observation.observed.server, pgaf_core::keeper::Server::Running(running) if has_all(running))
        })
        .await?;
    eprintln!("fetched after {} ms", started.elapsed().as_millis());
    check(two.running().await?.is_replay_over, "the source has not moved")?;
    check(lineage(&three, &two).await == Some(Lineage::Behind), "no fork")?;
    three.execute(&Step::Promote).await?;
    check(three.ask("SELECT count(*)::text FROM t").await? == "1000", "all is there")?;
    let history = three.observe(None).await.history.ok_or("no history")?;
    check(history.ancestors.first().is_some_and(|(parent, _)| *parent == Timeline(1)), "with its parent")?;
    // A crash does not bring it back on the timeline of before.
    kill(&three);
    three.exited().await;
    three.start().await?;
    let running = three.running().await?;
    check(!running.is_in_recovery && running.timeline == Timeline(2), "a primary, on the new timeline")?;
    two.follow(Some(&three)).await?;
    two.await_stream().await?;
    one.execute(&Step::Rewind { upstream: three.peer() }).await?;
    one.follow(Some(&three)).await?;
    one.start().await?;
    one.await_stream().await
}

/// Each kind of fork, on a node that runs in recovery, and on one that is stopped.
async fn forks_of_every_kind_are_told_apart(bed: &Bed) -> Outcome {
    let [one, two, three] = after_a_failover(bed).await?;
    // A lower timeline, not past the fork.
    one.follow(None).await?;
    one.start().await?;
    cut(&one).await?;
    check(lineage(&one, &two).await == Some(Lineage::Behind), "a lower timeline")?;
    // The same timeline, and ahead.
    one.execute(&Step::Promote).await?;
    one.sql("INSERT INTO t SELECT generate_series(1, 10000)").await?;
    one.stop(StopMode::Fast).await?;
    check(lineage(&one, &two).await == Some(Lineage::Forked), "the same timeline, stopped")?;
    one.follow(None).await?;
    one.start().await?;
    check(cut(&one).await?.0.timeline == Timeline(2), "the second timeline, too")?;
    check(lineage(&one, &two).await == Some(Lineage::Forked), "the same timeline, in recovery")?;
    one.stop(StopMode::Fast).await?;
    // A higher timeline than that of the upstream.
    cut(&three).await?;
    three.execute(&Step::Promote).await?;
    three.sql("INSERT INTO t VALUES (1)").await?;
    three.stop(StopMode::Fast).await?;
    check(lineage(&three, &two).await == Some(Lineage::Forked), "a higher timeline, stopped")?;
    three.follow(None).await?;
    three.start().await?;
    check(cut(&three).await?.0.timeline == Timeline(3), "the third timeline")?;
    check(lineage(&three, &two).await == Some(Lineage::Forked), "a higher timeline, in recovery")?;
    three.stop(StopMode::Fast).await?;
    // Rewound, and not for ever.
    for node in [&one, &three] {
        node.execute(&Step::Rewind { upstream: two.peer() }).await?;
        two.admit(&[&one, &three]).await?;
        node.follow(Some(&two)).await?;
        node.start().await?;
        node.await_stream().await?;
        node.catch_up(&two).await?;
        check(node.running().await?.timeline == Timeline(2), "and follows")?;
    }
    Ok(())
}

async fn losers_follow_the_winner_at_once(bed: &Bed) -> Outcome {
    let one = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    one.admit(&[&two, &three]).await?;
    two.join(&one).await?;
    three.join(&one).await?;
    two.admit(&[&one, &three]).await?;
    one.sql("CREATE TABLE t (a int)").await?;
    for standby in [&two, &three] {
        standby.catch_up(&one).await?;
    }
    kill(&one);
    cut(&two).await?;
    cut(&three).await?;
    let promoted = Instant::now();
    two.execute(&Step::Promote).await?;
    eprintln!("promoted after {} ms", promoted.elapsed().as_millis());
    let told = Instant::now();
    three.follow(Some(&two)).await?;
    three.await_stream().await?;
    eprintln!("the loser streams after {} ms", told.elapsed().as_millis());
    two.sql("INSERT INTO t VALUES (1)").await?;
    three.catch_up(&two).await?;
    eprintln!("and has caught up after {} ms", told.elapsed().as_millis());
    check(told.elapsed() < Duration::from_secs(1), "at once")
}
