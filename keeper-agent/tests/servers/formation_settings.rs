//! Settings of Postgres that the monitor keeps for all nodes of a formation.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    2:
        all_nodes_have_the_settings_of_their_formation,
        a_setting_that_cannot_be_is_refused_before_any_node_hears_of_it,
        a_node_that_does_not_follow_a_setting_says_so;
}

fn wait_setting(bed: &Bed, node: &str, name: &str, value: &str) -> Result<()> {
    wait_for(&format!("{name} to be {value} on {node}"), WITHIN, || {
        Ok((bed.node(node).setting(name)? == value).then_some(()))
    })
}

fn all_nodes_have_the_settings_of_their_formation(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    // What the owner of a node has written is overruled, and comes back.
    bed.node("n1").append_to_configuration("work_mem = '7MB'")?;
    bed.monitor.autoctl(&[
        "set",
        "formation",
        "postgres-settings",
        "work_mem=64MB",
        "max_connections=163",
    ])?;
    for node in ["n1", "n2"] {
        wait_setting(bed, node, "work_mem", "64MB")?;
    }
    bed.wait_shown("node 1 \"n1\" has to be restarted for max_connections")?;
    bed.wait_shown("node 2 \"n2\" has to be restarted for max_connections")?;
    ensure!(bed.node("n1").setting("max_connections")? == "100", "in force before a restart");
    let shown = bed.monitor.autoctl(&["get", "formation", "postgres-settings"])?;
    ensure!(shown.contains("after a restart of n1, n2"), "{shown}");

    bed.monitor.autoctl(&["perform", "restart"])?;
    for node in ["n1", "n2"] {
        wait_setting(bed, node, "max_connections", "163")?;
    }
    wait_for("nothing to be pending", WITHIN, || {
        let shown = bed.monitor.autoctl(&["show", "state"])?;
        Ok((!shown.contains("has to be restarted")).then_some(()))
    })?;
    // A node that joins later has them, too.
    bed.add("n3", &[])?;
    bed.wait_whole()?;
    wait_setting(bed, "n3", "work_mem", "64MB")?;
    wait_setting(bed, "n3", "max_connections", "163")?;

    bed.monitor.autoctl(&["unset", "formation", "postgres-settings", "work_mem", "max_connections"])?;
    wait_setting(bed, "n1", "work_mem", "7MB")?;
    bed.wait_shown("has to be restarted for max_connections")?;
    let left = bed.monitor.autoctl(&["get", "formation", "postgres-settings", "--json"])?;
    ensure!(left.trim() == "[\n]", "{left}");
    writer.wait_for_ack(WITHIN)?;
    let primary = bed.rows()?.into_iter().find(|row| row.goal == "primary").map(|row| row.name);
    bed.verify(&primary.unwrap_or_default(), &[writer.stop()])
}

fn a_setting_that_cannot_be_is_refused_before_any_node_hears_of_it(bed: &mut Bed) -> Result<()> {
    for (setting, reason) in [
        ("work_men=64MB", "unrecognized configuration parameter"),
        ("work_mem=lots", "invalid value for parameter"),
        ("max_connections=0", "max_connections"),
        ("synchronous_commit=off", "set by pg_autoctl"),
        ("port=5433", "set by pg_autoctl"),
        ("archive_command=/bin/true", "program"),
        ("transaction_isolation=serializable", "configuration file"),
    ] {
        let args = ["set", "formation", "postgres-settings", "work_mem=65MB", setting];
        let ended = bed.monitor.program("pg_autoctl", &args)?;
        ensure!(ended.code() != 0 && ended.stderr.contains(reason), "{setting}: {}", ended.stderr);
    }
    let left = bed.monitor.autoctl(&["get", "formation", "postgres-settings", "--json"])?;
    ensure!(left.trim() == "[\n]", "{left}");
    Ok(())
}

fn a_node_that_does_not_follow_a_setting_says_so(bed: &mut Bed) -> Result<()> {
    bed.node("n2").alter_system("work_mem", "'9MB'")?;
    bed.node("n2").reload()?;
    bed.monitor.autoctl(&["set", "formation", "postgres-settings", "work_mem=64MB"])?;
    wait_setting(bed, "n1", "work_mem", "64MB")?;
    bed.wait_shown(
        "node 2 \"n2\" does not have the setting work_mem of the formation: it is set in another place",
    )?;
    ensure!(bed.node("n2").setting("work_mem")? == "9MB", "ALTER SYSTEM does not win");
    bed.node("n2").sql("alter system reset work_mem")?;
    bed.node("n2").reload()?;
    wait_setting(bed, "n2", "work_mem", "64MB")?;
    wait_for("n2 to follow", WITHIN, || {
        let shown = bed.monitor.autoctl(&["show", "state"])?;
        Ok((!shown.contains("does not have the setting work_mem")).then_some(()))
    })?;
    // Both start with what is in their files.
    for name in ["n1", "n2"] {
        bed.node_mut(name).restart()?;
        bed.wait_whole()?;
    }
    Ok(())
}
