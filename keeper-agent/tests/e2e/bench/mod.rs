//! `make bench`: how long nobody can write when the primary is lost, for this build and for Debian's
//! pg_auto_failover in the same run, and what a keeper costs while nothing happens.
//!
//! `BENCH_RUNS` (3) says how often each case is measured, `BENCH_SYSTEMS` (`ours,peer`) which systems are, and words
//! on the command line choose cases by their names.

mod case;
mod footprint;
pub(crate) mod load;
mod measure;
mod parts;
mod report;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::harness::{Tools, lacks_citus, unavailable};
use case::{Case, Group};
use footprint::Footprint;
use measure::Measured;

/// Runs the benchmark and prints its table. Fails when an acknowledged row was lost by this build.
pub(crate) fn run() -> Result<ExitCode> {
    if let Some(reason) = unavailable() {
        bail!("the benchmark needs network namespaces: {reason}");
    }
    let runs = number_from_environment("BENCH_RUNS", 3)?;
    let chosen: Vec<String> = std::env::args().skip(2).collect();
    let mut cases: Vec<Case> = Case::all()
        .into_iter()
        .filter(|case| chosen.is_empty() || chosen.iter().any(|word| case.name().contains(word)))
        .collect();
    if let Some(reason) = lacks_citus(&Group::Worker.setup()) {
        eprintln!("formations are not measured: {reason}");
        cases.retain(|case| !case.group.is_citus());
    }

    let chosen = std::env::var("BENCH_SYSTEMS").unwrap_or_else(|_unset| "ours,peer".to_owned());
    let mut systems = Vec::new();
    if chosen.contains("ours") {
        systems.push(System::measure("this build", &Tools::ours()?, &cases, runs)?);
    }
    if chosen.contains("peer") {
        match Tools::peer() {
            Ok(tools) => systems.push(System::measure("pg_auto_failover", &tools, &cases, runs)?),
            Err(reason) => eprintln!("not compared with pg_auto_failover: {reason:#}"),
        }
    }
    report::print(&cases, &systems);
    let first = systems.first().context("BENCH_SYSTEMS names no system that could be measured")?;
    let is_well = first.pauses.iter().all(|measured| measured.problem.is_none());
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that was measured of one system.
struct System {
    name: String,
    /// One for each case, in their order.
    pauses: Vec<Measured>,
    idle: Footprint,
}

impl System {
    fn measure(name: &str, tools: &Tools, cases: &[Case], runs: usize) -> Result<Self> {
        let is_ours = !tools.needs_pghost;
        let version = tools.version()?;
        eprintln!("{name} ({version})");
        let mut pauses = Vec::new();
        let mut bed = measure::Bed::new(tools);
        let idle = Footprint::of_idle_keeper(bed.whole(Group::Alone(2))?)?;
        for case in cases {
            // Debian's is built without Citus.
            let is_measured = is_ours || !case.group.is_citus();
            pauses.push(if is_measured { bed.measure(*case, runs)? } else { Measured::nothing() });
        }
        Ok(Self { name: format!("{name} {version}"), pauses, idle })
    }
}

fn number_from_environment(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text}")),
        Err(_unset) => Ok(default),
    }
}
