//! Data that is lost or diverged is made good in place: nothing of the user's is lost by it, and no second disk needed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{TAKEOVER, WHOLE, monitor_only, scenarios, three_nodes};
use crate::harness::{Cluster, SmallDisk, wait_for};

scenarios! {
    monitor_only:
        tablespaces_stay_where_they_are_when_the_data_is_copied_anew,
        a_new_copy_does_not_need_twice_the_disk;
    three_nodes:
        slots_of_the_user_are_kept_and_those_of_nodes_hold_nothing_back;
}

/// Every host has a directory of its own at the same path, for a tablespace.
fn own_tablespace_directory(cluster: &mut Cluster, name: &str) -> Result<PathBuf> {
    let path = cluster.directory.join("tablespace");
    fs::create_dir_all(&path)?;
    cluster.add_host(name)?;
    let host = cluster.host_mut(name)?;
    host.shell("mkdir ts")?;
    host.own_directory = Some((host.directory.join("ts"), path.clone()));
    Ok(path)
}

fn start_node(cluster: &mut Cluster, name: &str) -> Result<()> {
    let mut args = cluster.create_args(cluster.host(name)?);
    args.push("--run".to_owned());
    cluster.host_mut(name)?.start(&args)
}

/// The data of a node is lost, and copied anew.
fn lose_data(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.host(name)?.lose_pg_control()?;
    let control = cluster.host(name)?.pgdata().join("global/pg_control");
    wait_for("another copy of the data", WHOLE, || Ok(control.exists().then_some(())))?;
    cluster.wait_whole(WHOLE)
}

fn tablespaces_stay_where_they_are_when_the_data_is_copied_anew(cluster: &mut Cluster) -> Result<()> {
    let path = own_tablespace_directory(cluster, "n1")?.display().to_string();
    start_node(cluster, "n1")?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    cluster.host("n1")?.psql("postgres", &format!("create tablespace elsewhere location '{path}'"))?;
    cluster.host("n1")?.psql("postgres", "create table kept tablespace elsewhere as select 42 as answer")?;
    own_tablespace_directory(cluster, "n2")?;
    start_node(cluster, "n2")?;
    cluster.wait_whole(WHOLE)?;
    let writer = cluster.writer()?;
    for lost in ["n2", "n1"] {
        lose_data(cluster, lost)?;
        let answer = cluster.host(lost)?.psql("postgres", "select answer from kept")?;
        ensure!(answer == "42", "the table in the tablespace says {answer:?} on {lost}");
        let links = cluster.host(lost)?.shell("readlink data/pg_tblspc/*")?;
        ensure!(links.trim() == path, "the tablespace of {lost} is at {links:?}");
        let files = fs::read_dir(cluster.host(lost)?.directory.join("ts"))?.count();
        ensure!(files == 1, "{files} directories in the tablespace of {lost}: an old copy is left");
    }
    cluster.verify(&[writer.stop()])
}

/// The disk has room for the data once, and not twice.
fn a_new_copy_does_not_need_twice_the_disk(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    let filler =
        "create table filler as select g, repeat('x', 1000) from generate_series(1, 120000) g; checkpoint";
    cluster.host("n1")?.psql("postgres", filler)?;
    let _disk = SmallDisk::mount(&cluster.directory.join("n2").join("data"), 400)?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    let writer = cluster.writer()?;
    lose_data(cluster, "n2")?;
    let count = cluster.host("n2")?.psql("postgres", "select count(*) from filler")?;
    ensure!(count == "120000", "{count} rows on n2");
    cluster.verify(&[writer.stop()])
}

fn slots(cluster: &Cluster, name: &str) -> Result<String> {
    let sql = "select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots";
    cluster.host(name)?.psql("postgres", sql)
}

/// A slot made on a node stays there through rewinds and new copies; those that nodes keep for each other move on.
fn slots_of_the_user_are_kept_and_those_of_nodes_hold_nothing_back(cluster: &mut Cluster) -> Result<()> {
    cluster.host("n1")?.psql("postgres", "select pg_create_physical_replication_slot('mine', true)")?;
    let writer = cluster.writer()?;
    cluster.host_mut("n1")?.kill_everything()?;
    let new = cluster.wait_another_primary("n1", TAKEOVER)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    // A failover among the others.
    let primary = if new == "n2" { "n3" } else { "n2" };
    cluster.ask(&["perform", "promotion", "--name", primary])?;
    cluster.wait_primary_is(primary, TAKEOVER)?;
    cluster.wait_whole(WHOLE)?;
    ensure!(slots(cluster, "n1")?.split(',').any(|slot| slot == "mine"), "n1 has {}", slots(cluster, "n1")?);
    for name in ["n1", "n2", "n3"] {
        let count =
            slots(cluster, name)?.split(',').filter(|slot| slot.starts_with("pgautofailover_")).count();
        ensure!(count == 2, "{name} keeps {count} slots for two other nodes");
    }

    let much =
        "select pg_logical_emit_message(false, 'bulk', repeat('x', 1000000)) from generate_series(1, 40)";
    cluster.host(primary)?.psql("postgres", much)?;
    wait_for("all slots to move on", TAKEOVER, || {
        for name in ["n1", "n2", "n3"] {
            // Up to its last restartpoint a standby keeps its log in any case.
            let behind = "select coalesce(max(pg_wal_lsn_diff(needed, restart_lsn)), 0)::bigint from \
                          pg_replication_slots, lateral (select case when pg_is_in_recovery() \
                          then (select redo_lsn from pg_control_checkpoint()) \
                          else pg_current_wal_lsn() end as needed) now \
                          where slot_name like 'pgautofailover\\_%'";
            let behind: i64 = cluster.host(name)?.psql("postgres", behind)?.parse().context(name)?;
            ensure!(behind < 16 << 20, "slots on {name} hold {behind} bytes back");
        }
        Ok(Some(()))
    })?;
    let copy = cluster.host("n1")?.identity_of_copy()?;
    cluster.host("n1")?.lose_pg_control()?;
    wait_for("a new copy on n1", WHOLE, || {
        Ok((cluster.host("n1")?.identity_of_copy()? != copy).then_some(()))
    })?;
    cluster.wait_whole(WHOLE)?;
    ensure!(slots(cluster, "n1")?.split(',').any(|slot| slot == "mine"), "n1 has {}", slots(cluster, "n1")?);
    cluster.verify(&[writer.stop()])
}
