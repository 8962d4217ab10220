//! How long nobody could write, and how long it took until the group was whole, for each kind of fault.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::{Life, Played};

/// Times in ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution(Vec<Duration>);

impl Distribution {
    fn add(&mut self, time: Duration) {
        let index = self.0.partition_point(|earlier| *earlier <= time);
        self.0.insert(index, time);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that so many percent of all do not exceed, in seconds.
    pub(super) fn percentile_s(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(f64::NAN, Duration::as_secs_f64)
    }
}

/// Of one kind of round.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    /// Without an acknowledgement.
    pub(super) pauses: Distribution,
    /// From the last healing until the group was whole.
    pub(super) until_whole: Distribution,
}

/// By the label of the round; the last one is of all rounds together.
pub(super) fn by_kind(lives: &[Life]) -> Vec<(String, Times)> {
    let mut kinds: BTreeMap<String, Times> = BTreeMap::new();
    let mut all = Times::default();
    for played in lives.iter().flat_map(|life| &life.rounds) {
        for times in [kinds.entry(played.label()).or_default(), &mut all] {
            add(times, played);
        }
    }
    kinds.into_iter().chain([("all rounds".to_owned(), all)]).collect()
}

fn add(times: &mut Times, played: &Played) {
    times.pauses.add(played.pause);
    if let Some(whole) = played.whole {
        times.until_whole.add(whole.saturating_duration_since(played.healed));
    }
}
