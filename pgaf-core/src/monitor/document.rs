//! `docs/fsm.md`, generated from the table of rules.

use std::fmt::Write;

use super::rules::RULES;

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# The monitor's rules\n\n\
         Generated from `pgaf-core/src/monitor/rules.rs`; a test keeps it current. The first rule whose facts all\n\
         hold for some node (the subject) assigns its goals; then the table is read again from the top, until no\n\
         rule matches. Every event names its rule.\n\n\
         | rule | when | then | because |\n| --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let facts: Vec<String> = rule.when.iter().map(|fact| format!("{fact:?}")).collect();
        let goals: Vec<String> = rule.then.iter().map(|(who, goal)| format!("{who:?} → `{goal}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            rule.name,
            facts.join(", "),
            goals.join(", "),
            rule.why
        );
    }
    page
}
