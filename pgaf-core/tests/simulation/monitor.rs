//! The monitor's rows, and the clockwork around `decide`.

use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, assignment_for, decide};
use pgaf_core::{Assignment, Group, GroupId, Health, Node, NodeId, Report};

/// Failed probes for this long make a node bad.
const PROBES_FAIL_AFTER_MS: u64 = 3500;

pub(crate) struct Monitor {
    pub(crate) is_up: bool,
    pub(crate) group: Group,
    started_at: u64,
    reported_at: [Option<u64>; 2],
    upstream_reported_at: [u64; 2],
    failing_since: [Option<u64>; 2],
    pub(crate) promotions: u64,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            is_up: true,
            group: Group::new("default", GroupId(0)),
            started_at: 0,
            reported_at: [None; 2],
            upstream_reported_at: [0; 2],
            failing_since: [None; 2],
            promotions: 0,
        }
    }

    pub(crate) fn register(&mut self, index: usize, now: u64) {
        let id = NodeId(index as i64 + 1);
        self.reported_at[index] = Some(now);
        self.group.nodes.push(Node { has_reported: true, ..Node::new(id) });
        self.event(Event::Registered(id), now).expect("a node is registered");
    }

    pub(crate) fn restart(&mut self, now: u64) {
        self.is_up = true;
        self.started_at = now;
        self.reported_at = [None; 2];
        self.failing_since = [None; 2];
    }

    /// Ages as of now, as they are read from the rows.
    fn refresh(&mut self, now: u64) {
        let uptime = now - self.started_at;
        self.group.monitor_uptime = Duration::from_millis(uptime + 60_000 * u64::from(self.started_at == 0));
        for index in 0..self.group.nodes.len() {
            let node = &mut self.group.nodes[index];
            let since = self.reported_at[index].unwrap_or(self.started_at);
            node.silent_for = Duration::from_millis(now - since);
            node.has_reported = self.reported_at[index].is_some();
            if let Some(upstream) = node.upstream.as_mut().filter(|upstream| !upstream.is_streaming) {
                upstream.silent_ms += now - self.upstream_reported_at[index];
                self.upstream_reported_at[index] = now;
            }
        }
    }

    pub(crate) fn event(&mut self, event: Event, now: u64) -> Result<Decision, String> {
        self.refresh(now);
        let decision = decide(&self.group, &event).map_err(|refusal| refusal.to_string())?;
        let writers = decision.group.nodes.iter().filter(|node| node.goal.is_writer()).count();
        assert!(writers <= 1, "{writers} writers after {event:?}");
        self.promotions +=
            decision.changes.iter().filter(|change| change.rule == "candidate_is_promoted").count() as u64
                / 2;
        self.group = decision.group.clone();
        Ok(decision)
    }

    pub(crate) fn report(&mut self, index: usize, report: &Report, now: u64) -> Assignment {
        let node = &mut self.group.nodes[index];
        let id = node.id;
        node.reported = report.state;
        node.reported_epoch = report.detail.epoch;
        node.is_running = report.is_running;
        node.timeline = report.timeline;
        node.lsn = report.lsn;
        node.upstream = report.detail.upstream;
        node.is_stopping = report.detail.is_stopping;
        self.reported_at[index] = Some(now);
        self.upstream_reported_at[index] = now;
        self.event(Event::Reported(id), now).expect("a report is never refused");
        assignment_for(&self.group, id).expect("the node is in its group")
    }

    pub(crate) fn probe(&mut self, index: usize, is_answered: bool, now: u64) {
        let Some(node) = self.group.nodes.get_mut(index) else { return };
        if is_answered {
            self.failing_since[index] = None;
            node.health = Health::Good;
        } else {
            let since = *self.failing_since[index].get_or_insert(now);
            if now - since >= PROBES_FAIL_AFTER_MS {
                node.health = Health::Bad;
            }
        }
    }
}
