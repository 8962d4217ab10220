//! Clusters that are made without a word about security: who gets in then, and where passwords are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{Sql, wait_for};
use crate::node::Node;

cases! {
    0:
        three_commands_and_no_password_typed,
        nobody_gets_in_without_a_password,
        passwords_are_changed,
        other_ways_to_authenticate_beside_the_own;
}

/// The password of the role that writers connect as.
const APPLICATION: &str = "of-the-application";

/// Creates and starts a monitor in the place of the one that trusts everybody; returns the URI that it printed.
fn start_monitor(bed: &mut Bed) -> Result<String> {
    bed.monitor.stop()?;
    bed.monitor.autoctl(&["drop", "monitor", "--destroy"])?;
    let port = bed.monitor.port.to_string();
    let said = bed.monitor.autoctl(&["create", "monitor", "--pgport", &port, "--hostname", "127.0.0.1"])?;
    let uri = said.trim().to_owned();
    ensure!(uri.starts_with("postgres://autoctl_node:") && uri.contains("sslmode=require"), "{uri}");
    bed.monitor.run()?;
    let password: &'static str = Box::leak(password_of(&uri)?.to_owned().into_boxed_str());
    bed.password = Some(password);
    wait_for("the monitor to answer", WITHIN, || bed.rows().map(Some))?;
    ensure!(bed.monitor.autoctl(&["show", "uri", "--formation", "monitor"])?.trim() == uri);
    ensure!(bed.monitor.autoctl(&["show", "uri", "--monitor"])?.trim() == uri);
    Ok(uri)
}

fn password_of(uri: &str) -> Result<&str> {
    let (_, rest) = uri.split_once("autoctl_node:").context("no password")?;
    rest.split_once('@').map(|(password, _)| password).context("no host")
}

/// The third command, and the second: nothing is said but where the monitor is.
fn add(bed: &mut Bed, name: &str, uri: &str) -> Result<()> {
    bed.prepare(name)?;
    let args = created(bed.node(name), uri, &["--run"]);
    bed.node_mut(name).start(&args)
}

fn created(node: &Node, uri: &str, options: &[&str]) -> Vec<String> {
    let port = node.port.to_string();
    let args = [
        "create",
        "postgres",
        "--name",
        &node.name,
        "--pgport",
        &port,
        "--hostname",
        "127.0.0.1",
        "--monitor",
        uri,
    ];
    args.iter().chain(options).map(|part| (*part).to_owned()).collect()
}

/// n1 and n2, and a table for writers.
fn two_nodes(bed: &mut Bed) -> Result<String> {
    let uri = start_monitor(bed)?;
    add(bed, "n1", &uri)?;
    bed.wait(&[("n1", "single")])?;
    let n1 = bed.node("n1");
    n1.sql(crate::harness::workload::TABLE_DDL)?;
    n1.sql(&format!("create role app login password '{APPLICATION}'; grant all on public.ledger to app"))?;
    add(bed, "n2", &uri)?;
    bed.wait_whole()?;
    Ok(uri)
}

fn replication_password(node: &Node) -> Result<String> {
    let line = find(&node.directory.join("home"), "pg_autoctl.cfg")?;
    let (_, rest) = line.split_once("\npassword = ").context("no replication password")?;
    Ok(rest.lines().next().unwrap_or_default().to_owned())
}

/// The content of the file of that name, which its owner alone may read.
fn find(directory: &Path, name: &str) -> Result<String> {
    for path in files_below(directory)? {
        if path.file_name().is_some_and(|it| it == name) {
            let mode = path.metadata()?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "{} has mode {mode:o}", path.display());
            return Ok(fs::read_to_string(path)?);
        }
    }
    anyhow::bail!("no {name} below {}", directory.display())
}

fn files_below(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        // What is gone by now has nothing to tell.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// No process has it in its arguments, no file that others may read has it, and nobody is shown it.
fn is_kept_secret(bed: &Bed, secret: &str) -> Result<()> {
    ensure!(secret.len() >= 48, "too short: {secret}");
    for entry in fs::read_dir("/proc")?.flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        ensure!(!arguments.contains(secret), "in the arguments of a process: {arguments}");
    }
    for node in std::iter::once(&bed.monitor).chain(&bed.nodes) {
        ensure!(!node.said()?.contains(secret), "in the messages of {}", node.name);
        for path in files_below(&node.directory)? {
            let Ok(metadata) = path.metadata() else { continue };
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            // Where its own home is private, only its owner gets to the file.
            let is_readable = metadata.permissions().mode() & 0o044 != 0;
            let content = fs::read(&path).unwrap_or_default();
            let has_it = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            ensure!(!((is_log || is_readable) && has_it), "in {}", path.display());
        }
        let sessions = "select string_agg(query || application_name, ' ') from pg_stat_activity";
        let shown = node.sql(&format!("{sessions}; show primary_conninfo"))?;
        ensure!(!shown.contains(secret), "{shown}");
    }
    for shown in [
        vec!["show", "state"],
        vec!["show", "state", "--json"],
        vec!["show", "events", "--count", "1000"],
        vec!["show", "uri"],
        vec!["show", "settings"],
        vec!["config", "get"],
        vec!["show", "file", "--config", "--contents"],
    ] {
        for node in [&bed.monitor, bed.node("n1")] {
            let said = node.autoctl(&shown)?;
            ensure!(!said.contains(secret), "{shown:?} on {}: {said}", node.name);
        }
    }
    Ok(())
}

fn three_commands_and_no_password_typed(bed: &mut Bed) -> Result<()> {
    let uri = two_nodes(bed)?;
    bed.monitor.alter_system("log_statement", "'all'")?;
    bed.monitor.alter_system("log_min_duration_statement", "0")?;
    bed.monitor.reload()?;
    let writer = bed.writer_with("app", Some(APPLICATION))?;
    // It comes back by pg_rewind or as it is, and a third one by a copy of the new primary.
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    add(bed, "n3", &uri)?;
    bed.wait_whole()?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_whole()?;
    writer.wait_for_ack(WITHIN)?;
    let ledger = writer.stop();
    let rows = bed.rows()?;
    let primary = rows.iter().find(|row| row.writes()).context("a primary")?;
    bed.verify(&primary.name, &[ledger])?;
    let plain = "select count(*) from pg_stat_activity join pg_stat_ssl using (pid) \
                 where client_addr is not null and usename <> 'app' and not ssl";
    for node in [&bed.monitor, bed.node(&primary.name)] {
        ensure!(node.sql(plain)? == "0", "a connection without encryption to {}", node.name);
    }
    is_kept_secret(bed, password_of(&uri)?)?;
    is_kept_secret(bed, &replication_password(bed.node("n1"))?)?;
    ensure!(replication_password(bed.node("n1"))? == replication_password(bed.node("n3"))?);
    // What is there already stays as it is.
    ensure!(bed.monitor.autoctl(&["show", "uri", "--monitor"])?.trim() == uri);
    Ok(())
}

/// Everybody on this machine tries to be each role, locally and over the network.
fn nobody_gets_in_without_a_password(bed: &mut Bed) -> Result<()> {
    let uri = two_nodes(bed)?;
    let n1 = bed.node("n1");
    let roles = ["postgres", "autoctl", "autoctl_node"];
    for role in roles.iter().chain(&["nosuchrole"]) {
        bed.monitor.is_refused(role)?;
    }
    for role in ["postgres", "pgautofailover_replicator", "pgautofailover_monitor", "app"] {
        n1.is_refused(role)?;
    }
    // With the password a keeper gets in, and is no more than a keeper.
    let target = bed.monitor.target("autoctl_node", "pg_auto_failover");
    let tls = Some(None);
    let sql = Sql::open(&crate::harness::Target { password: bed.password, tls, ..target }, WITHIN)?;
    sql.rows("select * from pgautofailover.node")?;
    for forbidden in [
        "select * from pgautofailover.formation_password",
        "update pgautofailover.node set goalstate = 'single'",
        "select * from pg_authid",
        "create schema mine",
        "create role mine",
        "set role autoctl",
        "copy (select 1) to program 'true'",
        "select pg_read_file('PG_VERSION')",
        "alter role autoctl_node superuser",
    ] {
        let said = sql.rows(forbidden).err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains("permission denied") || said.contains("must be"), "{forbidden}: {said}");
    }
    // Who has a wrong password, or none, is told what to do.
    bed.prepare("n3")?;
    let wrong = [
        (uri.replace("autoctl_node:", "autoctl_node:x"), "show uri --formation monitor"),
        (uri.replace(password_of(&uri)?, ""), "asks for a password: give it in the URI"),
    ];
    for (wrong, advice) in wrong {
        let ended = bed.node("n3").program("pg_autoctl", &created(bed.node("n3"), &wrong, &[]))?;
        ensure!(ended.code() != 0 && ended.stderr.contains(advice), "{}", ended.stderr);
        ensure!(!bed.node("n3").pgdata().exists(), "something was made");
    }
    bed.nodes.pop();
    replicator_is_no_more_than_that(bed)
}

/// What the role of replication may do on a primary, and what not.
fn replicator_is_no_more_than_that(bed: &Bed) -> Result<()> {
    let n1 = bed.node("n1");
    let password: &'static str = Box::leak(replication_password(n1)?.into_boxed_str());
    n1.sql("create table public.secrets (s text); insert into public.secrets values ('x')")?;
    let target = n1.target("pgautofailover_replicator", "postgres");
    let tls = Some(None);
    // Nodes of the group are let in; here all of them are on one address.
    let sql = Sql::open(&crate::harness::Target { password: Some(password), tls, ..target }, WITHIN)?;
    sql.rows("select pg_ls_dir('pg_wal', true, false)")?;
    for forbidden in [
        "select * from public.secrets",
        "insert into public.secrets values (1)",
        "select * from pg_authid",
        "create role mine",
        "alter role pgautofailover_replicator superuser",
        "alter system set fsync = off",
        "select pg_reload_conf()",
        "copy (select 1) to program 'true'",
        "select lo_import('/etc/passwd')",
    ] {
        let said = sql.rows(forbidden).err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains("permission denied") || said.contains("must be"), "{forbidden}: {said}");
    }
    Ok(())
}

fn passwords_are_changed(bed: &mut Bed) -> Result<()> {
    let uri = two_nodes(bed)?;
    // The monitor's, and then what nodes know of it. Connections that are open stay open.
    bed.monitor.autoctl(&["config", "set", "pg_autoctl.node_password", "another-one"])?;
    let new_uri = bed.monitor.autoctl(&["show", "uri", "--monitor"])?.trim().to_owned();
    ensure!(password_of(&new_uri)? == "another-one", "{new_uri}");
    wait_for("the old password to be refused", WITHIN, || {
        let said = bed.node("n1").program("pg_autoctl", &["show", "state", "--monitor", &uri])?;
        Ok((said.code() != 0).then_some(()))
    })?;
    for name in ["n1", "n2"] {
        bed.node(name).autoctl(&["config", "set", "pg_autoctl.monitor", &new_uri])?;
    }
    // That of replication: on the monitor for nodes to come, and on every node.
    bed.monitor.sql_as(
        "postgres",
        "pg_auto_failover",
        "update pgautofailover.formation_password set password = 'next'",
    )?;
    for name in ["n1", "n2"] {
        bed.node(name).autoctl(&["config", "set", "replication.password", "next"])?;
    }
    for name in ["n1", "n2"] {
        bed.node_mut(name).stop()?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()?;
    add(bed, "n3", &new_uri)?;
    bed.wait_whole()?;
    ensure!(replication_password(bed.node("n3"))? == "next");
    // It holds over a restart of the monitor.
    bed.monitor.stop()?;
    bed.monitor.run()?;
    bed.password = Some("another-one");
    bed.wait_whole()
}

fn other_ways_to_authenticate_beside_the_own(bed: &mut Bed) -> Result<()> {
    let uri = two_nodes(bed)?;
    // A node that trusts everybody has the password of the others all the same, and takes its turn as primary.
    bed.prepare("n3")?;
    let trusting = created(bed.node("n3"), &uri, &["--auth", "trust", "--run"]);
    bed.node_mut("n3").start(&trusting)?;
    bed.wait_whole()?;
    bed.monitor.autoctl(&["perform", "promotion", "--name", "n3"])?;
    bed.wait_primary("n3")?;
    bed.wait_whole()?;
    // Nodes that were told how to authenticate take no other among them.
    bed.monitor.autoctl(&["create", "formation", "--formation", "other", "--kind", "pgsql"])?;
    bed.prepare("o1")?;
    let told = created(bed.node("o1"), &uri, &["--auth", "trust", "--formation", "other"]);
    bed.node("o1").autoctl(&told)?;
    bed.prepare("o2")?;
    let ended =
        bed.node("o2").program("pg_autoctl", &created(bed.node("o2"), &uri, &["--formation", "other"]))?;
    ensure!(ended.code() != 0 && ended.stderr.contains("Give --auth"), "{}", ended.stderr);
    let mut coordinator = created(bed.node("o2"), &uri, &[]);
    coordinator[1] = "coordinator".to_owned();
    let ended = bed.node("o2").program("pg_autoctl", &coordinator)?;
    ensure!(ended.code() == 1 && ended.stderr.contains("give --auth"), "{}", ended.stderr);
    Ok(())
}
