//! Two hosts, a monitor, the links between them, a client on each host, and what goes wrong.

use std::collections::BTreeSet;

use pgaf_core::keeper::Step;
use pgaf_core::monitor::Event;
use pgaf_core::{Assignment, NodeId, ReplicationState};

use super::keeper::Keeper;
use super::monitor::Monitor;
use super::postgres::{Mode, Postgres, Record};
use super::random::Random;

const TICK_MS: u64 = 50;
const FAULTS_MS: u64 = 120_000;
const HEALED_MS: u64 = 90_000;
/// A walreceiver that hears nothing for this long ends.
const RECEIVER_TIMEOUT_MS: u64 = 3000;

struct Host {
    keeper: Keeper,
    postgres: Postgres,
    is_frozen: bool,
    sees_monitor: bool,
    /// Answers of the monitor on their way: when they arrive, when the request was sent.
    answers: Vec<(u64, u64, Assignment)>,
}

pub(crate) struct World {
    random: Random,
    now: u64,
    monitor: Monitor,
    hosts: [Host; 2],
    are_hosts_linked: bool,
    next_id: u64,
    acknowledged: BTreeSet<u64>,
    /// The newest timeline on which something was acknowledged.
    acknowledged_on: u32,
    /// The first invariant that did not hold.
    violation: Option<String>,
    is_told: bool,
}

impl World {
    pub(crate) fn new(seed: u64, is_told: bool) -> Self {
        let host = |log| Host {
            keeper: Keeper::new(),
            postgres: Postgres::new(log),
            is_frozen: false,
            sees_monitor: true,
            answers: Vec::new(),
        };
        let mut world = Self {
            random: Random::new(seed),
            now: 0,
            monitor: Monitor::new(),
            hosts: [host(Some(Vec::new())), host(None)],
            are_hosts_linked: true,
            next_id: 0,
            acknowledged: BTreeSet::new(),
            acknowledged_on: 0,
            violation: None,
            is_told,
        };
        for index in 0..2 {
            world.monitor.register(index, 0);
            world.hosts[index].keeper.start(0);
        }
        world
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    pub(crate) fn promotions(&self) -> u64 {
        self.monitor.promotions
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.now < FAULTS_MS {
            self.something_happens();
            self.tick();
        }
        self.heal();
        while self.now < FAULTS_MS + HEALED_MS {
            self.tick();
            self.end_maintenance();
        }
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        self.check_whole()?;
        self.check_acknowledged()
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>7} ms  {}", self.now, what());
        }
    }

    fn tick(&mut self) {
        self.now += TICK_MS;
        self.replicate();
        for index in 0..2 {
            self.live(index);
            self.commit(index);
        }
        if self.monitor.is_up && self.now.is_multiple_of(200) {
            self.watch();
        }
    }

    // ---- what goes wrong ----

    fn something_happens(&mut self) {
        if !self.random.per_mille(12) {
            return;
        }
        let index = self.random.below(2) as usize;
        let fault = self.random.below(13);
        self.tell(|| format!("fault {fault} at host {}", index + 1));
        let now = self.now;
        let host = &mut self.hosts[index];
        match fault {
            0 => host.postgres.stop(false),
            1 => host.keeper.is_up = false,
            2 => {
                host.keeper.is_up = false;
                host.postgres.stop(false);
            }
            3 | 4 if !host.keeper.is_up => host.keeper.start(now),
            3 => host.sees_monitor = !host.sees_monitor,
            4 => host.sees_monitor = true,
            5 => host.is_frozen = !host.is_frozen,
            6 => host.is_frozen = false,
            7 => self.are_hosts_linked = !self.are_hosts_linked,
            8 => self.are_hosts_linked = true,
            9 if self.monitor.is_up => self.monitor.is_up = false,
            9 => self.monitor.restart(now),
            10 => self.command(Event::PerformFailover),
            11 => self.maintenance(index),
            _ => self.heal(),
        }
    }

    fn command(&mut self, event: Event) {
        if self.monitor.is_up {
            let now = self.now;
            // A refusal is an answer, too.
            let answer = self.monitor.event(event, now);
            self.tell(|| match answer {
                Ok(decision) => format!("{:?}", decision.changes),
                Err(refusal) => refusal,
            });
        }
    }

    fn maintenance(&mut self, index: usize) {
        let node = NodeId(index as i64 + 1);
        let is_in_maintenance =
            self.monitor.group.node(node).is_some_and(|node| node.goal == ReplicationState::Maintenance);
        self.command(if is_in_maintenance {
            Event::StopMaintenance(node)
        } else {
            Event::StartMaintenance(node)
        });
    }

    fn heal(&mut self) {
        self.tell(|| "healed".to_owned());
        self.are_hosts_linked = true;
        if !self.monitor.is_up {
            self.monitor.restart(self.now);
        }
        for index in 0..2 {
            let host = &mut self.hosts[index];
            host.is_frozen = false;
            host.sees_monitor = true;
            if !host.keeper.is_up {
                host.keeper.start(self.now);
            }
        }
    }

    /// An operator brings back whoever was taken out.
    fn end_maintenance(&mut self) {
        let in_maintenance =
            self.monitor.group.nodes.iter().find(|node| node.goal == ReplicationState::Maintenance);
        if let Some(node) = in_maintenance.map(|node| node.id) {
            self.command(Event::StopMaintenance(node));
        }
    }

    // ---- replication ----

    fn replicate(&mut self) {
        for index in 0..2 {
            let upstream = 1 - index;
            let is_reachable = self.are_hosts_linked && !self.hosts[upstream].is_frozen;
            if self.hosts[index].is_frozen || self.hosts[index].postgres.mode != Mode::Standby {
                continue;
            }
            let now = self.now;
            let is_late = self.random.per_mille(200);
            // An idle stream is heard at long intervals.
            let is_heard = self.random.per_mille(60);
            let [first, second] = &mut self.hosts;
            let (standby, primary) = if index == 0 { (first, second) } else { (second, first) };
            let (standby, primary) = (&mut standby.postgres, &mut primary.postgres);
            let follows = standby.follows == Some(upstream);
            let sends = matches!(primary.mode, Mode::Writer | Mode::Gated);
            if is_reachable && follows && sends && standby.is_behind(primary) {
                standby.is_streaming = true;
                if is_heard {
                    standby.heard_at = now;
                }
                if !is_late {
                    standby.receive_from(primary);
                    standby.timeline = primary.timeline;
                }
                primary.reply = Some((now, standby.len()));
            } else if !follows || (is_reachable && !sends) || now - standby.heard_at >= RECEIVER_TIMEOUT_MS {
                standby.is_streaming = false;
            }
        }
    }

    /// A client writes; what need not wait, or has waited enough, is acknowledged.
    fn commit(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.is_frozen || host.postgres.mode != Mode::Writer {
            return;
        }
        if self.random.per_mille(300) {
            self.next_id += 1;
            host.postgres.write(self.next_id);
        }
        let postgres = &mut host.postgres;
        let flushed = if postgres.waits_for_standby() {
            postgres.reply.map_or(0, |(_, flushed)| flushed)
        } else {
            usize::MAX
        };
        let Some(log) = &postgres.log else { return };
        let (done, waiting): (Vec<usize>, Vec<usize>) =
            postgres.waiting.iter().partition(|position| **position < flushed);
        if !done.is_empty() && postgres.timeline < self.acknowledged_on {
            self.violation = Some(format!(
                "host {} acknowledges on timeline {} after timeline {} had begun",
                index + 1,
                postgres.timeline,
                self.acknowledged_on
            ));
        }
        if !done.is_empty() {
            self.acknowledged_on = self.acknowledged_on.max(postgres.timeline);
        }
        self.acknowledged.extend(done.iter().map(|position| log[*position].id));
        postgres.waiting = waiting;
    }

    // ---- keepers and the monitor ----

    fn live(&mut self, index: usize) {
        let now = self.now;
        if self.hosts[index].is_frozen || !self.hosts[index].keeper.is_up {
            return;
        }
        self.receive_answers(index);
        let can_ask = self.are_hosts_linked && !self.hosts[1 - index].is_frozen;
        let upstream =
            Some(&self.hosts[1 - index].postgres).filter(|upstream| can_ask && upstream.mode == Mode::Writer);
        let host = &self.hosts[index];
        let observed = host.keeper.observe(&host.postgres, upstream, now);
        let host = &mut self.hosts[index];
        host.keeper.remember(&observed, now);
        let steps = host.keeper.next_steps(&observed, now);
        for step in steps {
            let fails = self.random.per_mille(50);
            if fails || !self.execute(index, &step) {
                break;
            }
        }
        self.speak(index);
    }

    fn receive_answers(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let (arrived, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut host.answers).into_iter().partition(|(at, ..)| *at <= now);
        host.answers = waiting;
        for (_, sent, assignment) in arrived {
            let keeper = &mut host.keeper;
            if keeper.assignment.as_ref() != Some(&assignment) && self.is_told {
                println!(
                    "{now:>7} ms  host {} learns: {} (epoch {})",
                    index + 1,
                    assignment.goal,
                    assignment.epoch
                );
            }
            keeper.answered(assignment, sent);
        }
    }

    fn speak(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if !host.answers.is_empty() {
            return;
        }
        let Some(report) = host.keeper.next_report(&host.postgres, now) else { return };
        if !self.monitor.is_up || !host.sees_monitor {
            host.keeper.failed(now);
            return;
        }
        let before = self.monitor.group.clone();
        let assignment = self.monitor.report(index, &report, now);
        self.tell_goals(&before);
        if self.random.per_mille(20) {
            self.hosts[index].keeper.failed(now);
        } else {
            let delay = if self.random.per_mille(50) { self.random.below(1800) } else { 0 };
            self.hosts[index].answers.push((now + delay, now, assignment));
        }
    }

    fn watch(&mut self) {
        let now = self.now;
        for index in 0..2 {
            let host = &self.hosts[index];
            let answers = host.sees_monitor && !host.is_frozen && host.postgres.is_running();
            self.monitor.probe(index, answers, now);
        }
        let before = self.monitor.group.clone();
        self.monitor.event(Event::Tick, now).expect("a tick is never refused");
        self.tell_goals(&before);
    }

    fn tell_goals(&self, before: &pgaf_core::Group) {
        for (old, new) in before.nodes.iter().zip(&self.monitor.group.nodes) {
            if old.goal != new.goal {
                self.tell(|| format!("node {}: {} -> {} (is {})", new.id, old.goal, new.goal, new.reported));
            }
        }
    }

    /// Whether the step went well.
    fn execute(&mut self, index: usize, step: &Step) -> bool {
        self.tell(|| format!("host {}: {step}", index + 1));
        let can_reach = self.are_hosts_linked
            && !self.hosts[1 - index].is_frozen
            && self.hosts[1 - index].postgres.mode == Mode::Writer;
        let peer = self.hosts[1 - index].postgres.clone();
        let host = &mut self.hosts[index];
        let postgres = &mut host.postgres;
        match step {
            Step::Checkpoint => {}
            Step::StopPostgres(mode) => {
                postgres.stop(*mode == pgaf_core::keeper::StopMode::Fast);
            }
            Step::StartPostgres if postgres.mode == Mode::Gated => postgres.mode = Mode::Writer,
            Step::StartPostgres if postgres.has_signal => {
                postgres.mode = Mode::Standby;
                postgres.heard_at = self.now;
            }
            Step::StartPostgres => postgres.mode = Mode::Writer,
            Step::StartGated => postgres.mode = Mode::Gated,
            Step::BaseBackup { .. } | Step::Rewind { .. } if !can_reach => return false,
            Step::BaseBackup { .. } | Step::Rewind { .. } => postgres.copy_from(&peer),
            Step::Follow { upstream } => {
                postgres.has_signal = true;
                postgres.follows = upstream.as_ref().map(|_| 1 - index);
                postgres.is_streaming = false;
            }
            Step::Promote => {
                postgres.mode = Mode::Writer;
                postgres.has_signal = false;
                postgres.is_streaming = false;
                postgres.timeline += 1;
                postgres.reply = None;
                let timeline = postgres.timeline;
                if let Some(log) = &mut postgres.log {
                    log.push(Record { timeline, id: 0 });
                }
            }
            Step::AdmitStandbys { .. } => {}
            Step::SetSynchronousStandbyNames(names) => postgres.names.clone_from(names),
        }
        host.keeper.did(step);
        true
    }

    // ---- what must hold ----

    fn check_whole(&self) -> Result<(), String> {
        let states: Vec<String> =
            self.monitor.group.nodes.iter().map(|node| format!("{}/{}", node.reported, node.goal)).collect();
        let mut sorted = states.clone();
        sorted.sort();
        if sorted == ["primary/primary", "secondary/secondary"] {
            Ok(())
        } else {
            Err(format!("the group is not whole: {}", states.join(", ")))
        }
    }

    fn check_acknowledged(&self) -> Result<(), String> {
        let primary = self
            .hosts
            .iter()
            .find(|host| host.postgres.mode == Mode::Writer)
            .ok_or("no node accepts writes")?;
        let log = primary.postgres.log.as_deref().unwrap_or_default();
        let present: BTreeSet<u64> = log.iter().map(|record| record.id).collect();
        let lost: Vec<&u64> = self.acknowledged.difference(&present).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("acknowledged and lost: {lost:?}")) }
    }
}
