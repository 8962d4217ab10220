//! `make false-alarms`: looks for failovers that nobody needs. A group is disturbed in ways that every machine knows,
//! each for `DURATION` seconds with two nodes and with three, and nobody may be promoted, and no primary fenced. Then stalls
//! grow until they cause a failover: that has to be at the documented limit.
//!
//! `FALSE_ALARMS` chooses kinds by their names, `NODES` the groups.

mod bed;
mod kind;
mod limit;
mod play;
mod report;
mod settings;
mod trials;

pub(crate) use trials::trials;

use std::process::ExitCode;

use anyhow::Result;

use crate::harness::{Tools, unavailable};
use bed::Bed;
use limit::Limit;
use report::Line;
use settings::Settings;

/// Runs it and prints the tables; fails when there was a false alarm.
pub(crate) fn run() -> Result<ExitCode> {
    let settings = Settings::from_environment()?;
    if let Some(reason) = unavailable() {
        println!("0 passed, 0 failed, {} skipped: {reason}", settings.kinds.len() * settings.groups.len());
        return Ok(ExitCode::SUCCESS);
    }
    let tools = Tools::ours()?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for nodes in &settings.groups {
        let mut bed: Option<Bed> = None;
        for kind in &settings.kinds {
            let name = format!("{} with {nodes} nodes", kind.name());
            let mut used = match bed.take() {
                Some(bed) => bed,
                None => Bed::start(&tools, *nodes)?,
            };
            match play::play(&mut used, *kind, settings.duration) {
                Ok(outcome) => {
                    eprintln!("  {name}: {}", outcome.summary());
                    if outcome.is_well() {
                        bed = Some(used);
                    } else {
                        eprintln!("{}\n{}", outcome.events.join("\n"), used.cluster.dump());
                        failed.push(name);
                    }
                    lines.push(Line { kind: *kind, nodes: *nodes, outcome });
                }
                Err(error) => {
                    eprintln!("  {name}: {error:#}\n{}", used.cluster.dump());
                    failed.push(name);
                }
            }
        }
    }
    let groups = settings.groups.iter().filter(|_| settings.finds_limit);
    let limits = groups.map(|nodes| limit::find(&tools, *nodes)).collect::<Result<Vec<Limit>>>()?;
    failed.extend(
        limits
            .iter()
            .filter(|limit| !limit.is_exact())
            .map(|limit| format!("{} with {} nodes", settings::LIMIT, limit.nodes)),
    );
    report::print(&lines, &limits);
    for name in &failed {
        println!("false alarm: {name}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
