//! What a run is asked for.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, ensure};

use super::kind::Kind;

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// After this no new round begins.
    pub(super) duration: Duration,
    pub(super) seed: u64,
    /// Data nodes.
    pub(super) nodes: usize,
    /// The first round and the last one.
    pub(super) rounds: (u64, u64),
    pub(super) kinds: Vec<Kind>,
    pub(super) systems: String,
    /// Where reports go.
    pub(super) directory: PathBuf,
}

impl Settings {
    /// From `DURATION` (180, in seconds), `SEED` (another one each time), `NODES` (3), `ROUNDS` (all; "17" or "17-19"),
    /// `FAULTS` (all; words that names of kinds have in them), `CHAOS_SYSTEMS` (`ours`), `CHAOS_DIR` (`target/chaos`).
    pub(super) fn from_environment() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let nodes = number("NODES", 3)?;
        ensure!((2..=9).contains(&nodes), "NODES is a number from 2 to 9");
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let target = top.unwrap_or(Path::new(".")).join("target/chaos");
        Ok(Self {
            duration: Duration::from_secs(number("DURATION", 180)?),
            seed: number("SEED", u64::try_from(now % 1_000_000)?)?,
            nodes,
            rounds: rounds()?,
            kinds: kinds()?,
            systems: text("CHAOS_SYSTEMS").unwrap_or_else(|| "ours".to_owned()),
            directory: text("CHAOS_DIR").map_or(target, PathBuf::from),
        })
    }

    /// How to have the same again.
    pub(super) fn command(&self) -> String {
        format!("make chaos SEED={} DURATION={} NODES={}", self.seed, self.duration.as_secs(), self.nodes)
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T> {
    let wrong = |given: String| anyhow!("{name} is no number: {given}");
    text(name).map_or(Ok(default), |given| given.parse().map_err(|_| wrong(given)))
}

fn rounds() -> Result<(u64, u64)> {
    let Some(given) = text("ROUNDS") else {
        return Ok((1, u64::MAX));
    };
    let wrong = || anyhow!("ROUNDS is a number or two with \"-\" between them: {given}");
    let (first, last) = given.split_once('-').unwrap_or((&given, &given));
    Ok((first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?))
}

fn kinds() -> Result<Vec<Kind>> {
    let words = text("FAULTS").unwrap_or_default();
    let is_chosen = |kind: &Kind| words.is_empty() || words.split(',').any(|word| kind.name().contains(word));
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(is_chosen).collect();
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    ensure!(!kinds.is_empty(), "no kind of fault is called {words}; they are {}", known.join(", "));
    Ok(kinds)
}
