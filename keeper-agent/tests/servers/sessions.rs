//! Settings of sessions: odd ones in files, of roles and of databases.

use anyhow::Result;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    1:
        odd_settings_in_files,
        odd_settings_of_roles_and_databases,
        short_timeouts_on_the_monitor;
}

const ODD: [(&str, &str); 20] = [
    ("standard_conforming_strings", "off"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_deferrable", "on"),
    ("statement_timeout", "40"),
    ("lock_timeout", "5"),
    ("idle_session_timeout", "90"),
    ("idle_in_transaction_session_timeout", "5"),
    ("search_path", "'nowhere'"),
    ("datestyle", "'German'"),
    ("intervalstyle", "'sql_standard'"),
    ("bytea_output", "'escape'"),
    ("extra_float_digits", "-15"),
    ("row_security", "off"),
    ("quote_all_identifiers", "on"),
    ("transform_null_equals", "on"),
    ("client_encoding", "'latin1'"),
    ("session_preload_libraries", "'auto_explain'"),
    ("timezone", "'Asia/Kathmandu'"),
    ("backslash_quote", "on"),
];

/// An application whose sessions are as usual.
fn make_application(bed: &Bed) -> Result<()> {
    bed.node("n1")
        .sql("create role app login; grant pg_read_all_data, pg_write_all_data, pg_monitor to app")?;
    for (name, value) in [
        ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "'read committed'"),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("search_path", "public"),
    ] {
        bed.node("n1").sql(&format!("alter role app set {name} = {value}"))?;
    }
    Ok(())
}

fn join_and_fail_over(bed: &mut Bed) -> Result<()> {
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    let writer = bed.writer_as("app")?;
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n1")?;
    bed.verify("n1", &[writer.stop()])
}

fn odd_settings_in_files(bed: &mut Bed) -> Result<()> {
    make_application(bed)?;
    let lines: String = ODD.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    for node in [&bed.monitor, bed.node("n1")] {
        node.append_to_configuration(&lines)?;
        node.reload()?;
        wait_for("the odd settings", WITHIN, || {
            Ok((node.setting("datestyle")? == "German, DMY").then_some(()))
        })?;
    }
    join_and_fail_over(bed)
}

fn odd_settings_of_roles_and_databases(bed: &mut Bed) -> Result<()> {
    make_application(bed)?;
    let settings: Vec<_> = ODD.iter().filter(|(name, _)| *name != "client_encoding").collect();
    let alter = |whom: &str| -> String {
        settings.iter().map(|(name, value)| format!("alter {whom} set {name} = {value};")).collect()
    };
    // The last statement is the first that a session may not make any more.
    bed.node("n1").sql("create role other; grant other to postgres")?;
    bed.node("n1").sql(&format!(
        "{} alter role postgres set role = 'other'; {}",
        alter("role postgres"),
        alter("database postgres")
    ))?;
    bed.monitor.sql(&alter("database pg_auto_failover"))?;
    bed.monitor.sql(&alter("role autoctl_node"))?;
    join_and_fail_over(bed)
}

fn short_timeouts_on_the_monitor(bed: &mut Bed) -> Result<()> {
    make_application(bed)?;
    bed.monitor.append_to_configuration(
        "statement_timeout = 20\nlock_timeout = 1\nidle_session_timeout = 100\ndefault_transaction_read_only = on",
    )?;
    bed.monitor.reload()?;
    join_and_fail_over(bed)
}
