//! What can happen next.

use pgaf_core::Report;
use pgaf_core::keeper::{Event, StopMode};
use pgaf_core::monitor;

use super::invariants::one_writer;
use super::keeper::{NOW, OLDEST_TICKS, TICK};
use super::server::{Data, Mode, Server};
use super::turn::Reply;
use super::world::{Host, SILENT_AFTER_TICKS, World};

/// What becomes of an exchange with the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Answered,
    /// The answer is on its way.
    AnswerDelayed,
    /// The monitor has read the report, and the keeper hears nothing.
    AnswerLost,
    /// The keeper gives up, and the monitor reads the report later.
    ReportDelayed,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A second passes.
    Tick,
    /// A keeper looks, carries out its plan, and reports; what it hears it acts on.
    Turn(usize, Fate),
    /// It only looks and carries out its plan.
    Look(usize),
    /// The same, and nothing comes after the first step, which is itself interrupted if it is a copy.
    LookInterrupted(usize),
    AnswerArrives(usize),
    StrayReportArrives(usize),
    /// A standby receives all there is, and its upstream hears so.
    Receive(usize),
    /// A standby's stream ends, since the server that it came from has stopped.
    StreamEnds(usize),
    /// The monitor notices the end of the session of a keeper that died.
    SessionEnds(usize),
    /// The monitor's probes are refused, twice.
    ProbeTwice(usize),
    /// A client commits.
    Commit(usize),
    PostgresCrashes(usize),
    KeeperDies(usize),
    HostDies(usize),
    DataIsLost(usize),
    KeeperStarts(usize),
    Freeze(usize),
    Thaw(usize),
    /// The second host hears nothing of the first any more.
    Cut(usize, usize),
    CutFromMonitor(usize),
    /// The same, by somebody who refuses in its name what the monitor sends.
    RejectMonitor(usize),
    /// It is cut off from everybody, both ways.
    Isolate(usize),
    /// All links are as they should be.
    Mend,
    MonitorDies,
    /// Of three monitors another one leads. A host may be left with the former one, cut off from everybody else.
    AnotherLeads(Option<usize>),
    /// As `Turn`, with the monitor that led before.
    TurnAtDeposed(usize),
    MonitorStarts,
    BackUpRows,
    /// The monitor is restarted on the older copy of its rows.
    RestoreRows,
    Command(monitor::Event),
    /// The monitor calls a node silent after so many ticks from now on.
    SetUnhealthyTicks(u8),
    /// A person creates one more node.
    AddNode,
}

impl World {
    /// Carries it out; `None` when it cannot happen or changes nothing.
    pub(crate) fn after(&self, action: &Action) -> Option<Self> {
        let mut world = self.clone();
        world.happen(action)?;
        world.make_canonical();
        (world != *self).then_some(world)
    }

    fn happen(&mut self, action: &Action) -> Option<()> {
        match action {
            Action::Tick => self.tick(),
            Action::Look(index) => self.look(*index, false),
            Action::LookInterrupted(index) => self.pay_fault().and_then(|()| self.look(*index, true)),
            Action::Turn(index, fate) => {
                self.look(*index, false)?;
                self.act(*index, 2, Reply::Of(*fate), false)
            }
            Action::TurnAtDeposed(index) => {
                self.deposed.as_ref()?;
                self.look(*index, false)?;
                self.act(*index, 2, Reply::OfDeposed, false)
            }
            Action::AnswerArrives(index) => self.answer_arrives(*index),
            Action::StrayReportArrives(index) => {
                let report = self.hosts[*index].stray.take().filter(|_| self.is_monitor_up)?;
                self.take_report(*index, *report);
                Some(())
            }
            Action::Receive(index) => self.receive(*index),
            Action::StreamEnds(index) => self.stream_ends(*index),
            Action::SessionEnds(index) => self.session_ends(*index),
            Action::ProbeTwice(index) => self.probe_twice(*index),
            Action::Commit(index) => self.commit(*index),
            Action::AddNode => {
                self.budget.commands = self.budget.commands.checked_sub(1)?;
                self.is_monitor_up.then(|| self.add_host(Data::Missing))
            }
            Action::SetUnhealthyTicks(ticks) => {
                self.budget.commands = self.budget.commands.checked_sub(1)?;
                self.group.timeouts.unhealthy_after = TICK * u32::from(*ticks);
                self.is_monitor_up.then_some(())
            }
            Action::Command(event) => {
                self.budget.commands = self.budget.commands.checked_sub(1)?;
                self.may_lose |= matches!(event, monitor::Event::FailoverWithDataLoss { .. });
                (self.is_monitor_up && self.decide(event).is_some()).then_some(())
            }
            fault => self.fault(fault),
        }
    }

    pub(crate) fn pay_fault(&mut self) -> Option<()> {
        self.budget.faults = self.budget.faults.checked_sub(1)?;
        Some(())
    }

    // ---- time ----

    /// No more time passes before a primary that must fence itself has done so: that takes milliseconds.
    fn tick(&mut self) -> Option<()> {
        let is_late =
            |host: &Host| host.keeper.is_up && !host.is_frozen && host.keeper.must_fence(&host.server);
        if self.hosts.iter().any(|host| is_late(host)) {
            return None;
        }
        self.uptime = OLDEST_TICKS.min(self.uptime + 1);
        for index in 0..self.hosts.len() {
            self.age(index);
        }
        if self.is_monitor_up {
            self.probe_all();
            self.decide(&monitor::Event::Tick);
        }
        Some(())
    }

    fn age(&mut self, index: usize) {
        let hears = self.hosts[index]
            .server
            .follows
            .is_some_and(|upstream| self.is_heard(upstream, index) && self.hosts[upstream].server.sends());
        let replying: Vec<usize> = (0..self.hosts.len())
            .filter(|standby| {
                let server = &self.hosts[*standby].server;
                server.is_streaming && server.follows == Some(index) && self.is_heard(*standby, index)
            })
            .collect();
        let host = &mut *self.hosts[index];
        host.silent = OLDEST_TICKS.min(host.silent + 1);
        host.ended = host.ended.map(|ticks| OLDEST_TICKS.min(ticks + 1));
        host.goal_age = host.goal_age.max(OLDEST_TICKS.min(host.goal_age + 1));
        if let Some((sent, _)) = &mut host.answer {
            *sent = OLDEST_TICKS.min(*sent + 1);
        }
        host.keeper.age();
        let server = &mut host.server;
        for reply in &mut server.replies {
            let is_heard = replying.contains(&reply.standby);
            reply.age = if is_heard { 0 } else { OLDEST_TICKS.min(reply.age + 1) };
        }
        if server.mode == Mode::Standby {
            let is_heard = server.is_streaming && hears;
            server.unheard = if is_heard { 0 } else { OLDEST_TICKS.min(server.unheard + 1) };
            // The walreceiver gives up, sooner than the monitor would.
            if server.unheard + 1 >= SILENT_AFTER_TICKS {
                server.is_streaming = false;
            }
        }
    }

    // ---- the monitor ----

    /// A report is sent; gives what its keeper hears of it.
    pub(crate) fn report(&mut self, index: usize, report: Report, fate: Fate) -> Option<Option<Event>> {
        if fate != Fate::Answered {
            self.pay_fault()?;
        }
        let number = report.detail.number?;
        let unanswered = Some(Event::Unanswered { report: number, reason: String::new() });
        let host = &mut *self.hosts[index];
        host.answer = None;
        if !self.is_monitor_up || !host.sees_monitor {
            return (fate == Fate::Answered).then_some(unanswered);
        }
        if fate == Fate::ReportDelayed {
            host.stray = Some(Box::new(report));
            return Some(unanswered);
        }
        let answer = self.take_report(index, report);
        let host = &mut *self.hosts[index];
        host.has_died = false;
        Some(match (fate, answer) {
            (Fate::Answered, Some(answer)) => {
                Some(Event::Answered { report: number, sent: NOW, answer: Box::new(answer), formation: None })
            }
            (Fate::AnswerDelayed, Some(answer)) => {
                host.answer = Some((0, Box::new(answer)));
                None
            }
            // Dropped: the keeper stops Postgres, and ends.
            (_, None) => {
                host.server.stop(StopMode::Fast);
                host.keeper.die();
                host.has_died = true;
                None
            }
            _ => unanswered,
        })
    }

    /// The keeper looks, and hears it instead of what it asks next.
    fn answer_arrives(&mut self, index: usize) -> Option<()> {
        let host = &mut *self.hosts[index];
        if host.is_frozen || !host.keeper.is_up {
            return None;
        }
        let (sent, answer) = host.answer.take()?;
        self.act(index, 2, Reply::Late(sent, answer), false)
    }

    // ---- replication ----

    fn receive(&mut self, index: usize) -> Option<()> {
        let upstream = self.hosts[index].server.follows?;
        let source = self.hosts[upstream].server.clone();
        let standby = &self.hosts[index].server;
        let can_stream = standby.mode == Mode::Standby
            && source.sends()
            && standby.is_behind(&source)
            && standby.timeline <= source.timeline
            && self.is_heard(upstream, index)
            && (standby.is_streaming || self.is_heard(index, upstream));
        if !can_stream {
            return None;
        }
        let standby = &mut self.hosts[index].server;
        standby.is_streaming = true;
        standby.unheard = 0;
        standby.log.clone_from(&source.log);
        standby.timeline = source.timeline;
        let flushed = standby.log.len() as u8;
        if self.is_heard(index, upstream) {
            self.hosts[upstream].server.hear(index, flushed);
            self.acknowledge(upstream);
        }
        Some(())
    }

    /// Its kernel hears at once that nobody is left at the other end.
    fn stream_ends(&mut self, index: usize) -> Option<()> {
        let upstream = self.hosts[index].server.follows?;
        let is_over = self.hosts[index].server.is_streaming
            && !self.hosts[upstream].server.is_running()
            && self.is_heard(upstream, index);
        is_over.then(|| self.hosts[index].server.is_streaming = false)
    }

    fn commit(&mut self, index: usize) -> Option<()> {
        let host = &mut *self.hosts[index];
        if host.is_frozen || host.server.mode != Mode::Writer {
            return None;
        }
        self.budget.commits = self.budget.commits.checked_sub(1)?;
        host.server.commit(self.next_commit);
        self.next_commit += 1;
        self.acknowledge(index);
        Some(())
    }

    /// Tells clients of the commits that need not wait any longer.
    pub(crate) fn acknowledge(&mut self, index: usize) {
        let server: &mut Server = &mut self.hosts[index].server;
        if server.mode != Mode::Writer {
            return;
        }
        let timeline = server.timeline;
        let is_synchronous = !server.names.is_empty();
        let released = server.release();
        if released.is_empty() {
            return;
        }
        if !self.may_lose {
            let verdict = one_writer::of_acknowledgements(timeline, is_synchronous, self.acknowledged_on);
            self.judge(one_writer::NAME, verdict);
        }
        self.acknowledged_on = self.acknowledged_on.max(timeline);
        self.acknowledged.extend(released);
    }
}
