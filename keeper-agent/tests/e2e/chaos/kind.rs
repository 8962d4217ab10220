//! What can go wrong, and what operators do meanwhile.

/// One kind of fault or command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    PostgresKilled,
    PostgresFrozen,
    KeeperKilled,
    KeeperFrozen,
    HostKilled,
    HostFrozen,
    Restarted,
    HostCut,
    PairCut,
    OneWayCut,
    PacketLoss,
    SlowLink,
    DiskFull,
    ClockStepped,
    Switchover,
    Maintenance,
    Priority,
    Quorum,
    SyncStandbys,
}

/// What a fault takes hold of: two faults of one round never have the same part of the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Processes,
    Network,
    Disk,
    Clock,
    Settings,
}

/// What can be hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A data node.
    Node,
    /// A data node or the monitor.
    Host,
    /// Two of them.
    Pair,
    /// The group.
    Group,
}

impl Kind {
    pub(super) const ALL: [Self; 19] = [
        Self::PostgresKilled,
        Self::PostgresFrozen,
        Self::KeeperKilled,
        Self::KeeperFrozen,
        Self::HostKilled,
        Self::HostFrozen,
        Self::Restarted,
        Self::HostCut,
        Self::PairCut,
        Self::OneWayCut,
        Self::PacketLoss,
        Self::SlowLink,
        Self::DiskFull,
        Self::ClockStepped,
        Self::Switchover,
        Self::Maintenance,
        Self::Priority,
        Self::Quorum,
        Self::SyncStandbys,
    ];

    /// One word, for the command line and for the picture.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PostgresKilled => "postgres-killed",
            Self::PostgresFrozen => "postgres-frozen",
            Self::KeeperKilled => "keeper-killed",
            Self::KeeperFrozen => "keeper-frozen",
            Self::HostKilled => "host-killed",
            Self::HostFrozen => "host-frozen",
            Self::Restarted => "restarted",
            Self::HostCut => "host-cut",
            Self::PairCut => "pair-cut",
            Self::OneWayCut => "one-way-cut",
            Self::PacketLoss => "packet-loss",
            Self::SlowLink => "slow-link",
            Self::DiskFull => "disk-full",
            Self::ClockStepped => "clock-stepped",
            Self::Switchover => "switchover",
            Self::Maintenance => "maintenance",
            Self::Priority => "priority",
            Self::Quorum => "quorum",
            Self::SyncStandbys => "sync-standbys",
        }
    }

    /// What happens, for people.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::PostgresKilled => "postmaster killed",
            Self::PostgresFrozen => "Postgres frozen",
            Self::KeeperKilled => "keeper killed",
            Self::KeeperFrozen => "keeper frozen",
            Self::HostKilled => "all processes killed",
            Self::HostFrozen => "all processes frozen",
            Self::Restarted => "stopped and started again",
            Self::HostCut => "cut off the network",
            Self::PairCut => "link between two hosts cut",
            Self::OneWayCut => "link cut in one direction",
            Self::PacketLoss => "half of all packets lost",
            Self::SlowLink => "slow link",
            Self::DiskFull => "disk full",
            Self::ClockStepped => "wall clock stepped",
            Self::Switchover => "switchover",
            Self::Maintenance => "maintenance",
            Self::Priority => "candidate priority changed",
            Self::Quorum => "taken out of the quorum",
            Self::SyncStandbys => "number_sync_standbys changed",
        }
    }

    pub(super) const fn part(self) -> Part {
        match self {
            Self::PostgresKilled
            | Self::PostgresFrozen
            | Self::KeeperKilled
            | Self::KeeperFrozen
            | Self::HostKilled
            | Self::HostFrozen
            | Self::Restarted => Part::Processes,
            Self::HostCut | Self::PairCut | Self::OneWayCut | Self::PacketLoss | Self::SlowLink => {
                Part::Network
            }
            Self::DiskFull => Part::Disk,
            Self::ClockStepped => Part::Clock,
            Self::Switchover | Self::Maintenance | Self::Priority | Self::Quorum | Self::SyncStandbys => {
                Part::Settings
            }
        }
    }

    pub(super) const fn reach(self) -> Reach {
        match self {
            Self::PairCut | Self::OneWayCut => Reach::Pair,
            Self::DiskFull | Self::Maintenance | Self::Priority | Self::Quorum => Reach::Node,
            Self::Switchover | Self::SyncStandbys => Reach::Group,
            _ => Reach::Host,
        }
    }

    /// How often it is drawn, compared with the others.
    pub(super) const fn weight(self) -> u64 {
        match self {
            Self::HostKilled | Self::HostFrozen | Self::HostCut | Self::PairCut | Self::OneWayCut => 3,
            Self::PostgresKilled | Self::KeeperKilled | Self::KeeperFrozen | Self::PostgresFrozen => 2,
            Self::Restarted | Self::PacketLoss | Self::Switchover | Self::Maintenance | Self::DiskFull => 2,
            Self::SlowLink | Self::ClockStepped | Self::Priority | Self::Quorum | Self::SyncStandbys => 1,
        }
    }

    /// It is over as soon as it has happened.
    pub(super) const fn is_instant(self) -> bool {
        matches!(self, Self::PostgresKilled | Self::Switchover)
    }
}
