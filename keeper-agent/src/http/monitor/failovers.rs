//! The last failovers, read from the events: who decided what, and how long writers paused.
//!
//! A failover begins with the goal that ends a primary, or that makes a candidate, and ends when a node reports that it
//! accepts writes. What is said of the pause is what is certain. A primary that is told to stop accepted writes until
//! then, so writers paused no longer than from there; one that was lost stopped before the monitor decided, and after its
//! last report as a primary.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use pgaf_core::ReplicationState as State;
use pgaf_core::{GroupId, NodeId};

use crate::monitor::{BoardEvent, BoardNode};

/// So many are kept of each formation.
const KEPT: usize = 20;

/// One failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failover {
    /// The event that began it.
    pub(super) event: i64,
    pub(super) group: GroupId,
    pub(super) began: SystemTime,
    /// The primary that was.
    pub(super) from: Option<Name>,
    /// The candidate, and in the end the primary.
    pub(super) to: Option<Name>,
    /// The rule or the command, and its reason.
    pub(super) rule: String,
    pub(super) why: String,
    /// The primary was told to stop, rather than found to be down or lost.
    pub(super) is_planned: bool,
    pub(super) ended: Option<SystemTime>,
    /// When the primary was told to stop, or was found not to accept writes.
    retired: Option<SystemTime>,
    /// When it last reported to accept writes.
    last_report: Option<SystemTime>,
}

/// A node by id and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) NodeId, pub(super) String);

/// How long writers paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) at_least: Option<Duration>,
    pub(super) at_most: Option<Duration>,
}

impl Failover {
    /// From the goal that ended the primary to the report of the new one.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.ended?.duration_since(self.retired.unwrap_or(self.began)).ok()
    }

    /// `None` before its end.
    pub(super) fn pause(&self) -> Option<Pause> {
        let since = |begin: Option<SystemTime>| self.ended?.duration_since(begin?).ok();
        self.ended?;
        Some(match self.is_planned {
            true => Pause { at_least: None, at_most: since(self.retired) },
            false => Pause { at_least: since(self.retired), at_most: since(self.last_report) },
        })
    }
}

/// Those of all groups.
#[derive(Debug, Default)]
pub(super) struct Failovers {
    formations: BTreeMap<String, Formation>,
    /// When the writer of a group last reported to accept writes.
    reports: BTreeMap<(String, GroupId), (NodeId, SystemTime)>,
}

#[derive(Debug, Default)]
struct Formation {
    last: VecDeque<Failover>,
    writers: BTreeMap<GroupId, Name>,
    /// Ended ones by group and rule.
    counts: BTreeMap<(GroupId, String), u64>,
}

impl Failovers {
    /// The newest first.
    pub(super) fn of(&self, formation: &str) -> impl Iterator<Item = &Failover> {
        self.formations.get(formation).into_iter().flat_map(|formation| formation.last.iter().rev())
    }

    /// How many there were of that group, by rule.
    pub(super) fn counts(&self, formation: &str, group: GroupId) -> Vec<(String, u64)> {
        let known = self.formations.get(formation);
        let counts = known.into_iter().flat_map(|formation| &formation.counts);
        counts.filter(|((of, _), _)| *of == group).map(|((_, rule), count)| (rule.clone(), *count)).collect()
    }

    /// What happened before is not counted.
    pub(super) fn count_from_now(&mut self) {
        self.formations.values_mut().for_each(|formation| formation.counts.clear());
    }

    /// A node as it was just read; of writers it is remembered when they last said so.
    pub(super) fn saw(&mut self, formation: &str, group: GroupId, node: &BoardNode) {
        let accepts = node.reported.is_writer() && node.is_running && !node.is_gated;
        if accepts {
            self.reports.insert((formation.to_owned(), group), (node.node, node.reported_at));
        }
    }

    /// Takes an event; gives the failover that it ended.
    pub(super) fn take(&mut self, event: &BoardEvent) -> Option<Failover> {
        let last_report = self.reports.get(&(event.formation.clone(), event.group)).copied();
        self.formations.entry(event.formation.clone()).or_default().take(event, last_report)
    }
}

impl Formation {
    fn take(&mut self, event: &BoardEvent, last_report: Option<(NodeId, SystemTime)>) -> Option<Failover> {
        match assigned(event) {
            Some((rule, why)) => {
                self.assigned(event, rule, why, last_report);
                None
            }
            None if event.description.starts_with("New state of ") => self.reported(event),
            None => None,
        }
    }

    fn open(&mut self, group: GroupId) -> Option<&mut Failover> {
        self.last.iter_mut().rev().find(|failover| failover.group == group).filter(|it| it.ended.is_none())
    }

    fn assigned(
        &mut self,
        event: &BoardEvent,
        rule: &str,
        why: &str,
        last_report: Option<(NodeId, SystemTime)>,
    ) {
        let is_end = event.goal.is_retiring() && event.reported.is_writer();
        let is_candidate = event.goal.is_candidate();
        let is_vote = event.goal == State::ReportLsn;
        if !(is_end || is_candidate || is_vote) {
            return;
        }
        let name = Name(event.node, event.name.clone());
        if self.open(event.group).is_none() {
            let from = self.writers.get(&event.group).cloned();
            self.last.push_back(Failover {
                event: event.event,
                group: event.group,
                began: event.at,
                from,
                to: None,
                rule: rule.to_owned(),
                why: why.to_owned(),
                is_planned: false,
                ended: None,
                retired: None,
                last_report: None,
            });
            if self.last.len() > KEPT {
                self.last.pop_front();
            }
        }
        let Some(failover) = self.open(event.group) else { return };
        if is_end && failover.retired.is_none() {
            failover.retired = Some(event.at);
            failover.is_planned = matches!(event.goal, State::Draining | State::PrepareMaintenance);
            failover.last_report =
                last_report.filter(|(node, at)| *node == event.node && *at <= event.at).map(|(_, at)| at);
            failover.from = Some(name);
        } else if is_candidate {
            failover.to = Some(name);
        }
    }

    fn reported(&mut self, event: &BoardEvent) -> Option<Failover> {
        if !event.reported.is_writer() {
            return None;
        }
        let name = Name(event.node, event.name.clone());
        let ended = self.open(event.group).and_then(|failover| {
            let is_still_primary = failover.from.as_ref() == Some(&name) && failover.retired.is_none();
            if is_still_primary || !event.goal.is_writer() {
                return None;
            }
            failover.ended = Some(event.at);
            failover.to = Some(name.clone());
            Some(failover.clone())
        });
        if let Some(failover) = &ended {
            *self.counts.entry((event.group, failover.rule.clone())).or_default() += 1;
        }
        self.writers.insert(event.group, name);
        ended
    }
}

/// The rule and the reason of an event that assigns a goal.
fn assigned(event: &BoardEvent) -> Option<(&str, &str)> {
    let text = event.description.strip_prefix("Setting goal state of ")?;
    let (sentence, rule) = text.strip_suffix(']')?.rsplit_once(" [")?;
    let why = sentence.split_once(" because ").map_or(sentence, |(_, why)| why);
    Some((rule, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    struct Story {
        failovers: Failovers,
        event: i64,
        states: BTreeMap<i64, (State, State)>,
    }

    impl Story {
        fn new() -> Self {
            let states = BTreeMap::from([
                (1, (State::Primary, State::Primary)),
                (2, (State::Secondary, State::Secondary)),
            ]);
            let mut story = Self { failovers: Failovers::default(), event: 0, states };
            story.is(0, 1, State::Primary);
            story
        }

        fn tell(&mut self, time: u64, node: i64, description: String) -> Option<Failover> {
            self.event += 1;
            let (reported, goal) = self.states[&node];
            self.failovers.take(&BoardEvent {
                event: self.event,
                at: at(time),
                formation: "default".to_owned(),
                group: GroupId(0),
                node: NodeId(node),
                name: format!("n{node}"),
                reported,
                goal,
                description,
            })
        }

        fn told(&mut self, time: u64, node: i64, goal: State, rule: &str) {
            self.states.entry(node).and_modify(|states| states.1 = goal);
            let text = format!(
                "Setting goal state of node {node} \"n{node}\" to {goal} because of a reason [{rule}]"
            );
            assert_eq!(self.tell(time, node, text), None);
        }

        fn is(&mut self, time: u64, node: i64, state: State) -> Option<Failover> {
            self.states.entry(node).and_modify(|states| states.0 = state);
            self.tell(time, node, format!("New state of node {node} \"n{node}\" is {state}"))
        }

        fn newest(&self) -> Failover {
            self.failovers.of("default").next().cloned().expect("a failover")
        }
    }

    #[test]
    fn a_switchover_pauses_writers_no_longer_than_since_the_primary_was_told_to_stop() {
        let mut story = Story::new();
        story.told(1_000, 1, State::Draining, "perform_failover");
        story.told(1_000, 2, State::PreparePromotion, "perform_failover");
        story.is(1_020, 2, State::PreparePromotion);
        story.is(1_060, 1, State::Demoted);
        assert_eq!(story.newest().pause(), None, "it is under way");
        story.told(1_065, 2, State::WaitPrimary, "candidate_is_promoted");
        let ended = story.is(1_110, 2, State::WaitPrimary).expect("ended");
        assert_eq!((ended.rule.as_str(), ended.why.as_str()), ("perform_failover", "of a reason"));
        assert_eq!(ended.from.clone().map(|name| name.1).as_deref(), Some("n1"));
        assert_eq!(ended.to.clone().map(|name| name.1).as_deref(), Some("n2"));
        let pause = Pause { at_least: None, at_most: Some(Duration::from_millis(110)) };
        assert!(ended.is_planned && ended.pause() == Some(pause));
        // What follows is none.
        story.told(1_200, 1, State::CatchingUp, "old_primary_rejoins");
        story.told(1_900, 2, State::Primary, "primary_has_standby");
        assert_eq!(story.is(1_950, 2, State::Primary), None);
        assert_eq!(story.failovers.of("default").count(), 1);
        assert_eq!(story.failovers.counts("default", GroupId(0)), [("perform_failover".to_owned(), 1)]);
    }

    #[test]
    fn a_loss_pauses_writers_from_between_the_last_report_and_the_decision() {
        let mut story = Story::new();
        story.failovers.reports.insert(("default".to_owned(), GroupId(0)), (NodeId(1), at(1_000)));
        story.told(6_200, 1, State::DemoteTimeout, "primary_is_lost");
        story.told(6_200, 2, State::PreparePromotion, "primary_is_lost");
        story.told(6_300, 2, State::WaitPrimary, "candidate_is_promoted");
        let ended = story.is(6_500, 2, State::WaitPrimary).expect("ended");
        let milliseconds = |number| Some(Duration::from_millis(number));
        let pause = Pause { at_least: milliseconds(300), at_most: milliseconds(5_500) };
        assert!(!ended.is_planned && ended.pause() == Some(pause), "{ended:?}");
        assert_eq!(ended.duration(), milliseconds(300));
    }

    #[test]
    fn a_primary_that_takes_back_ends_the_failover_and_one_that_was_never_stopped_does_not() {
        let mut story = Story::new();
        // Writes are held first: the candidate comes before the end of the primary.
        story.told(1_000, 2, State::PreparePromotion, "perform_failover");
        assert_eq!(story.is(1_010, 1, State::Primary), None);
        story.told(1_100, 1, State::Draining, "candidate_has_caught_up");
        story.told(1_200, 1, State::WaitPrimary, "old_primary_takes_back");
        let ended = story.is(1_300, 1, State::WaitPrimary).expect("ended");
        assert_eq!(ended.to.map(|name| name.0), Some(NodeId(1)));
        assert_eq!(ended.rule, "perform_failover");
    }
}
