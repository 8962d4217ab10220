//! How faults are made, and taken back.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::cast::Cast;
use super::kind::Kind;
use super::schedule::Fault;
use crate::harness::{Cluster, Host, Session, new_runtime};

const PROCESS_END: Duration = Duration::from_secs(10);
/// Of all packets.
const HALF: f64 = 0.5;
const BALLAST: &str = "ballast";
/// More WAL than a full disk has room for, and less than one that is not full.
const BULK: &str =
    "select pg_logical_emit_message(false, 'bulk', repeat('x', 1000000)) from generate_series(1, 60)";
const BULK_DEADLINE: Duration = Duration::from_secs(10);
/// What nodes are created with.
const PRIORITY: i64 = 50;

impl Fault {
    /// Makes it happen.
    ///
    /// # Errors
    /// It could not: the victim has no such process any more, the monitor refuses or is away.
    pub(super) fn strike(&self, cluster: &mut Cluster, cast: &Cast) -> Result<()> {
        match self.kind {
            Kind::PostgresKilled => cast.host(cluster, self.place)?.kill_postmaster(),
            Kind::PostgresFrozen => {
                cast.host(cluster, self.place)?.signal_program("postgres", Signal::SIGSTOP)
            }
            Kind::KeeperKilled => kill_keeper(cast.host_mut(cluster, self.place)?),
            Kind::KeeperFrozen => {
                cast.host(cluster, self.place)?.signal_program("pg_autoctl", Signal::SIGSTOP)
            }
            Kind::HostKilled => cast.host_mut(cluster, self.place)?.kill_everything(),
            Kind::HostFrozen => cast.host(cluster, self.place)?.freeze(),
            Kind::Restarted => cast.host(cluster, self.place)?.signal_keeper(Signal::SIGTERM),
            Kind::HostCut => cast.host(cluster, self.place)?.link.cut(),
            Kind::PairCut => {
                let other = self.other_host(cluster, cast)?.address();
                cast.host(cluster, self.place)?.link.block(other)
            }
            Kind::OneWayCut => {
                let from = cast.host(cluster, self.place)?.address();
                self.other_host(cluster, cast)?.link.block_from(from)
            }
            Kind::PacketLoss => cast.host(cluster, self.place)?.link.lose(HALF),
            Kind::SlowLink => cast.host(cluster, self.place)?.link.slow_down(),
            Kind::DiskFull => self.fill_disk(cluster, cast),
            Kind::ClockStepped => cast.host(cluster, self.place)?.step_clock(self.amount),
            Kind::Switchover => command(cluster, "perform_failover()"),
            Kind::Maintenance => {
                let id = cast.id(cluster, self.place)?;
                command(cluster, &format!("start_maintenance({id})"))
            }
            Kind::Priority => self.set_priority(cluster, cast, self.amount),
            Kind::Quorum => self.set_quorum(cluster, cast, false),
            Kind::SyncStandbys => set_sync_standbys(cluster, self.amount),
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// It is not taken back yet, and has to be tried again.
    pub(super) fn heal(&self, cluster: &mut Cluster, cast: &Cast, sync_standbys: i64) -> Result<()> {
        match self.kind {
            Kind::PostgresKilled | Kind::Switchover => Ok(()),
            Kind::PostgresFrozen | Kind::KeeperFrozen | Kind::HostFrozen => {
                cast.host(cluster, self.place)?.thaw()
            }
            Kind::KeeperKilled | Kind::HostKilled => cast.host_mut(cluster, self.place)?.run(),
            Kind::Restarted => {
                let host = cast.host_mut(cluster, self.place)?;
                host.keeper_ended()?.context("its keeper has not stopped yet")?;
                host.run()
            }
            Kind::HostCut => cast.host(cluster, self.place)?.link.restore(),
            Kind::PairCut => {
                let other = self.other_host(cluster, cast)?.address();
                cast.host(cluster, self.place)?.link.unblock(other)
            }
            Kind::OneWayCut => {
                let from = cast.host(cluster, self.place)?.address();
                self.other_host(cluster, cast)?.link.unblock_from(from)
            }
            Kind::PacketLoss => cast.host(cluster, self.place)?.link.lose_nothing(HALF),
            Kind::SlowLink => cast.host(cluster, self.place)?.link.speed_up(),
            Kind::DiskFull => {
                let ballast = cast.host(cluster, self.place)?.directory.join(BALLAST);
                fs::remove_file(&ballast).with_context(|| ballast.display().to_string())
            }
            Kind::ClockStepped => cast.host(cluster, self.place)?.step_clock(0),
            Kind::Maintenance => self.end_maintenance(cluster, cast),
            Kind::Priority => self.set_priority(cluster, cast, PRIORITY),
            Kind::Quorum => self.set_quorum(cluster, cast, true),
            Kind::SyncStandbys => set_sync_standbys(cluster, sync_standbys),
        }
    }

    fn other_host<'a>(&self, cluster: &'a Cluster, cast: &Cast) -> Result<&'a Host> {
        cast.host(cluster, self.other.context("a link with one end")?)
    }

    /// Takes all the space there is, and has the primary write WAL.
    fn fill_disk(&self, cluster: &Cluster, cast: &Cast) -> Result<()> {
        let mut ballast = File::create(cast.host(cluster, self.place)?.directory.join(BALLAST))?;
        for block in [1 << 20, 1 << 12] {
            let zeroes = vec![0; block];
            while ballast.write_all(&zeroes).is_ok() {}
        }
        let Ok(primary) = cluster.primary() else {
            // Nobody writes just now; the disk is full all the same.
            return Ok(());
        };
        let (door, target) = (cluster.client_door()?, cluster.target(cluster.host(&primary)?));
        std::thread::spawn(move || {
            let written = door.enter().and_then(|()| new_runtime()).and_then(|runtime| {
                runtime.block_on(async {
                    let session = Session::open(&target, BULK_DEADLINE).await?;
                    session.rows(BULK, BULK_DEADLINE).await
                })
            });
            // It fails when the disk is full on the primary itself: that is what it is for.
            drop(written);
        });
        Ok(())
    }

    fn set_priority(&self, cluster: &Cluster, cast: &Cast, to: i64) -> Result<()> {
        let name = cast.name(self.place);
        command(cluster, &format!("set_node_candidate_priority('default', '{name}', {to})"))
    }

    fn set_quorum(&self, cluster: &Cluster, cast: &Cast, to: bool) -> Result<()> {
        let name = cast.name(self.place);
        command(cluster, &format!("set_node_replication_quorum('default', '{name}', {to})"))
    }

    fn end_maintenance(&self, cluster: &Cluster, cast: &Cast) -> Result<()> {
        let id = cast.id(cluster, self.place)?;
        let rows = cluster.rows()?;
        let row = rows.iter().find(|row| row.id == id).context("the node is gone")?;
        if !row.goal.contains("maintenance") {
            return Ok(());
        }
        command(cluster, &format!("stop_maintenance({id})"))?;
        bail!("it is still told to be in {}", row.goal)
    }
}

fn kill_keeper(host: &mut Host) -> Result<()> {
    // Where a keeper is several processes, it is all of them.
    host.signal_program("pg_autoctl", Signal::SIGKILL)?;
    host.keeper_end(PROCESS_END).map(drop)
}

fn set_sync_standbys(cluster: &Cluster, to: i64) -> Result<()> {
    command(cluster, &format!("set_formation_number_sync_standbys('default', {to})"))
}

/// A command of the operator, as the command line gives it to the monitor.
fn command(cluster: &Cluster, call: &str) -> Result<()> {
    cluster.on_monitor(|monitor| monitor.rows(&format!("select pgautofailover.{call}"))).map(drop)
}
