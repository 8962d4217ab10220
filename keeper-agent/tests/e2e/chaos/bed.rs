//! The cluster that is beaten, and its clients.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::reader::{Element, Reader, Reading};
use crate::harness::{
    Application, Audience, Cluster, Host, Ledger, Pace, Setup, SmallDisk, SteppedClock, Target, Tools, Writer,
};

/// Clients that look for the primary and append.
const FOLLOWERS: usize = 2;
/// Of those: enough commits to measure pauses with.
const FOLLOWING: Pace = Pace { commit: Duration::from_millis(10), retry: Duration::from_millis(10) };
/// Of clients that sit on a host and write to its server alone.
const STAYING: Pace = Pace { commit: Duration::from_millis(40), retry: Duration::from_millis(200) };
/// Room for a data directory twice, as a copy may need it.
const DISK_MB: u32 = 480;
const FIRST_ACK: Duration = Duration::from_secs(30);
/// Keeps the WAL small enough for the disk: what a standby lacks is kept by its slot.
const SMALL_WAL: [&str; 3] = ["wal_keep_size = '32MB'", "max_wal_size = '96MB'", "min_wal_size = '32MB'"];

/// A running cluster with its clients.
pub(super) struct Bed {
    pub(super) followers: Vec<Writer>,
    stayers: Vec<Writer>,
    readers: Vec<Reader>,
    // Unmounted before the cluster is taken down.
    _disks: Vec<SmallDisk>,
    pub(super) cluster: Cluster,
}

impl Bed {
    /// A whole group whose hosts have small disks and clocks of their own.
    pub(super) fn start(tools: &Tools, nodes: usize) -> Result<Self> {
        let library = crate::harness::run_directory().join("stepped-clock");
        let setup = Setup { environment: SteppedClock::build(&library)?, ..Setup::nodes(nodes) };
        let mut cluster = Cluster::with_monitor(tools, setup)?;
        let mount = |number| SmallDisk::mount(&cluster.directory.join(format!("n{number}")), DISK_MB);
        let disks = (1..=nodes).map(mount).collect::<Result<Vec<_>>>()?;
        cluster.bring_up()?;
        for setting in SMALL_WAL {
            for name in (1..=nodes).map(|number| format!("n{number}")) {
                cluster.host(&name)?.psql("postgres", &format!("alter system set {setting}"))?;
            }
        }
        for host in &cluster.nodes {
            host.psql("postgres", "select pg_reload_conf()")?;
        }
        let mut bed =
            Self { followers: Vec::new(), stayers: Vec::new(), readers: Vec::new(), _disks: disks, cluster };
        bed.start_clients()?;
        Ok(bed)
    }

    fn start_clients(&mut self) -> Result<()> {
        let cluster = &self.cluster;
        let targets: Vec<Target> = cluster.nodes.iter().map(|host| cluster.target(host)).collect();
        for number in 1..=FOLLOWERS {
            let door = cluster.client_door()?;
            let follower = Application::new(Audience::ReadWrite, FOLLOWING);
            self.followers.push(Writer::start(number, door, targets.clone(), follower));
        }
        for (number, (host, target)) in (FOLLOWERS + 1..).zip(cluster.nodes.iter().zip(&targets)) {
            let door = host.link.namespace.door()?;
            let stayer = Application::new(Audience::Any, STAYING);
            self.stayers.push(Writer::start(number, door, vec![target.clone()], stayer));
        }
        let writers = FOLLOWERS + targets.len();
        self.readers.push(Reader::start(cluster.client_door()?, targets.clone(), writers));
        for (host, target) in cluster.nodes.iter().zip(targets) {
            self.readers.push(Reader::start(host.link.namespace.door()?, vec![target], writers));
        }
        for follower in &self.followers {
            follower.wait_for_ack(FIRST_ACK)?;
        }
        Ok(())
    }

    /// The addresses and the names of all hosts, the monitor's first.
    pub(super) fn hosts(&self) -> Vec<(Ipv4Addr, String)> {
        let hosts = std::iter::once(&self.cluster.monitor).chain(&self.cluster.nodes);
        hosts.map(|host| (host.address(), host.name.clone())).collect()
    }

    pub(super) fn writers(&self) -> impl Iterator<Item = &Writer> {
        self.followers.iter().chain(&self.stayers)
    }

    /// Stops all clients; tells what the writers were told, followers first, and what the readers saw.
    pub(super) fn stop_clients(&mut self) -> Result<(Vec<Ledger>, Vec<Reading>)> {
        let writers = self.followers.drain(..).chain(self.stayers.drain(..));
        let ledgers = writers.map(Writer::stop).collect();
        let mut readings = Vec::new();
        for reader in self.readers.drain(..) {
            readings.extend(reader.stop()?);
        }
        Ok((ledgers, readings))
    }
}

/// The rows that a server has.
pub(super) fn set_of(host: &Host) -> Result<BTreeSet<Element>> {
    let text = host.psql("postgres", "select writer, value from ledger")?;
    let element = |line: &str| -> Option<Element> {
        let (writer, value) = line.split_once('|')?;
        Some((writer.parse().ok()?, value.parse().ok()?))
    };
    text.lines().map(|line| element(line).with_context(|| format!("no row of the set: {line}"))).collect()
}
