//! Settings of the owner that are not ours: in postgresql.conf, by ALTER SYSTEM, of roles and databases.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    1:
        a_recovery_target_is_left_over,
        a_recovery_delay_and_a_trigger_file_are_left_over,
        another_hba_file_is_configured;
    2:
        a_plain_group_survives_its_primary,
        commits_are_made_to_wait_for_nobody_by_alter_system,
        commits_are_made_to_wait_for_nobody_by_postgresql_conf,
        commits_are_made_asynchronous_for_everybody,
        a_role_commits_asynchronously,
        commits_of_roles_are_made_synchronous,
        a_standby_is_led_elsewhere,
        hot_standby_and_the_like_are_switched_off,
        postgresql_conf_is_replaced,
        standbys_are_told_to_be_silent,
        the_keeper_has_variables_for_clients;
}

fn a_plain_group_survives_its_primary(bed: &mut Bed) -> Result<()> {
    bed.fail_over()
}

fn a_recovery_target_is_left_over(bed: &mut Bed) -> Result<()> {
    let n1 = bed.node("n1");
    n1.alter_system("recovery_target_time", "'2020-01-01'")?;
    n1.alter_system("recovery_target_action", "'promote'")?;
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    bed.node("n2").wait_said("recovery_target_time = '2020-01-01' in", WITHIN)?;
    ensure!(bed.node("n2").setting("recovery_target_time")?.is_empty(), "it has a target");
    bed.fail_over()
}

fn a_recovery_delay_and_a_trigger_file_are_left_over(bed: &mut Bed) -> Result<()> {
    let trigger = bed.node("n1").directory.join("trigger");
    std::fs::write(&trigger, "")?;
    let lines = format!(
        "recovery_min_apply_delay = '1h'\npromote_trigger_file = '{}'\nrecovery_target = 'immediate'",
        trigger.display()
    );
    bed.node("n1").append_to_configuration(&lines)?;
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    bed.fail_over()
}

fn another_hba_file_is_configured(bed: &mut Bed) -> Result<()> {
    let file = bed.node("n1").directory.join("hba.conf");
    std::fs::write(&file, "local all all reject\nhost all all all reject\n")?;
    bed.node("n1").alter_system("hba_file", &format!("'{}'", file.display()))?;
    bed.node_mut("n1").stop()?;
    bed.node_mut("n1").run()?;
    bed.wait(&[("n1", "single")])?;
    bed.node("n1").wait_said("hba_file = ", WITHIN)?;
    bed.add("n2", &[])?;
    bed.wait_whole()
}

fn waits_for_n2(bed: &Bed) -> Result<()> {
    wait_for("commits that wait for n2", WITHIN, || {
        let names = bed.node("n1").setting("synchronous_standby_names")?;
        ensure!(names == "ANY 1 (pgautofailover_standby_2)", "{names}");
        Ok(Some(()))
    })?;
    bed.wait_whole()
}

fn commits_are_made_to_wait_for_nobody_by_alter_system(bed: &mut Bed) -> Result<()> {
    let n1 = bed.node("n1");
    for value in ["''", "'nobody'"] {
        n1.alter_system("synchronous_standby_names", value)?;
        n1.reload()?;
        bed.wait_event("New state of node 1 \"n1\" (127.0.0.1:%) is wait_primary")?;
        waits_for_n2(bed)?;
    }
    n1.wait_said("synchronous_standby_names was set to '' with ALTER SYSTEM", WITHIN)?;
    // Before the next start as well.
    n1.alter_system("synchronous_standby_names", "''")?;
    n1.restart_postgres()?;
    waits_for_n2(bed)?;
    bed.fail_over()
}

fn commits_are_made_to_wait_for_nobody_by_postgresql_conf(bed: &mut Bed) -> Result<()> {
    let n1 = bed.node("n1");
    n1.append_to_configuration("synchronous_standby_names = ''\nwork_mem = '5MB'")?;
    n1.reload()?;
    waits_for_n2(bed)?;
    ensure!(n1.setting("work_mem")? == "5MB", "what is not ours is left alone");
    bed.fail_over()
}

fn commits_are_made_asynchronous_for_everybody(bed: &mut Bed) -> Result<()> {
    for value in ["off", "local"] {
        let n1 = bed.node("n1");
        n1.alter_system("synchronous_commit", value)?;
        n1.reload()?;
        ensure!(n1.setting("synchronous_commit")? == "on", "it is {value}");
        n1.restart_postgres()?;
        bed.wait_whole()?;
        ensure!(n1.setting("synchronous_commit")? == "on", "it is {value} after a start");
    }
    bed.fail_over()
}

fn a_role_commits_asynchronously(bed: &mut Bed) -> Result<()> {
    let n1 = bed.node("n1");
    n1.sql(
        "create role app login; grant pg_write_all_data to app; alter role app set synchronous_commit = local",
    )?;
    bed.wait_reported("n1", "wait_primary")?;
    bed.wait_shown("role app has synchronous_commit = local: ALTER ROLE app RESET synchronous_commit")?;
    // Its standby may lack what that role has committed.
    n1.sql_as("app", "postgres", "insert into ledger values (99, 1)")?;
    n1.kill_postmaster()?;
    bed.wait_reported("n1", "wait_primary")?;
    wait_for("n1 to serve again", WITHIN, || bed.node("n1").sql("select 1").map(Some))?;
    bed.check_no_failover()?;
    ensure!(bed.node("n1").sql("select count(*) from ledger where writer = 99")? == "1", "a commit is lost");
    bed.node("n1").sql("alter role app reset synchronous_commit")?;
    bed.wait_whole()?;
    bed.node("n1").sql("alter database postgres set synchronous_commit = off")?;
    bed.wait_shown("database \"postgres\" has synchronous_commit = off")?;
    bed.node("n1").sql("alter database postgres reset synchronous_commit")?;
    bed.wait_whole()?;
    bed.fail_over()
}

fn commits_of_roles_are_made_synchronous(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration("pgautofailover.require_synchronous_commit = on")?;
        bed.node(name).reload()?;
    }
    let n1 = bed.node("n1");
    n1.sql(
        "create role app login; create database \"an \"\"odd\"\" one\"; alter role app set synchronous_commit = local",
    )?;
    n1.wait_said("reset synchronous_commit of role app, which had synchronous_commit = local", WITHIN)?;
    n1.sql("alter database \"an \"\"odd\"\" one\" set synchronous_commit = off")?;
    n1.wait_said("reset synchronous_commit of database \"an \"\"odd\"\" one\"", WITHIN)?;
    n1.sql("alter role app in database postgres set synchronous_commit = off")?;
    n1.wait_said("reset synchronous_commit of role app in database \"postgres\"", WITHIN)?;
    bed.wait_whole()?;
    let left = "select count(*) from pg_db_role_setting where setconfig::text like '%synchronous_commit%'";
    ensure!(bed.node("n1").sql(left)? == "0", "a setting is left");
    bed.fail_over()
}

fn a_standby_is_led_elsewhere(bed: &mut Bed) -> Result<()> {
    let n2 = bed.node("n2");
    for (name, value) in [("primary_conninfo", "'host=127.0.0.1 port=1'"), ("primary_slot_name", "'other'")] {
        n2.alter_system(name, value)?;
        n2.reload()?;
        n2.wait_said(&format!("{name} was set to "), WITHIN)?;
    }
    n2.append_to_configuration("primary_conninfo = 'host=127.0.0.1 port=1'\nprimary_slot_name = ''")?;
    n2.reload()?;
    wait_for("n2 to stream from n1", WITHIN, || {
        let slot = n2.setting("primary_slot_name")?;
        let streams = n2.sql("select count(*) from pg_stat_wal_receiver where status = 'streaming'")?;
        ensure!(slot == "pgautofailover_standby_2" && streams == "1", "slot {slot}, {streams} streams");
        Ok(Some(()))
    })?;
    bed.wait_whole()?;
    bed.fail_over()
}

fn hot_standby_and_the_like_are_switched_off(bed: &mut Bed) -> Result<()> {
    let lines = "hot_standby = off\nwal_log_hints = off\nrestart_after_crash = on\nwal_level = minimal\nport = 1\n\
                 max_wal_senders = 0\nmax_replication_slots = 0\nlisten_addresses = ''\n\
                 unix_socket_directories = '/nowhere'\ndata_directory = '/nowhere'";
    for name in ["n1", "n2"] {
        bed.node(name).append_to_configuration(lines)?;
        bed.node_mut(name).stop()?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()?;
    bed.fail_over()
}

fn postgresql_conf_is_replaced(bed: &mut Bed) -> Result<()> {
    let n1 = bed.node("n1");
    std::fs::write(n1.pgdata().join("postgresql.conf"), "work_mem = '6MB'\n")?;
    n1.reload()?;
    waits_for_n2(bed)?;
    ensure!(n1.setting("work_mem")? == "6MB", "the user's own is in force");
    bed.fail_over()
}

fn standbys_are_told_to_be_silent(bed: &mut Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        let node = bed.node(name);
        node.append_to_configuration(
            "wal_receiver_status_interval = 0\nwal_receiver_timeout = 0\nwal_sender_timeout = 0",
        )?;
        node.reload()?;
        bed.node_mut(name).stop()?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()?;
    ensure!(bed.node("n2").setting("wal_receiver_status_interval")? == "1s", "it is silent");
    bed.fail_over()
}

fn the_keeper_has_variables_for_clients(bed: &mut Bed) -> Result<()> {
    for name in ["n2", "n1"] {
        let node = bed.node_mut(name);
        node.stop()?;
        for (variable, value) in [
            ("PGOPTIONS", "-c synchronous_commit=off"),
            ("PGHOSTADDR", "192.0.2.1"),
            ("PGTARGETSESSIONATTRS", "standby"),
            ("PGAPPNAME", "other"),
            ("PGDATESTYLE", "German"),
        ] {
            node.set_environment(variable, value);
        }
        node.run()?;
        node.environment.clear();
    }
    bed.wait_whole()?;
    bed.fail_over()
}
