//! Things outside a keeper that could stop it: a log that nobody reads, a hung disk, and a keeper that is stuck by itself.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ChildStderr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, Host, Setup, Writer, wait_for};

scenarios! {
    two_nodes:
        a_log_that_nobody_reads_holds_up_no_keeper,
        a_primary_is_fenced_while_nobody_reads_its_log,
        a_primary_is_fenced_while_its_data_directory_hangs,
        a_primary_whose_disk_hangs_is_reported_and_succeeded;
    two_nodes_that_can_be_held:
        a_primary_is_fenced_while_its_keeper_is_stuck;
}

/// The keepers do nothing while this file is in the directory of their host.
const HOLD: &str = "hold";

fn two_nodes_that_can_be_held() -> Setup {
    let environment = vec![("PGAF_TEST_HOLD_KEEPER".to_owned(), HOLD.to_owned())];
    Setup { environment, ..Setup::nodes(2) }
}

/// `network_partition_timeout`, and a second.
const FENCED_WITHIN: Duration = Duration::from_secs(5);

/// A pipe holds this much, but for what is left of a page.
const FULL_PIPE_BYTES: u64 = 60 << 10;

/// Has the keeper of that node write to a pipe that nobody reads, and waits until it is full.
fn leave_log_unread(cluster: &mut Cluster, name: &str) -> Result<ChildStderr> {
    let host = cluster.host_mut(name)?;
    host.signal_keeper(Signal::SIGTERM)?;
    host.keeper_end(TAKEOVER)?;
    host.run_unread()?;
    let unread = host.unread()?;
    cluster.wait_whole(WHOLE)?;
    wait_for("the pipe to be full", WHOLE, || {
        cluster.host(name)?.signal_keeper(Signal::SIGHUP)?;
        Ok((rustix::io::ioctl_fionread(&unread)? > FULL_PIPE_BYTES).then_some(()))
    })?;
    Ok(unread)
}

fn a_log_that_nobody_reads_holds_up_no_keeper(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let mut unread = leave_log_unread(cluster, "n1")?;
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

/// Cuts off the primary n1, and waits until it serves nobody, neither on its host nor elsewhere.
fn cut_off(cluster: &mut Cluster) -> Result<()> {
    let postmaster = cluster.host("n1")?.postmaster_pid()?;
    cut_off_process(cluster, postmaster)
}

fn cut_off_process(cluster: &mut Cluster, postmaster: i32) -> Result<()> {
    let on_the_host = cluster.local_writer("n1")?;
    let cut = Instant::now();
    cluster.host("n1")?.link.cut()?;
    wait_for("all processes of the server to be gone", TAKEOVER, || {
        let is_left = cluster.host("n1")?.server_process("").is_some() || is_running(postmaster);
        Ok((!is_left).then_some(()))
    })?;
    let took = cut.elapsed();
    ensure!(took < FENCED_WITHIN, "the primary that was cut off ran for {took:?}");
    let last = on_the_host.stop().acks.last().map(|ack| ack.acked);
    ensure!(last.is_some_and(|acked| acked < cut + FENCED_WITHIN), "acknowledged after that");
    Ok(())
}

fn is_running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn rejoin(cluster: &mut Cluster, writer: Writer) -> Result<()> {
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host("n1")?.link.restore()?;
    cluster.wait_whole(WHOLE)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.verify(&[writer.stop()])
}

fn a_primary_is_fenced_while_its_keeper_is_stuck(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host("n1")?;
    let hold = host.directory.join(HOLD);
    host.shell(&format!("touch {HOLD}"))?;
    cut_off(cluster)?;
    std::fs::remove_file(hold)?;
    rejoin(cluster, writer)
}

fn a_primary_is_fenced_while_nobody_reads_its_log(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let unread = leave_log_unread(cluster, "n1")?;
    if cluster.primary()? != "n1" {
        cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
        cluster.wait_primary_is("n1", TAKEOVER)?;
        cluster.wait_whole(WHOLE)?;
    }
    cut_off(cluster)?;
    drop(unread);
    rejoin(cluster, writer)
}

/// Whoever reads the pid file waits until the end of this, as on a disk that hangs.
struct HungFile {
    file: PathBuf,
    kept: PathBuf,
    /// As long as somebody could write into a pipe, its readers wait.
    _writer: File,
}

impl HungFile {
    fn new(host: &Host, file: PathBuf) -> Result<Self> {
        let (kept, pipe) = (file.with_extension("kept"), file.with_extension("pipe"));
        let (of, to, with) = (file.display(), kept.display(), pipe.display());
        host.shell(&format!("cp -p {of} {to} && mkfifo {with}"))?;
        let writer = File::options().read(true).write(true).open(&pipe)?;
        std::fs::rename(&pipe, &file)?;
        Ok(Self { file, kept, _writer: writer })
    }
}

impl Drop for HungFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::rename(&self.kept, &self.file) {
            eprintln!("{}: {error}", self.file.display());
        }
    }
}

/// The monitor hears the keeper, and the keeper the monitor: the server is ended for the sake of the standby.
fn a_primary_whose_disk_hangs_is_reported_and_succeeded(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host("n1")?;
    let hung = HungFile::new(host, host.pgdata().join("postmaster.pid"))?;
    wait_for("show state to tell of the disk", SOON, || {
        let state = cluster.monitor.autoctl(&["show", "state"])?.success()?;
        Ok(state.contains("the disk of the data directory does not answer").then_some(()))
    })?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(TAKEOVER)?;
    let reported = "select reporttime from pgautofailover.node where nodename = 'n1'";
    let before = cluster.on_monitor(|monitor| monitor.text(reported))?;
    wait_for("another report of n1", SOON, || {
        Ok((cluster.on_monitor(|monitor| monitor.text(reported))? != before).then_some(()))
    })?;
    drop(hung);
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn a_primary_is_fenced_while_its_data_directory_hangs(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let host = cluster.host("n1")?;
    let postmaster = host.postmaster_pid()?;
    let hung = HungFile::new(host, host.pgdata().join("postmaster.pid"))?;
    cut_off_process(cluster, postmaster)?;
    drop(hung);
    rejoin(cluster, writer)
}
