//! What each keeper does with its share of time: what has happened goes to its engine, and what that wants is begun.

use pgaf_core::Peer;
use pgaf_core::keeper::{Command, Ending, Event, LookId, Signal, Step, StepId, StopMode};

use super::super::address::index_of;
use super::super::invariants::check_start;
use super::super::keeper::{StepUnderWay, milliseconds};
use super::super::network::End;
use super::super::postgres::{Files, Mode};
use super::World;

/// Looks that take their time, of a thousand.
const SLOW_LOOKS: u64 = 100;
/// Writes of the state file that do, and that fail.
const SLOW_SAVES: u64 = 100;
const BAD_SAVES: u64 = 20;
/// A keeper to which more happens at one moment runs in a circle.
const MOST_EVENTS: usize = 1000;

impl World {
    pub(super) fn keeper_lives(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.is_frozen || !host.keeper.is_up {
            return;
        }
        self.dead_man_acts(index);
        let host = &mut self.hosts[index];
        if host.keeper.hangs_until > now {
            return;
        }
        host.keeper.give_up_exchange(now);
        host.keeper.watch_child(&host.postgres);
        self.save_goes_on(index);
        self.work(index);
        self.maintenance_goes_on(index);
        self.look_ends(index);
        let keeper = &mut self.hosts[index].keeper;
        if keeper.wakes_at.take_if(|at| *at <= now).is_some() {
            keeper.events.push_back(Event::Woken);
        }
        self.keeper_decides(index);
    }

    /// A thread of its own, which goes on when the loop does not.
    fn dead_man_acts(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let is_due = host.keeper.dead_man.is_some_and(|at| at <= now);
        if is_due && !host.postgres.is_stopped() {
            host.postgres.crash();
            self.tell(|_| format!("host {index}: the dead man's switch kills Postgres"));
        }
    }

    /// The engine takes everything that has happened, and what comes of that at once.
    fn keeper_decides(&mut self, index: usize) {
        for _ in 0..MOST_EVENTS {
            let Some(event) = self.hosts[index].keeper.events.pop_front() else { return };
            for command in self.hosts[index].keeper.handle(event, self.now) {
                self.carry_out(index, command);
            }
            if !self.hosts[index].keeper.is_up {
                return;
            }
        }
        self.judge(Err(format!("the keeper of host {index} runs in a circle")));
    }

    fn carry_out(&mut self, index: usize, command: Command) {
        let now = self.now;
        match command {
            Command::Observe { look, upstream } => self.look(index, look, upstream.as_ref()),
            Command::Report(report) => self.send_report(index, *report),
            Command::AbandonReport => self.hosts[index].keeper.under_way.exchange = None,
            Command::RunStep { id, step } => {
                self.hosts[index].keeper.under_way.step = Some(StepUnderWay { id, step, times: None });
            }
            Command::CancelStep => self.hosts[index].keeper.under_way.step = None,
            Command::Fence(id) => self.fence(index, id),
            Command::MaintainPeers { id, peers, .. } => {
                let until = now + self.random.between(1, 4) * super::tick::TICK_MS;
                self.hosts[index].keeper.under_way.maintenance = Some((id, peers, until));
            }
            Command::CancelMaintenance => self.hosts[index].keeper.under_way.maintenance = None,
            Command::Save { save, state } => {
                let is_slow = self.random.per_mille(SLOW_SAVES);
                let until = if is_slow { now + self.random.below(3000) } else { now };
                self.hosts[index].keeper.under_way.save = Some((save, state, until));
                self.save_goes_on(index);
            }
            Command::Arm(deadline) => self.hosts[index].keeper.dead_man = deadline.map(milliseconds),
            Command::WakeAt(at) => self.hosts[index].keeper.wakes_at = Some(milliseconds(at)),
            Command::Exit(Ending::Dropped) => self.leave(index),
            Command::Exit(Ending::Stopped) => {
                self.tell(|_| format!("keeper of host {index} ends"));
                self.hosts[index].keeper.dies();
            }
            Command::Log(notice) => self.tell(|_| format!("host {index}: {notice}")),
            Command::KnowFormation { .. }
            | Command::Reconcile { .. }
            | Command::RunHook(_)
            | Command::CheckPoolers
            | Command::ReadConfiguration
            | Command::ApplySettings
            | Command::ApplyPostgresSettings(_)
            | Command::TellReady
            | Command::TellStopping => {}
        }
    }

    /// What is seen is what there is now; it may be known later.
    fn look(&mut self, index: usize, look: LookId, upstream: Option<&Peer>) {
        let now = self.now;
        let upstream = upstream.map(|peer| index_of(&peer.host));
        let upstream = upstream.filter(|upstream| self.can_ask(index, *upstream));
        let until = if self.random.per_mille(SLOW_LOOKS) { now + self.random.below(600) } else { now };
        let archive = &self.archive;
        let observation = match upstream {
            Some(upstream) => {
                let [host, source] = self.hosts.get_disjoint_mut([index, upstream]).expect("two hosts");
                let source = Some((upstream, &source.postgres));
                host.keeper.look(&host.postgres, source, archive, now)
            }
            None => {
                let host = &mut self.hosts[index];
                host.keeper.look(&host.postgres, None, archive, now)
            }
        };
        self.hosts[index].keeper.under_way.look = Some((look, Box::new(observation), until));
        self.look_ends(index);
    }

    fn look_ends(&mut self, index: usize) {
        let now = self.now;
        let keeper = &mut self.hosts[index].keeper;
        if let Some((look, observation, _)) = keeper.under_way.look.take_if(|(_, _, until)| *until <= now) {
            keeper.events.push_back(Event::Observed { look, observation });
        }
    }

    fn save_goes_on(&mut self, index: usize) {
        let now = self.now;
        let Some((save, state, _)) =
            self.hosts[index].keeper.under_way.save.take_if(|(_, _, until)| *until <= now)
        else {
            return;
        };
        let is_bad = self.random.per_mille(BAD_SAVES);
        let keeper = &mut self.hosts[index].keeper;
        if is_bad {
            keeper.events.push_back(Event::SaveFailed { save, reason: "the disk is full".to_owned() });
        } else {
            keeper.disk = *state;
            keeper.events.push_back(Event::Saved(save));
        }
    }

    /// Admits the peers; slots are not simulated.
    fn maintenance_goes_on(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some((id, peers, _)) = host.keeper.under_way.maintenance.take_if(|(_, _, until)| *until <= now)
        else {
            return;
        };
        let is_up = matches!(host.postgres.mode, Mode::Up(_));
        let outcome = if is_up {
            host.postgres.admitted = peers.iter().map(|peer| peer.node).collect();
            Ok(())
        } else {
            Err("Postgres does not run".to_owned())
        };
        host.keeper.events.push_back(Event::PeersMaintained { step: id, outcome });
    }

    /// The Postgres of the other host answers this one.
    pub(super) fn can_ask(&self, index: usize, other: usize) -> bool {
        let host = &self.hosts[other];
        index != other
            && self.network.connects(End::Host(index), End::Host(other))
            && !host.is_frozen
            && matches!(host.postgres.mode, Mode::Up(_))
    }

    /// Stops Postgres as if it crashed, at once.
    fn fence(&mut self, index: usize, id: StepId) {
        let step = Step::StopPostgres(StopMode::Immediate);
        let times = Some((self.now, self.now));
        self.hosts[index].keeper.under_way.step = Some(StepUnderWay { id, step, times });
        self.hosts[index].postgres.begin_stop(StopMode::Immediate, self.now);
    }

    /// Goes on with the step that is under way.
    fn work(&mut self, index: usize) {
        let now = self.now;
        let Some(under_way) = &self.hosts[index].keeper.under_way.step else { return };
        let (step, times) = (under_way.step.clone(), under_way.times);
        let Some((begun, until)) = times else {
            match self.begin_step(index, &step) {
                Ok(duration) => {
                    if let Some(under_way) = &mut self.hosts[index].keeper.under_way.step {
                        under_way.times = Some((now, now + duration));
                    }
                }
                Err(why) => self.hosts[index].keeper.step_done(Err(why)),
            }
            return;
        };
        if let Some(outcome) = self.go_on(index, &step, begun, until) {
            self.hosts[index].keeper.step_done(outcome);
        }
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

    /// Whoever runs the service wants it to end.
    pub(super) fn keeper_is_told_to_stop(&mut self, index: usize) {
        let signal = match self.random.below(4) {
            0 => Signal::StopFast,
            1 => Signal::StopImmediately,
            _ => Signal::Stop,
        };
        if self.hosts[index].keeper.is_up {
            self.tell(|_| format!("FAULT: the keeper of host {index} is told: {signal:?}"));
            self.hosts[index].keeper.events.push_back(Event::Signal(signal));
        }
    }
}
