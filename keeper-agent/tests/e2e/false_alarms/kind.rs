//! What a group has to live through without a failover.

use std::time::Duration;

/// One kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All processes of the primary's host stand still for so many milliseconds, again and again.
    Stall(u64),
    PacketLoss,
    Latency,
    BusyLoops,
    Checkpoint,
    DiskStopped,
    MonitorFrozen,
    MonitorStopped,
    ClockStepped,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::Stall(500),
        Self::Stall(1_000),
        Self::Stall(1_500),
        Self::Stall(2_000),
        Self::PacketLoss,
        Self::Latency,
        Self::BusyLoops,
        Self::Checkpoint,
        Self::DiskStopped,
        Self::MonitorFrozen,
        Self::MonitorStopped,
        Self::ClockStepped,
    ];

    /// One word, for the command line.
    pub(super) fn name(self) -> String {
        match self {
            Self::Stall(milliseconds) => format!("stall-{milliseconds}ms"),
            Self::PacketLoss => "packet-loss".to_owned(),
            Self::Latency => "latency".to_owned(),
            Self::BusyLoops => "busy-loops".to_owned(),
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::DiskStopped => "disk-stopped".to_owned(),
            Self::MonitorFrozen => "monitor-frozen".to_owned(),
            Self::MonitorStopped => "monitor-stopped".to_owned(),
            Self::ClockStepped => "clock-stepped".to_owned(),
        }
    }

    /// What happens, for people.
    pub(super) fn description(self) -> String {
        match self {
            Self::Stall(milliseconds) => format!(
                "the primary's host stands still for {} s every {} s",
                Duration::from_millis(milliseconds).as_secs_f64(),
                Self::PERIOD.as_secs()
            ),
            Self::PacketLoss => "30 % of the packets to the primary's host are lost".to_owned(),
            Self::Latency => "150 ms (100 to 200) each way to and from the primary's host".to_owned(),
            Self::BusyLoops => "20 busy loops".to_owned(),
            Self::Checkpoint => "a checkpoint under pgbench -c 32 every 20 s".to_owned(),
            Self::DiskStopped => "the primary's disk stops for 1.5 s every 20 s".to_owned(),
            Self::MonitorFrozen => "the monitor's host stands still for 10 s, again and again".to_owned(),
            Self::MonitorStopped => "the monitor is stopped for 10 s, again and again".to_owned(),
            Self::ClockStepped => "the clock of a host is stepped by an hour every 20 s".to_owned(),
        }
    }

    /// From one disturbance of a kind that comes again and again to the next.
    pub(super) const PERIOD: Duration = Duration::from_secs(20);
}
