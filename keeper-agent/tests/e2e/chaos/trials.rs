//! Tests of the test: the schedule follows from the seed, and every check can fail.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::{Failed, Trial};

use super::check::{Check, reads_in_last_moments};
use super::history::Life;
use super::kind::Kind;
use super::reader::Reading;
use super::schedule::Round;
use crate::harness::{Ack, Ledger};

const OLD: &str = "10.213.7.11";
const NEW: &str = "10.213.7.12";

type Body = fn() -> Result<()>;

/// They need no cluster.
pub(crate) fn trials() -> Vec<Trial> {
    let all: [(&str, Body); 10] = [
        ("chaos_schedule_follows_from_the_seed", schedule_follows_from_the_seed),
        ("chaos_finds_nothing_where_nothing_is_wrong", nothing_is_found),
        ("chaos_finds_a_lost_row", || finds(Check::AcknowledgedRowsStay, |life| lose(life, (1, 2)))),
        ("chaos_finds_an_invented_row", || finds(Check::NoRowIsInvented, |life| add(life, (1, 9)))),
        ("chaos_finds_two_writers_on_one_timeline", || finds(Check::OneWriter, same_timeline)),
        ("chaos_finds_two_writers_on_two_timelines", || finds(Check::OneWriter, late_old_writer)),
        ("chaos_finds_a_row_that_vanished_after_it_was_read", || finds(Check::ReadRowsStay, vanish)),
        ("chaos_finds_a_row_that_vanished_from_an_idle_server", || {
            finds(Check::ReadRowsStay, vanish_from_an_idle_server)
        }),
        ("chaos_does_not_count_the_last_moments_of_a_server", last_moments_do_not_count),
        ("chaos_finds_a_standby_that_lacks_a_row", || finds(Check::NodesAgree, lag)),
    ];
    all.map(|(name, body)| {
        Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
    })
    .into()
}

fn schedule_follows_from_the_seed() -> Result<()> {
    let draw = |seed, number| Round::draw(seed, number, 3, &Kind::ALL);
    let rounds: Vec<Round> = (1..=500).map(|number| draw(7, number)).collect();
    ensure!(rounds == (1..=500).map(|number| draw(7, number)).collect::<Vec<_>>(), "not reproducible");
    ensure!(rounds[0] != draw(8, 1), "the seed makes no difference");
    for kind in Kind::ALL {
        let is_there = rounds.iter().flat_map(|round| &round.faults).any(|fault| fault.kind == kind);
        ensure!(is_there, "{} never happens", kind.name());
    }
    ensure!(rounds.iter().any(|round| round.faults.len() > 1), "faults never overlap");
    Ok(())
}

/// Two rows acknowledged by the old primary, one by the new one, one sent and never answered.
fn healthy() -> Life {
    let began = Instant::now();
    let ack = |value: u64, server: &str, timeline| Ack {
        value,
        sent: began + Duration::from_secs(value),
        acked: began + Duration::from_secs(value) + Duration::from_millis(5),
        server: server.to_owned(),
        timeline,
    };
    let mut ledger = Ledger::new(1);
    ledger.acks = vec![ack(1, OLD, 1), ack(2, OLD, 1), ack(4, NEW, 2)];
    ledger.last_sent = 4;
    let set: BTreeSet<_> = [(1, 1), (1, 2), (1, 4)].into();
    let mut life = Life::new(vec![(Ipv4Addr::new(10, 213, 7, 11), "n1".to_owned())]);
    life.ledgers = vec![ledger];
    life.sets = vec![("n2".to_owned(), set.clone()), ("n1".to_owned(), set)];
    // On a standby a row may be seen that is never acknowledged, and vanish.
    let reading = |value, timeline| Reading { element: (1, value), server: OLD.into(), timeline, at: began };
    life.readings = vec![reading(1, Some(1)), reading(3, None)];
    life
}

fn nothing_is_found() -> Result<()> {
    for check in Check::ALL {
        let found = check.examine(&healthy());
        ensure!(found.is_empty(), "{check:?}: {found:?}");
    }
    Ok(())
}

/// The anomaly that is planted is found, by this check.
fn finds(check: Check, plant: fn(&mut Life)) -> Result<()> {
    let mut life = healthy();
    plant(&mut life);
    ensure!(!check.examine(&life).is_empty(), "{check:?} finds nothing");
    Ok(())
}

fn lose(life: &mut Life, row: (usize, u64)) {
    for (_, set) in &mut life.sets {
        set.remove(&row);
    }
}

fn add(life: &mut Life, row: (usize, u64)) {
    for (_, set) in &mut life.sets {
        set.insert(row);
    }
}

fn same_timeline(life: &mut Life) {
    life.ledgers[0].acks[2].timeline = 1;
}

/// The old primary acknowledges what was sent after the new one had acknowledged.
fn late_old_writer(life: &mut Life) {
    let mut late = life.ledgers[0].acks[0].clone();
    late.sent += Duration::from_secs(10);
    late.acked += Duration::from_secs(10);
    life.ledgers[0].acks.push(late);
}

fn lag(life: &mut Life) {
    life.sets[1].1.remove(&(1, 1));
}

/// The old primary acknowledged others after the read; and, in another case, it had not for a while.
fn vanish(life: &mut Life) {
    life.readings[1].timeline = Some(1);
}

fn vanish_from_an_idle_server(life: &mut Life) {
    vanish(life);
    life.readings[1].at += Duration::from_secs(4);
}

/// A read right after the last acknowledgement of a server that was killed does not count, and is told.
fn last_moments_do_not_count() -> Result<()> {
    let mut life = healthy();
    vanish(&mut life);
    life.readings[1].at += Duration::from_millis(2105);
    let found = Check::ReadRowsStay.examine(&life);
    ensure!(found.is_empty(), "{found:?}");
    ensure!(reads_in_last_moments(&life) == 1, "it is not told");
    Ok(())
}
