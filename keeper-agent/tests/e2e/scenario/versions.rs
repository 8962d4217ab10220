//! What is played with every major version of Postgres: a life with passwords and TLS, and what only newer versions can.

use anyhow::{Result, ensure};

use super::security::{lose_host_then_data, scram_verify_full};
use super::{SOON, Scenario, TAKEOVER, WHOLE, monitor_only};
use crate::harness::{Cluster, Installed, wait_for};

/// Logical slots follow a failover since this version.
const LOGICAL_FAILOVER_SLOTS_SINCE: u32 = 17;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario {
        name: "versions_switchover_loss_rewind_and_copy_with_tls",
        setup: scram_verify_full,
        body: switchover_loss_rewind_and_copy,
    }];
    // Where no Postgres is found every scenario says so.
    if Installed::find().is_ok_and(|installed| installed.major >= LOGICAL_FAILOVER_SLOTS_SINCE) {
        scenarios.push(Scenario {
            name: "versions_logical_slot_follows_a_failover",
            setup: monitor_only,
            body: logical_slot_follows_a_failover,
        });
    }
    scenarios
}

fn switchover_loss_rewind_and_copy(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    for primary in ["n2", "n1"] {
        cluster.ask(&["perform", "switchover"])?;
        cluster.wait_primary_is(primary, TAKEOVER)?;
        cluster.wait_whole(WHOLE)?;
    }
    cluster.verify(&[writer.stop()])?;
    lose_host_then_data(cluster)
}

/// A subscriber that reads through a slot of the primary goes on at the new one, where it was.
fn logical_slot_follows_a_failover(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.host("n1")?.psql("postgres", "alter system set wal_level = 'logical'")?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.host_mut("n1")?.run()?;
    wait_for("wal_level to be logical on n1", WHOLE, || {
        let level = cluster.host("n1")?.psql("postgres", "show wal_level");
        Ok(level.is_ok_and(|level| level == "logical").then_some(()))
    })?;
    cluster.prepare_database()?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;

    let n1 = cluster.host("n1")?;
    n1.psql(
        "postgres",
        "select pg_create_logical_replication_slot('events', 'test_decoding', false, false, true)",
    )?;
    n1.psql("postgres", "create table told (what text)")?;
    let is_synced =
        "select count(*) from pg_replication_slots where slot_name = 'events' and synced and not temporary";
    wait_for("the slot to be synchronised to n2", WHOLE, || {
        // A slot is synchronised when the standby's log is past where the slot was made.
        n1.psql("postgres", "select pg_log_standby_snapshot()")?;
        n1.psql("postgres", "select count(*) from pg_logical_slot_get_changes('events', null, null)")?;
        Ok((cluster.host("n2")?.psql("postgres", is_synced)? == "1").then_some(()))
    })?;
    n1.psql("postgres", "insert into told values ('before the failover')")?;

    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let n2 = cluster.host("n2")?;
    wait_for("writes on n2", SOON, || {
        Ok(n2.psql("postgres", "insert into told values ('after the failover')").is_ok().then_some(()))
    })?;
    let changes =
        "select data from pg_logical_slot_get_changes('events', null, null, 'skip-empty-xacts', '1')";
    let told = n2.psql("postgres", changes)?;
    for what in ["before the failover", "after the failover"] {
        ensure!(told.contains(what), "the slot on n2 does not have the row written {what}: {told}");
    }
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)
}
