//! What the keeper remembers of this life of the local Postgres, for the next plan.

use super::observed::{Memory, Running, Server};
use super::routing::Route;
use super::step::Step;
use crate::message::{Assignment, CommitRule, Peer};

/// Keeps [`Memory`] in step with what is seen and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recall {
    memory: Memory,
    names: String,
    rule: Option<CommitRule>,
}

impl Recall {
    /// As of now.
    pub fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// The assignment that is to be planned for, on this server: notes since when its commit rule is wanted.
    pub fn wants(&mut self, assignment: &Assignment, server: &Server) {
        self.memory.routing.wants(assignment.goal);
        if self.rule.as_ref() != Some(&assignment.commit_rule) {
            self.rule = Some(assignment.commit_rule.clone());
            self.memory.rule_wanted_since = None;
        }
        if let (Server::Running(running), None) = (server, self.memory.rule_wanted_since) {
            self.memory.rule_wanted_since = Some(running.lsn);
        }
    }

    /// A look at the server: notes since when its `synchronous_standby_names` is in force.
    pub fn saw(&mut self, server: &Server) {
        match server {
            Server::Running(running) if !running.is_in_recovery => self.saw_writer(running),
            _ => self.forget_quorum(),
        }
    }

    fn saw_writer(&mut self, running: &Running) {
        if running.synchronous_standby_names != self.names {
            self.forget_quorum();
            self.names.clone_from(&running.synchronous_standby_names);
        }
        self.memory.names_in_force_since.get_or_insert(running.lsn);
    }

    /// The plan for this assignment found its goal reached.
    pub const fn reached(&mut self, assignment: &Assignment) {
        if assignment.goal.is_writer() && assignment.commit_rule.is_synchronous() {
            self.memory.is_quorum_confirmed = true;
        }
    }

    /// What the peers are let in with may have changed.
    pub fn forget_admitted(&mut self) {
        self.memory.admitted = None;
    }

    /// The primary of the coordinator's group, for a node of a worker group.
    pub fn coordinator_is(&mut self, coordinator: Option<Peer>) {
        self.memory.routing.coordinator = coordinator;
    }

    /// A coordinator that could not be told to send writes here is to be told again.
    pub fn route_again(&mut self) {
        if matches!(self.memory.routing.route, Route::Failed(_)) {
            self.memory.routing.route = Route::Unknown;
        }
    }

    /// A step failed.
    pub fn failed(&mut self, step: &Step) {
        self.memory.routing.did(step, false);
    }

    /// A step ended well.
    pub fn did(&mut self, step: &Step) {
        self.memory.routing.did(step, true);
        match step {
            Step::AdmitStandbys { peers } => self.memory.admitted = Some(peers.clone()),
            Step::BaseBackup { .. } | Step::Rewind { .. } => self.memory.admitted = None,
            _ => {}
        }
    }

    fn forget_quorum(&mut self) {
        self.names.clear();
        self.memory.names_in_force_since = None;
        self.memory.is_quorum_confirmed = false;
    }
}
