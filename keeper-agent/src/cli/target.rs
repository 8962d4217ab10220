//! What a command is about: which monitor, which formation, which group, which node.

use pgaf_core::{GroupId, NodeId};

use super::error::{CliError, CliResult};
use super::options::{Formation, FormationGroup, MonitorOrPgdata};
use crate::client::{ConnectionString, Secret};
use crate::config::state::{self, KeeperState};
use crate::config::{Config, MonitorConfig, NodeConfig};
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, Notifications};
use crate::postgres::local_address;

/// A monitor, and the node of this machine through which it was found.
pub(super) struct Target {
    /// How to connect to the monitor.
    pub(super) monitor: ConnectionString,
    /// The node in --pgdata, if there is one.
    pub(super) config: Option<Config>,
}

impl Target {
    /// From --monitor, else from the configuration of the node in --pgdata.
    pub(super) fn of(options: &MonitorOrPgdata) -> CliResult<Self> {
        if let Some(monitor) = options.given()? {
            // A node beside it helps with defaults, and need not be there.
            let config = options.pgdata.required().ok().and_then(|pgdata| Config::load(&pgdata).ok());
            return Ok(Self { monitor, config });
        }
        let pgdata = options.pgdata.required().map_err(|_| {
            CliError::bad_arguments(
                "no monitor given: use --monitor with its URI, or --pgdata with the directory of a node or monitor",
            )
        })?;
        let config = Config::load(&pgdata)?;
        let monitor = match &config {
            Config::Node(node) => monitor_of(node)?,
            Config::Monitor(monitor) => local_connection(monitor)?,
        };
        Ok(Self { monitor, config: Some(config) })
    }

    /// Connects to the monitor.
    pub(super) async fn connect(&self) -> CliResult<MonitorConnection> {
        self.connect_and_listen().await.map(|(monitor, _)| monitor)
    }

    /// Connects to the monitor, for notifications as well.
    pub(super) async fn connect_and_listen(&self) -> CliResult<(MonitorConnection, Notifications)> {
        MonitorConnection::connect(&self.monitor).await.map_err(CliError::from)
    }

    /// The data node in --pgdata.
    pub(super) fn node(&self) -> Option<&NodeConfig> {
        match self.config.as_ref()? {
            Config::Node(node) => Some(node),
            Config::Monitor(_) => None,
        }
    }

    /// The formation that is meant.
    pub(super) fn formation(&self, options: &Formation) -> String {
        options
            .formation
            .clone()
            .or_else(|| self.node().map(|node| node.formation.clone()))
            .unwrap_or_else(|| "default".to_owned())
    }

    /// The one group that is meant: the given one, that of the node in --pgdata, or the only one there is.
    pub(super) async fn group(
        &self,
        options: &FormationGroup,
        monitor: &MonitorConnection,
    ) -> CliResult<GroupId> {
        let of_node =
            self.node().filter(|_| options.formation.formation.is_none()).and_then(|node| node.group);
        if let Some(group) = options.group().or(of_node) {
            return Ok(group);
        }
        let formation = self.formation(&options.formation);
        let nodes = monitor.current_state(&formation, None).await?;
        let mut groups: Vec<GroupId> = nodes.iter().map(|node| node.group).collect();
        groups.sort_unstable();
        groups.dedup();
        match groups.as_slice() {
            [] => Ok(GroupId(0)),
            [only] => Ok(*only),
            several => {
                let numbers: Vec<String> = several.iter().map(ToString::to_string).collect();
                Err(CliError::bad_arguments(format!(
                    "formation \"{formation}\" has several groups: give --group with one of {}",
                    numbers.join(", ")
                )))
            }
        }
    }

    /// The name of the node that is meant: the given one, or that of the node in --pgdata.
    pub(super) fn node_name(&self, name: Option<&str>) -> CliResult<String> {
        name.map(str::to_owned)
            .or_else(|| self.node().map(|node| node.name.clone()))
            .filter(|name| !name.is_empty())
            .ok_or_else(|| CliError::bad_arguments("no node given: use --name, or --pgdata"))
    }
}

/// The monitor of a data node.
pub(super) fn monitor_of(node: &NodeConfig) -> CliResult<ConnectionString> {
    node.monitor.clone().ok_or_else(|| {
        CliError::new(
            Exit::BadConfig,
            "this node has no monitor: it was disabled; \"pg_autoctl enable monitor URI\" sets one",
        )
    })
}

/// How to reach the monitor's own Postgres from this machine.
pub(super) fn local_connection(monitor: &MonitorConfig) -> CliResult<ConnectionString> {
    if monitor.monitors.is_some() {
        // Its own Postgres may follow another one.
        return Ok(monitor.uri());
    }
    let pgdata = &monitor.postgres.pgdata;
    let (host, port) = local_address(pgdata).ok_or_else(|| {
        CliError::new(
            Exit::Monitor,
            format!(
                "the monitor's Postgres in \"{0}\" does not run: start it with \"pg_autoctl run --pgdata {0}\"",
                pgdata.display()
            ),
        )
    })?;
    let mut target = ConnectionString::new(host, port);
    target.user = Some(monitor.postgres.username.clone());
    target.dbname = Some(monitor.postgres.dbname.clone());
    target.password = std::env::var("PGPASSWORD").ok().map(Secret::new);
    Ok(target)
}

/// For people who look at a node whose keeper talks to a monitor that does not know it.
pub(super) const UNKNOWN_TO_MONITOR: &str = "unknown to the monitor: that is another monitor than the node was registered \
    at, was emptied, or was restored from a backup; this node goes on serving without a monitor. Restore the \
    monitor, or register the node again with \"pg_autoctl disable monitor --force\" and \"pg_autoctl enable monitor\"";

/// The state of a registered node.
pub(super) fn state_of(node: &NodeConfig) -> CliResult<KeeperState> {
    state::load(&node.paths.state)?.ok_or_else(|| {
        CliError::new(
            Exit::BadState,
            format!(
                "the node in \"{}\" is not registered at a monitor: finish it with \"pg_autoctl create postgres\"",
                node.postgres.pgdata.display()
            ),
        )
    })
}

/// The id of a named node.
pub(super) async fn node_id(monitor: &MonitorConnection, formation: &str, name: &str) -> CliResult<NodeId> {
    let found = monitor.node_named(formation, name).await?;
    found.map(|node| node.node).ok_or_else(|| {
        CliError::new(
            Exit::Monitor,
            format!(
                "formation \"{formation}\" has no node \"{name}\": \"pg_autoctl show state\" lists its nodes"
            ),
        )
    })
}
