//! A minute of the same as one of the end-to-end tests: each disturbance once, or for some seconds. Those that take the whole
//! machine are left out: other tests run beside it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};

use super::bed::Bed;
use super::kind::Kind;
use super::play::play;
use crate::harness::{Tools, unavailable};

const KINDS: [(Kind, Duration); 7] = [
    (Kind::Stall(500), Duration::from_secs(2)),
    (Kind::Stall(1_000), Duration::from_secs(3)),
    (Kind::Stall(1_500), Duration::from_secs(3)),
    (Kind::Latency, Duration::from_secs(6)),
    (Kind::DiskStopped, Duration::from_secs(3)),
    (Kind::ClockStepped, Duration::from_secs(3)),
    (Kind::MonitorStopped, Duration::from_secs(11)),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("false_alarms_short_disturbances_cause_no_failover", || match unavailable() {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => disturb().map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}"))),
    })]
}

fn disturb() -> Result<()> {
    let mut bed = Bed::start(&Tools::ours()?, 2)?;
    for (kind, time) in KINDS {
        let outcome = play(&mut bed, kind, time)
            .with_context(|| kind.name())
            .map_err(|error| error.context(bed.cluster.dump()))?;
        ensure!(
            outcome.is_well(),
            "{}: {}\n{}\n{}",
            kind.name(),
            outcome.summary(),
            outcome.events.join("\n"),
            bed.cluster.dump()
        );
    }
    Ok(())
}
