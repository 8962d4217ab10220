//! Whom a primary waits for, and what does not count as somebody who is there.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, monitor_only, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    monitor_only:
        nobody_is_waited_for_before_it_has_streamed;
    two_nodes:
        a_client_that_streams_does_not_keep_an_isolated_primary_from_fencing_itself;
}

/// A node that joins takes long to copy; clients must not notice.
fn nobody_is_waited_for_before_it_has_streamed(cluster: &mut Cluster) -> Result<()> {
    cluster.add_node("n1", &[])?;
    cluster.wait_states(&[("n1", "single")], WHOLE)?;
    cluster.prepare_database()?;
    let filler =
        "create table filler as select g, repeat('x', 1000) from generate_series(1, 20000) g; checkpoint";
    cluster.host("n1")?.psql("postgres", filler)?;
    cluster.add_node("n2", &[])?;
    cluster.wait_whole(WHOLE)?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.add_node("n3", &["--maximum-backup-rate", "8M"])?;
    let absent = "select count(*) from regexp_matches(current_setting('synchronous_standby_names'), \
                  'pgautofailover_standby_[0-9]+', 'g') name \
                  where not exists (select from pg_stat_replication where application_name = name[1] \
                  and state = 'streaming')";
    wait_for("n3 to join", WHOLE, || {
        let count = cluster.host("n1")?.psql("postgres", absent)?;
        Ok((count != "0" || cluster.wait_whole(std::time::Duration::ZERO).is_ok()).then_some(count))
    })
    .and_then(|count| {
        ensure!(count == "0", "commits wait for a standby that does not stream");
        Ok(())
    })?;
    cluster.wait_commits_wait("n1", 1, &["n2", "n3"], SOON)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < std::time::Duration::from_secs(2), "{pause:?} without a commit while a node joined");
    cluster.verify(&[writer.stop()])
}

/// It streams on the host itself, so it is still there when the host is cut off, and calls itself a standby.
fn a_client_that_streams_does_not_keep_an_isolated_primary_from_fencing_itself(
    cluster: &mut Cluster,
) -> Result<()> {
    let writer = cluster.writer()?;
    let isolated = cluster.local_writer("n1")?;
    let host = cluster.host("n1")?;
    let socket = host.directory.join("s").display().to_string();
    host.shell("mkdir received")?;
    let connection = format!("host={socket} application_name=walreceiver");
    let args = ["-D", "received", "-d", &connection];
    let mut streaming = host.command("pg_receivewal", &args).spawn()?;
    wait_for("the client to stream", SOON, || {
        let sql = "select count(*) from pg_stat_replication where application_name = 'walreceiver'";
        Ok((cluster.host("n1")?.psql("postgres", sql)? == "1").then_some(()))
    })?;
    cluster.host("n1")?.link.cut()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    let fenced = cluster.host("n1")?.psql("postgres", "create table split_brain()");
    ensure!(fenced.is_err(), "the isolated primary has not fenced itself");
    streaming.kill()?;
    streaming.wait()?;
    cluster.host("n1")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), isolated.stop()])
}
