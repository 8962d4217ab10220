//! The keeper as a machine: what has happened goes in, what shall be done comes out.
//!
//! [`Engine::handle`] is everything there is to a keeper but its hands. It has no clock and does no I/O: the agent waits
//! for events, carries out commands, and decides nothing; the simulation and the model check do the same with a world
//! of their own. All that a keeper remembers is private to the engine, one file a topic.
//!
//! What holds whatever happens:
//! - a look, a step, a report and a save are numbered. What comes back about an older one is ignored, whether or not the
//!   older one could be given up in time. A look that was begun before something happened is stale: nothing is planned,
//!   reported or opened on it.
//! - an assignment is saved before it is acted on. What stops Postgres does not wait for that.
//! - a goal is reached when a look finds it so, never because a step has ended.
//! - a primary that nobody confirms fences itself, whatever else is under way, judged by the last look. The dead man's
//!   switch does the same a moment later when the engine cannot.

mod aging;
mod answer;
mod command;
mod event;
mod fence_time;
mod fencing;
mod formation;
mod hooks;
mod insight;
mod looking;
mod maintenance;
mod notice;
mod planning;
mod poolers;
mod reconfiguration;
mod reporting;
mod restart;
mod saving;
mod settings;
mod shutdown;
mod tuning;
mod work;

pub use command::{Command, Ending};
pub use event::{Event, LookId, Observation, Outcome, PostgresExit, SaveId, Signal, StepId};
pub use notice::{Notice, Severity};
pub use planning::Progress;
pub use settings::Settings;

use super::authority::Authority;
use super::hook::Role;
use super::memory::Memory;
use super::moment::Moment;
use super::saved::KeeperState;
use super::server::Server;
use crate::message::Assignment;
use fence_time::FenceTime;
use formation::Formation;
use looking::Looking;
use maintenance::Maintenance;
use planning::Planning;
use poolers::PoolerCheck;
use reporting::Reporting;
use saving::Saving;
use shutdown::Shutdown;
use tuning::Tuning;
use work::Work;

/// A keeper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    settings: Settings,
    state: KeeperState,
    saving: Saving,
    authority: Authority,
    fence_time: FenceTime,
    memory: Memory,
    looking: Looking,
    planning: Planning,
    work: Work,
    reporting: Reporting,
    maintenance: Maintenance,
    formation: Formation,
    pooler_check: PoolerCheck,
    tuning: Tuning,
    role: Role,
    shutdown: Shutdown,
    is_ready: bool,
    outbox: Outbox,
}

/// The commands of the present event, and what the agent was last told that it keeps in mind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outbox {
    now: Moment,
    commands: Vec<Command>,
    wakes_at: Option<Moment>,
    armed: Option<Moment>,
}

impl Engine {
    /// The keeper of a registered node, in a new process. Whoever starts it has counted the start in the state.
    pub fn new(settings: Settings, state: KeeperState, now: Moment) -> Self {
        Self {
            settings,
            saving: Saving::default(),
            authority: Authority::new(now),
            fence_time: FenceTime::new(state.granted_fence_time()),
            memory: Memory::default(),
            looking: Looking::new(now),
            planning: Planning::new(now),
            work: Work::default(),
            reporting: Reporting::new(state.keeper_start, now),
            maintenance: Maintenance::new(now),
            formation: Formation::new(now),
            pooler_check: PoolerCheck::new(now),
            tuning: Tuning::new(now),
            role: Role::default(),
            shutdown: Shutdown::None,
            is_ready: false,
            outbox: Outbox { now, ..Outbox::default() },
            state,
        }
    }

    /// Takes what has happened by now, and says what shall be done.
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Command> {
        self.outbox.now = now;
        self.take(event);
        self.end_back_off();
        self.go_on_ending();
        if self.shutdown != Shutdown::Over {
            self.do_what_is_due();
        }
        std::mem::take(&mut self.outbox.commands)
    }

    /// In the order of its urgency.
    fn do_what_is_due(&mut self) {
        self.shorten_fence_time();
        self.look_if_due();
        self.fence_if_due();
        self.plan_if_due();
        self.report_if_due();
        self.maintain_peers_if_due();
        self.reconcile_if_due();
        self.check_poolers_if_due();
        self.tune_if_due();
        self.save_if_due();
        self.arm();
        self.ask_to_be_woken();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Started => self.on_started(),
            Event::Woken => self.on_woken(),
            Event::Observed { look, observation } => self.on_observed(look, *observation),
            Event::Answered { report, sent, answer, formation } => {
                if self.reporting.is_for(report) {
                    self.on_answered(sent, *answer, formation);
                }
            }
            Event::Unanswered { report, reason } => {
                if self.reporting.is_for(report) {
                    self.on_unanswered(reason);
                }
            }
            Event::Dropped { report } => {
                if self.reporting.is_for(report) {
                    self.on_dropped();
                }
            }
            Event::UnknownNode { report, reason } => {
                if self.reporting.is_for(report) {
                    self.on_unknown_node(reason);
                }
            }
            Event::Notified => self.on_notified(),
            Event::StepEnded { step, outcome } => self.on_step_ended(step, outcome),
            Event::PostgresExited(exit) => self.on_postgres_exited(exit),
            Event::PeersMaintained { step, outcome } => self.on_peers_maintained(step, outcome),
            Event::Reconciled { is_complete } => self.formation.reconciled(is_complete),
            Event::PoolersTended => self.pooler_check.is_over(),
            Event::Saved(save) => self.on_saved(save),
            Event::SaveFailed { save, reason } => self.on_save_failed(save, reason),
            Event::Signal(signal) => self.on_signal(signal),
            Event::Reconfigured { settings, has_other_monitor } => {
                self.on_reconfigured(*settings, has_other_monitor);
            }
            Event::SettingsApplied(outcome) => self.on_settings_applied(outcome),
            Event::PostgresSettingsApplied(outcome) => self.on_postgres_settings_applied(outcome),
            Event::Assigned(manual) => self.on_assigned(&manual),
        }
    }

    const fn now(&self) -> Moment {
        self.outbox.now
    }

    fn order(&mut self, command: Command) {
        self.outbox.commands.push(command);
    }

    fn tell(&mut self, notice: Notice) {
        self.order(Command::Log(notice));
    }

    /// What this node shall be, as it was last told.
    pub const fn assignment(&self) -> Option<&Assignment> {
        self.state.assignment.as_ref()
    }

    /// What would be left if the process ended now and the state file could be written.
    pub const fn state(&self) -> &KeeperState {
        &self.state
    }

    /// What it has asked of a Citus coordinator, and what else no look tells.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Its goal is to accept writes that wait for standbys: only such a node can be replaced behind its back.
    fn is_synchronous_writer(&self) -> bool {
        self.assignment()
            .is_some_and(|assignment| assignment.goal.is_writer() && assignment.commit_rule.is_synchronous())
    }

    /// The local Postgres, as it was last seen.
    fn server(&self) -> Option<&Server> {
        self.looking.newest().map(|seen| &seen.observed.server)
    }

    fn is_seen_stopped(&self) -> bool {
        self.server() == Some(&Server::Stopped)
    }
}

impl std::hash::Hash for Outbox {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.now, self.wakes_at, self.armed, self.commands.len()).hash(state);
    }
}
