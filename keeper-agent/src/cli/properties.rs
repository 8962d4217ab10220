//! `get …` and `set …`: properties of nodes and formations.

use std::path::Path;
use std::time::{Duration, Instant};

use super::checks;
use super::commands::{
    FormationChoice, Get, GetFormation, GetNode, NodeChoice, Set, SetFormation, SetNode, Unset,
    UnsetFormation,
};
use super::error::{CliError, CliResult};
use super::listen_addresses::checked_listen_addresses;
use super::options::Json;
use super::postgres_settings;
use super::print;
use super::process;
use super::relocate;
use super::show;
use super::target::{Target, monitor_of, state_of};
use crate::config::NodeConfig;
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, NodeState};

/// A primary that runs follows a new setting within this time.
const APPLY_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at the primary's row.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// `get …`
pub(super) async fn get(command: &Get) -> CliResult {
    match command {
        Get::Node(GetNode::ReplicationQuorum(choice)) => {
            let node = find(choice).await?;
            of_node(choice.json, &node.name, "replication-quorum", node.replication_quorum)
        }
        Get::Node(GetNode::CandidatePriority(choice)) => {
            let node = find(choice).await?;
            of_node(choice.json, &node.name, "candidate-priority", node.candidate_priority)
        }
        Get::Formation(GetFormation::Settings(choice)) => {
            show::settings(&choice.monitor, &choice.formation, choice.json).await
        }
        Get::Formation(GetFormation::PostgresSettings(choice)) => postgres_settings::show(choice).await,
        Get::Formation(GetFormation::NumberSyncStandbys(choice)) => number_sync_standbys(choice).await,
    }
}

/// `unset …`
pub(super) async fn unset(command: &Unset) -> CliResult {
    let Unset::Formation(UnsetFormation::PostgresSettings { formation, names }) = command;
    let settings = names.iter().map(|name| (name.to_ascii_lowercase(), None)).collect();
    postgres_settings::change(formation, settings).await
}

/// `set …`
pub(super) async fn set(command: &Set) -> CliResult {
    match command {
        Set::Node(SetNode::ReplicationQuorum { node, value }) => {
            let (monitor, formation, name) = chosen(node).await?;
            monitor.set_replication_quorum(&formation, &name, *value).await?;
            await_applied(&monitor, &formation).await?;
            of_node(node.json, &name, "replication-quorum", *value)
        }
        Set::Node(SetNode::CandidatePriority { node, value }) => {
            let (monitor, formation, name) = chosen(node).await?;
            monitor.set_candidate_priority(&formation, &name, *value).await?;
            await_applied(&monitor, &formation).await?;
            of_node(node.json, &name, "candidate-priority", *value)
        }
        Set::Node(SetNode::Metadata { pgdata, name, hostname, pgport, json }) => {
            let pgdata = pgdata.required()?;
            if name.is_none() && hostname.is_none() && pgport.is_none() {
                return Err(CliError::bad_arguments(
                    "nothing to change: give --name, --hostname or --pgport",
                ));
            }
            let node = move_node(&pgdata, name.as_deref(), hostname.as_deref(), *pgport).await?;
            let metadata = serde_json::json!({
                "name": node.name,
                "host": node.hostname,
                "port": node.postgres.port,
            });
            if json.json {
                print::json(&metadata)
            } else {
                print::line(&format!("{} ({}:{})", node.name, node.hostname, node.postgres.port))
            }
        }
        Set::Formation(SetFormation::PostgresSettings { formation, settings }) => {
            let settings = settings.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
            postgres_settings::change(formation, settings).await
        }
        Set::Formation(SetFormation::NumberSyncStandbys { formation, value }) => {
            let target = Target::of(&formation.monitor)?;
            let name = target.formation(&formation.formation);
            let monitor = target.connect().await?;
            monitor.set_number_sync_standbys(&name, *value).await?;
            await_applied(&monitor, &name).await?;
            let group = target.node().and_then(|node| node.group).unwrap_or_default();
            let names = monitor.synchronous_standby_names(&name, group).await?;
            tracing::info!("synchronous_standby_names is '{names}' on the primary of group {group}");
            if formation.json.json {
                print::json(&serde_json::json!({
                    "number-sync-standbys": value,
                    "synchronous_standby_names": names,
                }))
            } else {
                print::line(&value.to_string())
            }
        }
    }
}

fn of_node(json: Json, node: &str, property: &str, value: impl Into<serde_json::Value>) -> CliResult {
    let value = value.into();
    if json.json {
        print::jsonb(&serde_json::json!({ "name": node, property: value }))
    } else {
        print::line(&value.to_string())
    }
}

/// Waits until every primary that has standbys follows what is set.
async fn await_applied(monitor: &MonitorConnection, formation: &str) -> CliResult {
    let begin = Instant::now();
    loop {
        let missing = monitor.unapplied_settings(formation).await?;
        if missing.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > APPLY_LIMIT {
            return Err(CliError::new(
                Exit::Monitor,
                format!(
                    "the monitor has the new setting, and it is not in force after {} s: {}; \"pg_autoctl show state\" shows how it goes on",
                    APPLY_LIMIT.as_secs(),
                    missing.join("; ")
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn chosen(choice: &NodeChoice) -> CliResult<(MonitorConnection, String, String)> {
    let target = Target::of(&choice.monitor)?;
    let formation = target.formation(&choice.formation);
    let name = target.node_name(choice.name.as_deref())?;
    Ok((target.connect().await?, formation, name))
}

async fn find(choice: &NodeChoice) -> CliResult<NodeState> {
    let (monitor, formation, name) = chosen(choice).await?;
    let nodes = monitor.current_state(&formation, None).await?;
    let found = nodes.into_iter().find(|node| node.name == name);
    found.ok_or_else(|| {
        CliError::new(
            Exit::Monitor,
            format!(
                "formation \"{formation}\" has no node \"{name}\": \"pg_autoctl show state\" lists its nodes"
            ),
        )
    })
}

async fn number_sync_standbys(choice: &FormationChoice) -> CliResult {
    const SETTING: &str = "number_sync_standbys";
    let target = Target::of(&choice.monitor)?;
    let formation = target.formation(&choice.formation);
    let settings = target.connect().await?.settings(&formation).await?;
    let found =
        settings.into_iter().find(|setting| setting.context == "formation" && setting.setting == SETTING);
    let value = found.map_or_else(|| "0".to_owned(), |setting| setting.value);
    if choice.json.json {
        print::json(&serde_json::json!({ "number-sync-standbys": value.parse::<i64>().ok() }))
    } else {
        print::line(&value)
    }
}

/// Changes a node's name or address at the monitor first, which may refuse, and then here.
pub(super) async fn move_node(
    pgdata: &Path,
    name: Option<&str>,
    hostname: Option<&str>,
    port: Option<u16>,
) -> CliResult<NodeConfig> {
    let mut node = NodeConfig::load(pgdata)?;
    if let Some(port) = port.filter(|port| *port != node.postgres.port) {
        node = relocate::change_port(pgdata, port).await?;
    }
    if name.is_none() && hostname.is_none() {
        return Ok(node);
    }
    if let Some(name) = name {
        name.clone_into(&mut node.name);
    }
    if let Some(hostname) = hostname {
        node.hostname = checks::given_hostname(hostname)?;
        checked_listen_addresses(&node.postgres.listen_addresses, hostname)?;
        node.hostname_follows_network = false;
    }
    if node.monitor.is_some() {
        let state = state_of(&node)?;
        let (monitor, _) = MonitorConnection::connect(&monitor_of(&node)?).await?;
        monitor.update_node_metadata(state.node, &node.name, &node.hostname, node.postgres.port).await?;
    }
    node.store()?;
    // The process that is just going to run the node begins with what is stored.
    let other = process::running(&node.paths)?.filter(|pid| *pid != nix::unistd::Pid::this());
    if let Some(pid) = other {
        process::signal(pid, nix::sys::signal::Signal::SIGHUP)?;
    }
    Ok(node)
}
