//! Promotion, and what becomes of the one who was primary.

use std::fs;

use pgaf_core::keeper::{DataDirectory, Server, Step, StopMode};
use pgaf_core::lsn::{Lineage, Timeline};

use crate::bed::{Bed, Node, Outcome, check, lineage, signal};
use nix::sys::signal::Signal;

crate::tests![
    promoting_twice,
    an_interrupted_promotion_is_repeated,
    a_crash_after_promotion_stays_on_the_new_timeline,
    a_switchover_needs_no_rewind,
    a_crashed_primary_is_rewound_twice,
    a_fork_is_told_from_being_behind,
    an_interrupted_rewind_is_never_started,
    a_rewind_that_cannot_work_says_so,
    a_rewind_keeps_the_nodes_own_configuration,
    a_standby_of_an_old_timeline_finds_every_history,
    a_standby_whose_wal_is_gone_is_copied_anew,
    a_standby_that_cannot_start_without_wal_that_is_gone_is_copied_anew,
    timelines_of_one_number_are_told_apart,
];

async fn promote(node: &Node) -> Outcome {
    Ok(node.execute(&Step::Promote).await?)
}

async fn promoting_twice(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.stop(StopMode::Fast).await?;
    let started = std::time::Instant::now();
    promote(&standby).await?;
    check(started.elapsed() < std::time::Duration::from_secs(1), "fast")?;
    promote(&standby).await?;
    let running = standby.running().await?;
    check(!running.is_in_recovery && running.timeline == Timeline(2), "one new timeline")?;
    check(!standby.pgdata().join("standby.signal").exists(), "no standby any more")?;
    standby.sql("CREATE TABLE t ()").await
}

async fn an_interrupted_promotion_is_repeated(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.stop(StopMode::Fast).await?;
    let limit = std::time::Duration::from_millis(4);
    let _ = tokio::time::timeout(limit, standby.execute(&Step::Promote)).await;
    promote(&standby).await?;
    check(standby.running().await?.timeline == Timeline(2), "one new timeline")
}

async fn a_crash_after_promotion_stays_on_the_new_timeline(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.stop(StopMode::Immediate).await?;
    promote(&standby).await?;
    signal(standby.postmaster_pid(), Signal::SIGKILL);
    standby.exited().await;
    standby.start().await?;
    let observation = standby
        .until("an answer", |observation| {
            matches!(observation.observed.server, pgaf_core::keeper::Server::Running(_))
        })
        .await?;
    check(observation.upstream.is_none(), "a primary")?;
    check(standby.running().await?.timeline == Timeline(2), "on its own timeline")
}

async fn a_switchover_needs_no_rewind(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t ()").await?;
    primary.execute(&Step::Checkpoint).await?;
    primary.execute(&Step::Checkpoint).await?;
    primary.stop(StopMode::Fast).await?;
    promote(&standby).await?;
    standby.admit(&[&primary]).await?;
    standby.sql("CREATE TABLE u ()").await?;
    check(lineage(&primary, &standby).await == Some(Lineage::Behind), "behind")?;
    primary.follow(Some(&standby)).await?;
    primary.start().await?;
    primary.await_stream().await?;
    primary.catch_up(&standby).await?;
    check(primary.running().await?.timeline == Timeline(2), "the new timeline")
}

/// A primary that crashed with records that its successor has not.
async fn forked(bed: &Bed) -> Result<(Node, Node), Box<dyn std::error::Error>> {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t AS SELECT 1 AS a").await?;
    standby.catch_up(&primary).await?;
    standby.follow(None).await?;
    primary.sql("INSERT INTO t SELECT generate_series(2, 1000)").await?;
    primary.stop(StopMode::Immediate).await?;
    promote(&standby).await?;
    standby.admit(&[&primary]).await?;
    standby.sql("INSERT INTO t VALUES (0)").await?;
    Ok((primary, standby))
}

async fn a_crashed_primary_is_rewound_twice(bed: &Bed) -> Outcome {
    let (old, new) = forked(bed).await?;
    let rewind = Step::Rewind { upstream: new.peer() };
    old.execute(&rewind).await?;
    old.execute(&rewind).await?;
    old.follow(Some(&new)).await?;
    old.start().await?;
    old.await_stream().await?;
    old.catch_up(&new).await?;
    check(old.ask("SELECT count(*)::text FROM t").await? == "2", "what the other had not is gone")
}

async fn a_fork_is_told_from_being_behind(bed: &Bed) -> Outcome {
    let (old, new) = forked(bed).await?;
    check(lineage(&old, &new).await == Some(Lineage::Forked), "crashed with more")?;
    old.start().await?;
    old.stop(StopMode::Fast).await?;
    check(lineage(&old, &new).await == Some(Lineage::Forked), "shut down with more")?;
    old.follow(None).await?;
    old.start().await?;
    check(lineage(&old, &new).await == Some(Lineage::Forked), "a standby with more")
}

async fn an_interrupted_rewind_is_never_started(bed: &Bed) -> Outcome {
    let (old, new) = forked(bed).await?;
    let rewind = Step::Rewind { upstream: new.peer() };
    let mark = old.config().state_dir.join("pg_autoctl.incomplete");
    tokio::select! {
        _ = old.execute(&rewind) => return Err("it was to be interrupted".into()),
        () = async { while !mark.exists() { tokio::time::sleep(std::time::Duration::from_millis(1)).await } } => {}
    }
    let reborn = old.reborn();
    check(reborn.observe(None).await.observed.data == DataDirectory::Incomplete, "incomplete")?;
    check(reborn.execute(&Step::StartPostgres).await.is_err(), "not started")?;
    check(reborn.execute(&rewind).await.is_err(), "not rewound")?;
    reborn.join(&new).await
}

async fn a_rewind_that_cannot_work_says_so(bed: &Bed) -> Outcome {
    let (old, new) = forked(bed).await?;
    for entry in fs::read_dir(old.pgdata().join("pg_wal"))? {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(path)?;
        }
    }
    check(old.execute(&Step::Rewind { upstream: new.peer() }).await.is_err(), "it fails")?;
    check(old.observe(Some(&new.peer())).await.observed.is_rewind_hopeless, "and says that it will")?;
    check(!old.observe(None).await.observed.is_rewind_hopeless, "for this upstream")?;
    old.join(&new).await?;
    check(!old.observe(Some(&new.peer())).await.observed.is_rewind_hopeless, "until there is a new copy")
}

async fn a_rewind_keeps_the_nodes_own_configuration(bed: &Bed) -> Outcome {
    let (old, new) = forked(bed).await?;
    let path = old.pgdata().join("postgresql.conf");
    let own = fs::read_to_string(&path)? + "\n# mine\n";
    fs::write(&path, &own)?;
    old.execute(&Step::Rewind { upstream: new.peer() }).await?;
    check(fs::read_to_string(&path)? == own, "postgresql.conf is as it was")?;
    old.start().await?;
    old.await_stream().await
}

async fn a_standby_of_an_old_timeline_finds_every_history(bed: &Bed) -> Outcome {
    let one = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    one.admit(&[&two, &three]).await?;
    two.join(&one).await?;
    three.join(&one).await?;
    // Three sleeps through two promotions.
    three.stop(StopMode::Fast).await?;
    switch_over(&one, &two, &three).await?;
    switch_over(&two, &one, &three).await?;
    // As in a copy, which brings the newest history only.
    fs::remove_file(one.pgdata().join("pg_wal/00000002.history"))?;
    one.stop(StopMode::Fast).await?;
    one.start().await?;
    check(lineage(&three, &one).await == Some(Lineage::Behind), "behind")?;
    three.follow(Some(&one)).await?;
    three.start().await?;
    three.await_stream().await?;
    three.catch_up(&one).await?;
    check(three.running().await?.timeline == Timeline(3), "two timelines later")
}

async fn switch_over(from: &Node, to: &Node, third: &Node) -> Outcome {
    to.catch_up(from).await?;
    from.stop(StopMode::Fast).await?;
    promote(to).await?;
    to.admit(&[from, third]).await?;
    from.follow(Some(to)).await?;
    from.start().await?;
    from.await_stream().await
}

async fn a_standby_whose_wal_is_gone_is_copied_anew(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Fast).await?;
    remove_wal_of(&standby, &primary).await?;
    standby.start().await?;
    only_a_copy_helps(&standby, &primary, |server| matches!(server, Server::Running(_))).await?;
    standby.stop(StopMode::Fast).await?;
    is_well_with_a_copy(&standby, &primary).await
}

async fn a_standby_that_cannot_start_without_wal_that_is_gone_is_copied_anew(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Fast).await?;
    remove_wal_of(&standby, &primary).await?;
    for entry in std::fs::read_dir(standby.pgdata().join("pg_wal"))? {
        let segment = entry?.path();
        if segment.is_file() {
            std::fs::remove_file(segment)?;
        }
    }
    standby.execute(&Step::StartPostgres).await?;
    only_a_copy_helps(&standby, &primary, |server| *server == Server::Starting).await?;
    standby.stop(StopMode::Immediate).await?;
    is_well_with_a_copy(&standby, &primary).await
}

/// The standby is away for so long that its slot is given up.
async fn remove_wal_of(standby: &Node, primary: &Node) -> Outcome {
    primary.sql("SELECT pg_drop_replication_slot('pgautofailover_standby_2')").await?;
    primary.sql("ALTER SYSTEM SET wal_keep_size = 0").await?;
    primary.reload().await?;
    for _ in 0..3 {
        primary.sql("CREATE TABLE t (); DROP TABLE t; SELECT pg_switch_wal()").await?;
        primary.execute(&Step::Checkpoint).await?;
    }
    primary.admit(&[standby]).await
}

async fn only_a_copy_helps(standby: &Node, primary: &Node, is_so: impl Fn(&Server) -> bool) -> Outcome {
    let peer = primary.peer();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let observed = standby.observe(Some(&peer)).await.observed;
        if observed.lineage == Some(Lineage::Forked) && observed.is_rewind_hopeless {
            return check(is_so(&observed.server), "the server that asks");
        }
        check(std::time::Instant::now() < deadline, "it is seen that only a copy helps")?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn is_well_with_a_copy(standby: &Node, primary: &Node) -> Outcome {
    let peer = primary.peer();
    standby.join(primary).await?;
    let observed = standby.observe(Some(&peer)).await.observed;
    check(observed.lineage == Some(Lineage::Behind) && !observed.is_rewind_hopeless, "and then it is well")
}

/// Two standbys were promoted, each on a timeline 2 of its own.
async fn timelines_of_one_number_are_told_apart(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    primary.admit(&[&two, &three]).await?;
    two.join(&primary).await?;
    three.join(&primary).await?;
    three.follow(None).await?;
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000)").await?;
    two.catch_up(&primary).await?;
    primary.stop(StopMode::Fast).await?;
    promote(&two).await?;
    promote(&three).await?;
    two.admit(&[&three]).await?;
    two.sql("CREATE TABLE u AS SELECT generate_series(1, 10000)").await?;
    check(two.running().await?.timeline == three.running().await?.timeline, "one number")?;
    three.stop(StopMode::Fast).await?;
    is_another_branch(&three, &two).await?;
    three.follow(None).await?;
    three.start().await?;
    check(three.running().await?.is_in_recovery, "a standby of nobody")?;
    is_another_branch(&three, &two).await?;
    three.stop(StopMode::Fast).await?;
    three.join(&two).await?;
    check(lineage(&three, &two).await == Some(Lineage::Behind), "behind, as a copy")
}

/// And pg_rewind, which goes by numbers, would do nothing about it.
async fn is_another_branch(node: &Node, upstream: &Node) -> Outcome {
    let observed = node.observe(Some(&upstream.peer())).await.observed;
    check(observed.lineage == Some(Lineage::Forked), "forked")?;
    check(observed.is_rewind_hopeless, "only a copy helps")
}
