//! Many runs, on all cores.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::profile::Wishes;
use super::world::World;

/// More failures tell nothing new.
const MOST_FAILURES: usize = 20;

/// What came of all runs.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) runs: u64,
    pub(crate) acknowledged: u64,
    pub(crate) promotions: u64,
    /// Seeds, and what did not hold.
    pub(crate) failures: Vec<(u64, String)>,
    took: Duration,
}

/// Runs the seeds; failures are printed as they are found.
pub(crate) fn run(seeds: Range<u64>, wishes: Wishes) -> Total {
    #[expect(clippy::disallowed_methods, reason = "how long the runs take is no part of them")]
    let started = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Total::default());
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&next, seeds.end, wishes, &total));
        }
    });
    let mut total = total.into_inner().expect("no thread panics with the total in its hands");
    total.took = started.elapsed();
    total
}

fn work(next: &AtomicU64, end: u64, wishes: Wishes, total: &Mutex<Total>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let mut world = World::new(seed, wishes, false);
        let result = catch_unwind(AssertUnwindSafe(|| world.run()))
            .unwrap_or_else(|_| Err("a panic, which is printed above".to_owned()));
        let mut total = total.lock().expect("no thread panics with the total in its hands");
        total.runs += 1;
        total.acknowledged += world.acknowledged();
        total.promotions += world.promotions();
        if let Err(failure) = result {
            println!("SEED={seed} replays this: {failure}");
            total.failures.push((seed, failure));
        }
        if total.failures.len() >= MOST_FAILURES {
            return;
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "{} runs in {seconds:.1} s, {:.0} a second; {} acknowledged commits, {} promotions, {} failures",
            self.runs,
            self.runs as f64 / seconds,
            self.acknowledged,
            self.promotions,
            self.failures.len()
        )
    }
}
