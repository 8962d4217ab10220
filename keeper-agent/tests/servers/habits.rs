//! Settings that operators have for reasons of their own, and that must not stand in the way.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;

cases! {
    2:
        memory_that_the_standby_does_not_have_is_said,
        logs_and_pid_files_go_elsewhere,
        a_read_only_configuration_and_a_linked_pg_wal,
        slots_and_senders_are_few,
        a_prepared_transaction_is_left_over,
        durability_is_switched_off;
    0:
        a_server_has_no_socket;
}

/// Writes lines to both, and starts both anew.
fn set_on_both(bed: &mut Bed, lines: &str) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration(lines)?;
    }
    for name in ["n1", "n2"] {
        bed.node_mut(name).stop()?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()
}

fn memory_that_the_standby_does_not_have_is_said(bed: &mut Bed) -> Result<()> {
    bed.node("n2").append_to_configuration("huge_pages = on\nshared_buffers = '64GB'")?;
    bed.node_mut("n2").stop()?;
    bed.node_mut("n2").run()?;
    bed.node("n2").wait_said("could not map", WITHIN)?;
    bed.node("n1").sql("create table on_its_own ()")?;
    let path = bed.node("n2").pgdata().join("postgresql.conf");
    let content = std::fs::read_to_string(&path)?;
    std::fs::write(&path, content.replace("huge_pages = on", "").replace("shared_buffers = '64GB'", ""))?;
    bed.wait_whole()?;
    bed.check_no_failover()
}

fn logs_and_pid_files_go_elsewhere(bed: &mut Bed) -> Result<()> {
    set_on_both(
        bed,
        "log_destination = 'csvlog'\nlogging_collector = on\nlog_directory = 'elsewhere'\nlog_filename = 'x.log'\n\
         external_pid_file = '/nonexistent/directory/pid'\ncluster_name = 'theirs: walsender x'\npassword_encryption = md5\n\
         wal_sender_timeout = 0\nwal_receiver_timeout = 0\ntcp_keepalives_idle = 0\nvacuum_defer_cleanup_age = 0\n\
         max_slot_wal_keep_size = '1MB'\nidle_in_transaction_session_timeout = '1s'\nlog_min_messages = panic",
    )?;
    bed.fail_over()
}

fn a_read_only_configuration_and_a_linked_pg_wal(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node_mut(name).stop()?;
        bed.node(name).shell(
            "mv \"$PGDATA/pg_wal\" wal; ln -s \"$PWD/wal\" \"$PGDATA/pg_wal\"; mkdir \"$PGDATA/conf.d\"; \
             echo \"work_mem = '7MB'\" > \"$PGDATA/conf.d/a.conf\"; echo \"include_dir 'conf.d'\" >> \"$PGDATA/postgresql.conf\"; \
             chmod 400 \"$PGDATA/postgresql.conf\"; chmod 750 \"$PGDATA\"",
        )?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()?;
    ensure!(bed.node("n1").setting("work_mem")? == "7MB", "what is included is not in force");
    lead_with_n1(bed)?;
    bed.fail_over()
}

fn slots_and_senders_are_few(bed: &mut Bed) -> Result<()> {
    set_on_both(
        bed,
        "max_wal_senders = 1\nmax_replication_slots = 1\nwal_level = minimal\nhot_standby = off",
    )?;
    lead_with_n1(bed)?;
    bed.add("n3", &[])?;
    bed.wait_whole()
}

fn a_server_has_no_socket(bed: &mut Bed) -> Result<()> {
    bed.start_monitor(&[])?;
    for name in ["n1", "n2"] {
        bed.prepare(name)?.set_environment("PG_REGRESS_SOCK_DIR", "");
        bed.create(name, &[])?;
        if name == "n1" {
            bed.wait(&[("n1", "single")])?;
        }
    }
    bed.wait_whole()?;
    bed.node("n1").kill_postmaster()?;
    bed.wait_primary("n2")?;
    bed.wait_whole()
}

/// Makes n1 the primary, whoever was after both were started anew.
fn lead_with_n1(bed: &Bed) -> Result<()> {
    if bed.rows()?.iter().any(|row| row.name == "n1" && row.writes()) {
        return Ok(());
    }
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n1")?;
    bed.wait_whole()
}

fn a_prepared_transaction_is_left_over(bed: &mut Bed) -> Result<()> {
    set_on_both(bed, "max_prepared_transactions = 5")?;
    lead_with_n1(bed)?;
    bed.node("n1").sql(
        "create table held (a int); insert into held values (1); begin; lock table held; update held set a = 2; \
         prepare transaction 'forgotten'",
    )?;
    bed.fail_over()?;
    let prepared = bed.node("n2").sql("select gid from pg_prepared_xacts")?;
    ensure!(prepared == "forgotten", "the prepared transaction is gone: {prepared}");
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n1")
}

fn durability_is_switched_off(bed: &mut Bed) -> Result<()> {
    set_on_both(
        bed,
        "fsync = off\nfull_page_writes = off\nwal_level = logical\nwal_keep_size = 0\nautovacuum = off",
    )?;
    lead_with_n1(bed)?;
    bed.fail_over()
}
