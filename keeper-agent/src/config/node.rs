//! The configuration as types.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgaf_core::keeper::HookKind;
use pgaf_core::{DEFAULT_CLUSTER, GroupId, NodeKind};

use super::hook_command::HookCommand;
use super::http::HttpConfig;
use super::members::Member;
use super::paths::Paths;
use super::values::{AuthMethod, CitusRole, HbaLevel};
use crate::client::{ConnectionString, Host, Secret, SslMode, SslOptions};

/// The configuration of a data node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The monitor; absent when it is disabled.
    pub monitor: Option<ConnectionString>,
    /// The formation this node belongs to.
    pub formation: String,
    /// Its group; absent until the monitor has given one.
    pub group: Option<GroupId>,
    /// Its name, unique in the formation; empty until the monitor has given one.
    pub name: String,
    /// The address under which the other nodes reach it.
    pub hostname: String,
    /// That was found out, and is again when it does not lead here any more.
    pub hostname_follows_network: bool,
    /// What it is in its formation.
    pub kind: NodeKind,
    /// Its Postgres.
    pub postgres: PostgresConfig,
    /// TLS of its server, and towards the other nodes.
    pub ssl: SslConfig,
    /// What is served over HTTP.
    pub http: HttpConfig,
    /// Replication.
    pub replication: ReplicationConfig,
    /// How long things may take.
    pub timeout: TimeoutConfig,
    /// Citus.
    pub citus: CitusConfig,
    /// Programs that are called.
    pub hooks: BTreeMap<HookKind, HookCommand>,
    /// The poolers that clients connect through.
    pub pooler: PoolerConfig,
    /// It is the Postgres of one of several monitors, whose agents say what it shall be.
    pub is_monitor: bool,
    /// Keys of 2.2 that change nothing here, by their names, as they are written.
    pub obsolete: BTreeMap<&'static str, String>,
    /// Where its files are.
    pub paths: Paths,
}

/// The configuration of the monitor's node.
#[derive(Clone, Debug)]
pub struct MonitorConfig {
    /// The address under which the nodes reach it.
    pub hostname: String,
    /// That was found out, and is again when it does not lead here any more.
    pub hostname_follows_network: bool,
    /// Its Postgres.
    pub postgres: PostgresConfig,
    /// TLS of its server.
    pub ssl: SslConfig,
    /// The password of the role that nodes connect as; `None` where people look after it by themselves.
    pub node_password: Option<Secret>,
    /// What is served over HTTP.
    pub http: HttpConfig,
    /// Programs that are called.
    pub hooks: BTreeMap<HookKind, HookCommand>,
    /// The monitors of which it is one; absent when it is the only one.
    pub monitors: Option<MonitorsConfig>,
    /// Where its files are.
    pub paths: Paths,
}

/// Several monitors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorsConfig {
    /// Which of them this one is.
    pub name: String,
    /// All of them, by their numbers.
    pub members: Vec<(u64, Member)>,
    /// Where their servers are, once that is known.
    pub servers: Vec<Host>,
    /// It came later, to others who were several already.
    pub has_joined: bool,
    /// It votes, and has no server.
    pub is_witness: bool,
}

impl MonitorsConfig {
    /// The number of this one, and where its agent listens.
    pub fn own(&self) -> Option<&(u64, Member)> {
        self.members.iter().find(|(_, member)| member.name == self.name)
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.members.iter().map(|(_, member)| member.name.as_str()).collect();
        names.join(", ")
    }
}

/// A Postgres server.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// The data directory.
    pub pgdata: PathBuf,
    /// The `pg_ctl` beside which the other programs are.
    pub pg_ctl: PathBuf,
    /// The superuser we connect as.
    pub username: String,
    /// The database that is served.
    pub dbname: String,
    /// Where we connect to locally: a socket directory or a name; Postgres's default when absent.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// The port that Citus is told to use instead; 0 for none.
    pub proxy_port: u16,
    /// `listen_addresses`.
    pub listen_addresses: String,
    /// How connections authenticate that we allow.
    pub auth_method: AuthMethod,
    /// Which connections we allow.
    pub hba_level: HbaLevel,
}

impl PostgresConfig {
    /// The directory of Postgres's programs.
    pub fn bin_dir(&self) -> &Path {
        self.pg_ctl.parent().unwrap_or(Path::new(""))
    }
}

/// TLS.
#[derive(Clone, Debug)]
pub struct SslConfig {
    /// The server speaks TLS.
    pub is_active: bool,
    /// What connections to the other nodes ask for.
    pub mode: SslMode,
    /// We make the certificate ourselves.
    pub is_self_signed: bool,
    /// The server's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The authorities.
    pub ca_file: Option<PathBuf>,
    /// Revoked certificates.
    pub crl_file: Option<PathBuf>,
}

impl SslConfig {
    /// TLS that is not used.
    pub const fn inactive() -> Self {
        Self {
            is_active: false,
            mode: SslMode::Prefer,
            is_self_signed: false,
            cert_file: None,
            key_file: None,
            ca_file: None,
            crl_file: None,
        }
    }

    /// For connections to the other nodes.
    pub fn client_options(&self) -> SslOptions {
        SslOptions {
            mode: self.mode,
            root_cert: self.ca_file.clone(),
            cert: None,
            key: None,
            crl: self.crl_file.clone(),
            ..SslOptions::default()
        }
    }
}

/// Replication.
#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// As pg_basebackup's `--max-rate`.
    pub maximum_backup_rate: String,
    /// The password of the replication role.
    pub password: Option<Secret>,
}

/// How long things may take.
#[derive(Clone, Debug)]
pub struct TimeoutConfig {
    /// A primary alone for this long fences itself.
    pub network_partition: Duration,
    /// A command follows what it has asked the monitor for, for at most this long.
    pub listen_notifications: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { network_partition: Duration::from_secs(20), listen_notifications: Duration::from_secs(60) }
    }
}

/// Poolers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolerConfig {
    /// Their admin consoles.
    pub admin: Vec<ConnectionString>,
    /// The configuration file, on the host of each pooler, that sends clients to this node.
    pub conffile: Option<String>,
    /// The databases of theirs that are paused; all when there are none.
    pub databases: Vec<String>,
}

/// Citus.
#[derive(Clone, Debug)]
pub struct CitusConfig {
    /// The part it plays.
    pub role: CitusRole,
    /// The Citus cluster it belongs to.
    pub cluster_name: String,
}

impl Default for CitusConfig {
    fn default() -> Self {
        Self { role: CitusRole::Primary, cluster_name: DEFAULT_CLUSTER.to_owned() }
    }
}

impl PostgresConfig {
    fn empty() -> Self {
        Self {
            pgdata: PathBuf::new(),
            pg_ctl: PathBuf::new(),
            username: "postgres".to_owned(),
            dbname: "postgres".to_owned(),
            host: None,
            port: 5432,
            proxy_port: 0,
            listen_addresses: "*".to_owned(),
            auth_method: AuthMethod::Trust,
            hba_level: HbaLevel::Minimal,
        }
    }
}

impl NodeConfig {
    /// The defaults; the places of the files are known.
    pub fn empty(paths: Paths) -> Self {
        Self {
            monitor: None,
            formation: "default".to_owned(),
            group: None,
            name: String::new(),
            hostname: String::new(),
            hostname_follows_network: false,
            kind: NodeKind::Standalone,
            postgres: PostgresConfig::empty(),
            ssl: SslConfig::inactive(),
            http: HttpConfig::default(),
            replication: ReplicationConfig { maximum_backup_rate: "100M".to_owned(), password: None },
            timeout: TimeoutConfig::default(),
            citus: CitusConfig::default(),
            hooks: BTreeMap::new(),
            pooler: PoolerConfig::default(),
            is_monitor: false,
            obsolete: BTreeMap::new(),
            paths,
        }
    }
}

impl MonitorConfig {
    /// The defaults; the places of the files are known.
    pub fn empty(paths: Paths) -> Self {
        let mut postgres = PostgresConfig::empty();
        postgres.dbname = "pg_auto_failover".to_owned();
        Self {
            hostname: String::new(),
            hostname_follows_network: false,
            postgres,
            ssl: SslConfig::inactive(),
            node_password: None,
            http: HttpConfig::default(),
            hooks: BTreeMap::new(),
            monitors: None,
            paths,
        }
    }

    /// The connection string that nodes use for this monitor, with the password. Until it is known where the servers of
    /// several monitors are, they are taken to be on the same port.
    pub fn uri(&self) -> ConnectionString {
        let mut uri = ConnectionString::new(&self.hostname, self.postgres.port);
        uri.user = Some("autoctl_node".to_owned());
        uri.password.clone_from(&self.node_password);
        uri.dbname = Some(self.postgres.dbname.clone());
        uri.ssl = self.ssl.client_options();
        if let Some(monitors) = &self.monitors {
            let host =
                |member: &Member| Host { name: member.host.clone(), port: self.postgres.port, address: None };
            uri.hosts = monitors.servers.clone();
            if uri.hosts.is_empty() {
                uri.hosts = monitors.members.iter().map(|(_, member)| host(member)).collect();
            }
            uri.needs_writer = true;
        }
        uri
    }

    /// The same, as that of a node that its agents look after.
    pub fn as_node(&self) -> NodeConfig {
        NodeConfig {
            formation: "monitors".to_owned(),
            group: Some(GroupId(0)),
            name: self.monitors.as_ref().map(|monitors| monitors.name.clone()).unwrap_or_default(),
            hostname: self.hostname.clone(),
            postgres: self.postgres.clone(),
            ssl: self.ssl.clone(),
            replication: ReplicationConfig { maximum_backup_rate: String::new(), password: None },
            is_monitor: true,
            ..NodeConfig::empty(self.paths.clone())
        }
    }
}
