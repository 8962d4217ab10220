//! Slots: one for every other node on every node, and none that holds back WAL for nothing.

use std::time::{Duration, Instant};

use pgaf_core::id::NodeId;
use pgaf_core::keeper::{Step, StopMode};
use pgaf_core::lsn::Lsn;
use pgaf_core::message::{Peer, Position};

use crate::bed::{Bed, Node, Outcome, check};

crate::tests![
    a_standby_keeps_slots_and_moves_them_on,
    a_lost_slot_is_made_anew,
    the_users_slots_are_left_alone,
    a_standby_admits_its_peers,
    logical_slots_survive_a_failover_where_postgres_can,
];

fn peers(nodes: &[&Node]) -> Vec<Peer> {
    nodes.iter().map(|node| node.peer()).collect()
}

async fn reserved(node: &Node, id: i64) -> Result<Lsn, Box<dyn std::error::Error>> {
    let query = format!(
        "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = '{}'",
        NodeId(id).slot_name()
    );
    Ok(node.ask(&query).await?.parse()?)
}

/// Three segments, of which nothing has to be kept.
async fn write_segments(primary: &Node, standby: &Node) -> Outcome {
    for _ in 0..3 {
        primary.sql("CREATE TABLE x (); DROP TABLE x; SELECT pg_switch_wal()").await?;
        primary.execute(&Step::Checkpoint).await?;
    }
    standby.catch_up(primary).await?;
    standby.execute(&Step::Checkpoint).await.map_err(Into::into)
}

async fn three(bed: &Bed) -> Result<[Node; 3], Box<dyn std::error::Error>> {
    let one = bed.primary(1).await?;
    let (two, three) = (bed.node(2), bed.node(3));
    one.admit(&[&two, &three]).await?;
    two.join(&one).await?;
    three.join(&one).await?;
    for node in [&one, &two, &three] {
        node.sql("ALTER SYSTEM SET wal_keep_size = 0").await?;
        node.reload().await?;
    }
    Ok([one, two, three])
}

async fn a_standby_keeps_slots_and_moves_them_on(bed: &Bed) -> Outcome {
    let [one, two, three] = three(bed).await?;
    let others = peers(&[&one, &three]);
    let at = |lsn: Lsn| vec![Position { node: NodeId(1), lsn }, Position { node: NodeId(3), lsn }];
    for milliseconds in [0, 1, 3, 10] {
        let limit = Duration::from_millis(milliseconds);
        // Whether it got to its end in time does not matter.
        let _ = tokio::time::timeout(limit, two.maintain_peers(&others, &at(Lsn::ZERO))).await;
    }
    for _ in 0..2 {
        two.maintain_peers(&others, &at(Lsn::ZERO)).await?;
        check(two.running().await?.slots == [NodeId(1), NodeId(3)], "a slot for each")?;
    }
    let begin = reserved(&two, 3).await?;
    write_segments(&one, &two).await?;
    let behind = Lsn(begin.0 + 16);
    two.maintain_peers(&others, &at(behind)).await?;
    check(reserved(&two, 3).await? == behind, "where that node is")?;
    let oldest = async || two.ask("SELECT min(name) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'").await;
    let held = oldest().await?;
    let end = two.running().await?.lsn;
    for _ in 0..2 {
        two.maintain_peers(&others, &at(end)).await?;
    }
    check(reserved(&two, 3).await? > Lsn(begin.0 + (16 << 20)), "and on")?;
    let redo: Lsn = two.ask("SELECT redo_lsn::text FROM pg_control_checkpoint()").await?.parse()?;
    check(reserved(&two, 3).await? <= redo, "not past what a rewind needs")?;
    write_segments(&one, &two).await?;
    check(oldest().await? > held, "nothing is held that nobody needs")?;
    // The primary's slots are moved by those who stream, and wait for those who do not.
    three.stop(StopMode::Fast).await?;
    one.until("the end of the stream", |observation| {
        matches!(&observation.observed.server, pgaf_core::keeper::Server::Running(running)
            if running.standbys.iter().all(|standby| standby.node != NodeId(3)))
    })
    .await?;
    let held = reserved(&one, 3).await?;
    one.maintain_peers(&peers(&[&two, &three]), &at(Lsn(end.0 + (64 << 20)))).await?;
    check(reserved(&one, 3).await? == held, "held for one that is away")?;
    // After a failover all can follow.
    one.stop(StopMode::Fast).await?;
    two.execute(&Step::Promote).await?;
    two.admit(&[&one, &three]).await?;
    for node in [&one, &three] {
        node.follow(Some(&two)).await?;
        node.start().await?;
        node.await_stream().await?;
    }
    Ok(())
}

async fn a_lost_slot_is_made_anew(bed: &Bed) -> Outcome {
    let [one, two, three] = three(bed).await?;
    three.stop(StopMode::Fast).await?;
    one.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'").await?;
    one.reload().await?;
    write_segments(&one, &two).await?;
    let query = "SELECT count(*)::text FROM pg_replication_slots WHERE wal_status = 'lost'";
    check(one.ask(query).await? == "1", "it is lost")?;
    one.maintain_peers(&peers(&[&two, &three]), &[]).await?;
    check(one.ask(query).await? == "0", "and there again")?;
    check(one.running().await?.slots == [NodeId(2), NodeId(3)], "for each")?;
    // The checkpoint of a copy would lose the slot again before the copy streams.
    one.sql("ALTER SYSTEM RESET max_slot_wal_keep_size").await?;
    one.reload().await?;
    three.join(&one).await
}

async fn the_users_slots_are_left_alone(bed: &Bed) -> Outcome {
    let [one, two, three] = three(bed).await?;
    for node in [&one, &two] {
        node.sql("SELECT pg_create_physical_replication_slot('mine', true)").await?;
    }
    let of_user = async |node: &Node| {
        node.ask(
            "SELECT string_agg(slot_name, ',')::text FROM pg_replication_slots \
                  WHERE slot_name NOT LIKE 'pgautofailover%'",
        )
        .await
        .unwrap_or_default()
    };
    two.maintain_peers(&peers(&[&one, &three]), &[]).await?;
    two.maintain_peers(&peers(&[&one]), &[]).await?;
    check(two.running().await?.slots == [NodeId(1)], "that of a node that is gone is dropped")?;
    one.maintain_peers(&peers(&[&two, &three]), &[]).await?;
    one.sql("CREATE TABLE t ()").await?;
    two.catch_up(&one).await?;
    one.stop(StopMode::Immediate).await?;
    two.execute(&Step::Promote).await?;
    two.admit(&[&one, &three]).await?;
    two.sql("CREATE TABLE u ()").await?;
    check(of_user(&two).await == "mine", "after a promotion")?;
    one.execute(&Step::Rewind { upstream: two.peer() }).await?;
    one.start().await?;
    one.await_stream().await?;
    check(of_user(&one).await == "mine", "after a rewind")?;
    one.stop(StopMode::Fast).await?;
    one.join(&two).await?;
    check(of_user(&one).await == "mine", "after a copy")?;
    one.admit(&[&two, &three]).await?;
    check(of_user(&one).await == "mine", "and ours beside it")
}

async fn a_standby_admits_its_peers(bed: &Bed) -> Outcome {
    let [one, two, three] = three(bed).await?;
    let passfile = two.config().passfile();
    std::fs::remove_file(&passfile)?;
    for _ in 0..2 {
        two.admit(&[&one, &three]).await?;
    }
    check(passfile.exists(), "the password is there")?;
    three.follow(Some(&two)).await?;
    three.await_stream().await?;
    let query = "SELECT count(*)::text FROM pg_stat_replication";
    check(two.ask(query).await? == "1", "from a standby")?;
    one.sql("CREATE TABLE t ()").await?;
    three.catch_up(&one).await
}

/// Since version 17. Before, the settings for it are unknown, and a server with one of them does not start.
async fn logical_slots_survive_a_failover_where_postgres_can(bed: &Bed) -> Outcome {
    let logical = |config: &mut keeper_agent::postgres::InstanceConfig| {
        config.extra_settings.push(("wal_level".to_owned(), "logical".to_owned()));
    };
    let primary = bed.node_with(1, logical);
    primary.initdb().await?;
    primary.start().await?;
    primary.ensure_replication_roles().await?;
    let standby = bed.node_with(2, logical);
    primary.admit(&[&standby]).await?;
    standby.join(&primary).await?;
    let names = format!("ANY 1 ({})", NodeId(2).slot_name());
    primary.execute(&Step::SetSynchronousStandbyNames(names)).await?;
    let setting = "SELECT coalesce(string_agg(setting, ','), 'none') FROM pg_settings \
                   WHERE name IN ('sync_replication_slots', 'synchronized_standby_slots')";
    let settings = primary.ask(setting).await?;
    if primary.ask("SELECT (current_setting('server_version_num')::int < 170000)::text").await? == "true" {
        return check(settings == "none", &settings);
    }
    check(settings == "on,pgautofailover_standby_2", &settings)?;
    primary
        .sql("SELECT pg_create_logical_replication_slot('decoding', 'pgoutput', false, false, true)")
        .await?;
    await_logical_slot(&primary, &standby).await?;
    standby.maintain_peers(&peers(&[&primary]), &[]).await?;
    primary.stop(StopMode::Fast).await?;
    standby.execute(&Step::Promote).await?;
    standby.sql("CREATE TABLE y ()").await?;
    standby.sql("SELECT pg_replication_slot_advance('decoding', pg_current_wal_lsn())").await?;
    // The other way round: what the old primary has of before must not be in the way.
    standby.admit(&[&primary]).await?;
    primary.follow(Some(&standby)).await?;
    primary.start().await?;
    primary.await_stream().await?;
    for _ in 0..2 {
        primary.maintain_peers(&peers(&[&standby]), &[]).await?;
    }
    await_logical_slot(&standby, &primary).await
}

async fn await_logical_slot(primary: &Node, standby: &Node) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(60);
    let query = "SELECT count(*)::text FROM pg_replication_slots \
                 WHERE slot_name = 'decoding' AND synced AND NOT temporary";
    while standby.ask(query).await? != "1" {
        check(Instant::now() < deadline, "the standby has the slot, too")?;
        primary.sql("CREATE TABLE x (); DROP TABLE x; SELECT pg_log_standby_snapshot()").await?;
        primary.sql("SELECT pg_replication_slot_advance('decoding', pg_current_wal_lsn())").await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
