//! `do fsm …`: what a node is, and what it should become; for a node without a monitor, a person says that.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::{DataDirectory, ManualAssignment, Memory, Plan, plan_unmonitored};
use pgaf_core::{Assignment, ReplicationState};
use serde::Serialize;

use super::commands::{Fsm, Nodes};
use super::create::make_primary;
use super::error::{CliError, CliResult};
use super::print;
use super::process::{self, is_postgres_running};
use super::run::claim;
use super::target::state_of;
use crate::config::init_file::PgdataContent;
use crate::config::manual;
use crate::config::state::{self, KeeperState};
use crate::config::{Config, NodeConfig};
use crate::exit::Exit;
use crate::postgres::Instance;

/// A keeper that runs is given this long to become what was assigned.
const REACH_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at its state file.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs one of them.
pub(super) async fn run(command: &Fsm) -> CliResult {
    match command {
        Fsm::Init(pgdata) => init(&pgdata.required()?),
        Fsm::List(pgdata) => list(&pgdata.required()?),
        Fsm::Gv => print::line(pgaf_core::monitor::document::graphviz().trim_end()),
        Fsm::Nodes(Nodes::Get(pgdata)) => get_nodes(&pgdata.required()?),
        Fsm::State(pgdata) => show(&NodeConfig::load(&pgdata.required()?)?),
        Fsm::Assign { pgdata, state } => {
            let goal = state.parse().map_err(|error| CliError::bad_arguments(format!("{error}")))?;
            assign(&pgdata.required()?, goal).await
        }
        Fsm::Step(pgdata) => step(&pgdata.required()?).await,
        Fsm::Nodes(Nodes::Set { pgdata, file }) => set_nodes(&pgdata.required()?, file).await,
    }
}

#[derive(Serialize)]
struct FsmReport {
    postgres: PostgresReport,
    state: StateReport,
}

#[derive(Serialize)]
struct PostgresReport {
    pgdata: String,
    host: String,
    port: u16,
    running: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateReport {
    #[serde(rename = "current_role")]
    current_role: &'static str,
    #[serde(rename = "assigned_role")]
    assigned_role: &'static str,
    node_id: i64,
    group_id: i32,
}

fn show(node: &NodeConfig) -> CliResult {
    let state = state_of(node)?;
    let goal = state.assignment.as_ref().map(|assignment| assignment.goal);
    print::json(&FsmReport {
        postgres: PostgresReport {
            pgdata: node.postgres.pgdata.display().to_string(),
            host: node.hostname.clone(),
            port: node.postgres.port,
            running: is_postgres_running(&Config::Node(Box::new(node.clone()))),
        },
        state: StateReport {
            current_role: state.reported.as_str(),
            assigned_role: goal.unwrap_or(state.reported).as_str(),
            node_id: state.node.0,
            group_id: state.group.0,
        },
    })
}

/// The node in PGDATA, when nobody else assigns it its states.
fn unmonitored(pgdata: &Path) -> CliResult<(NodeConfig, KeeperState)> {
    let config = NodeConfig::load(pgdata)?;
    if config.monitor.is_some() {
        return Err(CliError::new(
            Exit::BadState,
            "the monitor of this node says what it should become: \"pg_autoctl disable monitor\" first",
        ));
    }
    let state = state_of(&config)?;
    Ok((config, state))
}

async fn assign(pgdata: &Path, goal: ReplicationState) -> CliResult {
    let (config, state) = unmonitored(pgdata)?;
    let instance = Instance::new(config.instance(Some(state.node)));
    if goal.is_writer() && state.reported == ReplicationState::Init {
        let before = match instance.observe(None).await.observed.data {
            DataDirectory::Present(_) => PgdataContent::Cluster,
            _ => PgdataContent::Empty,
        };
        make_primary(&instance, &config, before, &[]).await?;
    }
    let mut manual = manual::load(&config.paths.manual_assignment())?;
    manual.goal = Some(goal);
    give(&config, &manual)?;
    if process::running(&config.paths)?.is_some() {
        await_reached(&config, goal).await?;
    }
    show(&config)
}

async fn set_nodes(pgdata: &Path, file: &Path) -> CliResult {
    let (config, state) = unmonitored(pgdata)?;
    let nodes = manual::load_nodes(file)?;
    if !nodes.iter().any(|node| node.node_id == state.node) {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" does not name this node, {} \"{}\"",
            file.display(),
            state.node,
            config.name
        )));
    }
    let mut manual = manual::load(&config.paths.manual_assignment())?;
    manual.nodes = nodes;
    give(&config, &manual)?;
    show(&config)
}

/// Forgets what the node was: it begins again as one that has just been made.
fn init(pgdata: &Path) -> CliResult {
    let (config, state) = unmonitored(pgdata)?;
    let _claim = claim(&config.paths, pgdata)?;
    let mut new = KeeperState::registered(state.node, state.group);
    new.change_monitor(true);
    new.keeper_start = state.keeper_start;
    state::store(&config.paths.state, &new)?;
    manual::remove(&config.paths.manual_assignment())?;
    show(&config)
}

/// Every state can be assigned from every other: the keeper plans from what it finds.
fn list(pgdata: &Path) -> CliResult {
    let state = state_of(&NodeConfig::load(pgdata)?)?;
    let lines: Vec<String> = ReplicationState::ALL
        .iter()
        .filter(|goal| !matches!(goal, ReplicationState::Unknown) && **goal != state.reported)
        .map(|goal| format!("{:>19} ➜ {goal}", state.reported.as_str()))
        .collect();
    print::line(&lines.join("\n"))
}

fn get_nodes(pgdata: &Path) -> CliResult {
    let (config, _) = unmonitored(pgdata)?;
    print::json(&manual::load(&config.paths.manual_assignment())?.nodes)
}

/// Has the keeper follow what is assigned; in the place of one that does not run, notes them in its state.
fn give(config: &NodeConfig, manual: &ManualAssignment) -> CliResult {
    manual::store(&config.paths.manual_assignment(), manual)?;
    if let Some(pid) = process::running(&config.paths)? {
        return process::signal(pid, Signal::SIGHUP);
    }
    let _claim = claim(&config.paths, &config.postgres.pgdata)?;
    let mut state = state_of(config)?;
    if let Some(assignment) = manual.assignment(&state, &config.postgres.dbname) {
        state.assignment = Some(assignment);
        state::store(&config.paths.state, &state)?;
    }
    Ok(())
}

async fn await_reached(config: &NodeConfig, goal: ReplicationState) -> CliResult {
    let begin = Instant::now();
    loop {
        let state = state_of(config)?;
        let is_current =
            |assignment: &Assignment| assignment.goal == goal && assignment.epoch == state.reported_epoch;
        if state.reported == goal && state.assignment.as_ref().is_some_and(is_current) {
            return Ok(());
        }
        if begin.elapsed() > REACH_LIMIT {
            return Err(CliError::new(
                Exit::Keeper,
                format!(
                    "the node is {}, and has not become {goal} within {} s: the keeper goes on, see its log",
                    state.reported,
                    REACH_LIMIT.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// In the place of a keeper: does the next thing, and notes when the state is reached with it.
async fn step(pgdata: &Path) -> CliResult {
    let (config, mut state) = unmonitored(pgdata)?;
    let _claim = claim(&config.paths, pgdata)?;
    let Some(assignment) = state.assignment.clone() else {
        return Err(CliError::new(
            Exit::BadState,
            "nothing is assigned to this node: \"pg_autoctl do fsm assign STATE\" does that",
        ));
    };
    let instance = Instance::new(config.instance(Some(state.node)));
    let mut memory = Memory::default();
    let mut plan = look(&instance, &assignment, &mut memory).await;
    if let Plan::Steps(steps) = &plan
        && let Some(step) = steps.first()
    {
        tracing::info!("{step}");
        let done = instance.execute(step).await;
        done.map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))?;
        memory.did(step);
        plan = look(&instance, &assignment, &mut memory).await;
    }
    match plan {
        Plan::Reached => {
            tracing::info!("the node is {}", assignment.goal);
            state.reported = assignment.goal;
            state.reported_epoch = assignment.epoch;
            state::store(&config.paths.state, &state)?;
        }
        Plan::Steps(steps) => {
            let next: Vec<String> = steps.iter().map(ToString::to_string).collect();
            tracing::info!("next: {}", next.join(", "));
        }
        Plan::Wait(what) => tracing::info!("waiting: {what}"),
        Plan::Blocked(why) => return Err(CliError::new(Exit::BadState, why)),
    }
    show(&config)
}

async fn look(instance: &Instance, assignment: &Assignment, memory: &mut Memory) -> Plan {
    let mut observed = instance.observe(assignment.upstream.as_ref()).await.observed;
    memory.wants(assignment, &observed.server);
    memory.saw(&observed.server);
    observed.memory = memory.clone();
    plan_unmonitored(assignment, &observed)
}
