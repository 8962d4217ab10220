//! A formation of two nodes that exists only in memory: the shipped `decide` and `plan` under random faults.
//!
//! One seed makes one run: a phase of faults, in which nothing acknowledged may be lost, then a healed phase, in
//! which the group must become whole. `SEED=n` replays one run with a log, `SEEDS=n` runs so many.

mod keeper;
mod monitor;
mod postgres;
mod random;
mod world;

use world::World;

fn variable(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[test]
fn nothing_acknowledged_is_lost_and_the_group_becomes_whole() {
    if let Some(seed) = variable("SEED") {
        World::new(seed, true).run().unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let seeds = variable("SEEDS").unwrap_or(300);
    let mut acknowledged = 0;
    let mut promotions = 0;
    for seed in 1..=seeds {
        let mut world = World::new(seed, false);
        world.run().unwrap_or_else(|failure| panic!("SEED={seed} replays this: {failure}"));
        acknowledged += world.acknowledged();
        promotions += world.promotions();
    }
    println!("{seeds} runs, {acknowledged} acknowledged commits, {promotions} promotions");
    assert!(promotions > seeds / 4, "the faults led to only {promotions} promotions");
}
