//! Servers that refuse the sessions of pg_autoctl: roles that cannot log in, rules of pg_hba.conf, too many clients.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{Writer, wait_for};

cases! {
    1:
        commits_go_on_when_the_standby_dies_and_all_connections_are_taken,
        a_standby_with_all_connections_taken_is_promoted,
        a_primary_with_all_connections_taken_is_switched_over,
        a_single_server_whose_role_cannot_log_in_is_left_running;
    2:
        a_primary_whose_role_cannot_log_in_is_left_running,
        a_primary_without_a_rule_for_local_sessions_is_left_running,
        a_primary_whose_databases_admit_nobody_is_left_running,
        commits_go_on_when_the_standby_dies_and_the_keeper_cannot_log_in;
}

/// Longer than a server that answers nothing is waited for when a standby could take over.
const LONGER_THAN_PATIENCE: Duration = Duration::from_secs(7);
/// The same when nobody could.
const LONGER_THAN_PATIENCE_ALONE: Duration = Duration::from_secs(33);
/// A second superuser, for the owner who sets things right.
const RESCUE: &str = "create role rescue superuser login";
const REFUSED: &str = "Postgres refuses the sessions of pg_autoctl";

/// Starts the keeper anew beside its running server, which then refuses it, and sees to it that this changes nothing.
fn check_left_running(bed: &mut Bed, name: &str, patience: Duration, writer: &Writer) -> Result<()> {
    let postmaster = bed.node(name).postmaster_pid()?;
    bed.node_mut(name).kill_keeper()?;
    bed.node_mut(name).run()?;
    let since = Instant::now();
    bed.wait_shown(REFUSED)?;
    while since.elapsed() < patience {
        writer.wait_for_ack(WITHIN)?;
    }
    ensure!(bed.node(name).postmaster_pid()? == postmaster, "Postgres was restarted");
    bed.check_no_failover()
}

fn check_recovered(bed: &Bed, name: &str) -> Result<()> {
    bed.node(name).wait_said("Postgres accepts the sessions of pg_autoctl again", WITHIN)?;
    if bed.rows()?.len() > 1 {
        bed.wait_whole()?
    } else {
        bed.wait(&[("n1", "single")])?
    }
    bed.check_no_failover()
}

fn a_single_server_whose_role_cannot_log_in_is_left_running(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    bed.node("n1").sql(&format!("{RESCUE}; alter role postgres nologin"))?;
    check_left_running(bed, "n1", LONGER_THAN_PATIENCE_ALONE, &writer)?;
    bed.node("n1").sql_as("rescue", "postgres", "alter role postgres login")?;
    check_recovered(bed, "n1")?;
    bed.verify("n1", &[writer.stop()])
}

fn a_primary_whose_role_cannot_log_in_is_left_running(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    bed.node("n1").sql(&format!("{RESCUE}; alter role postgres nologin"))?;
    check_left_running(bed, "n1", LONGER_THAN_PATIENCE, &writer)?;
    bed.node("n1").sql_as("rescue", "postgres", "alter role postgres login")?;
    check_recovered(bed, "n1")?;
    bed.verify("n1", &[writer.stop()])
}

fn a_primary_without_a_rule_for_local_sessions_is_left_running(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    let hba = bed.node("n1").pgdata().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba)?;
    std::fs::write(&hba, format!("local all postgres reject\n{before}"))?;
    bed.node("n1").reload()?;
    check_left_running(bed, "n1", LONGER_THAN_PATIENCE, &writer)?;
    let now = std::fs::read_to_string(&hba)?;
    std::fs::write(&hba, now.replace("local all postgres reject\n", ""))?;
    bed.node("n1").reload()?;
    check_recovered(bed, "n1")?;
    bed.verify("n1", &[writer.stop()])
}

fn a_primary_whose_databases_admit_nobody_is_left_running(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    // The limits of roles and databases do not stop a superuser.
    let admit = |admitted: &str| {
        let sql = "update pg_database set datallowconn =";
        format!("{sql} {admitted} where datname in ('postgres', 'template1')")
    };
    bed.node("n1").sql(&format!("{RESCUE}; create database other; {}", admit("false")))?;
    check_left_running(bed, "n1", LONGER_THAN_PATIENCE, &writer)?;
    bed.node("n1").sql_as("rescue", "other", &admit("true"))?;
    check_recovered(bed, "n1")?;
    bed.verify("n1", &[writer.stop()])
}

fn commits_go_on_when_the_standby_dies_and_the_keeper_cannot_log_in(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    bed.node("n1").sql(&format!("{RESCUE}; alter role postgres nologin"))?;
    check_left_running(bed, "n1", LONGER_THAN_PATIENCE, &writer)?;
    bed.node_mut("n2").kill_both()?;
    wait_for("commits that wait for nobody", WITHIN, || {
        let names = bed.node("n1").sql_as("rescue", "postgres", "show synchronous_standby_names")?;
        Ok(names.is_empty().then_some(()))
    })?;
    bed.node("n1").sql_as("rescue", "postgres", "create table committed (); alter role postgres login")?;
    bed.node_mut("n2").run()?;
    writer.wait_for_ack(WITHIN)?;
    check_recovered(bed, "n1")?;
    bed.verify("n1", &[writer.stop()])
}

/// Sessions that take every connection of a server, reserved ones included.
struct Crowd(Vec<Child>);

impl Crowd {
    fn fill(bed: &Bed, name: &str) -> Result<Self> {
        let node = bed.node(name);
        let (socket, port) = (node.directory.join("s").display().to_string(), node.port.to_string());
        let mut crowd = Self(Vec::new());
        wait_for("all connections to be taken", WITHIN, || {
            let args = ["-XAtq", "-h", &socket, "-p", &port, "-U", "postgres", "-d", "postgres"];
            let mut psql = node.command("psql", &args);
            // A session whose client is gone ends soon.
            psql.env("PGOPTIONS", "-c client_connection_check_interval=200ms");
            psql.args(["-c", "select pg_sleep(600)"]).stdin(Stdio::null());
            crowd.0.push(psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
            let refusal = node.sql("select 1").err().map(|error| format!("{error:#}"));
            Ok(refusal.is_some_and(|error| error.contains("too many clients")).then_some(()))
        })?;
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for session in &mut self.0 {
            // One that was refused has ended.
            let _ended = session.kill();
            let _reaped = session.wait();
        }
    }
}

/// Makes n1 a primary with few connections, and n2 its standby.
fn few_connections(bed: &mut Bed) -> Result<()> {
    bed.node("n1").alter_system("max_connections", "24")?;
    bed.node_mut("n1").stop()?;
    bed.node_mut("n1").run()?;
    wait_for("n1 to serve", WITHIN, || Ok(bed.node("n1").sql("select 1").is_ok().then_some(())))?;
    bed.add("n2", &[])?;
    bed.wait_whole()
}

fn commits_go_on_when_the_standby_dies_and_all_connections_are_taken(bed: &mut Bed) -> Result<()> {
    few_connections(bed)?;
    let writer = bed.writer()?;
    let crowd = Crowd::fill(bed, "n1")?;
    bed.node_mut("n2").kill_both()?;
    bed.wait(&[("n1", "wait_primary")])?;
    writer.wait_for_ack(WITHIN)?;
    drop(crowd);
    bed.node_mut("n2").run()?;
    bed.wait_whole()?;
    bed.verify("n1", &[writer.stop()])
}

fn a_standby_with_all_connections_taken_is_promoted(bed: &mut Bed) -> Result<()> {
    few_connections(bed)?;
    let writer = bed.writer()?;
    let crowd = Crowd::fill(bed, "n2")?;
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    drop(crowd);
    writer.wait_for_ack(WITHIN)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}

fn a_primary_with_all_connections_taken_is_switched_over(bed: &mut Bed) -> Result<()> {
    few_connections(bed)?;
    let writer = bed.writer()?;
    let crowd = Crowd::fill(bed, "n1")?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    drop(crowd);
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}
