//! Metrics in the text format of OpenMetrics: what was counted, and what is so when they are asked for.

mod monitor;
mod node;
mod process;

pub(super) use monitor::{FormationFigures, GroupFigures, MonitorFigures, NodeFigures};

use pgaf_core::keeper::Moment;

use super::counters::{Counters, Exposition, discarded_log_messages};
use super::snapshot::NodeSnapshot;

/// Of a data node.
pub(super) fn of_node(node: &NodeSnapshot, counters: &Counters, now: Moment) -> String {
    let mut exposition = Exposition::new();
    common(&mut exposition, counters);
    node::add(&mut exposition, node, now);
    counters.add_keeper(&mut exposition);
    exposition.text()
}

/// Of the monitor, and of all nodes as it sees them.
pub(super) fn of_monitor(figures: &MonitorFigures, counters: &Counters) -> String {
    let mut exposition = Exposition::new();
    common(&mut exposition, counters);
    monitor::add(&mut exposition, figures);
    counters.add_monitor(&mut exposition);
    exposition.text()
}

/// Of any process of ours.
fn common(exposition: &mut Exposition, counters: &Counters) {
    exposition.info(
        "pgautofailover_build",
        "Version of pg_autoctl",
        vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
    );
    exposition.counter(
        "pgautofailover_log_messages_discarded",
        "Log messages that were discarded because standard error was not read",
        discarded_log_messages(),
    );
    counters.add_common(exposition);
    process::add(exposition);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pgaf_core::ReplicationState;

    use super::super::snapshot::Identity;
    use super::*;

    /// Rows of a table: name, type, labels, help.
    fn table(text: &str) -> String {
        let mut rows = String::from("| name | type | meaning |\n| --- | --- | --- |\n");
        let of = |line: &str, word: &str| {
            line.strip_prefix(&format!("# {word} "))
                .and_then(|rest| rest.split_once(' '))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let types: Vec<_> = text.lines().filter_map(|line| of(line, "TYPE")).collect();
        let mut helps: Vec<_> = text.lines().filter_map(|line| of(line, "HELP")).collect();
        helps.sort();
        for (name, help) in helps {
            let (_, kind) = types.iter().find(|(other, _)| *other == name).expect("a type");
            let suffix = match kind.as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            rows.push_str(&format!("| `{name}{suffix}` | {kind} | {} |\n", help.trim_end_matches('.')));
        }
        rows
    }

    fn document() -> String {
        let counters = Counters::new();
        let now = Moment::default();
        let node = NodeSnapshot::initial(Identity::default(), ReplicationState::Init, now);
        let (node, monitor) =
            (of_node(&node, &counters, now), of_monitor(&MonitorFigures::default(), &counters));
        format!(
            "# Metrics\n\n\
             `/metrics` of a node and of the monitor, in the text format of OpenMetrics; [http.md](http.md) says how it is\n\
             turned on. A test keeps this page current. Positions and lags are bytes of WAL, ages and durations seconds. A value\n\
             that is not known has no sample.\n\n\
             ## Of a node\n\
             They have no label for the node: Prometheus adds `instance`.\n\n{}\n\
             ## Of the monitor\n\
             Labels: `formation`; `group`; `node`, the name. A group has one sample of `pgautofailover_group_failovers_total`\n\
             from the start; `pgautofailover_group_failovers_by_rule_total` has the rule of [fsm.md](fsm.md) that began each. Both count\n\
             since the process began.\n\n{}",
            table(&node),
            table(&monitor)
        )
    }

    #[test]
    fn the_list_of_metrics_is_current() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));
        let document = document();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &document).expect("written");
        }
        let current = std::fs::read_to_string(path).unwrap_or_default();
        assert!(current == document, "docs/metrics.md is not current: run UPDATE_DOCS=1 cargo test metrics");
    }
}
