//! The picture of the states in `docs/fsm.md`: an SVG with the usual ways between goals, each a rule or a command.

use std::fmt::Write;

use super::fact::{Fact, Who};
use super::rules::RULES;
use crate::state::ReplicationState as State;

/// What leads from one goal to another.
enum By {
    /// A rule of the table, by its name.
    Rule(&'static str),
    /// What an operator says.
    Command(&'static str),
}

use By::{Command, Rule};

/// Where a state is drawn: column and row.
const PLACES: &[(State, u32, u32)] = &[
    (State::Init, 0, 0),
    (State::Single, 1, 0),
    (State::WaitPrimary, 2, 0),
    (State::Primary, 3, 0),
    (State::ApplySettings, 4, 0),
    (State::FastForward, 1, 1),
    (State::PreparePromotion, 2, 1),
    (State::Draining, 3, 1),
    (State::DemoteTimeout, 4, 1),
    (State::WaitStandby, 0, 2),
    (State::ReportLsn, 1, 2),
    (State::Demoted, 3, 2),
    (State::PrepareMaintenance, 4, 2),
    (State::JoinSecondary, 0, 3),
    (State::CatchingUp, 1, 3),
    (State::Secondary, 2, 3),
    (State::WaitMaintenance, 3, 3),
    (State::Maintenance, 4, 3),
];

/// The ways that are drawn, each with a label.
const WAYS: &[(State, State, By, &str)] = &[
    (State::Init, State::Single, Rule("first_node_is_single"), "first node"),
    (State::Init, State::WaitStandby, Rule("node_waits_for_primary"), "joins"),
    (State::Single, State::WaitPrimary, Rule("single_admits_standby"), "node joins"),
    (State::WaitStandby, State::CatchingUp, Rule("standby_is_admitted"), "admitted"),
    (State::CatchingUp, State::Secondary, Rule("standby_has_caught_up"), "caught up"),
    (State::Secondary, State::CatchingUp, Rule("standby_is_lost"), "lost, down"),
    (State::WaitPrimary, State::Primary, Rule("primary_has_standby"), "has standby"),
    (State::Primary, State::WaitPrimary, Rule("primary_goes_on_alone"), "alone"),
    (State::Primary, State::ApplySettings, Rule("quorum_has_changed"), "quorum"),
    (State::ApplySettings, State::Primary, Rule("settings_are_applied"), "applied"),
    (State::Primary, State::Draining, Command("perform switchover"), "switchover"),
    (State::Primary, State::DemoteTimeout, Rule("primary_is_lost"), "lost"),
    (State::Draining, State::Demoted, Rule("candidate_is_promoted"), "stopped"),
    (State::DemoteTimeout, State::Demoted, Rule("candidate_is_promoted"), "replaced"),
    (State::Demoted, State::CatchingUp, Rule("old_primary_rejoins"), "rejoins"),
    (State::Secondary, State::PreparePromotion, Rule("primary_is_lost"), "takes over"),
    (State::Secondary, State::ReportLsn, Rule("election_after_loss"), "election"),
    (State::ReportLsn, State::PreparePromotion, Rule("candidate_is_elected"), "elected"),
    (State::ReportLsn, State::FastForward, Rule("candidate_lacks_wal"), "lacks WAL"),
    (State::FastForward, State::PreparePromotion, Rule("candidate_has_fetched_wal"), "fetched"),
    (State::ReportLsn, State::JoinSecondary, Rule("candidate_is_elected"), "not elected"),
    (State::JoinSecondary, State::CatchingUp, Rule("standby_follows_new_primary"), "follows"),
    (State::PreparePromotion, State::WaitPrimary, Rule("candidate_is_promoted"), "promoted"),
    (State::Secondary, State::WaitMaintenance, Command("enable maintenance"), "maintenance"),
    (State::WaitMaintenance, State::Maintenance, Rule("standby_may_leave"), ""),
    (State::Primary, State::PrepareMaintenance, Command("enable maintenance"), "maintenance"),
    (State::PrepareMaintenance, State::Maintenance, Rule("maintenance_of_old_primary"), ""),
    (State::Maintenance, State::CatchingUp, Command("disable maintenance"), "back"),
];

/// Pixels between columns and rows, and the size of a box.
const COLUMN: u32 = 240;
const ROW: u32 = 110;
const WIDTH: u32 = 150;
const HEIGHT: u32 = 36;
const MARGIN: u32 = 30;

/// Whether a rule may give this goal to a node that has the other one.
fn is_true(rule: &str, from: State, to: State) -> bool {
    RULES.iter().filter(|row| row.name == rule).any(|row| {
        row.then.iter().any(|(who, goal)| {
            let asked = row.when.iter().find_map(|fact| match fact {
                Fact::Goal(whom, goals) if whom == who => Some(goals.contains(&from)),
                _ => None,
            });
            *goal == to
                && asked.unwrap_or(match who {
                    Who::Draining => matches!(from, State::Draining | State::DemoteTimeout),
                    Who::Standing => from == State::ReportLsn,
                    _ => from == State::Secondary,
                })
        })
    })
}

fn place(state: State) -> Option<(i64, i64)> {
    let (_, column, row) = PLACES.iter().find(|(one, ..)| *one == state)?;
    let x = MARGIN + column * COLUMN + WIDTH / 2;
    let y = MARGIN + row * ROW + HEIGHT / 2;
    Some((i64::from(x), i64::from(y)))
}

/// The picture. Ways that no rule has any more are left out, which a test finds.
pub fn svg() -> String {
    let (width, height) = (2 * MARGIN + 4 * COLUMN + WIDTH, 2 * MARGIN + 3 * ROW + HEIGHT + 40);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         font-family=\"system-ui, sans-serif\" role=\"img\" aria-label=\"States, and the usual ways between them\">\n\
         <style>\n\
         rect {{ fill: #f6f8fa; stroke: #57606a; }} .writes {{ fill: #dafbe1; }} text {{ fill: #1f2328; font-size: 13px; }}\n\
         path {{ fill: none; stroke: #57606a; }} .command {{ stroke-dasharray: 5 3; }} marker path {{ fill: #57606a; stroke: none; }}\n\
         .label {{ font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }} .paper {{ fill: #ffffff; stroke: none; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         rect {{ fill: #21262d; stroke: #8b949e; }} .writes {{ fill: #12361f; }} text {{ fill: #e6edf3; }} path {{ stroke: #8b949e; }}\n\
         marker path {{ fill: #8b949e; }} .label {{ stroke: #0d1117; }} .paper {{ fill: #0d1117; }}\n\
         }}\n\
         </style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0 8 4 0 8z\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (from, to, by, label) in WAYS {
        let known = match by {
            Rule(rule) => is_true(rule, *from, *to),
            Command(_) => true,
        };
        if let (true, Some(begin), Some(end)) = (known, place(*from), place(*to)) {
            svg.push_str(&way(begin, end, by, label));
        }
    }
    for (state, ..) in PLACES {
        if let Some((x, y)) = place(*state) {
            let class = if state.is_writer() { " class=\"writes\"" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                svg,
                "<rect{class} x=\"{}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{state}</text>",
                x - i64::from(WIDTH / 2),
                y - i64::from(HEIGHT / 2),
                y + 5
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// One way, from the border of a box to that of another. Ways in one row that go back are bent, so that both directions
/// are seen; the one to the far left goes below everything.
fn way(begin: (i64, i64), end: (i64, i64), by: &By, label: &str) -> String {
    let (half_width, half_height) = (i64::from(WIDTH / 2), i64::from(HEIGHT / 2));
    let (title, class) = match by {
        Rule(rule) => (*rule, ""),
        Command(command) => (*command, " class=\"command\""),
    };
    let ((x1, y1), (x2, y2)) = (begin, end);
    let is_back = y1 == y2 && x2 < x1;
    let (path, at) = if is_back && x1 - x2 > i64::from(COLUMN) {
        let below = y1 + half_height + 40;
        let (from, to) = (y1 + half_height, y2 + half_height);
        (format!("M{x1} {from} C{x1} {below} {x2} {below} {x2} {to}"), (i64::midpoint(x1, x2), below - 10))
    } else if is_back {
        let (from, to, bend) = (x1 - half_width + 10, x2 + half_width - 10, y1 + half_height + 24);
        let y = y1 + half_height;
        (format!("M{from} {y} C{from} {bend} {to} {bend} {to} {y}"), (i64::midpoint(from, to), y + 32))
    } else if y1 == y2 {
        let (from, to) = (x1 + half_width, x2 - half_width);
        (format!("M{from} {y1} L{to} {y2}"), (i64::midpoint(from, to), y1 - 6))
    } else {
        let (from, to) =
            if y2 > y1 { (y1 + half_height, y2 - half_height) } else { (y1 - half_height, y2 + half_height) };
        // Not in the middle, where ways cross.
        let tenths = if x2 > x1 && y2 > y1 { 8 } else { 4 };
        let at = (x1 + (x2 - x1) * tenths / 10, from + (to - from) * tenths / 10 + 4);
        (format!("M{x1} {from} L{x2} {to}"), at)
    };
    format!(
        "<path{class} d=\"{path}\" marker-end=\"url(#tip)\"><title>{title}</title></path>\
         <text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
        at.0, at.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_one_of_a_rule() {
        for (from, to, by, _) in WAYS {
            if let Rule(rule) = by {
                assert!(is_true(rule, *from, *to), "{rule} does not lead from {from} to {to}");
            }
        }
    }

    #[test]
    fn states_that_are_drawn_have_a_place() {
        for (from, to, ..) in WAYS {
            assert!(place(*from).is_some() && place(*to).is_some(), "{from} or {to} has no place");
        }
    }
}
