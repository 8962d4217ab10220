//! Whom a standby follows, and which standbys a commit waits for.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::id::NodeId;
use pgaf_core::keeper::{Following, Receiver, Server, Step, StopMode};
use pgaf_core::lsn::Lineage;

use crate::bed::{Bed, Node, Outcome, bin_dir, check, processes_of, signal};

crate::tests![
    following_twice_and_another,
    following_nobody_twice,
    an_interrupted_change_of_upstream_is_repeated,
    a_primary_that_runs_does_not_follow,
    a_commit_waits_once_the_names_are_set,
    an_interrupted_setting_of_names_is_not_in_force,
    names_are_in_force_after_a_restart_only_when_proven,
    foreign_names_of_walsenders_are_no_patterns,
    a_frozen_standby_does_not_stream,
    a_silent_upstream_is_noticed,
    a_standby_is_behind_its_upstream,
    a_copy_does_not_take_over_whom_its_source_waits_for,
    a_copy_acknowledges_no_commit,
];

const NAMES: &str = "ANY 1 (pgautofailover_standby_2)";

async fn following_twice_and_another(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    primary.admit(&[&two, &three]).await?;
    two.join(&primary).await?;
    three.join(&primary).await?;
    for _ in 0..2 {
        three.follow(Some(&primary)).await?;
    }
    let follows = three.running().await?.follows;
    let config = primary.config();
    let expected = Following { host: config.hostname.clone(), port: config.port };
    check(follows == Some(expected), "the primary")?;
    // A cascade: the standby has a slot for it, too.
    two.admit(&[&primary, &three]).await?;
    three.follow(Some(&two)).await?;
    three
        .until("the stream of another standby", |observation| {
            matches!(&observation.observed.server, Server::Running(running)
            if running.receiver == Receiver::Streaming
                && running.follows.as_ref().is_some_and(|follows| follows.port == two.config().port))
        })
        .await?;
    primary.sql("CREATE TABLE t ()").await?;
    three.catch_up(&primary).await
}

async fn following_nobody_twice(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    primary.sql("CREATE TABLE t AS SELECT generate_series(1, 10000)").await?;
    for _ in 0..2 {
        standby.follow(None).await?;
        let running = standby.running().await?;
        check(running.receiver == Receiver::Absent, "nothing is received")?;
        check(running.follows.is_none(), "nobody is followed")?;
        check(running.replayed >= running.lsn, "all is replayed")?;
    }
    primary.sql("CREATE TABLE u ()").await?;
    standby.follow(Some(&primary)).await?;
    standby.catch_up(&primary).await
}

async fn an_interrupted_change_of_upstream_is_repeated(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    let step = Step::Follow { upstream: None };
    for milliseconds in [0, 1, 3, 10] {
        let limit = Duration::from_millis(milliseconds);
        // Whether it got to its end in time does not matter.
        let _ = tokio::time::timeout(limit, standby.execute(&step)).await;
    }
    standby.execute(&step).await?;
    check(standby.running().await?.receiver == Receiver::Absent, "nothing is received")?;
    standby.follow(Some(&primary)).await?;
    standby.await_stream().await
}

async fn a_primary_that_runs_does_not_follow(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    check(primary.follow(None).await.is_err(), "refused")?;
    check(!primary.pgdata().join("standby.signal").exists(), "nothing is written")
}

async fn a_commit_waits_once_the_names_are_set(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    for _ in 0..2 {
        primary.execute(&Step::SetSynchronousStandbyNames(NAMES.to_owned())).await?;
        let running = primary.running().await?;
        check(running.synchronous_standby_names == NAMES, "in force")?;
    }
    let observation =
        primary.until("a synchronous standby", |observation| observation.quorum_contact.is_some()).await?;
    check(observation.sync_state == "quorum", "quorum")?;
    primary.sql("CREATE TABLE t ()").await?;
    standby.stop(StopMode::Fast).await?;
    let waits = tokio::time::timeout(Duration::from_millis(300), primary.sql("CREATE TABLE u ()")).await;
    check(waits.is_err(), "a commit waits")?;
    for _ in 0..2 {
        primary.execute(&Step::SetSynchronousStandbyNames(String::new())).await?;
    }
    primary.sql("CREATE TABLE v ()").await?;
    check(primary.running().await?.synchronous_standby_names.is_empty(), "nobody is waited for")
}

async fn an_interrupted_setting_of_names_is_not_in_force(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let step = Step::SetSynchronousStandbyNames(NAMES.to_owned());
    let interrupted = tokio::time::timeout(Duration::from_millis(60), primary.execute(&step)).await;
    check(interrupted.is_err(), "interrupted")?;
    check(primary.running().await?.synchronous_standby_names != NAMES, "not known to be in force")?;
    primary.execute(&step).await?;
    check(primary.running().await?.synchronous_standby_names == NAMES, "in force")
}

async fn names_are_in_force_after_a_restart_only_when_proven(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let step = Step::SetSynchronousStandbyNames(NAMES.to_owned());
    // The checkpointer sets the flag that commits look at, and it hangs.
    let pid: i32 = primary
        .ask("SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        .await?
        .parse()?;
    signal(pid, Signal::SIGSTOP);
    let started = Instant::now();
    let hung = tokio::time::timeout(Duration::from_secs(2), primary.execute(&step)).await;
    let is_in_force = hung.is_ok_and(|outcome| outcome.is_ok());
    signal(pid, Signal::SIGCONT);
    check(!is_in_force, "not while the checkpointer hangs")?;
    check(started.elapsed() < Duration::from_secs(5), "a deadline")?;
    primary.execute(&step).await?;
    let reborn = primary.reborn();
    let unproven = reborn.running().await?.synchronous_standby_names;
    check(unproven != NAMES && !unproven.is_empty(), "a new keeper does not know")?;
    reborn.execute(&step).await?;
    check(reborn.running().await?.synchronous_standby_names == NAMES, "and proves it")
}

/// Ends a program when it is no longer needed.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn foreign_names_of_walsenders_are_no_patterns(bed: &Bed) -> Outcome {
    const FOREIGN: &str = "c++(x";
    let primary = bed.primary(1).await?;
    bed.standby(2, &primary).await?;
    let config = primary.config();
    let receiver = std::process::Command::new(bin_dir().join("pg_receivewal"))
        .args(["-h", "127.0.0.1", "-U", &config.superuser, "--no-loop", "-p", &config.port.to_string(), "-D"])
        .arg(bed.path())
        .env("PGAPPNAME", FOREIGN)
        .spawn()?;
    let _receiver = Running(receiver);
    let question =
        format!("SELECT count(*)::text FROM pg_stat_replication WHERE application_name = '{FOREIGN}'");
    let began = Instant::now();
    while primary.ask(&question).await? != "1" {
        check(began.elapsed() < Duration::from_secs(20), "the receiver streams")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    primary.execute(&Step::SetSynchronousStandbyNames(NAMES.to_owned())).await?;
    check(primary.running().await?.synchronous_standby_names == NAMES, "in force")
}

async fn a_frozen_standby_does_not_stream(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    let streams = |observation: &pgaf_core::keeper::Observation| {
        matches!(&observation.observed.server, Server::Running(running)
            if running.standbys.iter().any(|row| row.node == NodeId(2) && row.is_streaming))
    };
    primary.until("the stream", streams).await?;
    for pid in processes_of(&standby.pgdata()) {
        signal(pid, Signal::SIGSTOP);
    }
    let frozen = Instant::now();
    primary.until("the end of the stream", |observation| !streams(observation)).await?;
    check(frozen.elapsed() < Duration::from_secs(4), "soon")?;
    for pid in processes_of(&standby.pgdata()) {
        signal(pid, Signal::SIGCONT);
    }
    primary.until("the stream again", streams).await?;
    Ok(())
}

async fn a_silent_upstream_is_noticed(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    let silence = |observation: &pgaf_core::keeper::Observation| {
        observation.upstream.map_or(0, |upstream| upstream.silent_ms)
    };
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(3) {
        let silent = silence(&standby.observe(None).await);
        check(silent < 2500, &format!("an idle upstream is heard: {silent} ms"))?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for pid in processes_of(&primary.pgdata()) {
        signal(pid, Signal::SIGSTOP);
    }
    standby.until("the silence", |observation| silence(observation) > 4000).await?;
    let upstream = standby.observe(None).await.upstream.ok_or("no upstream")?;
    check(!upstream.is_streaming, "and the stream is given up")
}

async fn a_standby_is_behind_its_upstream(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    let peer = primary.peer();
    let lineage = async || standby.observe(Some(&peer)).await.observed.lineage;
    check(lineage().await == Some(Lineage::Behind), "while it streams")?;
    standby.follow(None).await?;
    check(lineage().await == Some(Lineage::Behind), "while it does not")?;
    standby.stop(StopMode::Fast).await?;
    check(lineage().await == Some(Lineage::Behind), "while it is stopped")?;
    primary.stop(StopMode::Fast).await?;
    check(lineage().await.is_none(), "unknown when there is nobody to ask")
}

async fn a_copy_does_not_take_over_whom_its_source_waits_for(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    primary.execute(&Step::SetSynchronousStandbyNames(NAMES.to_owned())).await?;
    let standby = bed.standby(2, &primary).await?;
    check(standby.running().await?.synchronous_standby_names.is_empty(), "nobody is waited for")?;
    primary.stop(StopMode::Fast).await?;
    standby.execute(&Step::Promote).await?;
    standby.sql("CREATE TABLE t ()").await
}

/// The copy is of the very standby that commits wait for.
async fn a_copy_acknowledges_no_commit(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    // So slow that it is not complete when the test is.
    let node = bed.node_with(2, |config| config.maximum_backup_rate = "1M".to_owned());
    primary.admit(&[&node]).await?;
    let copy = Step::BaseBackup { upstream: primary.peer() };
    tokio::select! {
        ended = node.execute(&copy) => Err(format!("the copy has ended: {ended:?}").into()),
        outcome = commits_wait_beside_a_copy(&primary) => outcome,
    }
}

async fn commits_wait_beside_a_copy(primary: &Node) -> Outcome {
    const STREAMS: &str = "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'";
    while primary.ask(STREAMS).await? != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    primary.execute(&Step::SetSynchronousStandbyNames(NAMES.to_owned())).await?;
    let commit = primary.sql("CREATE TABLE t ()");
    // The stream of a copy flushes, and says so, at the end of a segment.
    let look = async {
        primary.ask("SELECT pg_switch_wal()::text").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        check(primary.ask(STREAMS).await? == "1", "the copy streams")?;
        let counted = "SELECT count(*)::text FROM pg_stat_replication WHERE sync_priority > 0";
        check(primary.ask(counted).await? == "0", "it is not waited for")
    };
    tokio::select! {
        _ = commit => Err("a commit was acknowledged".into()),
        outcome = look => outcome,
    }
}
