//! Reading the configuration, and what a person has assigned while the monitor is disabled.

use std::time::Duration;

use pgaf_core::keeper::{HookKind, ManualAssignment, Settings};
use tracing::error;

use crate::client::{ConnectionString, Host};
use crate::config::{ConfigError, NodeConfig, manual};

/// Files that are not read by then are not read.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the files say.
pub(super) struct Reading {
    pub(super) config: NodeConfig,
    /// While the monitor is disabled.
    pub(super) manual: Option<ManualAssignment>,
    /// The monitor is the one of before, wherever it is now.
    pub(super) is_same_monitor: bool,
}

/// What the engine depends on.
pub(super) fn settings(config: &NodeConfig) -> Settings {
    Settings {
        is_monitored: config.monitor.is_some() || config.is_monitor,
        network_partition_timeout: config.timeout.network_partition,
        dbname: config.postgres.dbname.clone(),
        kind: config.kind,
        has_hooks: !config.hooks.is_empty(),
        has_before_promote: config.hooks.contains_key(&HookKind::BeforePromote),
        has_poolers: !config.pooler.admin.is_empty(),
    }
}

/// Reads the files of this node again; `None` when they cannot be used, which is logged.
pub(super) async fn read_again(config: NodeConfig) -> Option<Reading> {
    read_with(config, |_| Ok(())).await
}

/// The same, with another host name, which is written down.
pub(super) async fn store_hostname(config: NodeConfig, hostname: String) -> Option<Reading> {
    read_with(config, move |config| {
        config.hostname = hostname;
        config.store()
    })
    .await
}

/// The same, with other servers of the monitors, which are written down. The rest of the connection string stays.
pub(super) async fn store_monitors(config: NodeConfig, servers: Vec<Host>) -> Option<Reading> {
    let before = config.monitor.clone();
    let expected = before.clone();
    let reading = read_with(config, move |config| {
        // A person may have chosen another monitor meanwhile.
        if config.monitor == expected
            && let Some(monitor) = &mut config.monitor
        {
            monitor.hosts = servers;
            monitor.needs_writer = true;
            config.store()?;
        }
        Ok(())
    })
    .await?;
    Some(Reading { is_same_monitor: is_same(before, reading.config.monitor.as_ref()), ..reading })
}

/// They differ in nothing but in where it is.
fn is_same(before: Option<ConnectionString>, now: Option<&ConnectionString>) -> bool {
    let (Some(mut before), Some(now)) = (before, now) else { return false };
    before.hosts.clone_from(&now.hosts);
    before.needs_writer = now.needs_writer;
    before == *now
}

async fn read_with(
    config: NodeConfig,
    change: impl FnOnce(&mut NodeConfig) -> Result<(), ConfigError> + Send + 'static,
) -> Option<Reading> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut config = config.reload()?;
        change(&mut config)?;
        let manual = manual_assignment(&config);
        Ok::<_, ConfigError>(Reading { config, manual, is_same_monitor: false })
    });
    match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(Ok(reading))) => Some(reading),
        Ok(Ok(Err(error))) => {
            error!("the configuration was not changed: {error}");
            None
        }
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        Err(_) => {
            error!(
                "the configuration was not changed: its files could not be read within {} s",
                DEADLINE.as_secs()
            );
            None
        }
    }
}

/// What a person has assigned, while the monitor is disabled; what cannot be read is logged.
pub(super) fn manual_assignment(config: &NodeConfig) -> Option<ManualAssignment> {
    if config.monitor.is_some() || config.is_monitor {
        return None;
    }
    match manual::load(&config.paths.manual_assignment()) {
        Ok(manual) => Some(manual),
        Err(error) => {
            error!("{error}; this node keeps its state");
            None
        }
    }
}
