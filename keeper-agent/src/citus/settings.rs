//! The settings of a server with Citus.

use pgaf_core::NodeKind;

use crate::client::SslMode;
use crate::config::{CitusRole, NodeConfig};

/// The extension's name, and that of its library.
pub const EXTENSION: &str = "citus";

/// Settings for the included file; none for plain Postgres.
pub fn settings(config: &NodeConfig) -> Vec<(String, String)> {
    if config.kind == NodeKind::Standalone {
        return Vec::new();
    }
    let is_secondary = config.citus.role == CitusRole::Secondary;
    let mut settings = vec![
        // Citus insists on being the first.
        ("shared_preload_libraries", EXTENSION.to_owned()),
        // Its two-phase commits, and our holds. All nodes of a group need the same number.
        ("max_prepared_transactions", "200".to_owned()),
        ("max_worker_processes", "16".to_owned()),
        ("wal_level", "logical".to_owned()),
        ("citus.node_conninfo", node_conninfo(config)),
        ("citus.local_hostname", config.hostname.clone()),
        // A node that vanished must not hold up a client that it has locked out of others.
        ("citus.node_connection_timeout", "5000".to_owned()),
        // The workers learn soon where a primary has moved to.
        ("citus.metadata_sync_interval", "1000".to_owned()),
        ("citus.metadata_sync_retry_interval", "1000".to_owned()),
    ];
    if is_secondary {
        settings.push(("citus.use_secondary_nodes", "always".to_owned()));
        settings.push(("citus.cluster_name", config.citus.cluster_name.clone()));
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// How the nodes connect to each other. Without this, `CREATE EXTENSION citus` would turn TLS on by itself.
fn node_conninfo(config: &NodeConfig) -> String {
    let ssl = config.ssl.client_options();
    let mut words = vec![format!("sslmode={}", ssl.mode)];
    if let (SslMode::VerifyCa | SslMode::VerifyFull, Some(file)) = (ssl.mode, &ssl.root_cert) {
        words.push(format!("sslrootcert={}", file.display()));
    }
    words.push("connect_timeout=2 keepalives_idle=2 keepalives_interval=1 keepalives_count=3".to_owned());
    words.push("tcp_user_timeout=5000".to_owned());
    words.join(" ")
}
