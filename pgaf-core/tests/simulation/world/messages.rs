//! What keepers and the monitor say to each other, and what becomes of it on the way.

use pgaf_core::keeper::Event;
use pgaf_core::{Answer, NodeId, Report};

use super::super::keeper::Session;
use super::super::monitor::Heard;
use super::super::network::End;
use super::World;

/// A report that its keeper has given up may arrive as much later.
const OVERTAKEN_MS: u64 = 4000;

/// Something that is under way.
pub(super) struct Message {
    at: u64,
    host: usize,
    content: Content,
}

enum Content {
    Report {
        node: NodeId,
        exchange: u64,
        run: u64,
        report: Box<Report>,
    },
    /// `None`: there is no such node.
    Answer {
        exchange: u64,
        answer: Option<Box<Answer>>,
    },
    Notice,
}

impl World {
    fn delay(&mut self) -> u64 {
        if self.random.per_mille(40) { self.random.below(1900) } else { self.random.below(30) }
    }

    /// Sends a report.
    pub(super) fn send_report(&mut self, host: usize, mut report: Report) {
        let now = self.now;
        let Some(node) = self.hosts[host].node else { return };
        self.hosts[host].keeper.send(&mut report, now);
        let Some(exchange) = self.hosts[host].keeper.under_way.exchange.as_mut() else { return };
        let (to, from) = (End::Host(host), End::Monitor);
        if !self.network.passes(to, from) || (!self.monitor.is_up && !self.network.passes(from, to)) {
            return;
        }
        if !self.monitor.is_up {
            exchange.fails_at = now + super::tick::TICK_MS;
            return;
        }
        let exchange = exchange.number;
        // A cut that is a second old is noticed when a connection is made.
        if !self.network.connects(to, from) && self.random.per_mille(500) {
            return;
        }
        let mut at = now + self.delay();
        if self.profile.has_overtaken_reports && self.random.per_mille(20) {
            at += self.random.below(OVERTAKEN_MS);
        }
        let content = Content::Report { node, exchange, run: self.monitor.run, report: Box::new(report) };
        self.messages.push(Message { at, host, content });
    }

    /// Tells a node that it has a new goal; one in ten gets lost.
    pub(super) fn notify(&mut self, node: NodeId) {
        let host = self.hosts.iter().position(|host| host.node == Some(node));
        if let Some(host) = host.filter(|_| !self.random.per_mille(100)) {
            let at = self.now + self.random.below(60);
            self.messages.push(Message { at, host, content: Content::Notice });
        }
    }

    /// What arrives now.
    pub(super) fn deliver(&mut self) {
        let mut index = 0;
        while index < self.messages.len() {
            let message = &self.messages[index];
            // Whoever is frozen or hangs reads it later.
            let there = &self.hosts[message.host];
            let reads = !there.is_frozen && there.keeper.hangs_until <= self.now;
            let waits =
                message.at > self.now || (!matches!(message.content, Content::Report { .. }) && !reads);
            if waits {
                index += 1;
                continue;
            }
            let message = self.messages.swap_remove(index);
            self.arrives(message.host, message.content);
        }
    }

    fn arrives(&mut self, host: usize, content: Content) {
        let now = self.now;
        match content {
            Content::Report { node, exchange, run, report } => {
                let under_way = self.hosts[host].keeper.under_way.exchange.as_ref();
                let is_current = under_way.is_some_and(|it| it.number == exchange);
                let counts = is_current || self.profile.has_overtaken_reports;
                if !self.monitor.is_up || self.monitor.run != run || !counts {
                    return;
                }
                let answer = self.report(node, exchange, &report);
                if is_current {
                    let content = Content::Answer { exchange, answer };
                    let at = now + self.delay();
                    self.messages.push(Message { at, host, content });
                }
            }
            Content::Answer { exchange, answer } => {
                let passes = self.network.passes(End::Monitor, End::Host(host));
                let keeper = &mut self.hosts[host].keeper;
                let under_way = keeper.under_way.exchange.as_ref();
                if under_way.is_none_or(|it| it.number != exchange) || !keeper.is_up || !passes {
                    return;
                }
                match answer {
                    Some(answer) => self.hear(host, *answer),
                    None => keeper.dropped(),
                }
            }
            Content::Notice => {
                let passes = self.network.passes(End::Monitor, End::Host(host));
                let keeper = &mut self.hosts[host].keeper;
                if passes && keeper.is_up {
                    keeper.events.push_back(Event::Notified);
                }
            }
        }
    }

    fn report(&mut self, node: NodeId, exchange: u64, report: &Report) -> Option<Box<Answer>> {
        let (decision, answer) = match self.monitor.report(node, report, self.now)? {
            Heard::Recorded(decision, answer) => (decision, answer),
            Heard::Overtaken(answer) => {
                self.tell(|_| format!("node {node} reports {} too late", report.state));
                return Some(Box::new(answer));
            }
        };
        let verdict = self.report_order.check(node, exchange);
        self.judge(verdict);
        let run = self.monitor.run;
        let session = report.detail.number.map(|number| Session { run, start: number.start });
        if let Some(host) = self.hosts.iter_mut().find(|host| host.node == Some(node) && host.keeper.is_up) {
            host.keeper.session = session;
        }
        if !decision.changes.is_empty() || !decision.removed.is_empty() {
            self.tell(|_| {
                let running = if report.is_running { "" } else { ", down" };
                let (timeline, lsn) = (report.timeline, report.lsn.0);
                format!(
                    "node {node} reports {} (epoch {}, {timeline}/{lsn}{running})",
                    report.state, report.detail.epoch
                )
            });
        }
        self.note(&decision);
        answer.map(Box::new)
    }

    fn hear(&mut self, host: usize, answer: Answer) {
        let (goal, epoch) = (answer.assignment.goal, answer.assignment.epoch);
        if self.hosts[host].keeper.goal() != Some(goal) {
            self.tell(|world| {
                format!("host {host}: {:?} shall be {goal} (epoch {epoch})", world.hosts[host].node)
            });
        }
        self.hosts[host].keeper.answered(answer);
    }
}
