//! `docs/fsm.md` and its picture, generated from the table of rules.

use std::fmt::Write;

use super::fact::Fact;
use super::rules::RULES;

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# The monitor's rules\n\n\
         ![States, and the usual ways between them](images/states.svg)\n\n\
         Generated from `pgaf-core/src/monitor/rules.rs`; a test keeps it current. A rule is tried for each node of a\n\
         group. The first rule whose conditions all hold assigns its goals; then the table is read again from the top,\n\
         until no rule matches. Every event names its rule.\n\n\
         | rule | conditions | new goals | reason |\n| --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let facts: Vec<String> = rule.when.iter().map(|fact| fact.phrase()).collect();
        let goals: Vec<String> =
            rule.then.iter().map(|(who, goal)| format!("{}: `{goal}`", who.phrase())).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            rule.name,
            facts.join("; "),
            goals.join("; "),
            rule.why
        );
    }
    page
}

/// The same as a graph of goals for graphviz: an edge for each goal that a rule gives the node it is about, from each
/// goal that the rule asks for. Rules that ask for none begin anywhere.
pub fn graphviz() -> String {
    let mut graph = String::from("digraph pg_auto_failover {\n    rankdir = LR;\n    node [shape = box];\n");
    for rule in RULES {
        for (who, goal) in rule.then {
            let from = rule.when.iter().find_map(|fact| match fact {
                Fact::Goal(whom, goals) if whom == who => Some(*goals),
                _ => None,
            });
            let edges: Vec<String> = match from {
                Some(goals) => goals.iter().map(|from| format!("\"{from}\" -> \"{goal}\"")).collect(),
                None => vec![format!("\"any\" -> \"{goal}\"")],
            };
            for edge in edges {
                // Writing to a String cannot fail.
                let _ = writeln!(graph, "    {edge} [label = \"{}\"];", rule.name);
            }
        }
    }
    graph.push_str("}\n");
    graph
}
