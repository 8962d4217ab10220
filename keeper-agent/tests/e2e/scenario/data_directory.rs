//! What is on disk: rewinds and copies that were broken off, and the user's own things in them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        a_diverged_primary_is_rewound_and_not_copied,
        an_interrupted_rewind_is_never_started,
        an_interrupted_copy_is_never_started_nor_elected,
        a_replication_slot_of_the_user_survives_a_failover;
    monitor_only:
        a_rewind_does_not_need_the_database_postgres,
        a_pg_wal_on_its_own_disk_stays_there_when_the_data_is_copied_anew;
}

/// n1 has WAL that n2 never got, n2 is primary, all processes of n1 are dead.
fn diverge(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let n2 = cluster.host("n2")?.address();
    cluster.host("n1")?.link.block(n2)?;
    writer.wait_for_interruption(Instant::now(), SOON)?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    // Not earlier: the kernel of a host still sends what a dead process has left to it.
    cluster.host("n1")?.link.unblock(n2)?;
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

fn a_diverged_primary_is_rewound_and_not_copied(cluster: &mut Cluster) -> Result<()> {
    let copy = cluster.host("n1")?.identity_of_copy()?;
    diverge(cluster)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.host("n1")?.identity_of_copy()? == copy, "n1 was copied anew");
    Ok(())
}

/// Waits until that program runs on the host, looking all the time: it may be short.
fn catch(cluster: &Cluster, name: &str, program: &str) -> Result<()> {
    let deadline = Instant::now() + TAKEOVER;
    while Instant::now() < deadline {
        if cluster.host(name)?.process(program).is_some() {
            return Ok(());
        }
    }
    anyhow::bail!("{program} never ran on {name}")
}

fn an_interrupted_rewind_is_never_started(cluster: &mut Cluster) -> Result<()> {
    diverge(cluster)?;
    cluster.host_mut("n1")?.run()?;
    catch(cluster, "n1", "pg_rewind")?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_primary_is("n1", SOON)?;
    cluster.host("n1")?.psql("postgres", "select count(*) from ledger").map(drop)
}

fn an_interrupted_copy_is_never_started_nor_elected(cluster: &mut Cluster) -> Result<()> {
    cluster.host("n1")?.psql("postgres", "create table kept as select 1")?;
    cluster.host("n2")?.lose_pg_control()?;
    catch(cluster, "n2", "pg_basebackup")?;
    cluster.host_mut("n2")?.kill_everything()?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.host_mut("n2")?.run()?;
    // With the only whole copy away, nobody may serve.
    let since = Instant::now();
    wait_for("some time in which the half copy could be elected", WHOLE, || {
        let rows = cluster.rows()?;
        let elected = rows.iter().any(|row| row.name == "n2" && row.goal.contains("primary"));
        ensure!(!elected, "a half copy was elected");
        Ok((since.elapsed() > Duration::from_secs(12)).then_some(()))
    })?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    cluster.host("n2")?.psql("postgres", "select * from kept").map(drop)
}

fn a_replication_slot_of_the_user_survives_a_failover(cluster: &mut Cluster) -> Result<()> {
    cluster.host("n1")?.psql("postgres", "select pg_create_physical_replication_slot('mine')")?;
    for _there_and_back in 0..2 {
        cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
        cluster.wait_whole(WHOLE)?;
    }
    let sql = "select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots";
    let slots = cluster.host("n1")?.psql("postgres", sql)?;
    ensure!(slots.split(',').any(|slot| slot == "mine"), "the slots of n1 are {slots}");
    Ok(())
}

fn a_rewind_does_not_need_the_database_postgres(cluster: &mut Cluster) -> Result<()> {
    let options = ["--dbname", "app"];
    cluster.add_node("n1", &options)?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.host("n1")?.psql("app", "drop database postgres with (force)")?;
    cluster.add_node("n2", &options)?;
    cluster.wait_whole(WHOLE)?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    let n2 = cluster.host("n2")?.address();
    cluster.host("n1")?.link.block(n2)?;
    let unreplicated = "set synchronous_commit to local; create table diverged(); checkpoint";
    cluster.host("n1")?.psql("app", unreplicated)?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    // Not earlier: the kernel of a host still sends what a dead process has left to it.
    cluster.host("n1")?.link.unblock(n2)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.host("n1")?.identity_of_copy()? == copy, "n1 was copied anew");
    Ok(())
}

fn a_pg_wal_on_its_own_disk_stays_there_when_the_data_is_copied_anew(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    let wal = host.directory.join("wal").display().to_string();
    let pgdata = host.pgdata().display().to_string();
    host.shell(&format!("initdb -A trust -D {pgdata} --waldir {wal} >initdb.log"))?;
    let mut args = cluster.create_args(host);
    args.push("--run".to_owned());
    cluster.host_mut("n1")?.start(&args)?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    cluster.host("n1")?.lose_pg_control()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.wait_whole(WHOLE)?;
    let link =
        fs::read_link(cluster.host("n1")?.pgdata().join("pg_wal")).context("pg_wal is no link any more")?;
    ensure!(link.display().to_string() == wal, "pg_wal is now {}", link.display());
    Ok(())
}
