//! The five settings that a standby must not have lower than the primary.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    2:
        a_primary_has_more_connections_than_its_standby,
        a_primary_gets_more_of_everything,
        a_standby_gets_less_of_everything,
        a_primary_gets_more_and_is_lost_at_once;
}

fn shows(bed: &Bed, name: &str, setting: &str, value: &str) -> Result<()> {
    wait_for(&format!("{setting} = {value} on {name}"), WITHIN, || {
        let seen = bed.node(name).setting(setting)?;
        ensure!(seen == value, "{seen}");
        Ok(Some(()))
    })
}

fn a_primary_has_more_connections_than_its_standby(bed: &mut Bed) -> Result<()> {
    bed.node("n1").alter_system("max_connections", "300")?;
    bed.node("n1").restart_postgres()?;
    shows(bed, "n2", "max_connections", "300")?;
    bed.wait_shown("max_connections = 100 in")?;
    bed.wait_whole()?;
    bed.fail_over()?;
    // As a primary it has what is written there.
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").run()?;
    bed.wait_whole()
}

const NUMBERS: [(&str, &str, &str); 5] = [
    ("max_connections", "50", "200"),
    ("max_worker_processes", "4", "20"),
    ("max_wal_senders", "3", "25"),
    ("max_prepared_transactions", "0", "9"),
    ("max_locks_per_transaction", "32", "128"),
];

fn a_primary_gets_more_of_everything(bed: &mut Bed) -> Result<()> {
    for (name, _, more) in NUMBERS {
        bed.node("n1").alter_system(name, more)?;
    }
    bed.node("n1").restart_postgres()?;
    for (name, _, more) in NUMBERS {
        shows(bed, "n2", name, more)?;
    }
    bed.wait_whole()?;
    bed.fail_over()
}

fn a_standby_gets_less_of_everything(bed: &mut Bed) -> Result<()> {
    for (name, less, _) in NUMBERS {
        bed.node("n2").alter_system(name, less)?;
    }
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").run()?;
    shows(bed, "n2", "max_connections", "100")?;
    bed.wait_whole()?;
    bed.fail_over()
}

fn a_primary_gets_more_and_is_lost_at_once(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    bed.node("n1").alter_system("max_connections", "300")?;
    // The keeper of the standby is away while replay pauses, and the primary is lost before it is back.
    bed.node("n2").freeze_keeper(true)?;
    bed.node("n1").restart_postgres()?;
    wait_for("replay to pause", WITHIN, || {
        Ok((bed.node("n2").sql("select pg_is_wal_replay_paused()")? == "t").then_some(()))
    })?;
    bed.node_mut("n1").kill_both()?;
    bed.node("n2").freeze_keeper(false)?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}
