//! A keeper at work: it looks, and what its engine wants is done at once. A look, the steps that it calls for, and what
//! comes of a report take no time.

use pgaf_core::Answer;
use pgaf_core::keeper::{Command, Event, LookId, Step, StepId, StopMode};

use super::action::Fate;
use super::invariants::{acknowledged_commits_survive, goals_can_be_reached, isolated_primaries_fence_first};
use super::keeper::{NOW, TICK, index_of};
use super::server::{Data, Mode, Server};
use super::world::World;

/// What becomes of the first report of a keeper that acts.
pub(crate) enum Reply {
    /// Nothing yet.
    None,
    /// It is sent.
    Of(Fate),
    /// It is sent to the monitor that led before.
    OfDeposed,
    /// The answer comes that was asked for so many ticks ago.
    Late(u8, Box<Answer>),
}

/// What an engine has begun.
struct Hands {
    /// How many looks there will be.
    looks: u8,
    reply: Reply,
    look: Option<LookId>,
    step: Option<(StepId, Step)>,
}

impl World {
    pub(crate) fn look(&mut self, index: usize, is_interrupted: bool) -> Option<()> {
        if !self.hosts[index].keeper.is_up || self.hosts[index].is_frozen {
            return None;
        }
        let before = is_interrupted.then(|| self.hosts[index].server.clone());
        self.act(index, 1, Reply::None, is_interrupted)?;
        // A look that changes nothing is not worth a fault.
        before.is_none_or(|before| self.hosts[index].server != before).then_some(())
    }

    /// Lets the engine look so many times, do what each look calls for, and hear of its report. An interruption comes in
    /// the first step.
    pub(crate) fn act(&mut self, index: usize, looks: u8, reply: Reply, is_interrupted: bool) -> Option<()> {
        let mut hands = Hands { looks, reply, look: None, step: None };
        let mut commands = self.hosts[index].keeper.handle(Event::Woken);
        loop {
            while !commands.is_empty() {
                let mut next = Vec::new();
                for command in std::mem::take(&mut commands) {
                    next.extend(self.carry_out(index, command, &mut hands)?);
                }
                commands = next;
            }
            commands = if let Some((step, what)) = hands.step.take() {
                self.execute(index, &what, is_interrupted)?;
                if is_interrupted {
                    break;
                }
                self.hosts[index].keeper.handle(Event::StepEnded { step, outcome: Ok(()) })
            } else if let Some(look) = hands.look.take().filter(|_| hands.looks > 0) {
                hands.looks -= 1;
                self.observe(index, look)
            } else {
                break;
            };
            if !self.hosts[index].keeper.is_up {
                return Some(());
            }
        }
        self.hosts[index].keeper.rest();
        Some(())
    }

    /// Begins what the engine wants done, or does it; gives what the engine wants then.
    fn carry_out(&mut self, index: usize, command: Command, hands: &mut Hands) -> Option<Vec<Command>> {
        match command {
            Command::Observe { look, .. } => hands.look = Some(look),
            Command::RunStep { id, step } => hands.step = Some((id, step)),
            Command::CancelStep => hands.step = None,
            Command::Fence(step) => {
                self.stop(index, StopMode::Immediate);
                return Some(self.hosts[index].keeper.handle(Event::StepEnded { step, outcome: Ok(()) }));
            }
            Command::Save { save, .. } => return Some(self.hosts[index].keeper.handle(Event::Saved(save))),
            Command::Report(report) => {
                let event = match std::mem::replace(&mut hands.reply, Reply::None) {
                    Reply::None => None,
                    Reply::Of(fate) => self.report(index, *report, fate)?,
                    Reply::OfDeposed => Some(self.report_to_deposed(index, *report)?),
                    Reply::Late(sent, answer) => Some(Event::Answered {
                        report: report.detail.number?,
                        sent: NOW.before(TICK * u32::from(sent)),
                        answer,
                        formation: None,
                    }),
                };
                return Some(event.map(|event| self.hosts[index].keeper.handle(event)).unwrap_or_default());
            }
            _ => {}
        }
        Some(Vec::new())
    }

    fn observe(&mut self, index: usize, look: LookId) -> Vec<Command> {
        let upstream = self.upstream_of(index);
        let host = &mut *self.hosts[index];
        let observation = Box::new(host.keeper.observe(&host.server, upstream.as_ref()));
        let commands = host.keeper.handle(Event::Observed { look, observation });
        let verdict = goals_can_be_reached::check(host.keeper.blocked(), &host.server);
        self.judge(goals_can_be_reached::NAME, verdict);
        commands
    }

    /// The server that a keeper compares its own with, when that can be asked.
    fn upstream_of(&self, index: usize) -> Option<Server> {
        let assignment = self.hosts[index].keeper.assignment()?;
        let upstream = assignment.upstream.as_ref().map(index_of)?;
        let can_ask = self.are_linked(upstream, index) && self.hosts[upstream].server.sends();
        can_ask.then(|| self.hosts[upstream].server.clone())
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
            | Step::BeforePromote { .. }
            | Step::PausePoolers
            | Step::RoutePoolers
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
