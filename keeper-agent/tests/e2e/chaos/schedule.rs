//! The schedule: which faults come when. It follows from the seed alone.
//!
//! It is made of rounds. A round begins with a whole group and ends with one; its faults name their victims by the
//! part they play when the round begins, so that the same schedule means the same to any two systems.

use std::fmt;
use std::time::Duration;

use super::kind::{Kind, Part, Reach};
use super::random::Random;

/// Draws of a fault that does not go with those of the round already, before the round stays as it is.
const DRAWS: usize = 20;

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Monitor,
    /// 0 is the primary, the others are its standbys in the order of their names.
    Node(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monitor => f.write_str("monitor"),
            Self::Node(0) => f.write_str("primary"),
            Self::Node(_) => f.write_str("standby"),
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// The other end of a link.
    pub(super) other: Option<Place>,
    /// What a setting becomes, or the seconds of a step of the clock.
    pub(super) amount: i64,
    /// Since the beginning of the round.
    pub(super) at: Duration,
    pub(super) lasts: Duration,
}

/// Faults that come close together, and are all healed before the next round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) number: u64,
    /// In the order in which they come.
    pub(super) faults: Vec<Fault>,
    /// How long nothing happens before it begins.
    pub(super) calm: Duration,
}

impl Round {
    /// Draws a round from these kinds.
    pub(super) fn draw(seed: u64, number: u64, nodes: usize, kinds: &[Kind]) -> Self {
        let mut random = Random::of_round(seed, number);
        let calm = Duration::from_millis(random.between(500, 2500));
        let count = match random.below(10) {
            0..=4 => 1,
            5..=7 => 2,
            _ => 3,
        };
        let mut faults: Vec<Fault> = Vec::new();
        for _draw in 0..DRAWS {
            let fault = Fault::draw(&mut random, faults.is_empty(), nodes, kinds);
            if faults.len() < count && faults.iter().all(|earlier| !earlier.clashes_with(&fault)) {
                faults.push(fault);
            }
        }
        faults.sort_by_key(|fault| fault.at);
        Self { number, faults, calm }
    }
}

impl Fault {
    fn draw(random: &mut Random, is_first: bool, nodes: usize, kinds: &[Kind]) -> Self {
        let kind = draw_kind(random, kinds);
        let place = draw_place(random, kind.reach(), nodes);
        let other = (kind.reach() == Reach::Pair).then(|| other_place(random, place, nodes));
        let at = if is_first { 0 } else { random.between(0, 7000) };
        let lasts = if random.percent(30) { random.between(300, 3000) } else { random.between(3000, 10_000) };
        let amount = draw_amount(random, kind, nodes);
        Self {
            kind,
            place,
            other,
            amount,
            at: Duration::from_millis(at),
            lasts: if kind.is_instant() { Duration::ZERO } else { Duration::from_millis(lasts) },
        }
    }

    /// It is no fault, but what an operator does.
    pub(super) fn is_command(&self) -> bool {
        self.kind.part() == Part::Settings
    }

    fn clashes_with(&self, other: &Self) -> bool {
        if self.kind.part() != other.kind.part() {
            return false;
        }
        match self.kind.part() {
            Part::Settings => self.kind == other.kind,
            _ => self.places().any(|place| other.places().any(|taken| taken == place)),
        }
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        [Some(self.place), self.other].into_iter().flatten()
    }

    /// In a few words, with the number if there is one.
    pub(super) fn what(&self) -> String {
        match self.kind {
            Kind::Priority | Kind::SyncStandbys => format!("{} {}", self.kind.name(), self.amount),
            Kind::ClockStepped => format!("{} {:+} s", self.kind.name(), self.amount),
            _ => self.kind.name().to_owned(),
        }
    }

    /// What happens to whom, for people; hosts are named by what they are at the beginning of the round.
    pub(super) fn label(&self) -> String {
        let what = self.kind.description();
        match (self.kind.reach(), self.other) {
            (Reach::Group, _) => what.to_owned(),
            (_, None) => format!("{what}: {}", self.place),
            (_, Some(other)) if self.kind == Kind::OneWayCut => format!("{what}: {} to {other}", self.place),
            (_, Some(other)) => format!("{what}: {} and {other}", self.place),
        }
    }
}

fn draw_kind(random: &mut Random, kinds: &[Kind]) -> Kind {
    let total: u64 = kinds.iter().map(|kind| kind.weight()).sum();
    let mut drawn = random.below(total);
    for kind in kinds {
        if drawn < kind.weight() {
            return *kind;
        }
        drawn -= kind.weight();
    }
    kinds[0]
}

/// The primary half of the time.
fn draw_place(random: &mut Random, reach: Reach, nodes: usize) -> Place {
    let dice = random.below(12);
    let standby = 1 + random.below(nodes as u64 - 1) as usize;
    match dice {
        0..=1 if reach == Reach::Host => Place::Monitor,
        0..=6 => Place::Node(0),
        _ => Place::Node(standby),
    }
}

fn other_place(random: &mut Random, than: Place, nodes: usize) -> Place {
    let places: Vec<Place> =
        (0..nodes).map(Place::Node).chain([Place::Monitor]).filter(|place| *place != than).collect();
    places[random.below(places.len() as u64) as usize]
}

fn draw_amount(random: &mut Random, kind: Kind, nodes: usize) -> i64 {
    match kind {
        Kind::ClockStepped => random.between(0, 14_400).cast_signed() - 7200,
        Kind::Priority => [0, 10, 90, 100][random.below(4) as usize],
        Kind::SyncStandbys => random.below(nodes as u64).cast_signed(),
        _ => 0,
    }
}
