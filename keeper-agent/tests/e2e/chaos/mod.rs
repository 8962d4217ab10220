//! `make chaos`: a group of real nodes under random faults that follow from a seed, clients that append to a set and
//! read it back, and checks of everything that they were told.
//!
//! A run plays rounds (`schedule`): faults, all of them healed, a whole group. `check` says what must hold, `report`
//! and `picture` tell what happened. `CHAOS_SYSTEMS=ours,peer` plays the same rounds against Debian's
//! pg_auto_failover; what is found there is reported and does not fail the run.

mod bed;
mod canvas;
mod cast;
mod check;
mod evidence;
mod history;
mod kind;
mod pauses;
mod picture;
mod play;
mod random;
mod reader;
mod report;
mod schedule;
mod settings;
mod strike;
mod trials;

pub(crate) use trials::trials;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::harness::{Tools, unavailable};
use check::Check;
use evidence::Evidence;
use history::Life;
use play::Player;
use settings::Settings;

/// After so many clusters that did not become whole again nothing new is learnt.
const CLUSTERS: usize = 5;

/// Runs it and prints the report; fails when this build has an anomaly.
pub(crate) fn run() -> Result<ExitCode> {
    if let Some(reason) = unavailable() {
        println!("{} checks skipped: {reason}", Check::ALL.len());
        println!("0 passed, 0 failed, {} skipped", Check::ALL.len());
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::from_environment()?;
    let mut failed = 0;
    let mut passed = 0;
    if settings.systems.contains("peer") {
        match Tools::peer() {
            Ok(tools) => drop(beat(&settings, "peer", &tools)?),
            Err(reason) => eprintln!("not compared with pg_auto_failover: {reason:#}"),
        }
    }
    if settings.systems.contains("ours") {
        let lives = beat(&settings, "ours", &Tools::ours()?)?;
        let has_failed =
            |check: &Check| lives.iter().flat_map(|life| &life.anomalies).any(|found| found.check == *check);
        failed = Check::ALL.iter().filter(|check| has_failed(check)).count();
        passed = Check::ALL.len() - failed;
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays the schedule against one system, and writes its report.
fn beat(settings: &Settings, name: &str, tools: &Tools) -> Result<Vec<Life>> {
    let known_as = if name == "ours" { "this build" } else { "pg_auto_failover" };
    let system = format!("{known_as} {}", tools.version()?);
    eprintln!("{system}: {}", settings.command());
    let file_name = format!("seed-{}-nodes-{}-{name}", settings.seed, settings.nodes);
    let mut evidence = Evidence::below(&settings.directory, &file_name)?;
    let mut lives = Vec::new();
    let mut round = settings.rounds.0;
    let mut left = settings.duration;
    while lives.len() < CLUSTERS && round <= settings.rounds.1 && !left.is_zero() {
        let player = Player::new(settings, tools, &mut evidence)?;
        let began = Instant::now();
        let (next, life) = player.play(round, began + left)?;
        round = next;
        left = left.saturating_sub(began.elapsed());
        lives.push(life);
    }
    let text = report::report(settings, &system, &lives);
    println!("{text}");
    let path = settings.directory.join(file_name);
    fs::write(path.with_extension("txt"), &text)?;
    fs::write(path.with_extension("svg"), picture::draw(settings, &system, &lives))?;
    println!("the report and the picture: {}.txt and .svg", path.display());
    Ok(lives)
}
