//! Everything there is at one moment: the monitor's rows, the hosts, what is on its way between them, and how many
//! more things may go wrong.

use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, answer_for, decide};
use pgaf_core::{Answer, Group, GroupId, Health, Node, NodeId, Report, Timeouts};

use super::invariants::{
    Verdict, Violation, decisions_are_functions, nobody_is_buried_alive, one_writer,
    promoted_nodes_lack_nothing,
};
use super::keeper::{Keeper, OLDEST_TICKS, TICK, port_of};
use super::leadership::Slip;
use super::server::{Data, Server};
use super::shared::{Pool, Pooled, Shared};
use super::story::{Chapter, Story};

/// The monitor calls a node silent after so many ticks: one more than a primary goes on without a word.
pub(crate) const SILENT_AFTER_TICKS: u8 = 3;

/// How much may happen; each action that costs takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) commits: u8,
    pub(crate) faults: u8,
    pub(crate) commands: u8,
}

/// A host with its server and its keeper, and what the monitor counts of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) keeper: Keeper,
    pub(crate) is_frozen: bool,
    /// It and the monitor reach each other.
    pub(crate) sees_monitor: bool,
    /// What comes from the monitor is rejected on the way, as if nobody listened here.
    pub(crate) is_rejected: bool,
    /// Its keeper has died since it last reported, in a session with this run of the monitor.
    pub(crate) has_died: bool,
    /// Ticks since the monitor noticed that.
    pub(crate) ended: Option<u8>,
    /// Ticks since its last report came in.
    pub(crate) silent: u8,
    /// It has reported to this run of the monitor.
    pub(crate) has_reported: bool,
    /// Ticks since its goal was assigned; more than the oldest when that was before this run of the monitor.
    pub(crate) goal_age: u8,
    /// An answer on its way.
    pub(crate) answer: Option<(u8, Box<Answer>)>,
    /// A report that its keeper has given up, and the monitor has not yet read.
    pub(crate) stray: Option<Box<Report>>,
}

impl Pooled for Host {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Host> = Pool::new();
        &POOL
    }
}

impl Pooled for Group {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Group> = Pool::new();
        &POOL
    }
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) group: Shared<Group>,
    pub(crate) is_monitor_up: bool,
    pub(crate) uptime: u8,
    /// An older copy of the rows.
    pub(crate) backup: Option<Shared<Group>>,
    /// The rows of a monitor that led before, and goes on as if it still did.
    pub(crate) deposed: Option<Shared<Group>>,
    /// What is done wrong when the leadership changes.
    pub(crate) slip: Slip,
    pub(crate) hosts: Vec<Shared<Host>>,
    /// Pairs of hosts of which the second hears nothing of the first.
    pub(crate) cuts: Vec<(usize, usize)>,
    pub(crate) acknowledged: Vec<u8>,
    /// The newest timeline on which something was acknowledged.
    pub(crate) acknowledged_on: u8,
    pub(crate) next_commit: u8,
    pub(crate) budget: Budget,
    /// A person has allowed to lose commits.
    pub(crate) may_lose: bool,
    /// The first invariant that did not hold.
    pub(crate) violation: Option<Box<Violation>>,
    pub(crate) story: Story,
}

impl World {
    /// A primary with its standbys, all whole.
    pub(crate) fn new(nodes: usize, number_sync_standbys: u32, budget: Budget, story: Story) -> Self {
        let mut group = Group::new(String::new(), GroupId(0));
        group.number_sync_standbys = number_sync_standbys;
        group.timeouts = Timeouts {
            unhealthy_after: TICK * u32::from(SILENT_AFTER_TICKS),
            startup_grace: TICK,
            enable_sync_lag_bytes: 0,
            promote_lag_bytes: 0,
        };
        group.monitor_uptime = Duration::ZERO;
        let mut world = Self {
            group: Shared::new(group),
            is_monitor_up: true,
            uptime: OLDEST_TICKS,
            backup: None,
            deposed: None,
            slip: Slip::None,
            hosts: Vec::new(),
            cuts: Vec::new(),
            acknowledged: Vec::new(),
            acknowledged_on: 0,
            next_commit: 1,
            budget,
            may_lose: false,
            violation: None,
            story,
        };
        for index in 0..nodes {
            world.add_host(if index == 0 { Data::Whole } else { Data::Missing });
        }
        world
    }

    /// A node registers.
    pub(crate) fn add_host(&mut self, data: Data) {
        let index = self.hosts.len();
        self.hosts.push(Shared::new(Host {
            server: Server::new(data),
            keeper: Keeper::new(NodeId(index as i64 + 1)),
            is_frozen: false,
            sees_monitor: true,
            is_rejected: false,
            has_died: false,
            ended: None,
            silent: 0,
            has_reported: true,
            goal_age: 0,
            answer: None,
            stray: None,
        }));
        let id = NodeId(index as i64 + 1);
        self.group.nodes.push(Node {
            name: String::new(),
            host: String::new(),
            port: port_of(index),
            has_data: data == Data::Whole,
            ..Node::new(id)
        });
        self.decide(&Event::Registered(id));
    }

    /// The host's node, as long as it is in the group.
    pub(crate) fn node(&mut self, index: usize) -> Option<&mut Node> {
        self.group.nodes.iter_mut().find(|node| node.id.0 == index as i64 + 1)
    }

    /// The group with all ages as they are now.
    fn aged_group(&self) -> Group {
        let mut group = Group::clone(&self.group);
        group.monitor_uptime = TICK * u32::from(self.uptime);
        for node in &mut group.nodes {
            let host = &self.hosts[node.id.0 as usize - 1];
            node.silent_for = TICK * u32::from(host.silent);
            node.has_reported = host.has_reported;
            node.goal_age = TICK * u32::from(host.goal_age);
            node.session_ended_for = host.ended.map(|ticks| TICK * u32::from(ticks));
        }
        group
    }

    /// Lets the shipped code decide; a refusal changes nothing.
    pub(crate) fn decide(&mut self, event: &Event) -> Option<Decision> {
        let before = self.aged_group();
        let decision = decide(&before, event).ok();
        self.story.tell(|| Chapter::Decided {
            before: Box::new(before.clone()),
            event: event.clone(),
            after: decision.as_ref().map(|decision| Box::new(decision.group.clone())),
        });
        let decision = decision?;
        self.judge(one_writer::NAME, one_writer::of_goals(&decision.group));
        let verdict = decisions_are_functions::check(&before, event, &decision);
        self.judge(decisions_are_functions::NAME, verdict);
        let verdict = promoted_nodes_lack_nothing::check(self, &before, event, &decision);
        self.judge(promoted_nodes_lack_nothing::NAME, verdict);
        let verdict = nobody_is_buried_alive::check(self, &decision);
        self.judge(nobody_is_buried_alive::NAME, verdict);
        for change in &decision.changes {
            if let Some(host) = self.hosts.get_mut(change.node.0 as usize - 1) {
                host.goal_age = 0;
            }
        }
        let mut group = decision.group.clone();
        group.monitor_uptime = Duration::ZERO;
        for node in &mut group.nodes {
            node.silent_for = Duration::ZERO;
            node.has_reported = true;
            node.goal_age = Duration::ZERO;
            node.session_ended_for = None;
        }
        self.group = Shared::new(group);
        Some(decision)
    }

    pub(crate) fn judge(&mut self, invariant: &'static str, verdict: Verdict) {
        if let Err(what) = verdict {
            self.violation.get_or_insert_with(|| Box::new(Violation { invariant, what }));
        }
    }

    /// The monitor reads a report; the answer, unless the node is gone.
    pub(crate) fn take_report(&mut self, index: usize, report: Report) -> Option<Answer> {
        let node = self.node(index)?;
        let id = node.id;
        if let Some(number) = node.overtaker_of(&report.detail) {
            let answer = answer_for(&self.group, id)?;
            return Some(Answer { overtaken_by: Some(number), ..answer });
        }
        let host = &mut *self.hosts[index];
        host.silent = 0;
        host.has_reported = true;
        host.ended = None;
        self.node(index)?.hear(&report);
        self.decide(&Event::Reported(id));
        answer_for(&self.group, id)
    }

    /// Packets of the first host reach the second.
    pub(crate) fn is_heard(&self, from: usize, by: usize) -> bool {
        !self.cuts.contains(&(from, by)) && !self.hosts[from].is_frozen && !self.hosts[by].is_frozen
    }

    pub(crate) fn are_linked(&self, one: usize, two: usize) -> bool {
        self.is_heard(one, two) && self.is_heard(two, one)
    }

    /// The session of a keeper that died has ended, and that is noticed.
    pub(crate) fn session_ends(&mut self, index: usize) -> Option<()> {
        let host = &mut *self.hosts[index];
        let is_noticed = self.is_monitor_up && host.has_died && host.sees_monitor && host.has_reported;
        if !is_noticed || host.ended.is_some() {
            return None;
        }
        host.ended = Some(0);
        self.decide(&Event::Tick).map(drop)
    }

    /// Two probes, one right after the other.
    pub(crate) fn probe_twice(&mut self, index: usize) -> Option<()> {
        let host = &self.hosts[index];
        let is_refused = if host.sees_monitor { !host.server.is_running() } else { host.is_rejected };
        if !self.is_monitor_up || !is_refused {
            return None;
        }
        self.node(index)?.is_refusing = true;
        self.decide(&Event::Tick).map(drop)
    }

    pub(crate) fn probe_all(&mut self) {
        for index in 0..self.hosts.len() {
            let host = &self.hosts[index];
            let answers = host.sees_monitor && !host.is_frozen && host.server.is_running();
            if let Some(node) = self.node(index) {
                node.health = if answers { Health::Good } else { Health::Bad };
                node.is_refusing &= !answers;
            }
        }
    }
}
