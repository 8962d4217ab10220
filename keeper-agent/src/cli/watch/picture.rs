//! What the dashboard shows, as data.

use pgaf_core::{Health, Lsn};

use crate::cli::local_time::LocalTime;
use crate::monitor::{FormationSummary, MonitorError, NodeState, Overview, WatchedNode};

/// The monitor at one moment, and whether that moment is now.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Every formation, by name.
    pub(super) formations: Vec<FormationSummary>,
    /// The one whose nodes and events are here.
    pub(super) formation: String,
    /// By group and id.
    pub(super) nodes: Vec<WatchedNode>,
    /// The newest last.
    pub(super) events: Vec<WatchedEvent>,
    /// When the monitor was looked at.
    pub(super) seen: LocalTime,
    /// The monitor answers.
    pub(super) reachability: Reachability,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchedEvent {
    /// Its number.
    pub(super) event: i64,
    /// When.
    pub(super) at: LocalTime,
    /// What.
    pub(super) text: String,
}

/// Whether a picture is the present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reachability {
    /// The monitor answers.
    Live,
    /// It does not; the picture is the last there was.
    Lost(Loss),
}

/// Why there is no newer picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The monitor does not answer, as opposed to: answers with something else than a picture.
    pub(super) is_unreachable: bool,
    /// What was tried last, and what came of it.
    pub(super) reason: String,
}

/// To which formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Next,
    Previous,
}

/// How far a node is behind the primary of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lag {
    /// It is the primary.
    Primary,
    /// So many bytes, by what both last reported.
    Bytes(u64),
    /// There is no primary, or it is on another timeline: their positions cannot be compared.
    Unknown,
}

impl Picture {
    /// What was seen just now.
    pub(super) fn of(formation: &str, overview: Overview) -> Self {
        let watched = |event: crate::monitor::NodeEvent| WatchedEvent {
            event: event.event,
            at: LocalTime::of(event.moment),
            text: event.description,
        };
        Self {
            formations: overview.formations,
            formation: formation.to_owned(),
            nodes: overview.nodes,
            events: overview.events.into_iter().map(watched).collect(),
            seen: LocalTime::now(),
            reachability: Reachability::Live,
        }
    }

    /// It is not the present any more.
    pub(super) fn lose(&mut self, error: &MonitorError) {
        // The picture itself says whom this is about.
        let reason = match error {
            MonitorError::Unreachable(error) => error.to_string(),
            MonitorError::Lost(reason) => format!("the connection is lost: {reason}"),
            MonitorError::TimedOut { what, after } => {
                format!("no answer within {} ms ({what})", after.as_millis())
            }
            other => other.to_string(),
        };
        self.reachability = Reachability::Lost(Loss { is_unreachable: error.is_transient(), reason });
    }

    /// Where the shown formation is among all.
    pub(super) fn formation_index(&self) -> Option<usize> {
        self.formations.iter().position(|summary| summary.name == self.formation)
    }

    /// The names of all formations, for a sentence.
    pub(super) fn formation_list(&self) -> String {
        let names: Vec<String> = self.formations.iter().map(|each| format!("\"{}\"", each.name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// The formation beside the named one, going round at the ends; none when there is no other.
    pub(super) fn neighbour(&self, name: &str, step: Direction) -> Option<String> {
        let count = self.formations.len();
        let next = match self.formations.iter().position(|summary| summary.name == name) {
            // It was dropped: any is better.
            None => 0,
            Some(index) => match step {
                Direction::Next => (index + 1) % count,
                Direction::Previous => (index + count - 1) % count,
            },
        };
        self.formations.get(next).map(|summary| summary.name.clone()).filter(|next| next != name)
    }

    /// The nodes belong to more than one group.
    pub(super) fn has_several_groups(&self) -> bool {
        self.nodes.windows(2).any(|pair| pair[0].state.group != pair[1].state.group)
    }

    /// How many of these nodes do not answer the monitor's probes.
    pub(super) fn count_bad(nodes: &[WatchedNode]) -> usize {
        nodes.iter().filter(|node| node.state.health == Health::Bad).count()
    }

    /// How far a node of the picture is behind.
    pub(super) fn lag(&self, node: &NodeState) -> Lag {
        let is_primary = |node: &NodeState| node.reported.is_writer() && node.goal.is_writer();
        if is_primary(node) {
            return Lag::Primary;
        }
        let mut of_group = self.nodes.iter().map(|each| &each.state).filter(|each| each.group == node.group);
        match of_group.find(|each| is_primary(each)) {
            Some(primary) if primary.timeline == node.timeline && node.lsn != Lsn::ZERO => {
                Lag::Bytes(node.lsn.bytes_behind(primary.lsn))
            }
            _ => Lag::Unknown,
        }
    }
}

impl Loss {
    /// In two words.
    pub(super) const fn headline(&self) -> &'static str {
        if self.is_unreachable { "monitor unreachable" } else { "no news" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(formations: &[&str]) -> Picture {
        let summary = |name: &&str| FormationSummary {
            name: (*name).to_owned(),
            number_sync_standbys: 0,
            is_paused: false,
            has_bad_health: false,
        };
        let formations = formations.iter().map(summary).collect();
        Picture::of("b", Overview { formations, ..Overview::default() })
    }

    #[test]
    fn a_loss_says_what_kind_it_is() {
        let mut picture = picture(&["b"]);
        let mut said = |error: &MonitorError| {
            picture.lose(error);
            match &picture.reachability {
                Reachability::Lost(loss) => format!("{}: {}", loss.headline(), loss.reason),
                Reachability::Live => String::new(),
            }
        };
        let closed = MonitorError::Lost("closed".to_owned());
        assert_eq!(said(&closed), "monitor unreachable: the connection is lost: closed");
        let missing = MonitorError::ExtensionMissing("db".to_owned());
        assert!(said(&missing).starts_with("no news: database \"db\""), "{}", said(&missing));
    }

    #[test]
    fn formations_go_round() {
        let all = picture(&["a", "b", "c"]);
        let next = |name: &str| all.neighbour(name, Direction::Next);
        assert_eq!((next("a"), next("c")), (Some("b".to_owned()), Some("a".to_owned())));
        assert_eq!(all.neighbour("a", Direction::Previous), Some("c".to_owned()));
        assert_eq!(next("dropped"), Some("a".to_owned()));
        assert_eq!(picture(&["b"]).neighbour("b", Direction::Next), None);
        assert_eq!(picture(&[]).neighbour("b", Direction::Previous), None);
    }
}
