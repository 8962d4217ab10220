//! What each keeper does with its share of time: look, plan, carry out, report.

use super::super::invariants::check_start;
use super::super::keeper::quorum_heard_at;
use super::super::network::End;
use super::super::postgres::{Files, Mode};
use super::World;

impl World {
    pub(super) fn keeper_lives(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.is_frozen || !host.keeper.is_up {
            return;
        }
        if host.keeper.exchange.is_some_and(|exchange| exchange.fails_at <= now) {
            host.keeper.exchange = None;
            host.keeper.unanswered(now);
        }
        host.keeper.watch_child(&host.postgres, now);
        self.work(index);
        if self.hosts[index].keeper.is_look_due(now) {
            self.look(index);
        }
        let keeper = &mut self.hosts[index].keeper;
        keeper.fence_if_due(now);
        keeper.consider(now);
        self.speak(index);
    }

    fn look(&mut self, index: usize) {
        let now = self.now;
        let host = &self.hosts[index];
        let upstream = host.keeper.upstream_to_ask().filter(|upstream| self.can_ask(index, *upstream));
        let source = upstream.map(|upstream| (upstream, &self.hosts[upstream].postgres));
        let sight = host.keeper.look(&host.postgres, source, &self.archive, now);
        let quorum = quorum_heard_at(&host.postgres);
        self.hosts[index].keeper.saw(sight, quorum, now);
    }

    /// The Postgres of the other host answers this one.
    pub(super) fn can_ask(&self, index: usize, other: usize) -> bool {
        let host = &self.hosts[other];
        index != other
            && self.network.connects(End::Host(index), End::Host(other))
            && !host.is_frozen
            && matches!(host.postgres.mode, Mode::Up(_))
    }

    /// Goes on with the step that is under way, and through those that end at once.
    fn work(&mut self, index: usize) {
        let now = self.now;
        let Some(step) = self.hosts[index].keeper.work.current().cloned() else { return };
        let Some((begun, until)) = self.hosts[index].keeper.work.under_way else {
            self.tell(|_| format!("host {index}: {step}"));
            let result = self.begin_step(index, &step);
            match result {
                Ok(duration) => {
                    self.hosts[index].keeper.work.under_way = Some((now, now + duration));
                }
                Err(why) => self.end_step(index, &step, Err(why)),
            }
            return;
        };
        if let Some(result) = self.go_on(index, &step, begun, until) {
            self.end_step(index, &step, result);
        }
    }

    fn end_step(&mut self, index: usize, step: &pgaf_core::keeper::Step, result: Result<(), &'static str>) {
        if let Err(why) = result {
            self.tell(|_| format!("host {index}: failed: {step}: {why}"));
        }
        self.hosts[index].keeper.step_done(step, result.is_ok(), self.now);
    }

    pub(super) fn start_postgres(&mut self, index: usize, is_gated: bool) -> Result<u64, &'static str> {
        let postgres = &mut self.hosts[index].postgres;
        let verdict = check_start(postgres);
        let is_cluster = postgres.files == Files::Present;
        self.judge(verdict);
        if !is_cluster {
            return Err("these files are no cluster");
        }
        let duration = self.random.between(50, 700);
        self.hosts[index].postgres.start(is_gated, self.now + duration);
        Ok(0)
    }
}
