//! Several monitors as one group: the state machine that their agents replicate.
//!
//! The monitors' own Postgres servers are the nodes of one [`Group`], and the same [`decide`](crate::monitor::decide) says
//! which of them is the primary, whose database answers keepers. The state is a function of the log: an entry brings
//! everything that a decision depends on and that is not in the group, the ages and the health that whoever leads has
//! measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::group::{Group, Health, Node, Timeouts};
use crate::id::{GroupId, NodeId};
use crate::message::{Answer, Report, Upstream};
use crate::monitor::{self, Event};

/// Silence after which a monitor counts as lost. Its Postgres has fenced itself a second before.
const UNHEALTHY_AFTER: Duration = Duration::from_millis(2_500);
/// As long as nobody can be silent for longer than that to whoever leads since a moment ago.
const STARTUP_GRACE: Duration = Duration::from_millis(2_000);
/// So many sentences are kept to show.
const KEPT_EVENTS: usize = 50;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What has happened.
    pub what: What,
    /// As whoever leads has measured it, when this was proposed.
    pub ages: Ages,
}

/// What can happen to the group of the monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A monitor with a Postgres joins.
    Register(Candidacy),
    /// A monitor's agent reports.
    Report {
        /// Which monitor.
        node: NodeId,
        /// What it says.
        report: Box<Report>,
    },
    /// Time has passed, or somebody's health has changed.
    Tick,
    /// An operator wants another monitor to decide.
    Switchover {
        /// Which one; the monitors choose when there is none.
        to: Option<NodeId>,
    },
    /// A new monitor wants a number, which nobody has had before.
    Admit {
        /// The highest number among the monitors, as far as the proposer knows.
        highest: u64,
    },
    /// An operator removes a monitor; its number is not used again.
    Remove {
        /// Which one.
        node: NodeId,
        /// It will not come back: it need not agree.
        force: bool,
    },
}

/// Who registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidacy {
    /// Its number among the monitors.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where its Postgres is.
    pub host: String,
    /// The port of its Postgres.
    pub port: u16,
    /// The database that all of them serve.
    pub dbname: String,
}

/// What time has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Since the proposer leads.
    pub leads_for: Duration,
    /// Of the nodes it knows.
    pub nodes: Vec<NodeAges>,
}

/// What time has done to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAges {
    /// Which one.
    pub node: NodeId,
    /// Since its last report to the proposer; absent when it has not reported since the proposer leads.
    pub silent_for: Option<Duration>,
    /// Since it got its goal.
    pub goal_age: Duration,
    /// What probes say.
    pub health: Health,
}

/// What comes of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To a report, and to a registration.
    Answer(Box<Answer>),
    /// To a new monitor: its number.
    Number(u64),
    /// Nothing has to be said.
    Done,
    /// The group does not have this node.
    Unknown,
    /// Why it is not done.
    Refused(String),
}

/// The state that every agent has a copy of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitors {
    /// The group, once a monitor has registered.
    pub group: Option<Group>,
    /// What was decided lately, the newest last.
    pub events: Vec<String>,
    /// What standbys have said of whom they receive from, when they said it.
    upstreams: BTreeMap<NodeId, Upstream>,
    /// The highest number that was given to a monitor that came later.
    highest: u64,
    /// The numbers of those that were removed.
    removed: BTreeSet<NodeId>,
}

impl Monitors {
    /// Applies one entry; the same on every agent.
    pub fn apply(&mut self, entry: &Entry) -> Reply {
        let group = match &entry.what {
            What::Admit { highest } => {
                self.highest = self.highest.max(*highest).saturating_add(1);
                return Reply::Number(self.highest);
            }
            What::Remove { node, .. } if self.group.is_none() => return self.note_removal(*node),
            What::Register(Candidacy { node, .. }) if self.has_gone(*node) => return Reply::Unknown,
            What::Register(candidacy) => {
                let empty = Group {
                    dbname: candidacy.dbname.clone(),
                    timeouts: Timeouts {
                        unhealthy_after: UNHEALTHY_AFTER,
                        startup_grace: STARTUP_GRACE,
                        ..Timeouts::default()
                    },
                    ..Group::new("monitors", GroupId(0))
                };
                self.group.clone().unwrap_or(empty)
            }
            _ => match &self.group {
                Some(group) => group.clone(),
                None => return Reply::Unknown,
            },
        };
        let mut group = self.aged(group, &entry.ages);
        match &entry.what {
            What::Register(candidacy) => self.register(group, candidacy),
            What::Report { node, report } => {
                let Some(known) = group.nodes.iter_mut().find(|known| known.id == *node) else {
                    return Reply::Unknown;
                };
                if let Some(overtaker) = known.overtaker_of(&report.detail) {
                    let answer = monitor::answer_for(&group, *node);
                    return answer.map_or(Reply::Unknown, |answer| {
                        Reply::Answer(Box::new(Answer { overtaken_by: Some(overtaker), ..answer }))
                    });
                }
                known.hear(report);
                match report.detail.upstream {
                    Some(upstream) => self.upstreams.insert(*node, upstream),
                    None => self.upstreams.remove(node),
                };
                self.decide(&group, &Event::Reported(*node), *node)
            }
            What::Tick => self.decide(&group, &Event::Tick, NodeId(0)),
            What::Switchover { to: None } => self.decide(&group, &Event::PerformFailover, NodeId(0)),
            What::Switchover { to: Some(to) } => {
                self.decide(&group, &Event::PerformPromotion(*to), NodeId(0))
            }
            What::Remove { node, force } => self.remove(&group, *node, *force),
            What::Admit { .. } => Reply::Done,
        }
    }

    /// It was removed, and does not come back under this number.
    pub fn has_gone(&self, node: NodeId) -> bool {
        let is_in_group = self.group.as_ref().is_some_and(|group| group.node(node).is_some());
        self.removed.contains(&node) && !is_in_group
    }

    /// Whether something would be decided if an entry said no more than these ages.
    pub fn is_due(&self, ages: &Ages) -> bool {
        let Some(group) = &self.group else { return false };
        monitor::decide(&self.aged(group.clone(), ages), &Event::Tick)
            .is_ok_and(|decision| !decision.changes.is_empty() || !decision.removed.is_empty())
    }

    /// The group as it is now.
    pub fn aged(&self, mut group: Group, ages: &Ages) -> Group {
        group.monitor_uptime = ages.leads_for;
        for node in &mut group.nodes {
            let known = ages.nodes.iter().find(|ages| ages.node == node.id);
            let reported = known.and_then(|ages| ages.silent_for);
            node.has_reported = reported.is_some();
            node.silent_for = reported.unwrap_or(ages.leads_for);
            node.goal_age = known.map_or(ages.leads_for, |ages| ages.goal_age);
            node.health = known.map_or(Health::Unknown, |ages| ages.health);
            node.upstream = self.upstreams.get(&node.id).map(|upstream| upstream.aged(node.silent_for));
        }
        group
    }

    fn register(&mut self, mut group: Group, candidacy: &Candidacy) -> Reply {
        let node = candidacy.node;
        if let Some(known) = group.nodes.iter_mut().find(|known| known.id == node) {
            let has_moved =
                (&known.name, &known.host, known.port) != (&candidacy.name, &candidacy.host, candidacy.port);
            candidacy.name.clone_into(&mut known.name);
            candidacy.host.clone_into(&mut known.host);
            known.port = candidacy.port;
            let event = if has_moved { Event::NodeMoved(node) } else { Event::Tick };
            return self.decide(&group, &event, node);
        }
        group.nodes.push(Node {
            name: candidacy.name.clone(),
            host: candidacy.host.clone(),
            port: candidacy.port,
            has_data: false,
            is_running: false,
            ..Node::new(node)
        });
        group.nodes.sort_unstable_by_key(|node| node.id);
        self.decide(&group, &Event::Registered(node), node)
    }

    /// One that has a server may have to agree first: it is removed when it is no longer in the group.
    fn remove(&mut self, group: &Group, node: NodeId, force: bool) -> Reply {
        if group.node(node).is_some() {
            let reply = self.decide(group, &Event::Remove { node, force }, NodeId(0));
            if matches!(reply, Reply::Refused(_)) {
                return reply;
            }
        }
        self.note_removal(node)
    }

    /// Its number is not used again, whether or not it has ever come.
    fn note_removal(&mut self, node: NodeId) -> Reply {
        self.removed.insert(node);
        self.upstreams.remove(&node);
        self.highest = self.highest.max(node.0.unsigned_abs());
        Reply::Done
    }

    fn decide(&mut self, group: &Group, event: &Event, asker: NodeId) -> Reply {
        let decision = match monitor::decide(group, event) {
            Ok(decision) => decision,
            Err(refusal) => return Reply::Refused(refusal.to_string()),
        };
        let sentences = decision.changes.into_iter().map(|change| change.description);
        self.events.extend(sentences.chain(decision.removed.into_iter().map(|(_, sentence)| sentence)));
        let surplus = self.events.len().saturating_sub(KEPT_EVENTS);
        self.events.drain(..surplus);
        let answer = monitor::answer_for(&decision.group, asker);
        self.group = Some(decision.group);
        match answer {
            Some(answer) => Reply::Answer(Box::new(answer)),
            None if asker == NodeId(0) => Reply::Done,
            None => Reply::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(monitors: &mut Monitors, what: What) -> Reply {
        monitors.apply(&Entry { what, ages: Ages::default() })
    }

    fn register(node: i64) -> What {
        What::Register(Candidacy {
            node: NodeId(node),
            name: format!("m{node}"),
            host: format!("host{node}"),
            port: 5432,
            dbname: "pg_auto_failover".to_owned(),
        })
    }

    #[test]
    fn a_number_is_given_once() {
        let mut monitors = Monitors::default();
        assert_eq!(apply(&mut monitors, What::Admit { highest: 3 }), Reply::Number(4));
        assert_eq!(apply(&mut monitors, What::Admit { highest: 3 }), Reply::Number(5));
        assert_eq!(apply(&mut monitors, What::Admit { highest: 9 }), Reply::Number(10));
        // One that never came has had its number.
        assert_eq!(apply(&mut monitors, What::Remove { node: NodeId(11), force: true }), Reply::Done);
        assert_eq!(apply(&mut monitors, What::Admit { highest: 2 }), Reply::Number(12));
    }

    #[test]
    fn who_was_removed_does_not_come_back() {
        let mut monitors = Monitors::default();
        assert!(matches!(apply(&mut monitors, register(1)), Reply::Answer(_)));
        assert!(matches!(apply(&mut monitors, register(2)), Reply::Answer(_)));
        // It reports no more, and need not agree.
        assert_eq!(apply(&mut monitors, What::Remove { node: NodeId(2), force: true }), Reply::Done);
        assert!(monitors.has_gone(NodeId(2)));
        assert_eq!(apply(&mut monitors, register(2)), Reply::Unknown);
        assert!(matches!(apply(&mut monitors, register(4)), Reply::Answer(_)));
        // One without a server is in no group.
        assert_eq!(apply(&mut monitors, What::Remove { node: NodeId(3), force: false }), Reply::Done);
        assert!(monitors.has_gone(NodeId(3)));
    }
}
