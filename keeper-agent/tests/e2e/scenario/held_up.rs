//! Things outside a keeper that could stop it: a log that nobody reads, a hung disk, and a keeper that is stuck by itself.

use std::io::Read as _;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, wait_for};

scenarios! {
    two_nodes:
        a_log_that_nobody_reads_holds_up_no_keeper;
}

/// A pipe holds this much, but for what is left of a page.
const FULL_PIPE_BYTES: u64 = 60 << 10;

fn a_log_that_nobody_reads_holds_up_no_keeper(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host_mut("n1")?;
    host.signal_keeper(Signal::SIGTERM)?;
    host.keeper_end(TAKEOVER)?;
    host.run_unread()?;
    let mut unread = host.unread()?;
    cluster.wait_whole(WHOLE)?;
    wait_for("the pipe to be full", WHOLE, || {
        cluster.host("n1")?.signal_keeper(Signal::SIGHUP)?;
        Ok((rustix::io::ioctl_fionread(&unread)? > FULL_PIPE_BYTES).then_some(()))
    })?;
    let reported = "select reporttime from pgautofailover.node where nodename = 'n1'";
    for _ in 0..3 {
        let before = cluster.on_monitor(|monitor| monitor.text(reported))?;
        wait_for("another report of n1", SOON, || {
            Ok((cluster.on_monitor(|monitor| monitor.text(reported))? != before).then_some(()))
        })?;
    }
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.host("n1")?.signal_keeper(Signal::SIGTERM)?;
    // What waited in the keeper is written when somebody reads again.
    let mut text = Vec::new();
    unread.read_to_end(&mut text)?;
    ensure!(text.len() > 64 << 10, "only {} bytes were written, which a pipe holds", text.len());
    cluster.host_mut("n1")?.keeper_end(TAKEOVER)?;
    cluster.verify(&[writer.stop()])
}
