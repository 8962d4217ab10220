//! One check: from a whole group, everything that may happen to it in every order.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::action::Action;
use super::invariants::{
    acknowledged_commits_survive, decisions_are_functions, goals_can_be_reached, group_becomes_whole,
    isolated_primaries_fence_first, nobody_is_buried_alive, one_writer, promoted_nodes_lack_nothing,
};
use super::keeper::TICK;
use super::leadership::Slip;
use super::scope::{Kind, Scope};
use super::story::{Chapter, Story};
use super::world::{Budget, World};
use super::{healing, screenplay};

/// A group, and what may happen to it.
#[derive(Clone)]
pub(crate) struct Cluster {
    scope: Scope,
    start: World,
    heals_one_in: u64,
    /// One more expectation, which is known to be wrong.
    planted: fn(&World) -> bool,
}

/// The name of that expectation.
const PLANTED: &str = "a planted expectation";

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
            Property::always(one_writer::NAME, |_, state: &World| state.keeps(one_writer::NAME)),
            Property::always(acknowledged_commits_survive::NAME, |_, state: &World| {
                state.keeps(acknowledged_commits_survive::NAME)
            }),
            Property::always(promoted_nodes_lack_nothing::NAME, |_, state: &World| {
                state.keeps(promoted_nodes_lack_nothing::NAME)
            }),
            Property::always(nobody_is_buried_alive::NAME, |_, state: &World| {
                state.keeps(nobody_is_buried_alive::NAME)
            }),
            Property::always(goals_can_be_reached::NAME, |_, state: &World| {
                state.keeps(goals_can_be_reached::NAME)
            }),
            Property::always(group_becomes_whole::NAME, |model: &Self, state: &World| {
                !model.is_picked(state) || healing::heal(state).is_ok()
            }),
            Property::always(decisions_are_functions::NAME, |_, state: &World| {
                state.keeps(decisions_are_functions::NAME)
            }),
            Property::always(PLANTED, |model: &Self, state: &World| (model.planted)(state)),
            Property::always(isolated_primaries_fence_first::NAME, |_, state: &World| {
                state.keeps(isolated_primaries_fence_first::NAME)
            }),
        ]
    }
}

impl Cluster {
    pub(crate) fn new(scope: Scope, heals_one_in: u64) -> Self {
        Self { scope, start: joined(&scope, Story::default()), heals_one_in, planted: |_| true }
    }

    pub(crate) fn slipping(mut self, slip: Slip) -> Self {
        self.start.slip = slip;
        self
    }

    pub(crate) fn expecting(self, planted: fn(&World) -> bool) -> Self {
        Self { planted, ..self }
    }

    /// A violation, by name, with a shortest way to it.
    pub(crate) fn shortest_violation(&self, states: usize) -> Option<(&'static str, Vec<Action>)> {
        let mut shortest = self.violation(states, usize::MAX)?;
        while let Some(shorter) = self.violation(states, shortest.1.len()) {
            shortest = shorter;
        }
        Some(shortest)
    }

    /// A violation in fewer steps than that. One thread: several come to situations in another order.
    pub(crate) fn violation(&self, states: usize, fewer_than: usize) -> Option<(&'static str, Vec<Action>)> {
        let checker = self.clone().checker().target_state_count(states).finish_when(HasDiscoveries::Any);
        let checker = checker.target_max_depth(fewer_than.saturating_add(1)).spawn_bfs().join();
        let found = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions()));
        found.min_by_key(|(_, actions)| actions.len())
    }

    /// A situation from which it is checked that the group becomes whole.
    fn is_picked(&self, state: &World) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        hasher.finish().is_multiple_of(self.heals_one_in)
    }

    /// The same, told from the start.
    pub(crate) fn replay(&self, actions: &[Action]) -> World {
        let start = joined(&self.scope, Story::listened_to());
        actions.iter().fold(start, |mut world, action| {
            world.story.tell(|| Chapter::Told(format!("{action:?}")));
            world.after(action).unwrap_or(world)
        })
    }
}

impl World {
    fn keeps(&self, invariant: &str) -> bool {
        self.violation.as_ref().is_none_or(|violation| violation.invariant != invariant)
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The whole group that a check starts from: everybody has joined.
fn joined(scope: &Scope, story: Story) -> World {
    let nothing = Budget { commits: 0, faults: 0, commands: 0 };
    let mut world = World::new(scope.nodes, scope.number_sync_standbys, nothing, story);
    if let Some(ticks) = scope.unhealthy_ticks() {
        world.group.timeouts.unhealthy_after = TICK * u32::from(ticks);
    }
    healing::settle(&mut world).unwrap_or_else(|states| panic!("the nodes do not join: {states}"));
    world.budget = scope.budget;
    world.make_canonical();
    world
}

pub(crate) fn check(nodes: usize, number_sync_standbys: u32, kinds: &'static [Kind], budget: (u8, u8, u8)) {
    let (commits, faults, commands) = budget;
    let budget = Budget { commits, faults, commands };
    let scope = Scope { nodes, number_sync_standbys, kinds, budget };
    let states = variable("MODEL_STATES").unwrap_or(60_000);
    let threads = variable("MODEL_THREADS").unwrap_or(2) as usize;
    #[expect(clippy::disallowed_methods, reason = "how long a check takes is no part of it")]
    let began = Instant::now();
    let cluster = Cluster::new(scope, variable("MODEL_HEALS_ONE_IN").unwrap_or(200));
    let most = Duration::from_secs(variable("MODEL_SECONDS").unwrap_or(3600));
    let checker = cluster.checker().threads(threads).target_state_count(states as usize).timeout(most);
    let checker = checker.finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{nodes} nodes, number_sync_standbys {number_sync_standbys}, {kinds:?}, {commits} commits, {faults} faults, \
         {commands} commands: {} states, depth {}, {}, {seconds:.0} s, {} MB",
        checker.unique_state_count(),
        checker.max_depth(),
        if checker.state_count() as u64 >= states || seconds >= most.as_secs_f64() {
            "not all"
        } else {
            "all"
        },
        peak_memory_mb().unwrap_or_default(),
    );
    if checker.discoveries().is_empty() {
        return;
    }
    let again = checker.model().shortest_violation(states as usize);
    let (property, actions) = again.expect("one thread finds what several have found");
    let end = checker.model().replay(&actions);
    println!("{}", screenplay::write(&end));
    let steps = actions.len();
    panic!("{property}, in {steps} steps: {:?}, healed: {:?}", end.violation, healing::heal(&end));
}

/// Of this process, since it started.
fn peak_memory_mb() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}
