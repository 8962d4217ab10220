//! What is configured of one Postgres server, as the rest of this module needs it.

use std::path::{Path, PathBuf};

use pgaf_core::id::NodeId;

use crate::client::{Secret, SslOptions};
use crate::config::{AuthMethod, HbaLevel};

/// The role that standbys replicate as.
pub const REPLICATION_ROLE: &str = "pgautofailover_replicator";

/// Where the server has its Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SocketDir {
    /// Where Postgres was built to have it, or where postgresql.conf says.
    #[default]
    Default,
    /// Here.
    Directory(PathBuf),
    /// Nowhere: local connections go to localhost over TCP.
    Nowhere,
}

impl SocketDir {
    /// What `PG_REGRESS_SOCK_DIR` says.
    pub fn from_env() -> Self {
        match std::env::var_os("PG_REGRESS_SOCK_DIR") {
            None => Self::Default,
            Some(path) if path.is_empty() => Self::Nowhere,
            Some(path) => Self::Directory(path.into()),
        }
    }
}

/// TLS, as the server offers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSsl {
    /// `ssl = on`.
    pub active: bool,
    /// Its certificate.
    pub cert_file: Option<PathBuf>,
    /// The certificate's key.
    pub key_file: Option<PathBuf>,
    /// Who may sign client certificates.
    pub ca_file: Option<PathBuf>,
    /// Revoked client certificates.
    pub crl_file: Option<PathBuf>,
}

/// What the server is for: it decides which settings it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKind {
    /// It replicates.
    #[default]
    DataNode,
    /// It has the monitor's database.
    Monitor,
}

/// One Postgres server.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// The data directory.
    pub pgdata: PathBuf,
    /// Where `postgres`, `initdb`, `pg_basebackup`… are.
    pub bin_dir: PathBuf,
    /// A directory of ours outside of PGDATA, private to this server: markers, and the passfile.
    pub state_dir: PathBuf,
    /// The port it listens on.
    pub port: u16,
    /// The addresses it listens on.
    pub listen_addresses: String,
    /// Its socket.
    pub socket_dir: SocketDir,
    /// The role the keeper connects as.
    pub superuser: String,
    /// The database people use.
    pub dbname: String,
    /// How other nodes reach this one.
    pub hostname: String,
    /// The node's id, once it is registered.
    pub node: Option<NodeId>,
    /// The node's name: `cluster_name`.
    pub name: String,
    /// TLS for those who connect here.
    pub server_ssl: ServerSsl,
    /// TLS towards the other nodes.
    pub client_ssl: SslOptions,
    /// Authentication of the other nodes, here.
    pub auth: AuthMethod,
    /// How much is written to pg_hba.conf.
    pub hba_level: HbaLevel,
    /// The nodes of a Citus formation, which connect to the database as the superuser; empty for plain Postgres.
    pub formation_hosts: Vec<String>,
    /// The monitor's host: the way there tells which network is the local one.
    pub monitor_host: Option<String>,
    /// Password of the replication role, on every node.
    pub replication_password: Option<Secret>,
    /// `pg_basebackup --max-rate`; empty for no limit.
    pub maximum_backup_rate: String,
    /// What it is for.
    pub kind: ServerKind,
    /// More settings for the included file; these win over ours.
    pub extra_settings: Vec<(String, String)>,
}

impl InstanceConfig {
    /// The path of one of Postgres's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// The file libpq takes the replication password from.
    pub fn passfile(&self) -> PathBuf {
        self.state_dir.join("pg_autoctl.pgpass")
    }

    /// Where the postmaster's messages go before, or unless, it has a log of its own.
    pub fn startup_log(&self) -> PathBuf {
        self.pgdata.join("startup.log")
    }

    /// It has standbys, or is one: a monitor alone has none.
    pub(crate) fn replicates(&self) -> bool {
        self.kind == ServerKind::DataNode || self.node.is_some()
    }

    pub(crate) fn in_pgdata(&self, name: impl AsRef<Path>) -> PathBuf {
        self.pgdata.join(name)
    }
}
