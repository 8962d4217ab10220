//! The shipped `decide` and `plan`, explored exhaustively within bounds: a monitor, a primary, one or two standbys,
//! and everything that can happen to them.
//!
//! Nothing of the state machines is described again here; the model is of what is around them: Postgres, the network,
//! processes that die, operators, and time. `MODEL_STATES` (default 300,000) bounds each check, `MODEL_THREADS` its
//! threads.

mod action;
mod healing;
mod keeper;
mod server;
mod world;

use std::hash::{DefaultHasher, Hash, Hasher};

use action::Action;
use stateright::{Checker, Model, Property};
use world::{Budget, World};

struct Cluster {
    start: World,
    /// From one in so many states it is checked that the group becomes whole.
    heals_one_in: u64,
}

impl Model for Cluster {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        if state.violation.is_none() {
            state.actions(actions);
        }
    }

    fn next_state(&self, state: &World, action: Action) -> Option<World> {
        state.after(&action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is violated", |_, state: &World| state.violation.is_none()),
            Property::always("the group becomes whole", |model: &Self, state: &World| {
                let mut hasher = DefaultHasher::new();
                state.hash(&mut hasher);
                !hasher.finish().is_multiple_of(model.heals_one_in) || healing::heal(state).is_ok()
            }),
        ]
    }
}

fn variable(name: &str) -> Option<usize> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The whole group that a check starts from: everybody has joined.
fn joined(nodes: usize, number_sync_standbys: u32, budget: Budget) -> World {
    let nothing = Budget { commits: 0, faults: 0, commands: 0 };
    let mut world = World::new(nodes, number_sync_standbys, nothing);
    healing::settle(&mut world).unwrap_or_else(|states| panic!("the nodes do not join: {states}"));
    world.budget = budget;
    world.acknowledged.clear();
    world
}

fn check(nodes: usize, number_sync_standbys: u32, budget: Budget) {
    let start = joined(nodes, number_sync_standbys, budget);
    let states = variable("MODEL_STATES").unwrap_or(300_000);
    let heals_one_in = variable("MODEL_HEALS_ONE_IN").unwrap_or(500) as u64;
    let checker = Cluster { start, heals_one_in }
        .checker()
        .threads(variable("MODEL_THREADS").unwrap_or(2))
        .target_state_count(states)
        .spawn_bfs()
        .join();
    println!(
        "{nodes} nodes, number_sync_standbys {number_sync_standbys}, {budget:?}: {} states, depth {}",
        checker.unique_state_count(),
        checker.max_depth()
    );
    for (property, path) in checker.discoveries() {
        let end = path.last_state().clone();
        for (index, action) in path.into_actions().iter().enumerate() {
            println!("{index:>3}  {action:?}");
        }
        let healed = healing::heal(&end);
        println!("{:#?}\nhealed: {healed:?}", end.group.nodes);
        panic!("{property}: {:?}", end.violation);
    }
}

#[test]
fn two_nodes() {
    check(2, 0, Budget { commits: 2, faults: 3, commands: 1 });
}

#[test]
fn three_nodes() {
    check(3, 1, Budget { commits: 2, faults: 2, commands: 1 });
}
