//! `show state`: the nodes, what they are and what they should become.

use std::time::Duration;

use pgaf_core::{GroupId, ReplicationState};

use super::super::access::access;
use super::super::commands::ShowState;
use super::super::error::{CliError, CliResult};
use super::super::print;
use super::super::table::{Align, Column, render};
use super::super::target::{Target, UNKNOWN_TO_MONITOR, state_of};
use super::super::watch;
use crate::config::{Config, NodeConfig};
use crate::monitor::{MonitorConnection, NodeState, Notification, Remarks};

const COLUMNS: [Column; 7] = [
    Column::new("Name", Align::Right, 0),
    Column::new("Node", Align::Right, 5),
    Column::new("Host:Port", Align::Right, 0),
    Column::new("TLI: LSN", Align::Right, 14),
    Column::new("Connection", Align::Right, 12),
    Column::new("Reported State", Align::Right, 19),
    Column::new("Assigned State", Align::Right, 19),
];

/// A change that nobody told is seen after this long.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Runs it.
pub(super) async fn run(options: &ShowState) -> CliResult {
    if options.local {
        let pgdata = options.monitor.pgdata.required()?;
        return match Config::load(&pgdata)? {
            Config::Node(node) => show_local(&node, options.json.json),
            Config::Monitor(_) => {
                Err(CliError::bad_arguments("--local is for data nodes, and this is the monitor"))
            }
        };
    }
    if options.watch && watch::is_possible() {
        return watch::run(&options.monitor, &options.group, None).await;
    }
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.group.formation);
    let group = options.group.group();
    let (monitor, mut notifications) = target.connect_and_listen().await?;
    if options.json.json {
        return print::line(&monitor.current_state_json(&formation, group).await?);
    }
    let mut shown = look(&monitor, &formation, group).await?;
    print::line(&shown)?;
    if !options.watch {
        return Ok(());
    }
    // Who reads a pipe gets the table whenever it is another.
    monitor.listen_state().await?;
    loop {
        let awaited = tokio::time::timeout(WATCH_INTERVAL, notifications.recv()).await;
        if matches!(awaited, Ok(Some(Notification::Log(_)))) {
            continue;
        }
        let now = look(&monitor, &formation, group).await?;
        if now != shown {
            print::line(&now)?;
            shown = now;
        }
    }
}

/// The table, and the remarks under it.
async fn look(monitor: &MonitorConnection, formation: &str, group: Option<GroupId>) -> CliResult<String> {
    let nodes = monitor.current_state(formation, group).await?;
    Ok(table(&nodes) + &remarks(&monitor.remarks(formation, group).await?))
}

/// What nodes are busy with, what groups wait for, and what is arranged, with an empty line before and after; nothing when there is nothing.
fn remarks(remarks: &Remarks) -> String {
    let busy = remarks.progress.iter().map(|(node, name, text)| format!("\nnode {node} \"{name}\": {text}"));
    let waiting = remarks.waits_for.iter().map(|text| format!("\n{text}"));
    let arranged = remarks.arranged.iter().map(|text| format!("\n{text}"));
    let lines: String = busy.chain(waiting).chain(arranged).collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// The table, with the empty line that ends it.
pub(super) fn table(nodes: &[NodeState]) -> String {
    let has_several_groups = nodes.iter().any(|node| node.group != GroupId(0));
    let rows: Vec<[String; 7]> = nodes
        .iter()
        .map(|node| {
            [
                node.name.clone(),
                if has_several_groups {
                    format!("{}/{}", node.group, node.node)
                } else {
                    node.node.to_string()
                },
                format!("{}:{}", node.host, node.port),
                format!("{}: {}", node.timeline, node.lsn),
                access(node.reported, node.health),
                node.reported.to_string(),
                node.goal.to_string(),
            ]
        })
        .collect();
    render(&COLUMNS, &rows)
}

/// What the keeper itself remembers.
fn show_local(node: &NodeConfig, as_json: bool) -> CliResult {
    let state = state_of(node)?;
    let goal = state.assignment.as_ref().map_or(ReplicationState::Unknown, |assignment| assignment.goal);
    if as_json {
        let mut shown = serde_json::json!({
            "role": node.kind.as_str(),
            "formation": node.formation,
            "groupId": state.group,
            "nodeId": state.node,
            "name": node.name,
            "host": node.hostname,
            "port": node.postgres.port,
            "current_role": state.reported,
            "assigned_role": goal,
        });
        if state.is_unknown_to_monitor {
            shown["unknown_to_monitor"] = true.into();
        }
        return print::json(&shown);
    }
    let columns = [COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[5], COLUMNS[6]];
    let row = [
        node.name.clone(),
        format!("{}/{}", state.group, state.node),
        format!("{}:{}", node.hostname, node.postgres.port),
        state.reported.to_string(),
        goal.to_string(),
    ];
    let mut shown = render(&columns, &[row]);
    if state.is_unknown_to_monitor {
        shown.push_str(&format!("\n{UNKNOWN_TO_MONITOR}\n"));
    }
    print::line(&shown)
}

#[cfg(test)]
mod tests {
    use pgaf_core::{Health, Lsn, NodeId, Timeline};

    use super::*;

    fn node(id: i64, group: i32, name: &str, host: &str, state: ReplicationState) -> NodeState {
        NodeState {
            node: NodeId(id),
            group: GroupId(group),
            name: name.to_owned(),
            host: host.to_owned(),
            port: 5432,
            reported: state,
            goal: state,
            timeline: Timeline(1),
            lsn: Lsn(0x0304_19F0),
            health: Health::Good,
            candidate_priority: 50,
            replication_quorum: true,
        }
    }

    #[test]
    fn one_group_shows_as_people_know_it() {
        let mut nodes = [
            node(1, 0, "n1", "192.0.2.2", ReplicationState::Primary),
            node(2, 0, "n2", "192.0.2.3", ReplicationState::Secondary),
        ];
        nodes[1].lsn = Lsn(0x0304_EC80);
        let expected = "\
Name |  Node |      Host:Port |       TLI: LSN |   Connection |      Reported State |      Assigned State
-----+-------+----------------+----------------+--------------+---------------------+--------------------
  n1 |     1 | 192.0.2.2:5432 |   1: 0/30419F0 |   read-write |             primary |             primary
  n2 |     2 | 192.0.2.3:5432 |   1: 0/304EC80 |    read-only |           secondary |           secondary
";
        assert_eq!(table(&nodes), expected);
    }

    #[test]
    fn remarks_stand_under_the_table() {
        let mut known = Remarks::default();
        assert_eq!(remarks(&known), "");
        known.progress.push((NodeId(2), "n2".to_owned(), "copying, 42 %".to_owned()));
        known.waits_for.push("group 0 waits".to_owned());
        assert_eq!(remarks(&known), "\nnode 2 \"n2\": copying, 42 %\ngroup 0 waits\n");
    }

    #[test]
    fn several_groups_and_nodes_that_are_not_reached() {
        let mut nodes = [
            node(1, 0, "coord0a", "coord0a", ReplicationState::WaitPrimary),
            node(2, 0, "coord0b", "coord0b", ReplicationState::WaitStandby),
            node(3, 1, "worker1a", "worker1a", ReplicationState::Single),
        ];
        nodes[1].goal = ReplicationState::CatchingUp;
        nodes[1].lsn = Lsn::ZERO;
        nodes[1].health = Health::Bad;
        nodes[2].health = Health::Unknown;
        let shown = table(&nodes);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[3],
            " coord0b |   0/2 |  coord0b:5432 |         1: 0/0 |       none ! |        wait_standby |          catchingup"
        );
        assert!(lines[4].contains("| read-write ? |"), "{}", lines[4]);
    }
}
