//! The table, and one line of JSON for programs.

use serde_json::{Value, json};

use super::System;
use super::loss::Loss;
use super::measure::Measured;

/// Prints both to standard output.
pub(super) fn print(losses: &[Loss], ours: &System, peer: Option<&System>) {
    let peer_name = peer.map_or("not measured", |peer| peer.name.as_str());
    println!("longest time between two acknowledged commits, median of the runs, in seconds\n");
    println!(
        "| {:<37} | {:<20} | {:>9} | {:<26} | {:>6} |",
        "the primary", ours.name, "must be", peer_name, "ratio"
    );
    println!("|{:-<39}|{:-<22}|{:->11}|{:-<28}|{:->8}|", "", "", ":", "", ":");
    for (index, loss) in losses.iter().enumerate() {
        let mine = &ours.pauses[index];
        let theirs = peer.map(|peer| &peer.pauses[index]);
        let ratio =
            theirs.and_then(Measured::median_s).zip(mine.median_s()).map(|(theirs, mine)| theirs / mine);
        println!(
            "| {:<37} | {:<20} | {:>9} | {:<26} | {:>6} |",
            loss.description(),
            cell(mine),
            format!("<= {:.1}", loss.goal_s()),
            theirs.map_or_else(String::new, cell),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}"))
        );
    }
    println!();
    for system in [Some(ours), peer].into_iter().flatten() {
        println!(
            "idle keeper, {}: {:.1} MB resident, {:.2} % of a core",
            system.name, system.idle.resident_mb, system.idle.cpu_percent
        );
    }
    let problems = ours.pauses.iter().filter(|measured| measured.problem.is_some()).count();
    println!("acknowledged rows lost by this build: {}", if problems == 0 { "none" } else { "see above" });
    println!("{}", to_json(losses, ours, peer));
}

fn cell(measured: &Measured) -> String {
    let median = measured.median_s().map_or_else(|| "-".to_owned(), |median| format!("{median:.2}"));
    match (&measured.problem, measured.was_whole_again) {
        (Some(_), _) => format!("{median}, WRONG"),
        (None, false) => format!("{median}, not whole again"),
        (None, true) => median,
    }
}

fn to_json(losses: &[Loss], ours: &System, peer: Option<&System>) -> Value {
    let system = |system: &System| {
        let pauses: serde_json::Map<String, Value> = losses
            .iter()
            .zip(&system.pauses)
            .map(|(loss, measured)| {
                let value = json!({
                    "median_s": measured.median_s(),
                    "runs_s": measured.pauses_s,
                    "whole_again": measured.was_whole_again,
                    "problem": measured.problem,
                });
                (loss.name().to_owned(), value)
            })
            .collect();
        json!({
            "system": system.name,
            "pauses": pauses,
            "idle_resident_mb": system.idle.resident_mb,
            "idle_cpu_percent": system.idle.cpu_percent,
        })
    };
    json!({ "ours": system(ours), "peer": peer.map(system) })
}
