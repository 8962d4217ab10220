//! The six ways in which a primary is lost.

use anyhow::Result;

use super::cluster::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Switchover,
    PostmasterKilled,
    ControlFileLost,
    HostKilled,
    HostCut,
    HostFrozen,
}

impl Loss {
    pub(crate) const ALL: [Self; 6] = [
        Self::Switchover,
        Self::PostmasterKilled,
        Self::ControlFileLost,
        Self::HostKilled,
        Self::HostCut,
        Self::HostFrozen,
    ];

    /// One word, for the command line and for programs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::PostmasterKilled => "postmaster-killed",
            Self::ControlFileLost => "control-file-lost",
            Self::HostKilled => "host-killed",
            Self::HostCut => "host-cut",
            Self::HostFrozen => "host-frozen",
        }
    }

    /// What happens, for people.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Switchover => "switchover on command",
            Self::PostmasterKilled => "postmaster killed, keeper alive",
            Self::ControlFileLost => "pg_control removed, Postgres stopped",
            Self::HostKilled => "all processes of the host killed",
            Self::HostCut => "host cut off the network",
            Self::HostFrozen => "all processes of the host frozen",
        }
    }

    /// Makes it happen to the node of that name, which is the primary of its group.
    pub(crate) fn strike(self, cluster: &mut Cluster, primary: &str) -> Result<()> {
        match self {
            Self::Switchover => {
                let group = cluster.group_of(primary)?.to_string();
                cluster.monitor.autoctl(&["perform", "switchover", "--group", &group])?.success().map(drop)
            }
            Self::PostmasterKilled => cluster.host(primary)?.kill_postmaster(),
            Self::ControlFileLost => cluster.host(primary)?.lose_pg_control(),
            Self::HostKilled => cluster.host_mut(primary)?.kill_everything(),
            Self::HostCut => cluster.host(primary)?.link.cut(),
            Self::HostFrozen => cluster.host(primary)?.freeze(),
        }
    }

    /// Gives back what was taken, where that does not come back by itself.
    pub(crate) fn heal(self, cluster: &mut Cluster, lost: &str) -> Result<()> {
        match self {
            Self::Switchover | Self::PostmasterKilled | Self::ControlFileLost => Ok(()),
            Self::HostKilled => cluster.host_mut(lost)?.run(),
            Self::HostCut => cluster.host(lost)?.link.restore(),
            Self::HostFrozen => cluster.host(lost)?.thaw(),
        }
    }
}
