//! The table of rules as a document, and what must hold of every row.

use super::document;
use super::fact::Fact;
use super::rules::RULES;

#[test]
fn the_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fsm.md");
    let generated = document::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &generated).expect("docs/fsm.md can be written");
    }
    let current = std::fs::read_to_string(path).unwrap_or_default();
    assert!(current == generated, "docs/fsm.md is not current: run UPDATE_DOCS=1 cargo test -p pgaf-core");
}

#[test]
fn rules_have_names_of_their_own_and_are_bound_to_a_goal() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(RULES[..index].iter().all(|other| other.name != rule.name), "{}", rule.name);
        let is_bound = rule.when.iter().any(|fact| matches!(fact, Fact::Goal(..) | Fact::Heir));
        assert!(is_bound, "{} does not say for which goals", rule.name);
        assert!(!rule.then.is_empty() && !rule.why.is_empty());
    }
}
