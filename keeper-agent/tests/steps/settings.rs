//! Files of ours and of the user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use keeper_agent::client::SslMode;
use keeper_agent::config::HbaLevel;
use keeper_agent::postgres::{SETTINGS_FILE, STANDBY_FILE};
use pgaf_core::id::NodeId;
use pgaf_core::keeper::{Step, StopMode};
use pgaf_core::message::Peer;

use crate::bed::{Bed, Outcome, check};

crate::tests![
    only_the_include_lines_are_added,
    the_users_settings_win,
    a_setting_that_overrides_ours_is_taken_back,
    admitting_twice_and_dropping_only_our_slots,
    without_hba_nothing_is_written,
    a_self_signed_certificate_encrypts_replication,
    passwords_are_in_no_log_and_no_argument,
    a_changed_password_is_taken_over,
];

async fn only_the_include_lines_are_added(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    let path = node.pgdata().join("postgresql.conf");
    let written = fs::read_to_string(&path)?;
    let ours: Vec<&str> = written.lines().filter(|line| line.contains("added by pg_autoctl")).collect();
    check(ours.len() == 2, "two lines")?;
    check(written.starts_with(ours[0]), "on top")?;
    node.start().await?;
    node.execute(&Step::SetSynchronousStandbyNames(String::new())).await?;
    node.stop(StopMode::Fast).await?;
    check(fs::read_to_string(&path)? == written, "and never again")?;
    for file in [SETTINGS_FILE, STANDBY_FILE] {
        let mode = fs::metadata(node.pgdata().join(file))?.mode();
        check(mode & 0o777 == 0o600, "for the owner only")?;
    }
    Ok(())
}

async fn the_users_settings_win(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    let path = node.pgdata().join("postgresql.conf");
    fs::write(&path, fs::read_to_string(&path)? + "\nwal_keep_size = '48MB'\n")?;
    node.start().await?;
    check(node.ask("SELECT current_setting('wal_keep_size')").await? == "48MB", "the user's")?;
    check(node.ask("SELECT current_setting('wal_sender_timeout')").await? == "5s", "ours")
}

async fn a_setting_that_overrides_ours_is_taken_back(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.sql("ALTER SYSTEM SET synchronous_standby_names = 'mine'").await?;
    let step = Step::SetSynchronousStandbyNames("ANY 1 (pgautofailover_standby_2)".to_owned());
    node.sql("ALTER ROLE ALL SET synchronous_commit = off").await?;
    let error = node.execute(&step).await.err().ok_or("it was set")?.to_string();
    check(error.contains("ALTER ROLE ALL RESET synchronous_commit"), &error)?;
    node.sql("ALTER ROLE ALL RESET synchronous_commit").await?;
    for _ in 0..2 {
        node.execute(&step).await?;
        let names = node.ask("SELECT current_setting('synchronous_standby_names')").await?;
        check(names == "ANY 1 (pgautofailover_standby_2)", "it is ours again")?;
    }
    let left = fs::read_to_string(node.pgdata().join("postgresql.auto.conf"))?;
    check(!left.contains("synchronous_standby_names"), "and not set elsewhere")
}

async fn admitting_twice_and_dropping_only_our_slots(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.sql("SELECT pg_create_physical_replication_slot('mine')").await?;
    let peer = |id: i64| Peer {
        node: NodeId(id),
        name: format!("n{id}"),
        host: format!("192.0.2.{id}"),
        port: 5432,
    };
    let admit = |ids: &[i64]| Step::AdmitStandbys { peers: ids.iter().map(|id| peer(*id)).collect() };
    for _ in 0..2 {
        node.execute(&admit(&[2, 3])).await?;
        check(node.running().await?.slots == [NodeId(2), NodeId(3)], "a slot for each")?;
    }
    let hba = fs::read_to_string(node.pgdata().join("pg_hba.conf"))?;
    check(hba.contains("192.0.2.3/32"), "an entry for each")?;
    let reserving = node.ask("SELECT count(restart_lsn)::text FROM pg_replication_slots").await?;
    check(reserving == "2", "that reserves WAL at once")?;
    node.execute(&admit(&[2])).await?;
    check(node.running().await?.slots == [NodeId(2)], "that of a node that is gone is dropped")?;
    let hba = fs::read_to_string(node.pgdata().join("pg_hba.conf"))?;
    check(!hba.contains("192.0.2.3/32"), "and its entry")?;
    let others = node.ask("SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'mine'").await?;
    check(others == "1", "the user's is left alone")
}

async fn without_hba_nothing_is_written(bed: &Bed) -> Outcome {
    let node = bed.node_with(1, |config| config.hba_level = HbaLevel::None);
    node.initdb().await?;
    node.start().await?;
    let path = node.pgdata().join("pg_hba.conf");
    let before = fs::read_to_string(&path)?;
    node.admit(&[&bed.node(2)]).await?;
    check(fs::read_to_string(&path)? == before, "as it was")?;
    check(!before.contains("pgautofailover"), "without entries of ours")
}

async fn a_self_signed_certificate_encrypts_replication(bed: &Bed) -> Outcome {
    let primary = bed.node_with(1, |config| config.client_ssl.mode = SslMode::Require);
    primary.initdb().await?;
    let mut config = (*primary.config()).clone();
    config.server_ssl = primary.make_self_signed_certificate().await?;
    primary.reconfigure(config);
    primary.start().await?;
    primary.ensure_replication_roles().await?;
    let standby = bed.node_with(2, |config| config.client_ssl.mode = SslMode::Require);
    primary.admit(&[&standby]).await?;
    let hba = fs::read_to_string(primary.pgdata().join("pg_hba.conf"))?;
    check(hba.contains("hostssl replication"), "only with TLS")?;
    standby.join(&primary).await?;
    let ssl = primary
        .ask("SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)")
        .await?;
    check(ssl == "true", "the stream is encrypted")
}

async fn passwords_are_in_no_log_and_no_argument(bed: &Bed) -> Outcome {
    let primary = bed.node(1);
    primary.initdb().await?;
    let path = primary.pgdata().join("postgresql.conf");
    fs::write(&path, fs::read_to_string(&path)? + "\nlog_statement = 'all'\nlog_connections = on\n")?;
    primary.start().await?;
    primary.ensure_replication_roles().await?;
    let standby = bed.standby(2, &primary).await?;
    for node in [&primary, &standby] {
        for entry in fs::read_dir(node.pgdata().join("log"))? {
            let log = fs::read_to_string(entry?.path())?;
            check(!log.contains("a:secret"), "no password in the log")?;
        }
        for pid in crate::bed::processes_of(&node.pgdata()) {
            let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            check(!title.contains("secret"), "no password in a title")?;
        }
    }
    let log: String = fs::read_dir(primary.pgdata().join("log"))?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    check(log.contains("SCRAM-SHA-256$"), "statements are logged")?;
    let settings = fs::read_to_string(standby.pgdata().join(STANDBY_FILE))?;
    check(!settings.contains("secret"), "no password in the settings")?;
    let mode = fs::metadata(standby.config().passfile())?.mode();
    check(mode & 0o777 == 0o600, "it is in a file for the owner only")
}

async fn a_changed_password_is_taken_over(bed: &Bed) -> Outcome {
    let primary = bed.primary(1).await?;
    let standby = bed.standby(2, &primary).await?;
    for node in [&primary, &standby] {
        let mut config = (*node.config()).clone();
        config.replication_password = Some(keeper_agent::client::Secret::new("new"));
        node.reconfigure(config);
    }
    primary.ensure_replication_roles().await?;
    primary.ensure_replication_roles().await?;
    standby.stop(StopMode::Fast).await?;
    standby.start().await?;
    standby.await_stream().await
}
