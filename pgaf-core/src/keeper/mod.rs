//! The keeper: from what is observed of the local Postgres, and the goal, to the steps that reach it.
//!
//! [`plan`] is total: it has an answer for every goal in every situation, so there is no edge to be missing.
//! [`plan_isolated`] takes its place while the monitor does not answer: [`Authority`] tells when, and [`Memory`] keeps
//! what both have to remember. [`plan_unmonitored`] does while a person has disabled the monitor.

mod authority;
mod claim;
mod engine;
mod holding;
mod hook;
mod isolated;
mod manual;
mod memory;
mod moment;
mod numbering;
mod observed;
mod pooling;
mod recipe;
mod routing;
mod saved;
mod server;
pub mod step;

pub use authority::Authority;
pub use claim::{epoch_to_report, state_that_holds};
pub use engine::{
    Command, Ending, Engine, Event, LookId, Notice, Observation, Outcome, PostgresExit, Progress, SaveId,
    Settings, Severity, Signal, StepId,
};
pub use hook::{Consent, HookCall, HookKind, Role};
pub use isolated::{Silence, plan_isolated, plan_unmonitored};
pub use manual::{GroupMember, ManualAssignment};
pub use memory::Memory;
pub use moment::Moment;
pub use numbering::Numbering;
pub use observed::Observed;
pub use pooling::Poolers;
pub use routing::{Hold, Route, Routing};
pub use saved::{KeeperState, PendingRestart};
pub use server::{Cluster, DataDirectory, Following, Receiver, Running, Server, StreamingStandby};
pub use step::{Plan, Step, StopMode};

use crate::message::Assignment;
use crate::state::ReplicationState as State;

/// What to do next so that the node becomes what the assignment says.
pub fn plan(assignment: &Assignment, observed: &Observed) -> Plan {
    if holding::is_moot(assignment, observed) {
        return Plan::Steps(vec![Step::ReleaseWrites]);
    }
    if recipe::needs_restart(assignment.goal, observed) {
        return recipe::restarted();
    }
    match assignment.goal {
        State::Unknown => Plan::Wait("waiting for the monitor to decide"),
        State::Init => Plan::Reached,
        State::Single | State::WaitPrimary | State::Primary | State::JoinPrimary | State::ApplySettings => {
            recipe::writer(assignment, observed)
        }
        State::Draining | State::PrepareMaintenance => recipe::drained(observed),
        State::DemoteTimeout | State::Demoted | State::Dropped => recipe::stopped(observed),
        State::CatchingUp | State::Secondary => recipe::standby(assignment, observed),
        State::FastForward => recipe::fetching(assignment, observed),
        State::PreparePromotion => recipe::candidate(assignment, observed),
        State::StopReplication | State::ReportLsn => recipe::cut_standby(observed),
        State::JoinSecondary => recipe::loser(observed),
        State::WaitStandby | State::Maintenance | State::WaitMaintenance => recipe::no_writer(observed),
    }
}

#[cfg(test)]
mod tests;
