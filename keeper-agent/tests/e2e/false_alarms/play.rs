//! One disturbance, for a while: who failed over, who was fenced, how long a writer waited.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::bed::{Bed, PRIMARY};
use super::kind::Kind;
use crate::bench::load::Load;
use crate::harness::{Cluster, Delay, pids_in_namespace, signal};

const DELAY: Duration = Duration::from_millis(150);
const JITTER: Duration = Duration::from_millis(50);
const LOST: f64 = 0.3;
const LOOPS: usize = 20;
const CLIENTS: u32 = 32;
const DISK_STOPS_FOR: Duration = Duration::from_millis(1_500);
const MONITOR_STOPS_FOR: Duration = Duration::from_secs(10);
const CLOCK_STEP_S: i64 = 3_600;
/// The writer goes on when all is over.
const GOES_ON: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) lasted: Duration,
    /// How often somebody else was promoted.
    pub(super) failovers: u32,
    /// How often the primary's Postgres was started anew, as one that has fenced itself is.
    pub(super) restarts: u32,
    pub(super) longest_pause: Duration,
    /// What the monitor decided meanwhile.
    pub(super) events: Vec<String>,
    /// The disturbance could not be made.
    pub(super) skipped: Option<String>,
}

impl Outcome {
    /// Nothing that clients would call an outage came of it.
    pub(super) const fn is_well(&self) -> bool {
        self.failovers == 0 && self.restarts == 0
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let Self { failovers, restarts, longest_pause, skipped, .. } = self;
        match skipped {
            Some(why) => format!("skipped: {why}"),
            None => format!(
                "{failovers} failovers, {restarts} restarts of the primary, longest pause {:.2} s",
                longest_pause.as_secs_f64()
            ),
        }
    }

    fn skipped(why: String) -> Self {
        Self {
            lasted: Duration::ZERO,
            failovers: 0,
            restarts: 0,
            longest_pause: Duration::ZERO,
            events: Vec::new(),
            skipped: Some(why),
        }
    }
}

/// Disturbs the group for so long.
pub(super) fn play(bed: &mut Bed, kind: Kind, time: Duration) -> Result<Outcome> {
    bed.wait_whole()?;
    if let (Kind::DiskStopped, Err(why)) = (kind, &bed.disk) {
        return Ok(Outcome::skipped(why.clone()));
    }
    let load = match kind {
        Kind::Checkpoint => Some(Load::start(&bed.cluster, CLIENTS)?),
        _ => None,
    };
    let writer = bed.cluster.writer()?;
    let before = bed.cluster.last_event()?;
    let timeline = timeline(&bed.cluster)?;
    let mut watch = Watch::new(&bed.cluster);
    let began = Instant::now();
    let steady = Steady::begin(bed, kind)?;
    for number in 0.. {
        let next = began + Kind::PERIOD * number;
        while Instant::now() < next.min(began + time) {
            watch.look(&bed.cluster);
            std::thread::sleep(Duration::from_millis(50));
        }
        if began.elapsed() >= time {
            break;
        }
        strike(bed, kind, number)?;
    }
    let lasted = began.elapsed();
    steady.end(bed)?;
    drop(load);
    let longest_pause = writer.pause_since(began, GOES_ON)?;
    watch.look(&bed.cluster);
    bed.cluster.wait_whole(GOES_ON)?;
    let failovers = self::timeline(&bed.cluster)?.saturating_sub(timeline);
    let events = bed.cluster.events_after(before)?;
    bed.cluster.verify(&[writer.stop()])?;
    Ok(Outcome { lasted, failovers, restarts: watch.restarts, longest_pause, events, skipped: None })
}

/// The highest timeline that a node has told of.
pub(super) fn timeline(cluster: &Cluster) -> Result<u32> {
    cluster.rows()?.iter().map(|row| row.timeline).max().context("no nodes")
}

/// Which postmaster the primary has.
pub(super) struct Watch {
    postmaster: Option<i32>,
    pub(super) restarts: u32,
}

impl Watch {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { postmaster: postmaster(cluster), restarts: 0 }
    }

    /// Counts a postmaster that is another one than before.
    pub(super) fn look(&mut self, cluster: &Cluster) {
        if let Some(now) = postmaster(cluster) {
            self.restarts += u32::from(self.postmaster.is_some_and(|before| before != now));
            self.postmaster = Some(now);
        }
    }
}

fn postmaster(cluster: &Cluster) -> Option<i32> {
    cluster.host(PRIMARY).ok()?.postmaster_pid().ok()
}

/// What works from beginning to end.
enum Steady {
    Nothing,
    PacketLoss,
    Delay { _delay: Delay },
    BusyLoops(Vec<Child>),
}

impl Steady {
    fn begin(bed: &Bed, kind: Kind) -> Result<Self> {
        let link = &bed.cluster.host(PRIMARY)?.link;
        Ok(match kind {
            Kind::PacketLoss => {
                link.lose_received(LOST)?;
                Self::PacketLoss
            }
            Kind::Latency => Self::Delay { _delay: link.delay(&bed.directory, DELAY, JITTER)? },
            Kind::BusyLoops => Self::BusyLoops((0..LOOPS).map(|_| busy_loop()).collect::<Result<_>>()?),
            _ => Self::Nothing,
        })
    }

    fn end(self, bed: &Bed) -> Result<()> {
        match self {
            Self::PacketLoss => bed.cluster.host(PRIMARY)?.link.lose_nothing_received(LOST),
            Self::BusyLoops(loops) => loops.into_iter().try_for_each(|mut child| {
                child.kill()?;
                child.wait()?;
                Ok(())
            }),
            Self::Nothing | Self::Delay { .. } => Ok(()),
        }
    }
}

/// Ends with the test, however that ends.
fn busy_loop() -> Result<Child> {
    Command::new("timeout")
        .args(["3600", "sh", "-c", "parent=$PPID; while kill -0 $parent 2>/dev/null; do :; done"])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start a busy loop")
}

/// What happens again and again.
fn strike(bed: &mut Bed, kind: Kind, number: u32) -> Result<()> {
    match kind {
        Kind::Stall(milliseconds) => {
            stall(&bed.cluster, PRIMARY, Duration::from_millis(milliseconds)).map(drop)
        }
        Kind::Checkpoint => bed.cluster.host(PRIMARY)?.psql("postgres", "checkpoint").map(drop),
        Kind::DiskStopped => match &bed.disk {
            Ok(disk) => disk.stop_for(DISK_STOPS_FOR),
            Err(why) => bail!("the disk cannot be stopped: {why}"),
        },
        Kind::MonitorFrozen => {
            bed.cluster.monitor.freeze()?;
            std::thread::sleep(MONITOR_STOPS_FOR);
            bed.cluster.monitor.thaw()
        }
        Kind::MonitorStopped => stop_monitor(&mut bed.cluster),
        Kind::ClockStepped => step_a_clock(&bed.cluster, number),
        Kind::PacketLoss | Kind::Latency | Kind::BusyLoops => Ok(()),
    }
}

/// All processes of a host stand still; tells for how long. They are looked for beforehand, because a busy machine takes its
/// time for that.
pub(super) fn stall(cluster: &Cluster, name: &str, time: Duration) -> Result<Duration> {
    let host = cluster.host(name)?;
    let pids = pids_in_namespace(host.link.namespace.name());
    let began = Instant::now();
    pids.iter().try_for_each(|pid| signal(*pid, Signal::SIGSTOP))?;
    // Whoever has been started since.
    host.freeze()?;
    std::thread::sleep((began + time).saturating_duration_since(Instant::now()));
    pids.iter().try_for_each(|pid| signal(*pid, Signal::SIGCONT))?;
    let lasted = began.elapsed();
    host.thaw()?;
    Ok(lasted)
}

fn stop_monitor(cluster: &mut Cluster) -> Result<()> {
    let until = Instant::now() + MONITOR_STOPS_FOR;
    cluster.forget_watch();
    cluster.monitor.signal_keeper(Signal::SIGTERM)?;
    cluster.monitor.keeper_end(GOES_ON)?;
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    cluster.monitor.run()
}

/// Of the primary and of the monitor in turn, forwards, back, and backwards.
fn step_a_clock(cluster: &Cluster, number: u32) -> Result<()> {
    let seconds = [CLOCK_STEP_S, 0, -CLOCK_STEP_S, 0][(number as usize / 2) % 4];
    let host = if number.is_multiple_of(2) { cluster.host(PRIMARY)? } else { &cluster.monitor };
    host.step_clock(seconds)
}
