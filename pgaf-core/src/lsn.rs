//! Positions in the write-ahead log: LSNs, timelines, and the history that tells "behind" from "forked".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A byte position in the write-ahead log, written `XXXXXXXX/XXXXXXXX` in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position of a node that has no data.
    pub const ZERO: Self = Self(0);

    /// How many bytes `self` is behind `other`; zero when it is not behind.
    pub const fn bytes_behind(self, other: Self) -> u64 {
        other.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A text that is no LSN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an LSN, which is two hexadecimal numbers like 0/3000028")]
pub struct InvalidLsn(pub String);

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let half = |part: &str| {
            let is_hex = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u32::from_str_radix(part, 16).ok()).flatten()
        };
        text.split_once('/')
            .and_then(|(high, low)| Some((half(high)?, half(low)?)))
            .map(|(high, low)| Self(u64::from(high) << 32 | u64::from(low)))
            .ok_or_else(|| InvalidLsn(text.to_owned()))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A timeline id; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(pub u32);

impl Timeline {
    /// The timeline of a new cluster.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where each ancestor of a timeline ended, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimelineHistory {
    /// The timeline whose history this is.
    pub timeline: Timeline,
    /// `(ancestor, the LSN at which its child left it)`.
    pub ancestors: Vec<(Timeline, Lsn)>,
}

/// How a node's log relates to the log of the node it should follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lineage {
    /// Every record here is in the other's history, too: it can stream from where it is.
    Behind,
    /// It has records that the other's history has not.
    Forked,
}

/// A history file that does not read like one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the timeline history is not \"timeline, LSN, reason\": {text}")]
pub struct InvalidHistory {
    /// Counted from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
}

impl TimelineHistory {
    /// A timeline without ancestors.
    pub const fn first() -> Self {
        Self { timeline: Timeline::FIRST, ancestors: Vec::new() }
    }

    /// Reads the content of a `.history` file of `timeline`.
    ///
    /// # Errors
    /// A line that is neither empty, nor a comment, nor `timeline LSN reason`; timelines that do not ascend; a timeline
    /// that ends before its own parent did; no ancestor at all, but for the first timeline.
    pub fn parse(timeline: Timeline, content: &str) -> Result<Self, InvalidHistory> {
        let mut ancestors: Vec<(Timeline, Lsn)> = Vec::new();
        for (index, raw) in content.lines().enumerate() {
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let entry = words
                .next()
                .and_then(timeline_id)
                .zip(words.next().and_then(|word| word.parse::<Lsn>().ok()));
            let ascends = |(next, end): (Timeline, Lsn)| {
                next < timeline
                    && ancestors.last().is_none_or(|(last, left_at)| *last < next && *left_at <= end)
            };
            match entry {
                Some(entry) if ascends(entry) => ancestors.push(entry),
                _ => {
                    return Err(InvalidHistory { line: index + 1, text: raw.to_owned() });
                }
            }
        }
        if ancestors.is_empty() && timeline != Timeline::FIRST {
            return Err(InvalidHistory {
                line: 1,
                text: content.lines().next().unwrap_or_default().to_owned(),
            });
        }
        Ok(Self { timeline, ancestors })
    }

    /// How a log that ends at `end` on `timeline` relates to this history.
    pub fn lineage_of(&self, timeline: Timeline, end: Lsn) -> Lineage {
        if timeline == self.timeline {
            return Lineage::Behind;
        }
        let fork = self.ancestors.iter().find(|(ancestor, _)| *ancestor == timeline);
        match fork {
            Some((_, left_at)) if end <= *left_at => Lineage::Behind,
            _ => Lineage::Forked,
        }
    }

    /// How a log that ends at `end`, and whose own history is `log`, relates to this history. Timelines of the same
    /// number that began at different places are different timelines.
    pub fn lineage_of_log(&self, log: &Self, end: Lsn) -> Lineage {
        let position = self.ancestors.iter().position(|(ancestor, _)| *ancestor == log.timeline);
        let beginning = self.ancestors.iter().take(position.unwrap_or(self.ancestors.len()));
        if log.ancestors.iter().eq(beginning) { self.lineage_of(log.timeline, end) } else { Lineage::Forked }
    }
}

/// A timeline's number as a history file has it: digits alone.
fn timeline_id(word: &str) -> Option<Timeline> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|id| is_number && *id >= Timeline::FIRST.0).map(Timeline)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lsn(text: &str) -> Lsn {
        text.parse().expect("a valid LSN")
    }

    #[test]
    fn lsn_reads_what_it_writes() {
        for text in ["0/0", "0/3000028", "1A/FFFFFFFF"] {
            assert_eq!(lsn(text).to_string(), text);
        }
        for text in ["", "/", "0/", "0/+1", "0/100000000", "0/3 ", "x/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn behind_and_forked_differ_by_history_alone() {
        let history = TimelineHistory::parse(
            Timeline(3),
            "1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\treason\n",
        )
        .expect("a valid history");
        let lineage = |timeline, end| history.lineage_of(Timeline(timeline), lsn(end));
        assert_eq!(lineage(1, "0/3000000"), Lineage::Behind);
        assert_eq!(lineage(1, "0/3000001"), Lineage::Forked, "past the fork point");
        assert_eq!(lineage(2, "0/4000000"), Lineage::Behind);
        assert_eq!(lineage(3, "0/9000000"), Lineage::Behind);
        assert_eq!(lineage(4, "0/1000000"), Lineage::Forked, "a timeline it never had");
    }

    #[test]
    fn timelines_of_one_number_differ_by_their_beginnings() {
        let history = |timeline, ancestors: &[(u32, &str)]| TimelineHistory {
            timeline: Timeline(timeline),
            ancestors: ancestors.iter().map(|(id, left_at)| (Timeline(*id), lsn(left_at))).collect(),
        };
        let source = history(3, &[(1, "0/3000000"), (2, "0/5000000")]);
        let lineage = |log: &TimelineHistory, end| source.lineage_of_log(log, lsn(end));
        assert_eq!(lineage(&source, "0/9000000"), Lineage::Behind);
        assert_eq!(lineage(&TimelineHistory::first(), "0/3000000"), Lineage::Behind);
        assert_eq!(lineage(&TimelineHistory::first(), "0/3000001"), Lineage::Forked);
        assert_eq!(lineage(&history(2, &[(1, "0/3000000")]), "0/5000000"), Lineage::Behind);
        assert_eq!(lineage(&history(2, &[(1, "0/3000028")]), "0/4000000"), Lineage::Forked);
        assert_eq!(lineage(&history(3, &[(1, "0/3000000"), (2, "0/4000000")]), "0/4000028"), Lineage::Forked);
        assert_eq!(lineage(&history(3, &[(1, "0/3000000")]), "0/4000000"), Lineage::Forked);
        assert_eq!(lineage(&history(4, &[(1, "0/3000000")]), "0/3000028"), Lineage::Forked);
    }

    #[test]
    fn a_damaged_history_is_an_error() {
        for content in
            ["1", "x 0/1 r", "3 0/1 r", "+1 0/1 r", "0 0/1 r", "1 0/1 a\n1 0/2 b", "1 0/2 a\n2 0/1 b"]
        {
            assert!(TimelineHistory::parse(Timeline(3), content).is_err(), "{content}");
        }
    }

    /// As Postgres writes it.
    fn print(history: &TimelineHistory) -> String {
        let line = |(id, lsn): &(Timeline, Lsn)| format!("{id}\t{lsn}\tno recovery target specified\n\n");
        history.ancestors.iter().map(line).collect()
    }

    /// Ancestors that ascend, and the timeline after the last.
    fn histories() -> impl Strategy<Value = TimelineHistory> {
        proptest::collection::vec((1..9u32, 0..=u64::MAX >> 8), 0..6).prop_map(|steps| {
            let (mut id, mut end) = (0, 0);
            let mut ancestors = Vec::new();
            for (forward, grown) in steps {
                id += forward;
                end += grown;
                ancestors.push((Timeline(id), Lsn(end)));
            }
            TimelineHistory { timeline: Timeline(id + 1), ancestors }
        })
    }

    /// Texts that are nearly histories.
    fn nearly_a_history() -> impl Strategy<Value = String> {
        let word = prop_oneof!["[0-9+-]{1,3}", "[0-9A-Fx]{1,9}/[0-9A-Fx]{0,9}", "\\PC{0,4}", "[#\t\n ]{1,2}"];
        proptest::collection::vec(word, 0..12).prop_map(|words| words.join("\t"))
    }

    proptest! {
        #[test]
        fn every_lsn_reads_back(position: u64) {
            prop_assert_eq!(Lsn(position).to_string().parse(), Ok(Lsn(position)));
        }

        #[test]
        fn every_history_reads_back(history in histories()) {
            prop_assert_eq!(TimelineHistory::parse(history.timeline, &print(&history)), Ok(history));
        }

        #[test]
        fn a_text_is_a_history_or_the_line_is_named(
            timeline in 0..20u32,
            content in prop_oneof![nearly_a_history(), any::<String>()],
        ) {
            match TimelineHistory::parse(Timeline(timeline), &content) {
                Ok(history) => {
                    prop_assert_eq!(TimelineHistory::parse(history.timeline, &print(&history)), Ok(history));
                }
                Err(InvalidHistory { line, text }) => {
                    prop_assert_eq!(content.lines().nth(line - 1).unwrap_or_default(), text);
                }
            }
        }
    }
}
