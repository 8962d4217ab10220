//! The shipped `decide` and the shipped keeper, explored exhaustively within bounds: a monitor, a primary, one or two standbys,
//! and everything that can happen to them.
//!
//! Nothing of the state machines is described again here; the model is of what is around them: Postgres, the network,
//! processes that die, operators, and time. There is one check a kind of trouble; each ends when it has seen every
//! state within its budget, or come to them in so many ways as `MODEL_STATES` (default 60,000) says, or `MODEL_SECONDS`
//! (3600) have passed. `MODEL_THREADS` (2) is the number of threads, and from one in `MODEL_HEALS_ONE_IN` (200) states it
//! is checked that the group becomes whole.
//!
//! What must hold is in `invariants`, one file each. The shortest way to a violation is printed, and what the monitor
//! saw of it as a scenario, which `tests/scenarios.rs` can play.

#[path = "../invariants/mod.rs"]
mod rows;
#[path = "../scenario/mod.rs"]
mod scenario;

mod check;
mod scope;

mod action;
mod canonical;
mod fault;
mod healing;
mod invariants;
mod keeper;
mod leadership;
mod planted;
mod screenplay;
mod server;
mod shared;
mod story;
mod turn;
mod world;

use check::check;
use scope::Kind::{
    Additions, Crashes, Cuts, Data, Freezes, HandOvers, LastResort, Leadership, Maintenance, Messages,
    Monitor, Rejections, Removals, Settings, Timeouts,
};

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
    two_nodes_are_rejected(2, 0, [Rejections, Cuts], (1, 2, 0));
    two_nodes_die_and_are_rejected(2, 0, [Crashes, Rejections], (1, 2, 0));
    two_nodes_die_or_are_cut_off(2, 0, [Crashes, Cuts], (1, 2, 0));
    two_nodes_freeze(2, 0, [Freezes, Crashes], (2, 2, 0));
    two_nodes_and_late_messages(2, 0, [Messages, Crashes], (1, 3, 0));
    two_nodes_and_the_monitor(2, 0, [Monitor, Crashes], (1, 3, 0));
    two_nodes_and_other_leaders(2, 0, [Leadership, Messages], (1, 2, 0));
    two_nodes_and_leaders_that_are_lost(2, 0, [Leadership, Crashes], (1, 2, 0));
    two_nodes_lose_data(2, 0, [Data, Crashes], (1, 2, 0));
    two_nodes_and_operators(2, 0, [HandOvers, Maintenance, Removals, Settings, Crashes], (1, 1, 2));
    two_nodes_and_one_more(2, 0, [Additions, Removals, HandOvers, Crashes], (1, 1, 2));
    two_nodes_insist(2, 1, [Crashes, Cuts, Settings], (1, 2, 1));
    two_nodes_and_anything(2, 0, [Crashes, Cuts, Freezes, Messages, Monitor, HandOvers, Maintenance], (1, 2, 1));
    two_nodes_and_timeouts(2, 0, [Timeouts], (0, 1, 2));
    three_nodes_crash(3, 1, [Crashes], (1, 3, 0));
    three_nodes_go_on_alone(3, 0, [Crashes, Freezes], (1, 2, 0));
    three_nodes_are_cut_off(3, 1, [Cuts], (1, 2, 0));
    three_nodes_die_and_are_rejected(3, 1, [Crashes, Rejections], (1, 2, 0));
    three_nodes_and_late_messages(3, 1, [Messages, Crashes], (1, 2, 0));
    three_nodes_and_the_monitor(3, 1, [Monitor, Crashes], (1, 2, 0));
    three_nodes_and_other_leaders(3, 1, [Leadership, Messages], (1, 2, 0));
    three_nodes_lose_data(3, 1, [Data, Crashes], (1, 2, 0));
    three_nodes_hand_over(3, 1, [HandOvers, Maintenance, Crashes], (1, 1, 1));
    three_nodes_change(3, 1, [Additions, Removals, Settings, Crashes], (1, 1, 1));
    three_nodes_and_anything(3, 1, [Crashes, Cuts, Freezes, Messages, Monitor, HandOvers, Maintenance], (1, 2, 1));
    three_nodes_give_up(3, 1, [LastResort, Crashes], (1, 2, 1));
}
