//! Whose processes are said to be gone serves nobody: a keeper that died alone changes nothing.

use pgaf_core::NodeId;
use pgaf_core::monitor::Decision;

use super::Verdict;

/// The rules that say so.
const RULES: [&str; 2] = ["primary_is_gone", "election_after_end"];

pub(crate) fn check_burials(decision: &Decision, serves_nobody: impl Fn(NodeId) -> bool) -> Verdict {
    let buried = decision.changes.iter().filter(|change| RULES.contains(&change.rule));
    let mut retired = buried.filter(|change| change.goal.is_retiring()).map(|change| change.node);
    match retired.find(|node| !serves_nobody(*node)) {
        Some(node) => Err(format!("node {node} is said to be gone, and its Postgres serves")),
        None => Ok(()),
    }
}
