//! The tables, for people and for docs/testing.md.

use super::kind::Kind;
use super::limit::Limit;
use super::play::Outcome;

/// One row of the first table.
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) nodes: usize,
    pub(super) outcome: Outcome,
}

pub(super) fn print(lines: &[Line], limits: &[Limit]) {
    if !lines.is_empty() {
        println!(
            "| what happens | nodes | minutes | failovers | restarts of the primary | longest pause of a writer |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
    }
    for Line { kind, nodes, outcome } in lines {
        let what = kind.description();
        match &outcome.skipped {
            Some(why) => println!("| {what} | {nodes} | skipped: {why} | | | |"),
            None => println!(
                "| {what} | {nodes} | {:.1} | {} | {} | {:.2} s |",
                outcome.lasted.as_secs_f64() / 60.0,
                outcome.failovers,
                outcome.restarts,
                outcome.longest_pause.as_secs_f64()
            ),
        }
    }
    for limit in limits {
        println!(
            "\nstalls of the primary's host in a group of {}; documented limit {} s{}\n",
            limit.nodes,
            limit.documented.as_secs_f64(),
            if limit.is_exact() { "" } else { ": NOT EXACT" }
        );
        println!("| stall, at most | failovers |\n| --- | --- |");
        for same in limit.tried.chunk_by(|one, next| one.meant == next.meant) {
            let longest = same.iter().map(|tried| tried.lasted).max().unwrap_or_default();
            let failovers = same.iter().filter(|tried| tried.failed_over).count();
            println!("| {:.2} s | {failovers} of {} |", longest.as_secs_f64(), same.len());
        }
    }
}
