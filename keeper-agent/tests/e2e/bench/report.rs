//! The table, and one line of JSON for programs.

use serde_json::{Map, Value, json};

use super::System;
use super::case::{Case, Group};
use super::measure::Measured;

/// Prints both to standard output. The first system is the one that the others are compared with.
pub(super) fn print(cases: &[Case], systems: &[System]) {
    println!("longest time between two acknowledged commits, median of the runs, in seconds\n");
    let names: Vec<&str> = systems.iter().map(|system| system.name.as_str()).collect();
    print_row("the primary", "nodes", "goal", &names, "ratio");
    println!(
        "|{:-<47}|{:-<7}|{:-<8}|{}{:-<8}|",
        "",
        "",
        "",
        format!("{:-<27}|", "").repeat(systems.len()),
        ""
    );
    for (index, case) in cases.iter().enumerate() {
        let cells: Vec<String> = systems.iter().map(|system| cell(*case, &system.pauses[index])).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let medians: Vec<f64> = systems.iter().filter_map(|system| system.pauses[index].median_s()).collect();
        let ratio = match medians.as_slice() {
            [first, second] => format!("{:.1}", second / first),
            _ => String::new(),
        };
        let goal = format!("{:.1}", case.goal_s(with_two_nodes_s(cases, systems, case)));
        print_row(&case.description(), &case.group.nodes().to_string(), &goal, &cells, &ratio);
    }
    println!();
    for system in systems {
        println!(
            "{}: an idle keeper has {:.1} MB resident and uses {:.2} % of a core; acknowledged rows lost: {}",
            system.name,
            system.idle.resident_mb,
            system.idle.cpu_percent,
            if system.pauses.iter().any(|measured| measured.problem.is_some()) {
                "see above"
            } else {
                "none"
            }
        );
    }
    println!("{}", Value::from(systems.iter().map(|system| to_json(cases, system)).collect::<Vec<_>>()));
}

/// What the first system took for the same loss in a group of two.
fn with_two_nodes_s(cases: &[Case], systems: &[System], case: &Case) -> Option<f64> {
    let index = cases.iter().position(|other| other.group == Group::Alone(2) && other.loss == case.loss)?;
    systems.first()?.pauses[index].median_s()
}

fn print_row(what: &str, nodes: &str, goal: &str, cells: &[&str], ratio: &str) {
    let cells: String = cells.iter().map(|cell| format!(" {cell:<25} |")).collect();
    println!("| {what:<45} | {nodes:>5} | {goal:>6} |{cells} {ratio:>6} |");
}

fn cell(case: Case, measured: &Measured) -> String {
    let mut median = measured.median_s().map_or_else(|| "-".to_owned(), |median| format!("{median:.2}"));
    if let (Some(goal), Some(whole)) = (case.whole_goal_s(), measured.median_whole_s()) {
        median = format!("{median}, whole {whole:.1} of {goal:.0}");
    }
    match (&measured.problem, measured.was_whole_again) {
        (Some(_), _) => format!("{median}, WRONG"),
        (None, false) => format!("{median}, not whole again"),
        (None, true) => median,
    }
}

fn to_json(cases: &[Case], system: &System) -> Value {
    let pauses: Map<String, Value> = cases
        .iter()
        .zip(&system.pauses)
        .map(|(case, measured)| {
            let value = json!({
                "median_s": measured.median_s(),
                "runs_s": measured.pauses_s,
                "whole_median_s": measured.median_whole_s(),
                "whole_again": measured.was_whole_again,
                "problem": measured.problem,
            });
            (case.name(), value)
        })
        .collect();
    json!({
        "system": system.name,
        "pauses": pauses,
        "idle_resident_mb": system.idle.resident_mb,
        "idle_cpu_percent": system.idle.cpu_percent,
    })
}
