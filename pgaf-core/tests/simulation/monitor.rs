//! The monitor's rows, and the clockwork around the shipped `decide`.

use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, Refusal, answer_for, decide};
use pgaf_core::{Answer, FormationKind, Group, GroupId, Health, Node, NodeId, Report, Timeouts};

/// Failed probes for this long make a node bad.
const PROBES_FAIL_AFTER_MS: u64 = 1600;
/// A node whose session has ended is probed more often for so long.
const QUICK_PROBES_FOR_MS: u64 = 3000;
/// In records: nobody is behind for long.
const LAG_LIMIT: u64 = 20;

/// What is kept beside a node's row, on the monitor's clock.
#[derive(Clone, Copy, Debug)]
struct Times {
    node: NodeId,
    /// To this run of the monitor.
    reported_at: Option<u64>,
    upstream_aged_at: u64,
    failing_since: Option<u64>,
    goal_since: u64,
    /// Which start of its keeper has reported last.
    keeper_start: u64,
    session_ended_at: Option<u64>,
    /// How often it has refused a connection since, one time after the other.
    refusals: u64,
}

/// A copy of the rows.
#[derive(Clone)]
struct Backup {
    group: Group,
    times: Vec<Times>,
}

/// What becomes of a report.
pub(crate) enum Heard {
    Recorded(Box<Decision>, Option<Answer>),
    /// A newer one had been recorded.
    Overtaken(Answer),
}

pub(crate) struct Monitor {
    pub(crate) is_up: bool,
    /// Counts its starts: requests to an earlier one are lost.
    pub(crate) run: u64,
    pub(crate) group: Group,
    times: Vec<Times>,
    started_at: u64,
    backup: Option<Backup>,
}

impl Monitor {
    /// Up for long, and without nodes.
    pub(crate) fn new(is_worker_group: bool) -> Self {
        let mut group = Group::new("default", GroupId(i32::from(is_worker_group)));
        if is_worker_group {
            group.kind = FormationKind::Citus;
        }
        group.timeouts = Timeouts {
            enable_sync_lag_bytes: LAG_LIMIT,
            promote_lag_bytes: LAG_LIMIT,
            ..Timeouts::default()
        };
        Self { is_up: true, run: 0, group, times: Vec::new(), started_at: 0, backup: None }
    }

    /// Adds a node.
    pub(crate) fn register(&mut self, node: Node, now: u64) -> Result<Decision, Refusal> {
        let id = node.id;
        self.times.push(Times {
            node: id,
            reported_at: Some(now),
            upstream_aged_at: now,
            failing_since: None,
            goal_since: now,
            keeper_start: 0,
            session_ended_at: None,
            refusals: 0,
        });
        self.group.nodes.push(node);
        let result = self.event(&Event::Registered(id), now);
        if result.is_err() {
            self.group.nodes.retain(|node| node.id != id);
        }
        result
    }

    /// A new process on the same rows.
    pub(crate) fn restart(&mut self, now: u64) {
        self.is_up = true;
        self.run += 1;
        self.started_at = now;
        for times in &mut self.times {
            times.reported_at = None;
            times.failing_since = None;
            times.session_ended_at = None;
        }
        for node in &mut self.group.nodes {
            node.health = Health::Unknown;
        }
    }

    /// Copies the rows.
    pub(crate) fn back_up(&mut self) {
        self.backup = Some(Backup { group: self.group.clone(), times: self.times.clone() });
    }

    /// Puts the copy back, when it is of the same nodes. The monitor must be restarted.
    pub(crate) fn restore(&mut self) -> bool {
        let ids = |group: &Group| group.nodes.iter().map(|node| node.id).collect::<Vec<_>>();
        let Some(backup) = self.backup.take_if(|backup| ids(&backup.group) == ids(&self.group)) else {
            return false;
        };
        self.group = backup.group;
        self.times = backup.times;
        self.is_up = false;
        true
    }

    fn times(&mut self, node: NodeId) -> &mut Times {
        self.times.iter_mut().find(|times| times.node == node).expect("every node has its times")
    }

    /// Ages as of now, as they are read from the rows.
    fn refresh(&mut self, now: u64) {
        let uptime = now - self.started_at;
        let forever = if self.run == 0 { 60_000 } else { 0 };
        self.group.monitor_uptime = Duration::from_millis(uptime + forever);
        for node in &mut self.group.nodes {
            let times = self.times.iter_mut().find(|times| times.node == node.id);
            let times = times.expect("every node has its times");
            node.silent_for = Duration::from_millis(now - times.reported_at.unwrap_or(self.started_at));
            node.has_reported = times.reported_at.is_some();
            node.goal_age = Duration::from_millis(now - times.goal_since);
            node.session_ended_for = times.session_ended_at.map(|at| Duration::from_millis(now - at));
            if let Some(upstream) = node.upstream.as_mut().filter(|upstream| !upstream.is_streaming) {
                upstream.silent_ms += now - times.upstream_aged_at;
            }
            times.upstream_aged_at = now;
        }
    }

    /// One decision, written.
    pub(crate) fn event(&mut self, event: &Event, now: u64) -> Result<Decision, Refusal> {
        self.refresh(now);
        let mut decision = decide(&self.group, event)?;
        std::mem::swap(&mut self.group, &mut decision.group);
        for change in &decision.changes {
            if let Some(times) = self.times.iter_mut().find(|times| times.node == change.node) {
                times.goal_since = now;
            }
        }
        let group = &self.group;
        self.times.retain(|times| group.node(times.node).is_some());
        Ok(decision)
    }

    /// A report, recorded and decided on unless a newer one has been; `None` when there is no such node.
    pub(crate) fn report(&mut self, id: NodeId, report: &Report, now: u64) -> Option<Heard> {
        let node = self.group.nodes.iter_mut().find(|node| node.id == id)?;
        if let Some(number) = node.overtaker_of(&report.detail) {
            let answer = answer_for(&self.group, id);
            return answer.map(|answer| Heard::Overtaken(Answer { overtaken_by: Some(number), ..answer }));
        }
        node.hear(report);
        let times = self.times(id);
        times.reported_at = Some(now);
        times.upstream_aged_at = now;
        times.keeper_start = report.detail.number.map_or(0, |number| number.start);
        times.session_ended_at = None;
        let decision = self.event(&Event::Reported(id), now).expect("a report is never refused");
        let answer = answer_for(&self.group, id);
        Some(Heard::Recorded(Box::new(decision), answer))
    }

    /// The session has ended of a keeper that is gone; says whether it is the one in which the node last reported.
    pub(crate) fn session_ended(&mut self, id: NodeId, keeper_start: u64, now: u64) -> bool {
        if self.group.node(id).is_none() {
            return false;
        }
        let times = self.times(id);
        let counts = times.keeper_start == keeper_start && times.reported_at.is_some();
        if counts {
            times.session_ended_at = Some(now);
            times.refusals = 0;
        }
        counts
    }

    /// All nodes but this one.
    pub(crate) fn others(&self, id: NodeId) -> Vec<NodeId> {
        self.group.nodes.iter().map(|node| node.id).filter(|other| *other != id).collect()
    }

    /// What a probe of a node whose session has ended has found; says whether that is news.
    pub(crate) fn probed_quickly(&mut self, id: NodeId, is_refused: bool, now: u64) -> bool {
        let times = self.times(id);
        if times.session_ended_at.is_none_or(|at| now - at > QUICK_PROBES_FOR_MS) {
            return false;
        }
        times.refusals = if is_refused { times.refusals + 1 } else { 0 };
        let refuses = times.refusals >= 2;
        let node = self.group.nodes.iter_mut().find(|node| node.id == id);
        node.is_some_and(|node| refuses && !std::mem::replace(&mut node.is_refusing, true))
    }

    /// The verdict of a probe; says whether the node's health has changed.
    pub(crate) fn probed(&mut self, id: NodeId, is_answered: bool, now: u64) -> bool {
        let times = self.times(id);
        let health = if is_answered {
            times.failing_since = None;
            Some(Health::Good)
        } else {
            let since = *times.failing_since.get_or_insert(now);
            (now - since >= PROBES_FAIL_AFTER_MS).then_some(Health::Bad)
        };
        let mut node = self.group.nodes.iter_mut().find(|node| node.id == id);
        if let Some(node) = node.as_mut().filter(|_| is_answered) {
            node.is_refusing = false;
        }
        match (node, health) {
            (Some(node), Some(health)) => std::mem::replace(&mut node.health, health) != health,
            _ => false,
        }
    }
}
