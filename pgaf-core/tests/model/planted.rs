//! A wrong expectation, to see that a violation is found in the shortest way and told as a scenario that plays.

use super::action::Action;
use super::check::Cluster;
use super::scenario::play;
use super::scope::{Kind, Scope};
use super::screenplay;
use super::world::{Budget, World};

fn nobody_is_promoted(world: &World) -> bool {
    world.hosts.iter().all(|host| host.server.timeline == 1)
}

/// The scenario of a trace to a situation that must not be, found in a group with these troubles.
fn scenario_of(kinds: &'static [Kind], budget: Budget, expectation: fn(&World) -> bool) -> (usize, String) {
    let scope = Scope { nodes: 2, number_sync_standbys: 0, kinds, budget };
    let cluster = Cluster::new(scope, u64::MAX).expecting(expectation);
    let (_, actions) = cluster.shortest_violation(100_000).expect("the expectation is wrong");
    (actions.len(), screenplay::write(&cluster.replay(&actions)))
}

#[test]
fn the_way_to_a_violation_is_told_as_a_scenario_that_plays() {
    let budget = Budget { commits: 0, faults: 1, commands: 0 };
    let (steps, scenario) = scenario_of(&[Kind::Crashes], budget, nobody_is_promoted);
    assert_eq!(
        steps, 4,
        "Postgres of the primary crashes, its keeper says so; the standby agrees, and is promoted:\n{scenario}"
    );
    play(&scenario).unwrap_or_else(|why| panic!("{why} in\n{scenario}"));
    assert!(scenario.contains("rule primary_is_down"), "{scenario}");

    let other = scenario.replace("goals 1=demoted 2=prepare_promotion", "goals 1=primary 2=secondary");
    assert_ne!(other, scenario);
    assert!(play(&other).is_err(), "the goals in it are expectations");
}

/// Everything that can happen, in any order: what is told of it is what the monitor decided.
#[test]
fn any_trace_is_told_as_a_scenario_that_plays() {
    const ALL: &[Kind] = &[
        Kind::Crashes,
        Kind::Cuts,
        Kind::Freezes,
        Kind::Messages,
        Kind::Monitor,
        Kind::Data,
        Kind::HandOvers,
        Kind::Maintenance,
        Kind::Removals,
        Kind::Additions,
        Kind::Settings,
        Kind::LastResort,
        Kind::Timeouts,
    ];
    const MONITOR: &[Kind] = &[Kind::Monitor, Kind::HandOvers];
    const LOSSES: &[Kind] = &[Kind::Crashes, Kind::Cuts, Kind::Data, Kind::LastResort];
    let mut told = String::new();
    for seed in 0..150 {
        let budget = Budget { commits: 5, faults: 6, commands: 4 };
        let kinds = [ALL, MONITOR, ALL, LOSSES, ALL][seed % 5];
        let scope = Scope { nodes: 2 + seed % 2, number_sync_standbys: (seed % 2) as u32, kinds, budget };
        let cluster = Cluster::new(scope, u64::MAX);
        let scenario = screenplay::write(&cluster.replay(&random_walk(&cluster, &scope, seed)));
        play(&scenario).unwrap_or_else(|why| panic!("{why} in\n{scenario}"));
        assert!(!scenario.contains("does not play"), "{scenario}");
        told.push_str(&scenario);
    }
    for word in [
        "restore",
        "restart",
        "remove",
        "maintenance",
        "promote",
        "priority",
        "quorum",
        "sync",
        "give_up_commits",
        "register 3",
        " old",
        " epoch ",
    ] {
        assert!(told.contains(word), "{word} is never told");
    }
}

fn random_walk(cluster: &Cluster, scope: &Scope, seed: usize) -> Vec<Action> {
    let mut state = seed as u64;
    let mut world = cluster.replay(&[]);
    let mut walk = Vec::new();
    let mut actions = Vec::new();
    while walk.len() < 60 {
        actions.clear();
        scope.actions(&world, &mut actions);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let action = actions.swap_remove((state >> 33) as usize % actions.len());
        if let Some(next) = world.after(&action) {
            world = next;
            walk.push(action);
        }
    }
    walk
}
