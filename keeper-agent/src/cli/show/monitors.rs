//! `show monitors`: what each of several monitors says of itself and of the others.

use pgaf_core::{Group, NodeId};

use super::super::error::CliResult;
use super::super::monitors::several;
use super::super::options::{Json, Pgdata};
use super::super::print;
use super::super::table::{Align, Column, render};
use crate::config::{Member, MonitorConfig};
use crate::monitor_peer;
use crate::monitors::{Status, status_of};

const COLUMNS: [Column; 7] = [
    Column::new("Name", Align::Right, 4),
    Column::new("Agent", Align::Right, 5),
    Column::new("Role", Align::Right, 7),
    Column::new("Term", Align::Right, 4),
    Column::new("Entry", Align::Right, 5),
    Column::new("Postgres", Align::Right, 8),
    Column::new("State", Align::Free, 20),
];

/// One monitor, and what it answers.
struct Asked {
    id: u64,
    member: Member,
    answer: Result<Status, String>,
}

/// Runs it.
pub(super) async fn run(pgdata: &Pgdata, json: Json) -> CliResult {
    let config = several(pgdata)?;
    let asked = ask(&config).await;
    let newest =
        asked.iter().filter_map(|asked| asked.answer.as_ref().ok()).max_by_key(|status| status.applied);
    let group = newest.and_then(|status| status.monitors.group.as_ref());
    if json.json {
        let objects: Vec<serde_json::Value> = asked.iter().map(|asked| object(asked, group)).collect();
        return print::json(&objects);
    }
    let rows: Vec<[String; 7]> = asked.iter().map(|asked| row(asked, group)).collect();
    print::line(&render(&COLUMNS, &rows))?;
    let has_majority =
        asked.iter().any(|asked| asked.answer.as_ref().is_ok_and(|status| status.has_majority));
    if !has_majority {
        tracing::warn!("no majority of the monitors hears each other: there is no failover until one does");
    }
    Ok(())
}

/// Asks all monitors at once.
async fn ask(config: &MonitorConfig) -> Vec<Asked> {
    let identity = monitor_peer::identity(config);
    let members = config.monitors.iter().flat_map(|monitors| monitors.members.clone());
    let questions: Vec<_> = members
        .map(|(id, member)| {
            let identity = identity.clone();
            tokio::spawn(async move {
                let answer = status_of(&identity, id, &member).await;
                Asked { id, member, answer }
            })
        })
        .collect();
    let mut asked = Vec::new();
    for question in questions {
        match question.await {
            Ok(answered) => asked.push(answered),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    asked
}

fn role(asked: &Asked) -> &'static str {
    match &asked.answer {
        Ok(status) if status.leader == Some(asked.id) => "leads",
        Ok(status) if status.has_majority && !status.voters.contains(&asked.id) => "joins",
        Ok(status) if status.has_majority => "follows",
        Ok(_) => "alone",
        Err(_) => "silent",
    }
}

fn row(asked: &Asked, group: Option<&Group>) -> [String; 7] {
    let status = asked.answer.as_ref();
    let node = group.and_then(|group| group.node(NodeId(asked.id.cast_signed())));
    [
        asked.member.name.clone(),
        asked.member.address(),
        role(asked).to_owned(),
        status.map_or_else(|_| "-".to_owned(), |status| status.term.to_string()),
        status.map_or_else(|_| "-".to_owned(), |status| status.applied.to_string()),
        node.map_or_else(|| "-".to_owned(), |node| format!("{}:{}", node.host, node.port)),
        match (node, status) {
            (_, Err(reason)) => reason.clone(),
            (None, Ok(status)) if status.is_witness => "witness".to_owned(),
            (None, Ok(_)) => "not registered".to_owned(),
            (Some(node), Ok(_)) if node.goal == node.reported => node.goal.to_string(),
            (Some(node), Ok(_)) => format!("{} -> {}", node.reported, node.goal),
        },
    ]
}

fn object(asked: &Asked, group: Option<&Group>) -> serde_json::Value {
    let status = asked.answer.as_ref().ok();
    let node = group.and_then(|group| group.node(NodeId(asked.id.cast_signed())));
    serde_json::json!({
        "name": asked.member.name,
        "agent": asked.member.address(),
        "role": role(asked),
        "term": status.map(|status| status.term),
        "entry": status.map(|status| status.applied),
        "is_witness": status.map(|status| status.is_witness),
        "has_majority": status.map(|status| status.has_majority),
        "error": asked.answer.as_ref().err(),
        "postgres": node.map(|node| format!("{}:{}", node.host, node.port)),
        "reported_state": node.map(|node| node.reported.to_string()),
        "assigned_state": node.map(|node| node.goal.to_string()),
        "timeline": node.map(|node| node.timeline.0),
        "lsn": node.map(|node| node.lsn.to_string()),
    })
}
