//! Where this machine is in the network, which may change under a node: in a container that was made anew, after another
//! lease. What others know of the node follows, unless a person has said how it is reached.

use std::time::{Duration, Instant};

use pgaf_core::NodeId;
use tracing::{info, warn};

use crate::config::NodeConfig;
use crate::monitor::{MonitorConnection, MonitorError};
use crate::own_address;

const PERIOD: Duration = Duration::from_secs(5);
/// A failure that stays is said again after this long.
const REPEAT: Duration = Duration::from_secs(60);

/// When to look first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// At once.
    Now,
    /// After one period.
    Later,
}

/// Waits until this machine is called otherwise than it says there, and the monitor knows so. Looks every few seconds.
pub(super) async fn new_hostname(config: NodeConfig, node: NodeId, first: Look) -> String {
    let Some(monitor) = config.monitor.clone().filter(|_| config.hostname_follows_network) else {
        return std::future::pending().await;
    };
    let mut told_at: Option<Instant> = None;
    if first == Look::Later {
        tokio::time::sleep(PERIOD).await;
    }
    loop {
        if let Some(hostname) = own_address::new_hostname(&config.hostname, Some(&monitor)).await {
            let old = &config.hostname;
            let told = async {
                let (connection, _) = MonitorConnection::connect(&monitor).await?;
                let (name, port) = (&config.name, config.postgres.port);
                connection.update_node_metadata(node, name, &hostname, port).await?;
                Ok::<_, MonitorError>(())
            };
            match told.await {
                Ok(()) => {
                    info!("this machine is called \"{hostname}\" now (was \"{old}\"): the monitor knows");
                    return hostname;
                }
                Err(error) if told_at.is_none_or(|at| at.elapsed() >= REPEAT) => {
                    warn!(
                        "this machine is called \"{hostname}\" now (was \"{old}\"), and the monitor could not be told: {error}; retrying every {} s",
                        PERIOD.as_secs()
                    );
                    told_at = Some(Instant::now());
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}
