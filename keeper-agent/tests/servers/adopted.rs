//! Clusters that somebody else has made and runs, before `create postgres` finds them.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::node::Node;

cases! {
    0:
        a_running_server_is_asked_for_its_port,
        a_server_that_only_its_machine_reaches_is_refused_or_restarted,
        an_hba_file_elsewhere_is_moved_and_is_the_one_that_counts,
        a_cluster_of_debian_is_taken_over;
    2:
        a_replaced_pg_hba_conf_gets_our_entries_back,
        a_replaced_pg_hba_conf_of_the_monitor_gets_its_entries_back;
}

/// A cluster of one's own, with these lines in its configuration and a table.
fn make(bed: &mut Bed, name: &str, lines: &str) -> Result<()> {
    let node = &*bed.prepare(name)?;
    let pgdata = node.pgdata().display().to_string();
    node.program("initdb", &["-D", &pgdata, "-A", "trust", "-U", "postgres", "--no-sync"])?.success()?;
    let socket = node.directory.join("s").display().to_string();
    node.append_to_configuration(&format!(
        "port = {}\nunix_socket_directories = '{socket}'\n{lines}",
        node.port
    ))
}

fn start(node: &Node, options: &str) -> Result<()> {
    let pgdata = node.pgdata().display().to_string();
    let log = node.directory.join("postgres.log").display().to_string();
    node.program("pg_ctl", &["-D", &pgdata, "-l", &log, "-o", options, "-w", "start"])?.success()?;
    node.sql("create table mine as select 1 as value").map(drop)
}

/// The arguments of `create postgres` without a port.
fn without_port(bed: &Bed, name: &str) -> Vec<String> {
    let mut args = bed.create_args(name, &[]);
    if let Some(at) = args.iter().position(|arg| arg == "--pgport") {
        args.drain(at..at + 2);
    }
    args
}

fn check_joined(bed: &mut Bed) -> Result<()> {
    bed.wait(&[("n1", "single")])?;
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    let value = bed.node("n2").sql("select value from mine")?;
    ensure!(value == "1", "the standby has {value:?}");
    Ok(())
}

fn a_running_server_is_asked_for_its_port(bed: &mut Bed) -> Result<()> {
    make(bed, "n1", "listen_addresses = 'localhost'")?;
    start(bed.node("n1"), "")?;
    let args = without_port(bed, "n1");
    let node = bed.node("n1");
    let created = node.same_postmaster(|| node.program("pg_autoctl", &args))?;
    ensure!(created.status.success(), "{}", created.stderr);
    let said = created.stderr;
    ensure!(said.contains("next restart") && said.contains("wal_log_hints"), "{said}");
    let port = node.autoctl(&["config", "get", "postgresql.port"])?;
    ensure!(port.trim() == node.port.to_string(), "{port}");
    node.program("pg_ctl", &["-D", &node.pgdata().display().to_string(), "-w", "stop"])?.success()?;
    bed.node_mut("n1").run()?;
    check_joined(bed)
}

fn a_server_that_only_its_machine_reaches_is_refused_or_restarted(bed: &mut Bed) -> Result<()> {
    make(bed, "n1", "listen_addresses = ''")?;
    start(bed.node("n1"), "")?;
    let args = without_port(bed, "n1");
    let node = bed.node("n1");
    let refused = node.same_postmaster(|| node.program("pg_autoctl", &args))?;
    let said = refused.stderr;
    ensure!(refused.status.code() == Some(2), "{said}");
    ensure!(said.contains("listen_addresses = ''") && said.contains("--restart"), "{said}");
    let with_restart = [args.as_slice(), &["--restart".to_owned()]].concat();
    node.program("pg_autoctl", &with_restart)?.success()?;
    let hints = node.setting("wal_log_hints")?;
    ensure!(hints == "on", "wal_log_hints is {hints}");
    bed.node_mut("n1").run()?;
    check_joined(bed)
}

fn an_hba_file_elsewhere_is_moved_and_is_the_one_that_counts(bed: &mut Bed) -> Result<()> {
    make(bed, "n1", "")?;
    let node = bed.node("n1");
    let hba = node.directory.join("run/theirs.conf");
    fs::write(&hba, "local all all trust\nhost all all 127.0.0.1/32 trust # theirs\n")?;
    node.append_to_configuration(&format!("hba_file = '{}'", hba.display()))?;
    start(node, "")?;
    let args = without_port(bed, "n1");
    let node = bed.node("n1");
    node.same_postmaster(|| node.program("pg_autoctl", &args)?.success())?;
    let content = fs::read_to_string(node.pgdata().join("pg_hba.conf"))?;
    ensure!(content.contains("# theirs") && content.contains("pg_autoctl begin"), "{content}");
    // The server that still runs reads the same file.
    let rules =
        node.sql("select count(*) from pg_hba_file_rules where error is null and user_name @> '{postgres}'")?;
    ensure!(rules != "0", "the running server does not have our entries");
    bed.node_mut("n1").run()?;
    check_joined(bed)
}

fn a_cluster_of_debian_is_taken_over(bed: &mut Bed) -> Result<()> {
    let node = bed.prepare("n1")?;
    let etc = node.directory.join("home/etc");
    node.set_environment("PG_CLUSTER_CONF_ROOT", &etc.display().to_string());
    let (pgdata, socket) =
        (node.pgdata().display().to_string(), node.directory.join("s").display().to_string());
    let major = node.program("postgres", &["--version"])?.success()?;
    let major = major.split_whitespace().nth(2).and_then(|version| version.split('.').next());
    let major = major.context("a version")?.to_owned();
    let (port, log) = (node.port.to_string(), node.directory.join("postgres.log").display().to_string());
    fs::create_dir_all(&etc)?;
    crate::harness::give_to_postgres(&etc)?;
    let options = [
        "-d",
        &pgdata,
        "-s",
        &socket,
        "-p",
        &port,
        "-l",
        &log,
        "--start-conf",
        "auto",
        &major,
        "pgaf",
        "--",
        "-A",
        "trust",
    ];
    if node.program("pg_createcluster", &options).and_then(|ended| ended.success()).is_err() {
        lay_out_by_hand(node, &etc.join(&major).join("pgaf"))?;
    }
    let configuration = etc.join(&major).join("pgaf");
    ensure!(!node.pgdata().join("postgresql.conf").exists(), "not the layout of Debian");
    start(node, &format!("-c config_file={}/postgresql.conf", configuration.display()))?;
    let args = without_port(bed, "n1");
    let node = bed.node("n1");
    node.program("pg_autoctl", &args)?.success()?;
    let main = fs::read_to_string(node.pgdata().join("postgresql.conf"))?;
    for name in ["data_directory", "hba_file", "ident_file"] {
        ensure!(main.contains(&format!("\n#{name} = ")), "{name} is not commented out: {main}");
    }
    let start_conf = fs::read_to_string(configuration.join("start.conf"))?;
    ensure!(start_conf.lines().any(|line| line == "disabled"), "{start_conf}");
    ensure!(node.autoctl(&["config", "get", "postgresql.port"])?.trim() == port, "not its port");
    node.program("pg_ctl", &["-D", &pgdata, "-w", "stop"])?.success()?;
    bed.node_mut("n1").run()?;
    check_joined(bed)?;
    let hba_file = bed.node("n1").setting("hba_file")?;
    ensure!(hba_file == format!("{pgdata}/pg_hba.conf"), "{hba_file}");
    Ok(())
}

/// What `pg_createcluster` does, where it is not installed.
fn lay_out_by_hand(node: &Node, configuration: &std::path::Path) -> Result<()> {
    let (pgdata, etc) = (node.pgdata().display().to_string(), configuration.display());
    node.shell(&format!("rm -rf '{pgdata}'; mkdir -p '{etc}'"))?;
    node.program("initdb", &["-D", &pgdata, "-A", "trust", "-U", "postgres", "--no-sync"])?.success()?;
    node.shell(&format!(
        "cd '{pgdata}'; mv postgresql.conf pg_hba.conf pg_ident.conf '{etc}'; cd '{etc}'; mkdir conf.d; echo auto > start.conf; \
         printf \"%s\\n\" \"data_directory = '{pgdata}'\" \"hba_file = '{etc}/pg_hba.conf'\" \
         \"ident_file = '{etc}/pg_ident.conf'\" \"port = {}\" \"unix_socket_directories = '{}'\" \
         \"include_dir = 'conf.d'\" >> postgresql.conf",
        node.port,
        node.directory.join("s").display()
    ))
    .map(drop)
}

/// What a configuration tool leaves.
const REPLACED: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

fn a_replaced_pg_hba_conf_gets_our_entries_back(bed: &mut Bed) -> Result<()> {
    let node = bed.node("n1");
    let hba = node.pgdata().join("pg_hba.conf");
    fs::write(&hba, REPLACED)?;
    node.reload()?;
    crate::harness::wait_for("our entries to be back", WITHIN, || {
        let rules = node
            .sql("select count(*) from pg_hba_file_rules where user_name @> '{pgautofailover_replicator}'")?;
        Ok((rules != "0").then_some(()))
    })?;
    let content = fs::read_to_string(&hba)?;
    ensure!(content.contains(REPLACED), "what the tool wrote stays: {content}");
    bed.check_no_failover()
}

fn a_replaced_pg_hba_conf_of_the_monitor_gets_its_entries_back(bed: &mut Bed) -> Result<()> {
    let monitor = &bed.monitor;
    fs::write(monitor.pgdata().join("pg_hba.conf"), "local all postgres trust\n")?;
    monitor.reload()?;
    crate::harness::wait_for("keepers to be let in again", WITHIN, || {
        let rules =
            monitor.sql("select count(*) from pg_hba_file_rules where user_name @> '{autoctl_node}'")?;
        Ok((rules != "0").then_some(()))
    })?;
    bed.wait_whole()?;
    bed.check_no_failover()
}
