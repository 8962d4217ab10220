//! The shipped `decide` and `plan`, explored exhaustively within bounds: a monitor, a primary, one or two standbys,
//! and everything that can happen to them.
//!
//! Nothing of the state machines is described again here; the model is of what is around them: Postgres, the network,
//! processes that die, operators, and time. There is one check a kind of trouble; each ends when it has seen every
//! state within its budget, or so many as `MODEL_STATES` (default 60,000) says. `MODEL_THREADS` (2) is the number of
//! threads, and from one in `MODEL_HEALS_ONE_IN` (200) states it is checked that the group becomes whole.

mod scope;

mod action;
mod fault;
mod healing;
mod keeper;
mod server;
mod turn;
mod world;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use action::Action;
use scope::Kind::{
    self, Crashes, Cuts, Data, Freezes, HandOvers, LastResort, Maintenance, Messages, Monitor, Removals,
    Settings,
};
use scope::Scope;
use stateright::{Checker, Model, Property};
use world::{Budget, World};

struct Cluster {
    scope: Scope,
    start: World,
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
            self.scope.actions(state, actions);
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

fn variable(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The whole group that a check starts from: everybody has joined.
fn joined(scope: &Scope) -> World {
    let nothing = Budget { commits: 0, faults: 0, commands: 0 };
    let mut world = World::new(scope.nodes, scope.number_sync_standbys, nothing);
    healing::settle(&mut world).unwrap_or_else(|states| panic!("the nodes do not join: {states}"));
    world.budget = scope.budget;
    world
}

fn check(nodes: usize, number_sync_standbys: u32, kinds: &'static [Kind], budget: (u8, u8, u8)) {
    let (commits, faults, commands) = budget;
    let budget = Budget { commits, faults, commands };
    let scope = Scope { nodes, number_sync_standbys, kinds, budget };
    let states = variable("MODEL_STATES").unwrap_or(60_000);
    #[expect(clippy::disallowed_methods, reason = "how long a check takes is no part of it")]
    let began = Instant::now();
    let cluster =
        Cluster { scope, start: joined(&scope), heals_one_in: variable("MODEL_HEALS_ONE_IN").unwrap_or(200) };
    let checker = cluster
        .checker()
        .threads(variable("MODEL_THREADS").unwrap_or(2) as usize)
        .target_state_count(states as usize)
        .spawn_bfs()
        .join();
    println!(
        "{nodes} nodes, number_sync_standbys {number_sync_standbys}, {kinds:?}, {commits} commits, {faults} faults, \
         {commands} commands: {} states, depth {}, {}, {:.0} s",
        checker.unique_state_count(),
        checker.max_depth(),
        if (checker.state_count() as u64) < states { "all" } else { "not all" },
        began.elapsed().as_secs_f64()
    );
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let end = path.last_state().clone();
        let actions = path.into_actions();
        for (index, action) in actions.iter().enumerate() {
            println!("{index:>3}  {action:?}");
        }
        for (index, host) in end.hosts.iter().enumerate() {
            println!(
                "host {index}: {:?} {:?} names '{}', keeper {} reports {}, shall be {:?}",
                host.server.mode,
                host.server.log,
                host.server.names,
                if host.keeper.is_up { "up" } else { "dead" },
                host.keeper.reported,
                host.keeper.assignment.as_ref().map(|assignment| assignment.goal)
            );
        }
        for node in &end.group.nodes {
            println!("node {}: {}/{} {}", node.id, node.reported, node.goal, node.lsn);
        }
        panic!("{property}: {:?}, healed: {:?}", end.violation, healing::heal(&end));
    }
}

macro_rules! checks {
    ($($name:ident($nodes:expr, $sync:expr, [$($kind:ident),*], $budget:expr);)+) => {
        $(#[test]
        fn $name() {
            check($nodes, $sync, &[$($kind),*], $budget);
        })+
    };
}

checks! {
    two_nodes_crash(2, 0, [Crashes], (2, 3, 0));
    two_nodes_are_cut_off(2, 0, [Cuts], (2, 3, 0));
    two_nodes_freeze(2, 0, [Freezes, Crashes], (2, 2, 0));
    two_nodes_and_late_messages(2, 0, [Messages, Crashes], (1, 3, 0));
    two_nodes_and_the_monitor(2, 0, [Monitor, Crashes], (1, 3, 0));
    two_nodes_lose_data(2, 0, [Data, Crashes], (1, 2, 0));
    two_nodes_and_operators(2, 0, [HandOvers, Maintenance, Removals, Settings, Crashes], (1, 1, 2));
    two_nodes_insist(2, 1, [Crashes, Cuts, Settings], (1, 2, 1));
    three_nodes_crash(3, 1, [Crashes], (1, 3, 0));
    three_nodes_go_on_alone(3, 0, [Crashes, Freezes], (1, 2, 0));
    three_nodes_are_cut_off(3, 1, [Cuts], (1, 2, 0));
    three_nodes_and_late_messages(3, 1, [Messages, Crashes], (1, 2, 0));
    three_nodes_and_the_monitor(3, 1, [Monitor, Crashes], (1, 2, 0));
    three_nodes_lose_data(3, 1, [Data, Crashes], (1, 2, 0));
    three_nodes_hand_over(3, 1, [HandOvers, Maintenance, Crashes], (1, 1, 1));
    three_nodes_change(3, 1, [Removals, Settings, Crashes], (1, 1, 1));
    three_nodes_give_up(3, 1, [LastResort, Crashes], (1, 2, 1));
}
