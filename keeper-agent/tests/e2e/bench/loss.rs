//! The six ways in which a primary is lost.

use anyhow::Result;

use crate::harness::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Switchover,
    PostmasterKilled,
    ControlFileLost,
    HostKilled,
    HostCut,
    HostFrozen,
}

impl Loss {
    pub(super) const ALL: [Self; 6] = [
        Self::Switchover,
        Self::PostmasterKilled,
        Self::ControlFileLost,
        Self::HostKilled,
        Self::HostCut,
        Self::HostFrozen,
    ];

    /// One word, for the command line and for programs.
    pub(super) const fn name(self) -> &'static str {
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
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Switchover => "switchover on command",
            Self::PostmasterKilled => "postmaster killed, keeper alive",
            Self::ControlFileLost => "pg_control removed, Postgres stopped",
            Self::HostKilled => "all processes of the host killed",
            Self::HostCut => "host cut off the network",
            Self::HostFrozen => "all processes of the host frozen",
        }
    }

    /// The pause, in seconds, that must not be exceeded.
    pub(super) const fn goal_s(self) -> f64 {
        match self {
            Self::Switchover => 0.4,
            Self::PostmasterKilled => 0.6,
            Self::ControlFileLost => 1.5,
            Self::HostKilled => 6.0,
            Self::HostCut | Self::HostFrozen => 7.0,
        }
    }

    /// Makes it happen to the node of that name, which is primary of that group.
    pub(super) fn strike(self, cluster: &mut Cluster, primary: &str, group: i32) -> Result<()> {
        match self {
            Self::Switchover => {
                let group = group.to_string();
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
    pub(super) fn heal(self, cluster: &mut Cluster, lost: &str) -> Result<()> {
        match self {
            Self::Switchover | Self::PostmasterKilled | Self::ControlFileLost => Ok(()),
            Self::HostKilled => cluster.host_mut(lost)?.run(),
            Self::HostCut => cluster.host(lost)?.link.restore(),
            Self::HostFrozen => cluster.host(lost)?.thaw(),
        }
    }
}
