//! What a run is asked for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::kind::Kind;

/// Chooses the search for the limit.
pub(super) const LIMIT: &str = "limit";

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Of each kind, for each group.
    pub(super) duration: Duration,
    /// Sizes of groups.
    pub(super) groups: Vec<usize>,
    pub(super) kinds: Vec<Kind>,
    /// Stalls that grow until there is a failover.
    pub(super) finds_limit: bool,
}

impl Settings {
    /// From `DURATION` (600, in seconds), `FALSE_ALARMS` (all; words that the names of kinds have in them, with commas or
    /// spaces between), `NODES` ("2,3").
    pub(super) fn from_environment() -> Result<Self> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seconds = text("DURATION").unwrap_or_else(|| "600".to_owned());
        let duration = Duration::from_secs(
            seconds.parse().with_context(|| format!("DURATION is no number of seconds: {seconds}"))?,
        );
        let sizes = text("NODES").unwrap_or_else(|| "2,3".to_owned());
        let groups: Vec<usize> = sizes
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("NODES are no numbers: {sizes}"))?;
        ensure!(groups.iter().all(|nodes| (2..=9).contains(nodes)), "NODES are numbers from 2 to 9");
        let words = text("FALSE_ALARMS").unwrap_or_default();
        let words: Vec<&str> = words.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| is_chosen(&kind.name())).collect();
        let finds_limit = is_chosen(LIMIT);
        let known: Vec<String> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        ensure!(
            !kinds.is_empty() || finds_limit,
            "no disturbance is called {}; they are {}, {LIMIT}",
            words.join(" "),
            known.join(", ")
        );
        Ok(Self { duration, groups, kinds, finds_limit })
    }
}
