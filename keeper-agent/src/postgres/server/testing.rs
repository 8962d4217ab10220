//! A configuration for unit tests.

use std::path::Path;

use crate::client::SslOptions;
use crate::config::{AuthMethod, HbaLevel};

use super::config::{InstanceConfig, ServerKind, ServerSsl, SocketDir};

/// A node that was never registered, in `pgdata`.
pub(crate) fn config(pgdata: &Path) -> InstanceConfig {
    InstanceConfig {
        pgdata: pgdata.to_owned(),
        bin_dir: "/usr/bin".into(),
        state_dir: pgdata.with_extension("state"),
        port: 5432,
        listen_addresses: "*".to_owned(),
        socket_dir: SocketDir::Default,
        superuser: "postgres".to_owned(),
        dbname: "postgres".to_owned(),
        hostname: "localhost".to_owned(),
        node: None,
        name: "n1".to_owned(),
        server_ssl: ServerSsl::default(),
        client_ssl: SslOptions::default(),
        auth: AuthMethod::Trust,
        hba_level: HbaLevel::Minimal,
        formation_hosts: Vec::new(),
        monitor_host: None,
        replication_password: None,
        maximum_backup_rate: String::new(),
        kind: ServerKind::DataNode,
        extra_settings: Vec::new(),
    }
}
