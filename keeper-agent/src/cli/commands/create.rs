//! `create …`: what is made.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use pgaf_core::NodeKind;

use crate::cli::options::{MonitorOrPgdata, NewServer, boolean};
use crate::config::CitusConfig;

/// `create …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Create {
    /// Create a monitor
    Monitor(NewMonitor),
    /// Create a node and register it with the monitor; an existing cluster in PGDATA is kept
    Postgres(NewNode),
    /// Create a Citus coordinator
    Coordinator(NewCitusNode),
    /// Create a Citus worker
    Worker(NewCitusNode),
    /// Create a formation
    Formation(NewFormation),
}

/// `create monitor`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NewMonitor {
    #[command(flatten)]
    pub(in crate::cli) server: NewServer,
    /// Name of this monitor, when it is one of several
    #[arg(long, value_name = "NAME", hide = true)]
    pub(in crate::cli) name: Option<String>,
    /// All monitors, this one included: m1=host1,m2=host2,m3=host3; where their agents do not listen on port 5430, m1=host1:PORT
    #[arg(long, value_name = "NAME=HOST,…", requires = "name", requires = "join_token_file", hide = true)]
    pub(in crate::cli) peers: Option<String>,
    /// Any of several monitors that are in service: this one becomes one of them
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        requires = "name",
        requires = "join_token_file",
        conflicts_with = "peers",
        hide = true
    )]
    pub(in crate::cli) join: Option<String>,
    /// File with the token that lets monitors join; made when it is not there, the other monitors need a copy
    #[arg(long, env = "PG_AUTOCTL_JOIN_TOKEN_FILE", value_name = "FILE", hide = true)]
    pub(in crate::cli) join_token_file: Option<PathBuf>,
    /// Take part in elections only, without a Postgres
    #[arg(long, requires = "name", hide = true)]
    pub(in crate::cli) witness: bool,
}

/// `create postgres`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NewNode {
    #[command(flatten)]
    pub(in crate::cli) server: NewServer,
    /// Socket directory or host that local connections use
    #[arg(short = 'H', long, env = "PGHOST", value_name = "HOST")]
    pub(in crate::cli) pghost: Option<String>,
    /// Superuser of the local Postgres
    #[arg(short = 'U', long, env = "PGUSER", value_name = "ROLE")]
    pub(in crate::cli) username: Option<String>,
    /// Database that the formation serves
    #[arg(short = 'd', long, env = "PGDATABASE", value_name = "NAME")]
    pub(in crate::cli) dbname: Option<String>,
    /// Name of the node
    #[arg(short = 'a', long, env = "PG_AUTOCTL_NODE_NAME", value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Formation
    #[arg(short = 'f', long, value_name = "NAME", default_value = "default")]
    pub(in crate::cli) formation: String,
    /// Connection string of the monitor
    #[arg(short = 'm', long, env = "PG_AUTOCTL_MONITOR", hide_env_values = true, value_name = "URI")]
    pub(in crate::cli) monitor: Option<String>,
    /// Create a node without a monitor
    #[arg(short = 'M', long)]
    pub(in crate::cli) disable_monitor: bool,
    /// Id of the node, when it has no monitor
    #[arg(short = 'I', long, value_name = "NUMBER")]
    pub(in crate::cli) node_id: Option<i64>,
    /// Group of the formation
    #[arg(short = 'g', long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub(in crate::cli) group: Option<i32>,
    /// Allow connections from the local network in pg_hba.conf ; the variable may be named PG_AUTOCTL_PG_HBA_LAN, too
    #[arg(short = 'L', long, env = "PG_AUTOCTL_HBA_LAN", value_parser = boolean)]
    pub(in crate::cli) pg_hba_lan: bool,
    /// 0 to 100; the standby with the highest is promoted, one with 0 never
    #[arg(short = 'P', long, env = "PG_AUTOCTL_CANDIDATE_PRIORITY", value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(0..=100))]
    pub(in crate::cli) candidate_priority: i32,
    /// Whether commits on the primary may wait for this node
    #[arg(short = 'r', long, env = "PG_AUTOCTL_REPLICATION_QUORUM", value_name = "BOOL", default_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub(in crate::cli) replication_quorum: bool,
    /// Bytes per second at which data is copied, as 100M or 512k
    #[arg(short = 'R', long, value_name = "RATE", default_value = "100M")]
    pub(in crate::cli) maximum_backup_rate: String,
    #[arg(skip)]
    pub(in crate::cli) part: Part,
}

/// Which part a node plays in its formation.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Part {
    pub(in crate::cli) kind: NodeKind,
    pub(in crate::cli) citus: CitusConfig,
    /// 0 for none.
    pub(in crate::cli) proxy_port: u16,
}

impl Default for Part {
    fn default() -> Self {
        Self { kind: NodeKind::Standalone, citus: CitusConfig::default(), proxy_port: 0 }
    }
}

/// `create coordinator`, `create worker`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NewCitusNode {
    #[command(flatten)]
    pub(in crate::cli) node: NewNode,
    /// Serve a read-only Citus cluster
    #[arg(short = 'z', long, requires = "citus_cluster")]
    pub(in crate::cli) citus_secondary: bool,
    /// Name of that cluster
    #[arg(short = 'Z', long, value_name = "NAME", requires = "citus_secondary")]
    pub(in crate::cli) citus_cluster: Option<String>,
    /// Port of a proxy that Citus connects to instead
    #[arg(short = 'y', long, value_name = "PORT")]
    pub(in crate::cli) proxyport: Option<u16>,
}

/// What a formation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
    /// Groups of plain Postgres
    Pgsql,
    /// A Citus coordinator and its workers
    Citus,
}

/// `create formation`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NewFormation {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    /// Name of the formation
    #[arg(short = 'f', long, value_name = "NAME")]
    pub(in crate::cli) formation: String,
    /// Kind of the formation
    #[arg(short = 'k', long, value_enum, default_value_t = Kind::Pgsql)]
    pub(in crate::cli) kind: Kind,
    /// Database that it serves
    #[arg(short = 'd', long, env = "PGDATABASE", value_name = "NAME", default_value = "postgres")]
    pub(in crate::cli) dbname: String,
    /// Its groups may have standbys
    #[arg(short = 's', long, conflicts_with = "disable_secondary")]
    pub(in crate::cli) enable_secondary: bool,
    /// Its groups have one node each
    #[arg(short = 'S', long)]
    pub(in crate::cli) disable_secondary: bool,
    /// Number of standbys that must acknowledge each commit
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    pub(in crate::cli) number_sync_standbys: i32,
}
