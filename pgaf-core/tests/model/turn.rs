//! A keeper at work: it looks, plans, and carries the steps out on its server.

use pgaf_core::keeper::{Plan, Step, StopMode};

use super::invariants::{acknowledged_commits_survive, goals_can_be_reached, isolated_primaries_fence_first};
use super::keeper::index_of;
use super::server::{Data, Mode};
use super::world::World;

impl World {
    pub(crate) fn look(&mut self, index: usize, is_interrupted: bool) -> Option<()> {
        if !self.hosts[index].keeper.is_up || self.hosts[index].is_frozen {
            return None;
        }
        let before = self.hosts[index].server.clone();
        self.follow_plan(index, is_interrupted)?;
        // A look that changes nothing is not worth a fault.
        (!is_interrupted || self.hosts[index].server != before).then_some(())
    }

    pub(crate) fn follow_plan(&mut self, index: usize, is_interrupted: bool) -> Option<()> {
        let upstream = self.hosts[index]
            .keeper
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.upstream.as_ref())
            .map(index_of)
            .filter(|upstream| self.are_linked(*upstream, index) && self.hosts[*upstream].server.sends())
            .map(|upstream| self.hosts[upstream].server.clone());
        let host = &mut *self.hosts[index];
        let plan = host.keeper.look(&host.server, upstream.as_ref());
        let verdict = goals_can_be_reached::check(&plan, &host.server);
        self.judge(goals_can_be_reached::NAME, verdict);
        let host = &mut *self.hosts[index];
        match plan {
            Plan::Reached => host.keeper.reached(),
            Plan::Steps(mut steps) => {
                steps.truncate(if is_interrupted { 1 } else { steps.len() });
                for step in &steps {
                    self.execute(index, step, is_interrupted)?;
                    self.hosts[index].keeper.recall.did(step);
                }
                return Some(());
            }
            Plan::Wait(_) | Plan::Blocked(_) => {}
        }
        Some(())
    }

    pub(crate) fn execute(&mut self, index: usize, step: &Step, is_interrupted: bool) -> Option<()> {
        match step {
            Step::StopPostgres(mode) => self.stop(index, *mode),
            Step::StartPostgres if self.hosts[index].server.mode == Mode::Gated => {
                self.hosts[index].server.mode = Mode::Writer;
            }
            Step::StartPostgres => self.start(index, false),
            Step::StartGated => self.start(index, true),
            Step::BaseBackup { upstream } | Step::Rewind { upstream } => {
                let source = index_of(upstream);
                let source_server = self.hosts[source].server.clone();
                if !self.are_linked(source, index) || source_server.mode != Mode::Writer {
                    return None;
                }
                let server = &mut self.hosts[index].server;
                server.copy_from(&source_server);
                if is_interrupted {
                    server.data = Data::Incomplete;
                    server.log.clear();
                }
            }
            Step::Follow { upstream } => {
                let server = &mut self.hosts[index].server;
                server.has_signal = true;
                server.names.clear();
                server.follows = upstream.as_ref().map(index_of);
                server.is_streaming = false;
            }
            Step::Promote => self.promote(index),
            Step::SetSynchronousStandbyNames(names) => {
                self.hosts[index].server.names.clone_from(names);
                self.acknowledge(index);
            }
            Step::Checkpoint
            | Step::AdmitStandbys { .. }
            | Step::HoldWrites { .. }
            | Step::ReleaseWrites
            | Step::RouteWrites { .. } => {}
        }
        Some(())
    }

    pub(crate) fn start(&mut self, index: usize, is_gated: bool) {
        self.hosts[index].server.start(is_gated);
        if self.hosts[index].server.mode == Mode::Writer {
            self.check_successor(index);
        }
    }

    /// A fast stop sends everything to the standbys that are connected.
    pub(crate) fn stop(&mut self, index: usize, mode: StopMode) {
        self.hosts[index].server.stop(mode);
        if mode != StopMode::Fast {
            return;
        }
        for standby in 0..self.hosts.len() {
            let is_connected = self.hosts[standby].server.is_streaming
                && self.hosts[standby].server.follows == Some(index)
                && self.are_linked(index, standby);
            if is_connected {
                let log = self.hosts[index].server.log.clone();
                self.hosts[standby].server.log = log;
            }
        }
    }

    pub(crate) fn promote(&mut self, index: usize) {
        self.hosts[index].server.promote();
        self.check_successor(index);
        let verdict = isolated_primaries_fence_first::check(self, index);
        self.judge(isolated_primaries_fence_first::NAME, verdict);
    }

    /// Whoever begins to accept writes has every acknowledged commit.
    pub(crate) fn check_successor(&mut self, index: usize) {
        if !self.may_lose {
            let verdict = acknowledged_commits_survive::check(&self.hosts[index].server, &self.acknowledged);
            self.judge(acknowledged_commits_survive::NAME, verdict);
        }
    }
}
