//! Data directories: made, copied, recognised for what they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pgaf_core::keeper::{DataDirectory, Server, Step, StopMode};

use crate::bed::{Bed, Node, Outcome, check};

crate::tests![
    initdb_twice,
    an_interrupted_initdb_leaves_no_cluster,
    what_is_in_the_way_is_not_overwritten,
    every_kind_of_data_directory_is_told_apart,
    data_of_another_version_is_refused,
    a_copy_twice,
    an_interrupted_copy_is_never_started,
    a_copy_keeps_the_nodes_own_configuration,
    a_copy_keeps_wal_on_its_own_disk,
    a_copy_keeps_tablespaces_and_needs_no_second_disk,
    a_tablespace_of_others_is_not_overwritten,
    a_copy_tells_how_far_it_is,
    a_copy_of_another_cluster_is_refused,
    nothing_is_removed_when_the_source_is_away,
    a_lost_control_file_is_replaced_by_a_copy,
    a_standby_never_comes_back_as_a_primary,
];

async fn look(node: &Node) -> DataDirectory {
    node.observe(None).await.observed.data
}

async fn initdb_twice(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    check(look(&node).await == DataDirectory::Missing, "missing")?;
    node.initdb().await?;
    check(matches!(look(&node).await, DataDirectory::Present(_)), "present")?;
    let identifier = node.control_data().await?.system_identifier;
    check(node.initdb().await.is_err(), "a cluster is not overwritten")?;
    check(node.control_data().await?.system_identifier == identifier, "it is as it was")
}

async fn an_interrupted_initdb_leaves_no_cluster(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    let copy = node.pgdata().join("pg_autoctl.copy");
    tokio::select! {
        _ = node.initdb() => return Err("it was to be interrupted".into()),
        () = async { while !copy.join("PG_VERSION").exists() { tokio::task::yield_now().await } } => {}
    }
    check(look(&node).await == DataDirectory::Incomplete, "incomplete")?;
    check(node.execute(&Step::StartPostgres).await.is_err(), "not started")?;
    node.initdb().await?;
    node.start().await?;
    Ok(())
}

async fn what_is_in_the_way_is_not_overwritten(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    fs::create_dir(node.pgdata())?;
    fs::write(node.pgdata().join("mine"), "x")?;
    check(node.initdb().await.is_err(), "refused")?;
    check(fs::read_to_string(node.pgdata().join("mine"))? == "x", "still there")
}

async fn every_kind_of_data_directory_is_told_apart(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    fs::create_dir(node.pgdata())?;
    check(look(&node).await == DataDirectory::Missing, "empty is missing")?;
    node.initdb().await?;
    let cluster = |data| match data {
        DataDirectory::Present(cluster) => Ok(cluster),
        other => Err(format!("{other:?}")),
    };
    let fresh = cluster(look(&node).await)?;
    check(fresh.is_clean && !fresh.is_standby, "a clean primary")?;
    node.start().await?;
    check(!cluster(look(&node).await)?.is_clean, "a server that runs is not shut down")?;
    node.stop(StopMode::Immediate).await?;
    check(!cluster(look(&node).await)?.is_clean, "after a crash, neither")?;
    node.follow(None).await?;
    check(cluster(look(&node).await)?.is_standby, "a standby")?;
    fs::remove_file(node.pgdata().join("global/pg_control"))?;
    check(look(&node).await == DataDirectory::Damaged, "damaged")?;
    fs::write(node.pgdata().join("pg_autoctl.incomplete"), "")?;
    check(look(&node).await == DataDirectory::Incomplete, "incomplete")
}

async fn data_of_another_version_is_refused(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    node.check_binaries().await?;
    fs::write(node.pgdata().join("PG_VERSION"), "9.6\n")?;
    let error = node.execute(&Step::StartPostgres).await.err().ok_or("it started")?.to_string();
    check(error.contains("9.6") && error.contains("--pgctl"), &error)?;
    check(node.check_binaries().await.is_err(), "the check says so, too")
}

async fn a_copy_twice(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    primary.sql("CREATE TABLE t AS SELECT 1 AS a").await?;
    let standby = bed.standby(2, &primary).await?;
    check(standby.ask("SELECT count(*)::text FROM t").await? == "1", "the data is there")?;
    let copy = Step::BaseBackup { upstream: primary.peer() };
    check(standby.execute(&copy).await.is_err(), "not under a server that runs")?;
    standby.running().await?;
    standby.stop(StopMode::Fast).await?;
    standby.execute(&copy).await?;
    standby.execute(&copy).await?;
    standby.start().await?;
    standby.await_stream().await
}

async fn an_interrupted_copy_is_never_started(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    // Slow enough to be interrupted.
    let node = bed.node_with(2, |config| config.maximum_backup_rate = "4M".to_owned());
    primary.admit(&[&node]).await?;
    let copy = Step::BaseBackup { upstream: primary.peer() };
    let base = node.pgdata().join("pg_autoctl.copy/base");
    tokio::select! {
        _ = node.execute(&copy) => return Err("it was to be interrupted".into()),
        () = async { while !base.exists() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    check(look(&node).await == DataDirectory::Incomplete, "incomplete")?;
    check(node.execute(&Step::StartPostgres).await.is_err(), "not started")?;
    let reborn = node.reborn();
    let mut config = (*reborn.config()).clone();
    config.maximum_backup_rate = String::new();
    reborn.reconfigure(config);
    check(look(&reborn).await == DataDirectory::Incomplete, "another keeper sees that, too")?;
    // The walsender of before lets go of the slot when it sees that nobody reads.
    let mut outcome = reborn.execute(&copy).await;
    for _ in 0..100 {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        outcome = reborn.execute(&copy).await;
    }
    outcome?;
    reborn.start().await?;
    reborn.await_stream().await
}

async fn a_copy_keeps_the_nodes_own_configuration(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    let config = standby.pgdata().join("postgresql.conf");
    let own = fs::read_to_string(&config)? + "\n# mine\n";
    fs::write(&config, &own)?;
    standby.stop(StopMode::Fast).await?;
    standby.join(&primary).await?;
    check(fs::read_to_string(&config)? == own, "postgresql.conf is as it was")?;
    let port = standby.ask("SELECT current_setting('port')").await?;
    check(port == standby.config().port.to_string(), "its own port")
}

async fn a_copy_keeps_wal_on_its_own_disk(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Fast).await?;
    let wal = bed.path().join("wal");
    fs::rename(standby.pgdata().join("pg_wal"), &wal)?;
    std::os::unix::fs::symlink(&wal, standby.pgdata().join("pg_wal"))?;
    standby.join(&primary).await?;
    let link = fs::read_link(standby.pgdata().join("pg_wal"))?;
    check(link == wal, "the link is there")?;
    check(fs::read_dir(&wal)?.count() > 1, "and WAL is behind it")
}

/// What a directory and all in it take of the disk, in bytes; links are not followed.
fn disk_use(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    let inside: u64 = if metadata.is_dir() { inside.map(|entry| disk_use(&entry.path())).sum() } else { 0 };
    inside + metadata.blocks() * 512
}

/// A primary with a tablespace, and a node that has it elsewhere, as if on a machine of its own, and WAL on another
/// disk.
async fn with_a_tablespace(bed: &Bed) -> Result<(Node, Node), Box<dyn std::error::Error>> {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Fast).await?;
    let (there, here, wal) = (bed.path().join("ts 1"), bed.path().join("ts=2"), bed.path().join("wal"));
    for path in [&there, &here] {
        fs::create_dir(path)?;
    }
    primary.sql(&format!("CREATE TABLESPACE space LOCATION '{}'", there.display())).await?;
    primary.sql("CREATE TABLE t TABLESPACE space AS SELECT generate_series(1, 400000) AS a").await?;
    primary.sql("CREATE TABLE u AS SELECT generate_series(1, 400000) AS a").await?;
    let oid = primary.ask("SELECT oid::text FROM pg_tablespace WHERE spcname = 'space'").await?;
    std::os::unix::fs::symlink(&here, standby.pgdata().join("pg_tblspc").join(oid))?;
    for name in ["PG_15_1/old", "mine"] {
        fs::create_dir_all(here.join(name))?;
    }
    fs::rename(standby.pgdata().join("pg_wal"), &wal)?;
    std::os::unix::fs::symlink(&wal, standby.pgdata().join("pg_wal"))?;
    Ok((primary, standby))
}

async fn a_copy_keeps_tablespaces_and_needs_no_second_disk(bed: &Bed) -> Outcome {
    let (primary, standby) = with_a_tablespace(bed).await?;
    let places = [standby.pgdata(), bed.path().join("ts=2"), bed.path().join("wal")];
    let used = || places.iter().map(|path| disk_use(path)).sum::<u64>();
    let copy = Step::BaseBackup { upstream: primary.peer() };
    let tables = bed.path().join("ts=2/pg_autoctl.copy");
    let slow = |rate: &str| {
        let mut config = (*standby.config()).clone();
        config.maximum_backup_rate = rate.to_owned();
        standby.reconfigure(config);
    };
    slow("20M");
    // Interrupted while the tablespace is copied.
    tokio::select! {
        _ = standby.execute(&copy) => return Err("it was to be interrupted".into()),
        () = async { while disk_use(&tables) < 1 << 20 { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    check(look(&standby).await == DataDirectory::Incomplete, "incomplete")?;
    check(standby.execute(&Step::StartPostgres).await.is_err(), "not started")?;
    check(!standby.pgdata().join("pg_tblspc").exists(), "no link tells where it was")?;
    let mut most = 0;
    for _ in 0..100 {
        let outcome = tokio::select! {
            outcome = standby.execute(&copy) => outcome,
            never = async { loop { most = most.max(used()); tokio::time::sleep(Duration::from_millis(20)).await } } => never,
        };
        // The walsender of before lets go of the slot when it sees that nobody reads.
        match outcome {
            Err(error) if error.to_string().contains("is active") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            outcome => {
                outcome?;
                break;
            }
        }
    }
    let size = used();
    eprintln!("at most {} of {} MB were used while copying", most >> 20, size >> 20);
    check(most < size + size / 5, &format!("{most} of {size} bytes were used"))?;
    slow("");
    standby.execute(&copy).await?;
    standby.start().await?;
    standby.await_stream().await?;
    check(standby.ask("SELECT count(*)::text FROM t").await? == "400000", "the table is there")?;
    let links: Vec<_> = fs::read_dir(standby.pgdata().join("pg_tblspc"))?.flatten().collect();
    let target = fs::read_link(links.first().ok_or("no link")?.path())?;
    check(target == places[1], "the tablespace is where it was")?;
    check(fs::read_link(standby.pgdata().join("pg_wal"))? == places[2], "and so is WAL")?;
    let mut names: Vec<_> = fs::read_dir(&places[1])?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    check(names.len() == 2 && names[1] == "mine", &format!("nothing else was touched: {names:?}"))
}

async fn a_tablespace_of_others_is_not_overwritten(bed: &Bed) -> Outcome {
    let (primary, _) = with_a_tablespace(bed).await?;
    let third = bed.node(3);
    primary.admit(&[&third]).await?;
    // It has none yet, so they would go where the source has its own.
    let copy = Step::BaseBackup { upstream: primary.peer() };
    for _ in 0..2 {
        let error = third.execute(&copy).await.err().ok_or("it was copied")?.to_string();
        check(error.contains("tablespace"), &error)?;
    }
    check(primary.ask("SELECT count(*)::text FROM t").await? == "400000", "nothing is lost")
}

async fn a_copy_tells_how_far_it_is(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    primary.sql("CREATE TABLE u AS SELECT generate_series(1, 400000) AS a").await?;
    let node = bed.node_with(2, |config| config.maximum_backup_rate = "10M".to_owned());
    primary.admit(&[&node]).await?;
    let copy = Step::BaseBackup { upstream: primary.peer() };
    let mut seen = Vec::new();
    check(node.progress().is_none(), "nothing is copied")?;
    tokio::select! {
        outcome = node.execute(&copy) => outcome?,
        never = async { loop {
            seen.extend(node.progress());
            tokio::time::sleep(Duration::from_millis(50)).await;
        } } => never,
    }
    seen.dedup();
    check(seen.len() > 2 && seen.is_sorted(), &format!("it goes on: {seen:?}"))?;
    check(node.progress().is_none(), "and ends")
}

async fn a_copy_of_another_cluster_is_refused(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let other = bed.node(2);
    primary.admit(&[&other]).await?;
    other.initdb().await?;
    let before = other.control_data().await?.system_identifier;
    let copy = Step::BaseBackup { upstream: primary.peer() };
    let error = other.execute(&copy).await.err().ok_or("it was copied")?.to_string();
    check(error.contains("system identifier"), &error)?;
    check(other.control_data().await?.system_identifier == before, "nothing is touched")
}

async fn nothing_is_removed_when_the_source_is_away(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Fast).await?;
    primary.stop(StopMode::Fast).await?;
    let upstream = primary.peer();
    check(standby.execute(&Step::BaseBackup { upstream: upstream.clone() }).await.is_err(), "no source")?;
    check(standby.execute(&Step::Rewind { upstream }).await.is_err(), "no source")?;
    check(matches!(look(&standby).await, DataDirectory::Present(_)), "all is there")?;
    standby.start().await?;
    check(standby.running().await?.is_in_recovery, "and a standby")
}

async fn a_lost_control_file_is_replaced_by_a_copy(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    fs::remove_file(standby.pgdata().join("global/pg_control"))?;
    check(look(&standby).await == DataDirectory::Damaged, "seen while it runs")?;
    standby.stop(StopMode::Immediate).await?;
    check(standby.execute(&Step::StartPostgres).await.is_err(), "it does not start")?;
    standby.join(&primary).await
}

async fn a_standby_never_comes_back_as_a_primary(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    standby.stop(StopMode::Immediate).await?;
    // As after a crash between the end of recovery and the first record on the new timeline.
    fs::remove_file(standby.pgdata().join("standby.signal"))?;
    match look(&standby).await {
        DataDirectory::Present(cluster) => check(cluster.is_standby, "still a standby")?,
        other => return Err(format!("{other:?}").into()),
    }
    standby.start().await?;
    let observation = standby
        .until("an answer", |observation| matches!(observation.observed.server, Server::Running(_)))
        .await?;
    check(observation.upstream.is_some(), "in recovery")
}
