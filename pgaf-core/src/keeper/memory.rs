//! What the keeper remembers of this life of the local Postgres, for the next plan.

use super::hook::Consent;
use super::pooling::Poolers;
use super::routing::{Route, Routing};
use super::server::{Running, Server};
use super::step::Step;
use crate::lsn::Lsn;
use crate::message::{Assignment, CommitRule, Peer};
use crate::state::ReplicationState;

/// What the keeper has done and seen in this life of the server, and no single look tells; empty after a restart of
/// either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The peers that were admitted last.
    pub admitted: Option<Vec<Peer>>,
    /// The local LSN at the moment when the present commit rule was first wanted: a standby that has flushed more
    /// keeps up.
    pub rule_wanted_since: Option<Lsn>,
    /// The local LSN at the moment when the present `synchronous_standby_names` was first seen in force:
    /// whatever was acknowledged under an older value is before it.
    pub names_in_force_since: Option<Lsn>,
    /// The present `synchronous_standby_names` was in force, with enough standbys up to that LSN.
    pub is_quorum_confirmed: bool,
    /// What the coordinator of a Citus formation was asked.
    pub routing: Routing,
    /// What the hook before a planned promotion says.
    pub consent: Consent,
    /// What the poolers were told.
    pub poolers: Poolers,
    /// The `synchronous_standby_names` that was seen last.
    pub(super) names: String,
    /// The commit rule that was wanted last.
    pub(super) rule: Option<CommitRule>,
    /// What was done to a server that refuses the keeper, and no look can tell.
    pub(super) unseen: Unseen,
}

/// What steps have done since the server was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Unseen {
    /// The node that the server was made to follow.
    pub(super) followed: Option<Peer>,
    /// Its commits were told to wait for nobody.
    pub(super) is_names_emptied: bool,
}

impl Memory {
    /// The assignment that is to be planned for, on this server: notes since when its commit rule is wanted.
    pub fn wants(&mut self, assignment: &Assignment, server: &Server) {
        self.routing.wants(assignment.goal);
        if !is_planned_candidate(assignment) && self.consent != Consent::NotNeeded {
            self.consent = Consent::NotAsked;
        }
        if !assignment.goal.is_writer() && self.poolers == Poolers::Routed {
            self.poolers = Poolers::ToRoute;
        }
        if self.rule.as_ref() != Some(&assignment.commit_rule) {
            self.rule = Some(assignment.commit_rule.clone());
            self.rule_wanted_since = None;
        }
        if let (Server::Running(running), None) = (server, self.rule_wanted_since) {
            self.rule_wanted_since = Some(running.lsn);
        }
    }

    /// A look at the server: notes since when its `synchronous_standby_names` is in force.
    pub fn saw(&mut self, server: &Server) {
        if *server != Server::Refusing {
            self.unseen = Unseen::default();
        }
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
        self.names_in_force_since.get_or_insert(running.lsn);
    }

    /// The plan for this assignment found its goal reached.
    pub const fn reached(&mut self, assignment: &Assignment) {
        if assignment.goal.is_writer() && assignment.commit_rule.is_synchronous() {
            self.is_quorum_confirmed = true;
        }
    }

    /// What the peers are let in with may have changed.
    pub fn forget_admitted(&mut self) {
        self.admitted = None;
    }

    /// The primary of the coordinator's group, for a node of a worker group.
    pub fn coordinator_is(&mut self, coordinator: Option<Peer>) {
        self.routing.coordinator = coordinator;
    }

    /// A coordinator that could not be told to send writes here is to be told again.
    pub fn route_again(&mut self) {
        if matches!(self.routing.route, Route::Failed(_)) {
            self.routing.route = Route::Unknown;
        }
    }

    /// There is a hook that is asked before a planned promotion, or there is none.
    pub fn has_before_promote(&mut self, has_hook: bool) {
        match (has_hook, self.consent) {
            (false, _) => self.consent = Consent::NotNeeded,
            (true, Consent::NotNeeded) => self.consent = Consent::NotAsked,
            (true, _) => {}
        }
    }

    /// There are poolers to be told who the primary is, or there are none.
    pub const fn has_poolers(&mut self, has_poolers: bool) {
        self.poolers = if has_poolers { Poolers::ToRoute } else { Poolers::Unused };
    }

    /// A step failed.
    pub fn failed(&mut self, step: &Step) {
        self.routing.did(step, false);
        match step {
            Step::BeforePromote { .. } => self.consent = Consent::Refused,
            Step::PausePoolers => self.poolers = Poolers::ToRoute,
            // They are looked after while this node is the primary.
            Step::RoutePoolers => self.poolers = Poolers::Routed,
            _ => {}
        }
    }

    /// A step ended well.
    pub fn did(&mut self, step: &Step) {
        self.routing.did(step, true);
        match step {
            Step::BeforePromote { .. } => self.consent = Consent::Given,
            Step::PausePoolers => self.poolers = Poolers::ToRoute,
            Step::RoutePoolers => self.poolers = Poolers::Routed,
            Step::AdmitStandbys { peers } => self.admitted = Some(peers.clone()),
            Step::BaseBackup { .. } | Step::Rewind { .. } => self.admitted = None,
            Step::Follow { upstream } => self.unseen.followed.clone_from(upstream),
            Step::SetSynchronousStandbyNames(names) => self.unseen.is_names_emptied = names.is_empty(),
            _ => {}
        }
    }

    fn forget_quorum(&mut self) {
        self.names.clear();
        self.names_in_force_since = None;
        self.is_quorum_confirmed = false;
    }
}

/// It is to take over from a primary that still serves, and that goes on if it does not.
pub(super) fn is_planned_candidate(assignment: &Assignment) -> bool {
    assignment.goal == ReplicationState::PreparePromotion && assignment.upstream.is_some()
}
