//! Plays the schedule: strikes, heals, waits until the group is whole, and looks at what is left.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bed::{Bed, set_of};
use super::cast::Cast;
use super::check::Check;
use super::evidence::Evidence;
use super::history::{Life, Played, Struck};
use super::schedule::Round;
use super::settings::Settings;
use crate::harness::{Tools, wait_for};

/// How long a group may take to be whole after the last fault is healed.
const WHOLE: Duration = Duration::from_secs(60);
/// How much longer one that was not is waited for, before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
const ACK: Duration = Duration::from_secs(10);
/// Until all standbys have received all rows.
const CAUGHT_UP: Duration = Duration::from_secs(30);

/// Between two attempts to take something back.
const RETRY_PACE: Duration = Duration::from_millis(200);

enum Moment {
    Strike(usize),
    Heal(usize),
}

/// One cluster, from its beginning until the time is over or it is not whole any more.
pub(super) struct Player<'a> {
    settings: &'a Settings,
    evidence: &'a mut Evidence,
    bed: Bed,
    life: Life,
    sync_standbys: i64,
    has_lost_rows: bool,
}

impl<'a> Player<'a> {
    /// Brings a cluster up.
    pub(super) fn new(settings: &'a Settings, tools: &Tools, evidence: &'a mut Evidence) -> Result<Self> {
        let bed = Bed::start(tools, settings.nodes)?;
        let sql = "select number_sync_standbys from pgautofailover.formation where formationid = 'default'";
        let sync_standbys = bed.cluster.on_monitor(|monitor| monitor.text(sql))?.parse()?;
        let life = Life::new(bed.hosts());
        Ok(Self { settings, evidence, bed, life, sync_standbys, has_lost_rows: false })
    }

    /// Plays rounds from that number on; returns the next one, and what has happened.
    pub(super) fn play(mut self, mut number: u64, until: Instant) -> Result<(u64, Life)> {
        while Instant::now() < until && number <= self.settings.rounds.1 {
            let round = Round::draw(self.settings.seed, number, self.settings.nodes, &self.settings.kinds);
            number += 1;
            if !self.round(round)? {
                break;
            }
        }
        self.end()?;
        Ok((number, self.life))
    }

    /// Plays one round; false when the group does not become whole again.
    fn round(&mut self, round: Round) -> Result<bool> {
        sleep(round.calm);
        let cast = Cast::of(&self.bed.cluster)?;
        let began = Instant::now();
        for fault in &round.faults {
            eprintln!(
                "  {:7.1} s  round {}: {}",
                self.life.since(began).as_secs_f64(),
                round.number,
                fault.label()
            );
        }
        let mut played = Played {
            round,
            cast,
            struck: Vec::new(),
            began,
            healed: began,
            whole: None,
            pause: Duration::ZERO,
        };
        let unhealed = self.strike_and_heal(&mut played);
        played.healed = Instant::now();
        let is_whole = self.become_whole(&mut played, unhealed)?;
        let pauses = self.bed.followers.iter().map(|writer| writer.ledger().longest_pause(began));
        played.pause = pauses.max().unwrap_or_default();
        if is_whole {
            self.look_for_lost_rows(&played)?;
        }
        self.life.rounds.push(played);
        Ok(is_whole)
    }

    /// Goes through the moments of a round; returns the faults that could not be taken back yet.
    fn strike_and_heal(&mut self, played: &mut Played) -> Vec<usize> {
        let faults = played.round.faults.clone();
        let mut moments: Vec<(Duration, Moment)> = Vec::new();
        for (index, fault) in faults.iter().enumerate() {
            moments.push((fault.at, Moment::Strike(index)));
            moments.push((fault.at + fault.lasts, Moment::Heal(index)));
        }
        moments.sort_by_key(|(at, _)| *at);
        let mut unhealed = Vec::new();
        for (at, moment) in moments {
            sleep((played.began + at).saturating_duration_since(Instant::now()));
            let cluster = &mut self.bed.cluster;
            match moment {
                Moment::Strike(index) => {
                    let from = Instant::now();
                    let result = faults[index].strike(cluster, &played.cast);
                    let refused = result.err().map(|error| format!("{error:#}"));
                    played.struck.push(Struck { index, from, to: Instant::now(), refused, trouble: None });
                }
                Moment::Heal(index) => {
                    if !heal(&faults[index], &mut self.bed, played, index, self.sync_standbys) {
                        unhealed.push(index);
                    }
                }
            }
        }
        unhealed
    }

    /// Starts keepers that have ended by themselves, as a supervisor does.
    fn revive(&mut self) -> Result<()> {
        let mut ended = Vec::new();
        let cluster = &mut self.bed.cluster;
        for host in cluster.nodes.iter_mut().chain([&mut cluster.monitor]) {
            if let Some(status) = host.keeper_ended()? {
                host.run()?;
                ended.push(format!("the keeper of {} had ended by itself: {status}", host.name));
            }
        }
        for note in ended {
            let kept = self.evidence.take(&self.bed, &note)?;
            self.life.note(format!("{note}; see {kept}"));
        }
        Ok(())
    }

    /// Waits until everything is taken back, the group is whole, and clients are served.
    fn become_whole(&mut self, played: &mut Played, mut unhealed: Vec<usize>) -> Result<bool> {
        let within = self.wait_until_whole(played, &mut unhealed, WHOLE);
        let Err(error) = within else {
            return Ok(true);
        };
        let why = format!(
            "round {}: not whole {WHOLE:?} after the last fault was healed: {error:#}",
            played.round.number
        );
        eprintln!("  {why}");
        let kept = self.evidence.take(&self.bed, &why)?;
        self.life.found(Check::WholeInTime, format!("{why}; see {kept}"));
        let later = self.wait_until_whole(played, &mut unhealed, PATIENCE);
        match &later {
            Ok(()) => self.life.note(format!("round {}: whole after all", played.round.number)),
            Err(error) => self.life.note(format!("round {}: given up: {error:#}", played.round.number)),
        }
        Ok(later.is_ok())
    }

    fn wait_until_whole(
        &mut self,
        played: &mut Played,
        unhealed: &mut Vec<usize>,
        within: Duration,
    ) -> Result<()> {
        let until = Instant::now() + within;
        let left = || until.saturating_duration_since(Instant::now());
        self.take_back(played, unhealed, left())?;
        self.revive()?;
        // What the monitor says may be older than the last fault.
        let now =
            wait_for("the monitor", left(), || self.monitor_says("select clock_timestamp()").map(Some))?;
        let sql = format!("select count(*) from pgautofailover.node where reporttime <= '{now}'");
        wait_for("every node to report", left(), || {
            let silent = self.monitor_says(&sql)?;
            anyhow::ensure!(silent == "0", "{silent} have not");
            Ok(Some(()))
        })?;
        self.bed.cluster.wait_whole(left())?;
        for follower in &self.bed.followers {
            follower.wait_for_ack(left().min(ACK))?;
        }
        played.whole = Some(Instant::now());
        Ok(())
    }

    /// Tries again what could not be taken back when its time had come.
    fn take_back(&mut self, played: &mut Played, unhealed: &mut Vec<usize>, within: Duration) -> Result<()> {
        let faults = played.round.faults.clone();
        wait_for("everything to be taken back", within, || {
            unhealed
                .retain(|index| !heal(&faults[*index], &mut self.bed, played, *index, self.sync_standbys));
            let Some(index) = unhealed.first() else {
                return Ok(Some(()));
            };
            let trouble = played.struck.iter().find(|struck| struck.index == *index);
            let trouble = trouble.and_then(|struck| struck.trouble.clone()).unwrap_or_default();
            sleep(RETRY_PACE);
            anyhow::bail!("{}: {trouble}", faults[*index].label())
        })
    }

    fn monitor_says(&self, sql: &str) -> Result<String> {
        self.bed.cluster.on_monitor(|monitor| monitor.text(sql))
    }

    /// Every row that was acknowledged so far is on the primary. What is lost is counted in the end; here it is only
    /// noticed early enough to keep the logs.
    fn look_for_lost_rows(&mut self, played: &Played) -> Result<()> {
        if self.has_lost_rows {
            return Ok(());
        }
        let acknowledged: Vec<usize> = self.bed.writers().map(|writer| writer.ledger().acks.len()).collect();
        let cluster = &self.bed.cluster;
        let set = wait_for("the rows of the primary", ACK, || {
            set_of(cluster.host(&cluster.primary()?)?).map(Some)
        })?;
        let is_lost = self.bed.writers().zip(acknowledged).any(|(writer, count)| {
            let ledger = writer.ledger();
            ledger.acks[..count].iter().any(|ack| !set.contains(&(ledger.writer, ack.value)))
        });
        if is_lost {
            self.has_lost_rows = true;
            let why = format!("round {}: acknowledged rows are missing", played.round.number);
            let kept = self.evidence.take(&self.bed, &why)?;
            eprintln!("  {why}");
            self.life.note(format!("{why}; see {kept}"));
        }
        Ok(())
    }

    /// Stops the clients, looks at every node, and checks all that must hold.
    fn end(&mut self) -> Result<()> {
        self.life.followers = self.bed.followers.len();
        let (ledgers, readings) = self.bed.stop_clients()?;
        self.life.ledgers = ledgers;
        self.life.readings = readings;
        match self.collect_sets() {
            Ok(()) => {}
            Err(error) => self.life.note(format!("the rows cannot be looked at in the end: {error:#}")),
        }
        self.life.ended = Instant::now();
        let mut is_kept = false;
        for check in Check::ALL {
            for text in check.examine(&self.life) {
                if !is_kept {
                    is_kept = true;
                    let kept = self.evidence.take(&self.bed, &text)?;
                    self.life.note(format!("the logs of this end: {kept}"));
                }
                self.life.found(check, text);
            }
        }
        Ok(())
    }

    fn collect_sets(&mut self) -> Result<()> {
        let cluster = &self.bed.cluster;
        let primary = wait_for("a primary", ACK, || cluster.primary().map(Some))?;
        let set = set_of(cluster.host(&primary)?)?;
        let mut sets = vec![(primary.clone(), set.clone())];
        for host in cluster.nodes.iter().filter(|host| host.name != primary) {
            let mut last = None;
            // One that does not catch up is told from the others by its rows.
            let _in_vain = wait_for("a standby to have all rows", CAUGHT_UP, || {
                let rows = set_of(host)?;
                let is_equal = rows == set;
                last = Some(rows);
                Ok(is_equal.then_some(()))
            });
            sets.push((host.name.clone(), last.unwrap_or_default()));
        }
        self.life.sets = sets;
        Ok(())
    }
}

/// Takes a fault back; false when that has to be tried again. One that was refused may have happened all the same.
fn heal(
    fault: &super::schedule::Fault,
    bed: &mut Bed,
    played: &mut Played,
    index: usize,
    sync_standbys: i64,
) -> bool {
    let Some(struck) = played.struck.iter_mut().find(|struck| struck.index == index) else {
        return true;
    };
    match fault.heal(&mut bed.cluster, &played.cast, sync_standbys) {
        Ok(()) => {
            struck.to = Instant::now();
            true
        }
        Err(error) if struck.refused.is_some() && !fault.is_command() => {
            // It was never made, so that there is nothing to take back.
            let _nothing_there = error;
            true
        }
        Err(error) => {
            struck.trouble = Some(format!("{error:#}"));
            false
        }
    }
}
