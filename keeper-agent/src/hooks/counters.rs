//! How often hooks were called, and what became of it: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use pgaf_core::keeper::HookKind;

const KINDS: [HookKind; 6] = [
    HookKind::RoleChange,
    HookKind::Start,
    HookKind::Stop,
    HookKind::Fence,
    HookKind::BeforePromote,
    HookKind::Event,
];

/// Of one hook.
#[derive(Debug, Default)]
struct Counter {
    calls: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    dropped: AtomicU64,
}

/// Of one hook, as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCount {
    /// How often it was run.
    pub calls: u64,
    /// How often it could not be started, ended with an error, or printed too much.
    pub failures: u64,
    /// How often it was ended because it took too long.
    pub timeouts: u64,
    /// How many calls gave way to newer ones, and were never run.
    pub dropped: u64,
}

/// Of all hooks.
#[derive(Debug, Default)]
pub struct HookCounters([Counter; KINDS.len()]);

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    Call,
    Failure,
    Timeout,
    Dropped,
}

impl HookCounters {
    /// Every hook and its counts.
    pub fn read(&self) -> Vec<(HookKind, HookCount)> {
        let count = |counter: &Counter| HookCount {
            calls: counter.calls.load(Ordering::Relaxed),
            failures: counter.failures.load(Ordering::Relaxed),
            timeouts: counter.timeouts.load(Ordering::Relaxed),
            dropped: counter.dropped.load(Ordering::Relaxed),
        };
        KINDS.into_iter().zip(self.0.iter().map(count)).collect()
    }

    pub(super) fn count(&self, kind: HookKind, what: Counted) {
        let Some(counter) = KINDS.iter().position(|known| *known == kind).map(|index| &self.0[index]) else {
            return;
        };
        let counted = match what {
            Counted::Call => &counter.calls,
            Counted::Failure => &counter.failures,
            Counted::Timeout => &counter.timeouts,
            Counted::Dropped => &counter.dropped,
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }
}
