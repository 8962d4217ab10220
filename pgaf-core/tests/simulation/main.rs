//! A group of nodes that exists only in memory: the shipped `decide` and the shipped keeper under random faults.
//!
//! One seed makes one run: a phase of faults, in which nothing acknowledged may be lost, then a healed phase, in
//! which the group must become whole. What can be set:
//!
//! ```text
//! SEED=n          replays one run, with a log: who was told what by which rule, steps, faults
//! SEEDS=n FROM=m  runs so many, from this seed on
//! NODES=n         all groups are so large
//! RESTORES=n      of a thousand runs, so many restore older rows of the monitor
//! OVERTAKEN=1     a report that its keeper has given up may reach the monitor after a newer one, in all runs
//! ```

#[path = "../invariants/mod.rs"]
mod rows;

mod address;
mod host;
mod invariants;
mod keeper;
mod log;
mod monitor;
mod network;
mod postgres;
mod profile;
mod random;
mod runs;
mod wal;
mod world;

use profile::Wishes;
use world::World;

fn variable(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_and_the_group_becomes_whole() {
    let wishes = Wishes {
        nodes: variable("NODES").map(|count| count as usize),
        restores: variable("RESTORES").unwrap_or(0),
        has_overtaken_reports: variable("OVERTAKEN").is_some(),
    };
    if let Some(seed) = variable("SEED") {
        World::new(seed, wishes, true).run().unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let first = variable("FROM").unwrap_or(1);
    let seeds = variable("SEEDS").unwrap_or(10_000);
    let total = runs::run(first..first + seeds, wishes);
    println!("{total}");
    assert!(total.failures.is_empty(), "{} of {seeds} runs failed", total.failures.len());
    assert!(total.promotions > seeds / 4, "the faults led to only {} promotions", total.promotions);
}
