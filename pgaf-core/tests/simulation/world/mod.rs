//! Hosts, a monitor, the links between them, a client on each host, and the time that passes.

mod clients;
mod end;
mod faults;
mod keepers;
mod messages;
mod operator;
mod replication;
mod steps;
mod tick;
mod watching;

use pgaf_core::monitor::Decision;
use pgaf_core::{Node, NodeId, Peer};

use super::host::Host;
use super::invariants::{AcknowledgedCommits, Fencing, OneLine, ReportOrder, check_burials, check_goals};
use super::keeper::Keeper;
use super::log::Log;
use super::monitor::Monitor;
use super::network::Network;
use super::postgres::Postgres;
use super::profile::{Profile, Wishes};
use super::random::Random;
use super::wal::Archive;
use messages::Message;
use tick::TICK_MS;

/// Every promotion that the rules give leave for is followed by a rule of this name.
const PROMOTION: &str = "candidate_is_promoted";

/// One run.
pub(crate) struct World {
    profile: Profile,
    random: Random,
    now: u64,
    archive: Archive,
    network: Network,
    hosts: Vec<Host>,
    monitor: Monitor,
    messages: Vec<Message>,
    next_node: i64,
    one_line: OneLine,
    fencing: Fencing,
    report_order: ReportOrder,
    acknowledged: AcknowledgedCommits,
    /// What an operator or a dead disk has taken away: then a group may have to wait.
    has_lost_nodes: bool,
    promotions: u64,
    /// Until then nothing goes wrong.
    quiet_until: u64,
    /// The first invariant that did not hold.
    violation: Option<String>,
    log: Log,
}

/// Nobody that is simulated: it answers or not.
fn coordinator() -> Peer {
    Peer { node: NodeId(1000), name: "coordinator".to_owned(), host: "coordinator".to_owned(), port: 5432 }
}

impl World {
    pub(crate) fn new(seed: u64, wishes: Wishes, is_told: bool) -> Self {
        let mut random = Random::new(seed);
        // Not drawn: the other runs stay what they were.
        let is_worker_group = seed % 4 == 3;
        let profile = Profile { is_worker_group, ..Profile::choose(&mut random, wishes) };
        let count = profile.nodes;
        let mut world = Self {
            random,
            now: 0,
            archive: Archive::new(),
            network: Network::new(count),
            hosts: (0..count).map(|index| Self::first_host(index, count)).collect(),
            monitor: Monitor::new(is_worker_group),
            messages: Vec::new(),
            next_node: 1,
            one_line: OneLine::default(),
            fencing: Fencing::default(),
            report_order: ReportOrder::default(),
            acknowledged: AcknowledgedCommits::default(),
            has_lost_nodes: false,
            promotions: 0,
            quiet_until: profile.quiet_ms,
            violation: None,
            log: Log::new(is_told),
            profile,
        };
        world.tell(|world| format!("{:?}", world.profile));
        for index in 0..count {
            world.add_node(index);
        }
        world
    }

    fn first_host(index: usize, count: usize) -> Host {
        let postgres = if index == 0 { Postgres::initialized(count) } else { Postgres::without_data(count) };
        Host { node: None, keeper: Keeper::new(NodeId(0), None), postgres, is_frozen: false, able_since: 0 }
    }

    /// Registers a node on a host, and starts its keeper.
    fn add_node(&mut self, index: usize) {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        let node = Node {
            host: super::address::name_of(index),
            has_reported: true,
            has_data: index == 0 && id == NodeId(1),
            candidate_priority: if self.random.per_mille(120) { 0 } else { 50 },
            replication_quorum: !self.random.per_mille(150),
            ..Node::new(id)
        };
        let (priority, is_member) = (node.candidate_priority, node.replication_quorum);
        match self.monitor.register(node, self.now) {
            Ok(decision) => {
                self.tell(|_| format!("node {id} is host {index}: priority {priority}, quorum {is_member}"));
                self.note(&decision);
                self.hosts[index].node = Some(id);
                self.hosts[index].keeper = Keeper::new(id, self.profile.is_worker_group.then(coordinator));
                self.hosts[index].keeper.start(self.now);
            }
            Err(refusal) => self.tell(|_| format!("host {index} cannot join: {refusal}")),
        }
    }

    pub(crate) const fn acknowledged(&self) -> u64 {
        self.acknowledged.count
    }

    pub(crate) const fn promotions(&self) -> u64 {
        self.promotions
    }

    /// The phase of faults, then the one in which the group must become whole.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.now < self.profile.quiet_ms + self.profile.faults_ms && self.violation.is_none() {
            self.something_happens();
            self.tick();
        }
        self.heal();
        self.await_the_end()
    }

    fn tick(&mut self) {
        self.now += TICK_MS;
        self.deliver();
        for index in 0..self.hosts.len() {
            self.postgres_goes_on(index);
        }
        self.replicate();
        for index in 0..self.hosts.len() {
            self.client_commits(index);
            self.keeper_lives(index);
        }
        self.monitor_watches();
        if !self.profile.allows_data_loss && self.now.is_multiple_of(1000) {
            let verdict = self.fencing.check(&self.hosts, &self.monitor.group, self.now);
            self.judge(verdict);
        }
    }

    fn postgres_goes_on(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.is_frozen || host.postgres.is_stopped() {
            return;
        }
        let (is_lazy, checkpoints) = (self.random.per_mille(200), self.random.per_mille(15));
        host.postgres.time_passes(&mut self.archive, self.now, is_lazy);
        if checkpoints {
            host.postgres.checkpoints();
        }
    }

    fn tell(&self, what: impl FnOnce(&Self) -> String) {
        self.log.tell(self.now, || what(self));
    }

    /// Takes note of a decision: the story, and what must hold of goals.
    fn note(&mut self, decision: &Decision) {
        for change in &decision.changes {
            self.tell(|_| format!("    {} (epoch {})", change.description, change.epoch));
        }
        for (_, why) in &decision.removed {
            self.tell(|_| format!("    {why}"));
        }
        if decision.changes.iter().any(|change| change.rule == PROMOTION) {
            self.promotions += 1;
        }
        let verdict = check_goals(&self.monitor.group);
        self.judge(verdict);
        let verdict = check_burials(decision, |node| self.serves_nobody_or_is_hidden(node));
        self.judge(verdict);
        for change in &decision.changes {
            self.notify(change.node);
        }
    }

    fn judge(&mut self, verdict: Result<(), String>) {
        if let Err(violation) = verdict {
            self.tell(|_| format!("VIOLATION: {violation}"));
            self.violation.get_or_insert(violation);
        }
    }
}
