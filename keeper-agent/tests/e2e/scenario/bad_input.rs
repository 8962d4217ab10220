//! What people get wrong: one sentence that says what to do, the right exit code, nothing half-made.

use std::fs;

use anyhow::{Result, ensure};

use super::{WHOLE, monitor_only as no_node, one_node, scenarios};
use crate::harness::{Cluster, Setup, sqlstate};

scenarios! {
    alone:
        options_and_uris_that_are_wrong,
        a_data_directory_that_is_not_ours,
        a_data_directory_of_another_major_version,
        running_as_root,
        a_port_in_use;
    one_node:
        names_addresses_and_clusters_that_are_taken,
        functions_given_nonsense_change_nothing;
}

pub(super) fn alone() -> Setup {
    no_node()
}

/// Runs `create postgres` with some arguments replaced; it must end with that code and name these words.
fn refused(cluster: &Cluster, name: &str, replace: &[(&str, &str)], code: i32, words: &[&str]) -> Result<()> {
    let host = cluster.host(name)?;
    let mut args = cluster.create_args(host);
    for (option, value) in replace {
        match args.iter().position(|arg| arg == option) {
            Some(index) => args[index + 1] = (*value).to_owned(),
            None => args.extend([(*option).to_owned(), (*value).to_owned()]),
        }
    }
    let nodes_before = cluster.rows()?.len();
    let existed = host.pgdata().exists();
    let ended = host.autoctl(&args)?;
    let what = format!("{replace:?}: exit code {}\n{}", ended.code(), ended.stderr);
    ensure!(ended.code() == code, "expected exit code {code}; {what}");
    for word in words {
        ensure!(ended.stderr.contains(word), "the error does not say {word:?}; {what}");
    }
    ensure!(!ended.stderr.contains("panicked"), "{what}");
    ensure!(host.pgdata().exists() == existed, "a data directory is left behind; {what}");
    ensure!(cluster.rows()?.len() == nodes_before, "a node is left behind at the monitor; {what}");
    Ok(())
}

fn options_and_uris_that_are_wrong(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let unknown = cluster.host("n1")?.autoctl(&["create", "postgres", "--no-such-option"])?;
    ensure!(unknown.code() == 1 && unknown.stderr.contains("--no-such-option"), "{unknown:?}");
    refused(cluster, "n1", &[("--monitor", "this is no URI")], 1, &["connection string"])?;
    let nobody = "postgres://autoctl_node@10.213.7.99:5432/pg_auto_failover";
    refused(cluster, "n1", &[("--monitor", nobody)], 6, &["10.213.7.99"])?;
    let closed = "postgres://autoctl_node@10.213.7.1:5999/pg_auto_failover";
    refused(cluster, "n1", &[("--monitor", closed)], 6, &["5999"])?;
    let no_extension = "postgres://autoctl_node@10.213.7.1:5432/postgres";
    let ended = {
        let host = cluster.host("n1")?;
        let mut args = cluster.create_args(host);
        for arg in &mut args {
            if arg.starts_with("postgres://") {
                no_extension.clone_into(arg);
            }
        }
        host.autoctl(&args)?
    };
    ensure!([6, 13].contains(&ended.code()), "{ended:?}");
    refused(cluster, "n1", &[("--hostname", "no-such-host.invalid")], 2, &["no-such-host.invalid"])?;
    refused(cluster, "n1", &[("--formation", "nowhere")], 6, &["nowhere"])
}

fn a_data_directory_that_is_not_ours(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let pgdata = cluster.host("n1")?.pgdata();
    fs::create_dir_all(&pgdata)?;
    fs::write(pgdata.join("letter.txt"), "dear reader")?;
    let host = cluster.host("n1")?;
    let ended = host.autoctl(&cluster.create_args(host))?;
    ensure!(ended.code() != 0, "a directory of root with a letter in it became a data directory");
    ensure!(ended.stderr.contains(&pgdata.display().to_string()), "{}", ended.stderr);
    ensure!(fs::read_to_string(pgdata.join("letter.txt"))? == "dear reader", "the letter was changed");
    ensure!(cluster.rows()?.is_empty(), "a node is left behind at the monitor");
    Ok(())
}

fn a_data_directory_of_another_major_version(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    let pgdata = host.pgdata().display().to_string();
    host.shell(&format!("initdb -A trust -D {pgdata} >initdb.log && echo 11 >{pgdata}/PG_VERSION"))?;
    let ended = host.autoctl(&cluster.create_args(host))?;
    ensure!(ended.code() != 0, "data of version 11 was started with other binaries");
    ensure!(ended.stderr.contains("11"), "no version named: {}", ended.stderr);
    ensure!(cluster.rows()?.is_empty(), "a node is left behind at the monitor");
    ensure!(fs::read_to_string(host.pgdata().join("PG_VERSION"))?.trim() == "11", "the data was touched");
    Ok(())
}

fn running_as_root(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    let ended = host.autoctl_as_root(&cluster.create_args(host))?;
    ensure!(ended.code() != 0 && ended.stderr.contains("root"), "{ended:?}");
    ensure!(!host.pgdata().exists(), "a data directory is left behind: {}", ended.stderr);
    ensure!(cluster.rows()?.is_empty(), "a node is left behind at the monitor");
    Ok(())
}

fn a_port_in_use(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n1")?;
    let host = cluster.host("n1")?;
    host.shell(
        "setsid python3 -c 'import socket, time; s = socket.socket(); s.bind((\"\", 5432)); s.listen(); \
         open(\"bound\", \"w\").close(); time.sleep(600)' >/dev/null 2>&1 </dev/null &",
    )?;
    crate::harness::wait_for("the port to be taken", super::SOON, || {
        Ok(host.directory.join("bound").exists().then_some(()))
    })?;
    let ended = host.autoctl(&cluster.create_args(host))?;
    ensure!(ended.code() != 0, "a node was made on a port in use");
    ensure!(ended.stderr.contains("5432"), "the error does not name the port: {}", ended.stderr);
    ensure!(!host.pgdata().exists(), "a data directory is left behind: {}", ended.stderr);
    ensure!(cluster.rows()?.is_empty(), "a node is left behind at the monitor");
    Ok(())
}

fn names_addresses_and_clusters_that_are_taken(cluster: &mut Cluster) -> Result<()> {
    cluster.add_host("n2")?;
    refused(cluster, "n2", &[("--name", "n1")], 6, &["n1"])?;
    let taken = cluster.host("n1")?.address().to_string();
    refused(cluster, "n2", &[("--hostname", &taken)], 6, &[&taken])?;
    let host = cluster.host("n2")?;
    let pgdata = host.pgdata().display().to_string();
    host.shell(&format!("initdb -A trust -D {pgdata} >initdb.log"))?;
    let other_cluster = fs::read_to_string(host.pgdata().join("PG_VERSION"))?;
    refused(cluster, "n2", &[], 6, &["system identifier"])?;
    ensure!(fs::read_to_string(cluster.host("n2")?.pgdata().join("PG_VERSION"))? == other_cluster);
    cluster.wait_states(&[("n1", "single")], WHOLE)
}

/// SQL that must fail with that SQLSTATE class and change no row.
fn functions_given_nonsense_change_nothing(cluster: &mut Cluster) -> Result<()> {
    let snapshot = |cluster: &Cluster| {
        let sql = "select nodeid, goalstate, reportedstate, nodename, nodehost, candidatepriority, replicationquorum \
                   from pgautofailover.node order by nodeid";
        cluster.on_monitor(|monitor| monitor.rows(sql))
    };
    let before = snapshot(cluster)?;
    for call in [
        "perform_failover('nowhere', 0)",
        "perform_failover('default', 7)",
        "perform_promotion('default', 'nobody')",
        "set_node_candidate_priority('default', 'n1', 101)",
        "set_node_candidate_priority('default', 'nobody', 50)",
        "set_node_replication_quorum('default', 'nobody', true)",
        "set_formation_number_sync_standbys('default', -1)",
        "remove_node(4711)",
        "start_maintenance(4711)",
        "node_active('default', 4711, 0)",
        "node_active('nowhere', 1, 0)",
        "update_node_metadata(null, 'n1', null, null)",
        "create_formation('f', 'no kind', 'postgres', true, 0)",
        "drop_formation('default')",
        "register_node('nowhere', 'h', 5432, 'postgres')",
    ] {
        let failed = cluster.on_monitor(|monitor| monitor.rows(&format!("select pgautofailover.{call}")));
        let error = match failed {
            Ok(rows) => anyhow::bail!("{call} was accepted: {rows:?}"),
            Err(error) => error,
        };
        let state = sqlstate(&error);
        let is_clear = state.as_deref().is_some_and(|state| !state.starts_with("XX") && state != "42883");
        ensure!(is_clear, "{call}: SQLSTATE {state:?}, {error:#}");
    }
    let after = snapshot(cluster)?;
    ensure!(before == after, "before {before:?}, after {after:?}");
    Ok(())
}
