//! Files that somebody else replaces, spoils or takes away while everything runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    2:
        a_replaced_pg_hba_conf_locks_no_standby_out,
        a_replaced_pg_hba_conf_of_a_standby_gets_our_entries_back,
        a_pg_hba_conf_that_cannot_be_read_is_told,
        a_line_of_pg_hba_conf_that_postgres_refuses_is_told,
        a_pg_hba_conf_that_is_gone_is_written_again;
    0:
        a_replaced_pg_ident_conf_gets_our_map_back;
}

/// It lets the client of the test in, and no other node.
const REPLACED: &str = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n";
const OURS: &str = "pgautofailover_replicator";

fn hba(bed: &Bed, name: &str) -> PathBuf {
    bed.node(name).pgdata().join("pg_hba.conf")
}

/// The running server has our entries.
fn wait_entries(bed: &Bed, name: &str) -> Result<()> {
    let sql = format!("select count(*) from pg_hba_file_rules where user_name @> '{{{OURS}}}'");
    wait_for("our entries to be back", WITHIN, || Ok((bed.node(name).sql(&sql)? != "0").then_some(())))
}

/// The standby has to connect anew, and comes back by itself.
fn reconnect(bed: &Bed) -> Result<()> {
    bed.node("n1").sql("select pg_terminate_backend(pid) from pg_stat_replication")?;
    wait_for("n2 to stream again", WITHIN, || {
        let count =
            bed.node("n1").sql("select count(*) from pg_stat_replication where state = 'streaming'")?;
        Ok((count == "1").then_some(()))
    })?;
    bed.wait_whole()
}

fn a_replaced_pg_hba_conf_locks_no_standby_out(bed: &mut Bed) -> Result<()> {
    fs::write(hba(bed, "n1"), REPLACED)?;
    bed.node("n1").reload()?;
    reconnect(bed)?;
    let content = fs::read_to_string(hba(bed, "n1"))?;
    ensure!(content.contains(REPLACED) && content.contains(OURS), "{content}");
    bed.check_no_failover()?;
    bed.fail_over()
}

fn a_replaced_pg_hba_conf_of_a_standby_gets_our_entries_back(bed: &mut Bed) -> Result<()> {
    fs::write(hba(bed, "n2"), REPLACED)?;
    bed.node("n2").reload()?;
    wait_entries(bed, "n2")?;
    // Who is promoted lets the former primary follow.
    bed.fail_over()
}

fn a_pg_hba_conf_that_cannot_be_read_is_told(bed: &mut Bed) -> Result<()> {
    fs::set_permissions(hba(bed, "n1"), Permissions::from_mode(0o000))?;
    bed.node("n1").reload()?;
    bed.node("n1").wait_said("Permission denied", WITHIN)?;
    // Postgres goes on with what it has read before.
    reconnect(bed)?;
    bed.check_no_failover()?;
    fs::set_permissions(hba(bed, "n1"), Permissions::from_mode(0o600))?;
    bed.node("n1").reload()?;
    bed.fail_over()
}

fn a_line_of_pg_hba_conf_that_postgres_refuses_is_told(bed: &mut Bed) -> Result<()> {
    let lines = fs::read_to_string(hba(bed, "n1"))?.lines().count();
    fs::write(hba(bed, "n1"), format!("{REPLACED}hots all all 192.0.2.1/32 md5\n"))?;
    bed.node("n1").reload()?;
    // Our entries are in the file, and Postgres does not take the file.
    bed.node("n1").wait_said("invalid connection type \"hots\"", WITHIN)?;
    ensure!(lines > 2, "n1 had no entries");
    reconnect(bed)?;
    bed.check_no_failover()?;
    let content = fs::read_to_string(hba(bed, "n1"))?;
    ensure!(content.contains("hots") && content.contains(OURS), "{content}");
    fs::write(hba(bed, "n1"), content.replace("hots all all 192.0.2.1/32 md5\n", ""))?;
    bed.node("n1").reload()?;
    wait_entries(bed, "n1")?;
    bed.fail_over()
}

fn a_pg_hba_conf_that_is_gone_is_written_again(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        fs::remove_file(hba(bed, name))?;
        bed.node(name).reload()?;
        wait_for("the file", WITHIN, || Ok(hba(bed, name).exists().then_some(())))?;
    }
    reconnect(bed)?;
    bed.check_no_failover()
}

fn a_replaced_pg_ident_conf_gets_our_map_back(bed: &mut Bed) -> Result<()> {
    bed.prepare("n1")?.superuser = "dba".to_owned();
    bed.create("n1", &["--username", "dba", "--auth", "scram-sha-256"])?;
    bed.wait(&[("n1", "single")])?;
    let ident = bed.node("n1").pgdata().join("pg_ident.conf");
    for content in ["# replaced\nmine me you\n", "broken\n"] {
        fs::write(&ident, content)?;
        bed.node("n1").reload()?;
        wait_for("our map to be back", WITHIN, || {
            let written = fs::read_to_string(&ident)?;
            Ok((written.contains("\"dba\"") && written.contains(content)).then_some(()))
        })?;
        let node = bed.node("n1");
        if content.starts_with("broken") {
            fs::write(&ident, fs::read_to_string(&ident)?.replace(content, ""))?;
        }
        node.reload()?;
        wait_for("the owner of the server to be let in", WITHIN, || node.sql("select 1").map(Some))?;
    }
    bed.wait(&[("n1", "single")])?;
    bed.check_no_failover()
}
