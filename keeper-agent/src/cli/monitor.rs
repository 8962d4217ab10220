//! `disable monitor` and `enable monitor`: a node leaves its monitor, or comes to another one, while Postgres goes on.
//!
//! A keeper leaves before its row goes, and comes after its row is there: it never hears that it was dropped. A monitor
//! whose standbys could take over never loses the row of their primary: it would begin an election.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::{DataDirectory, Observation, Server};
use pgaf_core::{GroupId, ReplicationState};

use super::drop::say_dropped;
use super::error::{CliError, CliResult};
use super::process;
use super::target::state_of;
use crate::client::ConnectionString;
use crate::config::state::{self, KeeperState};
use crate::config::{NodeConfig, manual};
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, NodeState, Registration};
use crate::postgres::Instance;

/// A keeper that runs takes the change over within this time.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(20);
/// What the monitor has told a node is reached within this time.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at its state file, or at its row.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// `disable monitor`
pub(super) async fn disable(pgdata: &Path, is_forced: bool) -> CliResult {
    super::checks::not_root("change a node")?;
    let config = NodeConfig::load(pgdata)?;
    let Some(target) = &config.monitor else {
        tracing::info!("the monitor of this node is disabled already");
        return Ok(());
    };
    let state = state_of(&config)?;
    let row = match Row::find(target, &config, &state).await {
        Ok(row) => row,
        Err(error) if is_forced => {
            tracing::warn!("{error}; going on without it, as --force says");
            None
        }
        Err(error) => {
            let advice = "give --force when the monitor is lost, the node then leaves it without a word";
            return Err(CliError::new(error.exit, format!("{error}; {advice}")));
        }
    };
    let row = match row {
        Some(row) if !is_forced => row.settled(&config, &state).await?,
        row => row,
    };
    let mut without = config.clone();
    without.monitor = None;
    manual::remove(&config.paths.manual_assignment())?;
    switch(&config, &without).await?;
    let removed = match &row {
        Some(row) => row.remove(&config, &state).await,
        None => Ok(()),
    };
    if let Err(error) = removed {
        if !is_forced {
            switch(&without, &config).await?;
            return Err(error);
        }
        tracing::warn!("{error}; the monitor still has the row of this node");
    }
    tracing::info!("node {} \"{}\" goes on without a monitor", state.node, config.name);
    Ok(())
}

/// What the monitor knows of the node, and of the others in its group.
struct Row {
    monitor: MonitorConnection,
    own: NodeState,
    others: Vec<NodeState>,
}

impl Row {
    /// `None` when the monitor does not know the node.
    async fn find(
        target: &ConnectionString,
        config: &NodeConfig,
        state: &KeeperState,
    ) -> CliResult<Option<Self>> {
        let (monitor, _) = MonitorConnection::connect(target).await?;
        Self::read(monitor, config, state).await
    }

    async fn read(
        monitor: MonitorConnection,
        config: &NodeConfig,
        state: &KeeperState,
    ) -> CliResult<Option<Self>> {
        let nodes = monitor.current_state(&config.formation, Some(state.group)).await?;
        let (own, others): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.node == state.node);
        Ok(own.into_iter().next().map(|own| Self { monitor, own, others }))
    }

    /// The row of a node that may leave now. What the monitor has told it is waited for: when its standbys have left, it
    /// is told to go on alone.
    async fn settled(mut self, config: &NodeConfig, state: &KeeperState) -> CliResult<Option<Self>> {
        let begin = Instant::now();
        loop {
            self.check_successors()?;
            let own = &self.own;
            if own.reported == own.goal {
                return Ok(Some(self));
            }
            if begin.elapsed() > SETTLE_LIMIT {
                return Err(CliError::new(
                    Exit::BadState,
                    format!(
                        "this node is {} and should become {}: wait until it has, or give --force",
                        own.reported, own.goal
                    ),
                ));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            match Self::read(self.monitor, config, state).await? {
                Some(row) => self = row,
                None => return Ok(None),
            }
        }
    }

    fn is_primary(&self) -> bool {
        self.own.goal.is_writer() || self.own.reported.is_writer()
    }

    /// Others could be promoted when it goes.
    fn has_successors(&self) -> bool {
        self.is_primary() && !self.others.is_empty()
    }

    fn check_successors(&self) -> CliResult {
        if !self.has_successors() {
            return Ok(());
        }
        let names: Vec<String> =
            self.others.iter().map(|node| format!("{} \"{}\"", node.node, node.name)).collect();
        Err(CliError::new(
            Exit::BadState,
            format!(
                "this node is the primary, and its monitor could promote node {}: run \"pg_autoctl disable monitor\" there first, or give --force, which leaves the row of this node at the monitor",
                names.join(", ")
            ),
        ))
    }

    /// Takes the row away; the keeper has left.
    async fn remove(&self, config: &NodeConfig, state: &KeeperState) -> CliResult {
        if self.has_successors() {
            tracing::warn!(
                "the monitor keeps the row of this primary, as it knows its standbys: disable the monitor on these, too"
            );
            return Ok(());
        }
        self.monitor.remove_node(state.node, true).await?;
        if self.is_primary() {
            say_dropped(&self.monitor, config, state).await?;
        }
        Ok(())
    }
}

/// `enable monitor`
pub(super) async fn enable(pgdata: &Path, uri: &str) -> CliResult {
    super::checks::not_root("change a node")?;
    let config = NodeConfig::load(pgdata)?;
    let target: ConnectionString = uri.parse()?;
    if let Some(present) = &config.monitor {
        if *present == target {
            tracing::info!("this is the monitor of the node already");
            return take_over(&config, false).await;
        }
        return Err(CliError::new(
            Exit::BadConfig,
            format!("this node has a monitor, {present}: run \"pg_autoctl disable monitor\" first"),
        ));
    }
    let state = state_of(&config)?;
    let mut with = config.clone();
    with.monitor = Some(target.clone());
    with.group = Some(state.group);
    let instance = Instance::new(config.instance(Some(state.node)));
    let registration = registration(&config, &state, &instance.observe(None).await)?;
    let (monitor, _) = MonitorConnection::connect(&target).await?;
    let is_known = knows(&monitor, &registration).await?;
    if !is_known {
        monitor.register(&registration).await?;
    }
    if let Err(error) = switch(&config, &with).await {
        if !is_known && let Err(error) = monitor.remove_node(state.node, true).await {
            tracing::warn!("the monitor keeps the row of this node: {error}");
        }
        return Err(error);
    }
    manual::remove(&config.paths.manual_assignment())?;
    tracing::info!(
        "node {} \"{}\" is registered in formation \"{}\" as {}",
        state.node,
        config.name,
        config.formation,
        registration.role
    );
    if process::running(&config.paths)?.is_none() {
        tracing::info!("run it with: pg_autoctl run --pgdata {}", pgdata.display());
    }
    Ok(())
}

/// The monitor has kept the row of this node, or registered it for a command that was interrupted.
async fn knows(monitor: &MonitorConnection, registration: &Registration) -> CliResult<bool> {
    let known = monitor.node_at(&registration.formation, &registration.host, registration.port).await?;
    Ok(known.is_some_and(|known| {
        Some(known.node) == registration.node
            && known.name == registration.name
            && known.system_identifier == registration.system_identifier
    }))
}

fn registration(
    config: &NodeConfig,
    state: &KeeperState,
    observation: &Observation,
) -> CliResult<Registration> {
    let system_identifier = match &observation.observed.data {
        DataDirectory::Present(cluster) => Some(cluster.system_identifier),
        _ => None,
    };
    let known = state.assignment.as_ref();
    Ok(Registration {
        formation: config.formation.clone(),
        host: config.hostname.clone(),
        port: config.postgres.port,
        dbname: config.postgres.dbname.clone(),
        name: config.name.clone(),
        system_identifier,
        role: role(state.reported, system_identifier.is_some(), serves(&observation.observed.server))?,
        node: Some(state.node),
        group: Some(state.group).filter(|group| *group != GroupId::default()),
        kind: config.kind,
        candidate_priority: known.map_or(50, |known| known.candidate_priority),
        replication_quorum: known.is_none_or(|known| known.replication_quorum),
        cluster: config.citus.cluster_name.clone(),
    })
}

/// It is a primary that lets clients in.
fn serves(server: &Server) -> bool {
    matches!(server, Server::Running(running) if !running.is_in_recovery && !running.is_gated)
}

/// As what the node comes: what it is, or the nearest that a new monitor can go on from.
fn role(reported: ReplicationState, has_data: bool, serves: bool) -> CliResult<ReplicationState> {
    use ReplicationState as State;
    match reported {
        State::Dropped => Err(CliError::new(
            Exit::BadState,
            "this node was dropped from its group: \"pg_autoctl create postgres\" creates it again",
        )),
        writer if writer.is_writer() && !serves => Err(CliError::new(
            Exit::BadState,
            format!(
                "this node was {writer} last, and its Postgres does not serve as a primary now: \"pg_autoctl run\" starts it, and accepts clients once a standby streams from it, which proves that no other node was promoted"
            ),
        )),
        State::JoinPrimary | State::ApplySettings => Ok(State::Primary),
        writer if writer.is_writer() => Ok(writer),
        _ if !has_data => Ok(State::Init),
        State::Unknown | State::Init => Ok(State::Init),
        State::Secondary | State::CatchingUp | State::Maintenance => Ok(reported),
        State::WaitMaintenance | State::PrepareMaintenance => Ok(State::Maintenance),
        other => {
            tracing::warn!("this node was {other} last: it comes as a standby");
            Ok(State::CatchingUp)
        }
    }
}

/// Writes the new configuration and has the keeper take it over; when that fails, the old one is in force again.
async fn switch(from: &NodeConfig, to: &NodeConfig) -> CliResult {
    to.store()?;
    let error = match take_over(to, to.monitor.is_none()).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    from.store()?;
    if let Some(pid) = process::running(&from.paths)? {
        process::signal(pid, Signal::SIGHUP)?;
    }
    Err(error)
}

/// Waits until the keeper, if one runs, says in its state file that it has left its monitor, or has come to one.
async fn take_over(config: &NodeConfig, has_left: bool) -> CliResult {
    let Some(pid) = process::running(&config.paths)? else {
        return Ok(());
    };
    process::signal(pid, Signal::SIGHUP)?;
    let begin = Instant::now();
    while process::running(&config.paths)? == Some(pid) {
        let state = state::load(&config.paths.state)?;
        if state.is_some_and(|state| state.has_left_monitor == has_left) {
            return Ok(());
        }
        if begin.elapsed() > TAKE_OVER_LIMIT {
            return Err(CliError::new(
                Exit::Reload,
                format!(
                    "process {pid}, which runs this node, has not applied the change within {} s: see its log",
                    TAKE_OVER_LIMIT.as_secs()
                ),
            ));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ReplicationState as State;

    use super::*;

    #[test]
    fn a_node_comes_as_what_it_is() {
        let comes_as = |reported, serves| role(reported, true, serves).expect("accepted");
        for state in [State::Single, State::WaitPrimary, State::Primary] {
            assert_eq!(comes_as(state, true), state);
        }
        assert_eq!(comes_as(State::ApplySettings, true), State::Primary);
        for state in [State::Secondary, State::CatchingUp, State::Maintenance] {
            assert_eq!(comes_as(state, false), state);
        }
        for state in [State::ReportLsn, State::Demoted, State::PreparePromotion, State::WaitStandby] {
            assert_eq!(comes_as(state, false), State::CatchingUp);
        }
        assert_eq!(role(State::Secondary, false, false).expect("accepted"), State::Init);
    }

    #[test]
    fn a_primary_comes_only_while_it_serves() {
        let error = role(State::Primary, true, false).expect_err("it does not serve");
        assert_eq!(error.exit, Exit::BadState);
        assert!(role(State::Dropped, true, false).is_err());
    }
}
