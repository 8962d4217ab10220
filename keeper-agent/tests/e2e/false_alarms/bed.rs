//! The cluster that is disturbed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::harness::{Cluster, Setup, SteppedClock, StoppableDisk, Tools};

/// Room for what `pgbench` fills and for the WAL of its writes.
const DISK_MB: u64 = 4_000;
pub(super) const WHOLE: Duration = Duration::from_secs(90);
/// The node that is primary as long as nothing goes wrong.
pub(super) const PRIMARY: &str = "n1";

/// A group whose hosts have clocks of their own, and whose first primary has a disk of its own.
pub(super) struct Bed {
    // Unmounted before the cluster is taken down. Without one, why there is none.
    pub(super) disk: Result<StoppableDisk, String>,
    pub(super) cluster: Cluster,
    /// For programs that tests build.
    pub(super) directory: PathBuf,
}

impl Bed {
    pub(super) fn start(tools: &Tools, nodes: usize) -> Result<Self> {
        let directory = crate::harness::run_directory().join("false-alarms");
        let setup = Setup { environment: SteppedClock::build(&directory)?, ..Setup::nodes(nodes) };
        let mut cluster = Cluster::with_monitor(tools, setup)?;
        let image = cluster.directory.join("disk");
        let disk = StoppableDisk::mount(&cluster.directory.join(PRIMARY), &image, DISK_MB);
        cluster.bring_up()?;
        Ok(Self { disk: disk.map_err(|error| format!("{error:#}")), cluster, directory })
    }

    /// Waits until it is as it was made.
    pub(super) fn wait_whole(&self) -> Result<()> {
        self.cluster.wait_whole(WHOLE)?;
        let primary = self.cluster.primary()?;
        ensure!(primary == PRIMARY, "{primary} is primary");
        Ok(())
    }
}
