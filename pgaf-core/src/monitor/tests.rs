//! The table of rules as a document, and what must hold of every row.

use super::document;
use super::fact::Fact;
use super::picture;
use super::rules::RULES;

#[test]
fn the_documents_are_current() {
    for (name, generated) in [("fsm.md", document::markdown()), ("images/states.svg", picture::svg())] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/{}"), name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &generated).expect("docs can be written");
        }
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            current == generated,
            "docs/{name} is not current: run UPDATE_DOCS=1 cargo test -p pgaf-core"
        );
    }
}

#[test]
fn every_fact_of_a_rule_has_its_phrase() {
    for fact in RULES.iter().flat_map(|rule| rule.when) {
        let phrase = fact.phrase();
        assert!(phrase.contains(' ') && !phrase.contains('('), "{fact:?}: {phrase}");
    }
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
