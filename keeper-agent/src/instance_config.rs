//! From the configuration to what `postgres` needs to know of the local server.

use std::path::PathBuf;

use pgaf_core::NodeId;

use crate::citus;
use crate::client::SslOptions;
use crate::config::{Config, MonitorConfig, MonitorsConfig, NodeConfig, Paths, PostgresConfig, SslConfig};
use crate::postgres::{InstanceConfig, ServerKind, ServerSsl, SocketDir};

impl NodeConfig {
    /// The local server; `node` is its id, once it is registered.
    pub fn instance(&self, node: Option<NodeId>) -> InstanceConfig {
        let monitor_host = self.monitor.as_ref().and_then(|monitor| monitor.hosts.first());
        InstanceConfig {
            dbname: self.postgres.dbname.clone(),
            hostname: self.hostname.clone(),
            node,
            name: self.name.clone(),
            client_ssl: self.ssl.client_options(),
            monitor_host: monitor_host.map(|host| host.name.clone()),
            replication_password: self.replication.password.clone(),
            maximum_backup_rate: self.replication.maximum_backup_rate.clone(),
            kind: if self.is_monitor { ServerKind::Monitor } else { ServerKind::DataNode },
            extra_settings: if self.is_monitor { monitor_settings() } else { citus::settings(self) },
            ..server(&self.postgres, &self.ssl, &self.paths)
        }
    }
}

impl Config {
    /// The local server, whatever it is for.
    pub fn instance(&self) -> InstanceConfig {
        match self {
            Self::Node(config) => config.instance(None),
            Self::Monitor(config) => config.instance(),
        }
    }
}

impl MonitorConfig {
    /// The monitor's server.
    pub fn instance(&self) -> InstanceConfig {
        if let Some((number, _)) = self.monitors.as_ref().and_then(MonitorsConfig::own) {
            return self.as_node().instance(Some(NodeId(number.cast_signed())));
        }
        InstanceConfig {
            hostname: self.hostname.clone(),
            name: "monitor".to_owned(),
            kind: ServerKind::Monitor,
            ..server(&self.postgres, &self.ssl, &self.paths)
        }
    }
}

/// For a monitor that is one of several: whoever takes over has heard of nobody yet, and needs no longer for that than a
/// node may be silent.
fn monitor_settings() -> Vec<(String, String)> {
    vec![("pgautofailover.startup_grace_period".to_owned(), "5s".to_owned())]
}

/// What both kinds of servers have.
fn server(postgres: &PostgresConfig, ssl: &SslConfig, paths: &Paths) -> InstanceConfig {
    InstanceConfig {
        pgdata: postgres.pgdata.clone(),
        bin_dir: postgres.bin_dir().to_owned(),
        state_dir: paths.state.parent().map_or_else(PathBuf::new, PathBuf::from),
        port: postgres.port,
        listen_addresses: postgres.listen_addresses.clone(),
        socket_dir: SocketDir::from_env(),
        superuser: postgres.username.clone(),
        dbname: postgres.dbname.clone(),
        hostname: String::new(),
        node: None,
        name: String::new(),
        server_ssl: ServerSsl {
            active: ssl.is_active,
            cert_file: ssl.cert_file.clone(),
            key_file: ssl.key_file.clone(),
            ca_file: ssl.ca_file.clone(),
            crl_file: ssl.crl_file.clone(),
        },
        client_ssl: SslOptions::default(),
        auth: postgres.auth_method,
        hba_level: postgres.hba_level,
        formation_hosts: Vec::new(),
        monitor_host: None,
        replication_password: None,
        maximum_backup_rate: String::new(),
        kind: ServerKind::DataNode,
        extra_settings: Vec::new(),
    }
}
