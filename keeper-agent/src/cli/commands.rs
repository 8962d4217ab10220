//! The command line as types: every command and its options.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::options::{Formation, FormationGroup, Json, MonitorOrPgdata, NewServer, Pgdata, Ssl, Wait};

/// Automatic failover for Postgres: runs nodes and their monitor, shows and changes their state
#[derive(Parser, Debug)]
#[command(
    name = "pg_autoctl",
    disable_version_flag = true,
    subcommand_required = false,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    /// More messages; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Fewer messages
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) quiet: u8,
    /// Print the version
    #[arg(short = 'V', long)]
    pub(super) version: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make a monitor, a node or a formation
    #[command(subcommand)]
    Create(Box<Create>),
    /// Remove a monitor, a node or a formation
    #[command(subcommand)]
    Drop(Drop),
    /// Run the node in PGDATA, and its Postgres
    Run(Run),
    /// Stop the process that runs the node in PGDATA
    Stop(Stop),
    /// Make the process that runs the node in PGDATA read its configuration again
    Reload(Pgdata),
    /// Say whether the node in PGDATA runs
    Status(Status),
    /// Check, show or change the configuration of the node in PGDATA
    #[command(subcommand)]
    Config(Config),
    /// Show what the monitor knows, or where files are
    #[command(subcommand)]
    Show(Show),
    /// Show the state as it changes
    Watch(Watch),
    /// Turn something on
    #[command(subcommand)]
    Enable(Enable),
    /// Turn something off
    #[command(subcommand)]
    Disable(Disable),
    /// Show a property of a node or a formation
    #[command(subcommand)]
    Get(Get),
    /// Change a property of a node or a formation
    #[command(subcommand)]
    Set(Set),
    /// Have the monitor do something
    #[command(subcommand)]
    Perform(Perform),
    /// Let a Citus worker take part
    Activate(Pgdata),
    /// Print the version
    Version(Json),
    /// Print a script that completes commands
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// For debugging, when PG_AUTOCTL_DEBUG is set
    #[command(subcommand, hide = true)]
    Do(Debugging),
}

/// `create …`
#[derive(Subcommand, Debug)]
pub(super) enum Create {
    /// Make a monitor
    Monitor(NewServer),
    /// Make a node and register it at the monitor; a cluster that is in PGDATA already is kept
    Postgres(NewNode),
    /// Make a Citus coordinator
    Coordinator(NewCitusNode),
    /// Make a Citus worker
    Worker(NewCitusNode),
    /// Make a formation
    Formation(NewFormation),
}

/// `create postgres`
#[derive(Args, Clone, Debug)]
pub(super) struct NewNode {
    #[command(flatten)]
    pub(super) server: NewServer,
    /// Socket directory or host that local connections use
    #[arg(long, env = "PGHOST", value_name = "HOST")]
    pub(super) pghost: Option<String>,
    /// Addresses to listen on
    #[arg(long, value_name = "ADDRESSES", default_value = "*")]
    pub(super) listen: String,
    /// Superuser of the local Postgres
    #[arg(long, env = "PGUSER", value_name = "ROLE")]
    pub(super) username: Option<String>,
    /// Database that the formation serves
    #[arg(long, env = "PGDATABASE", value_name = "NAME")]
    pub(super) dbname: Option<String>,
    /// Name of the node
    #[arg(long, env = "PG_AUTOCTL_NODE_NAME", value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Formation
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) formation: String,
    /// Connection string of the monitor
    #[arg(long, env = "PG_AUTOCTL_MONITOR", hide_env_values = true, value_name = "URI")]
    pub(super) monitor: Option<String>,
    /// Have no monitor
    #[arg(long)]
    pub(super) disable_monitor: bool,
    /// Id of the node, when it has no monitor
    #[arg(long, value_name = "NUMBER")]
    pub(super) node_id: Option<i64>,
    /// Group of the formation
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) group: Option<i32>,
    /// Allow connections from the local network in pg_hba.conf
    #[arg(long, env = "PG_AUTOCTL_HBA_LAN")]
    pub(super) pg_hba_lan: bool,
    /// 0 to 100; the standby with the highest is promoted, one with 0 never
    #[arg(long, env = "PG_AUTOCTL_CANDIDATE_PRIORITY", value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(0..=100))]
    pub(super) candidate_priority: i32,
    /// Whether commits on the primary may wait for this node
    #[arg(long, env = "PG_AUTOCTL_REPLICATION_QUORUM", value_name = "BOOL", default_value = "true", value_parser = clap::builder::BoolishValueParser::new(), action = ArgAction::Set)]
    pub(super) replication_quorum: bool,
    /// Bytes per second at which data is copied, as 100M or 512k
    #[arg(long, value_name = "RATE", default_value = "100M")]
    pub(super) maximum_backup_rate: String,
}

/// `create coordinator`, `create worker`
#[derive(Args, Clone, Debug)]
pub(super) struct NewCitusNode {
    #[command(flatten)]
    pub(super) node: NewNode,
    /// Serve a read-only Citus cluster
    #[arg(long)]
    pub(super) citus_secondary: bool,
    /// Name of that cluster
    #[arg(long, value_name = "NAME")]
    pub(super) citus_cluster: Option<String>,
    /// Port of a proxy that Citus connects to instead
    #[arg(long, value_name = "PORT")]
    pub(super) proxyport: Option<u16>,
}

/// What a formation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Groups of plain Postgres
    Pgsql,
    /// A Citus coordinator and its workers
    Citus,
}

/// `create formation`
#[derive(Args, Clone, Debug)]
pub(super) struct NewFormation {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    /// Name of the formation
    #[arg(long, value_name = "NAME")]
    pub(super) formation: String,
    /// What it is made of
    #[arg(long, value_enum, default_value_t = Kind::Pgsql)]
    pub(super) kind: Kind,
    /// Database that it serves
    #[arg(long, env = "PGDATABASE", value_name = "NAME", default_value = "postgres")]
    pub(super) dbname: String,
    /// Its groups may have standbys
    #[arg(long, conflicts_with = "disable_secondary")]
    pub(super) enable_secondary: bool,
    /// Its groups have one node each
    #[arg(long)]
    pub(super) disable_secondary: bool,
    /// Standbys that a commit never goes without
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) number_sync_standbys: i32,
}

/// `drop …`
#[derive(Subcommand, Debug)]
pub(super) enum Drop {
    /// Remove the monitor
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Delete its data, too
        #[arg(long)]
        destroy: bool,
    },
    /// Remove a node from its formation
    Node(DropNode),
    /// Remove a formation that has no nodes
    Formation {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        /// Name of the formation
        #[arg(long, value_name = "NAME")]
        formation: String,
    },
}

/// `drop node`
#[derive(Args, Clone, Debug)]
pub(super) struct DropNode {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) formation: Formation,
    /// Name of the node; without it, and without --hostname, the node in --pgdata
    #[arg(long, value_name = "NAME", conflicts_with = "hostname")]
    pub(super) name: Option<String>,
    /// Host of the node
    #[arg(long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// Port of the node
    #[arg(long, value_name = "PORT", default_value_t = 5432)]
    pub(super) pgport: u16,
    /// Delete its data, too
    #[arg(long, conflicts_with_all = ["name", "hostname"])]
    pub(super) destroy: bool,
    /// Do not wait for the node to agree
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `run`
#[derive(Args, Clone, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Change the port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) pgport: Option<u16>,
    /// Change the address
    #[arg(long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// Change the name
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

/// `stop`
#[derive(Args, Clone, Debug)]
pub(super) struct Stop {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Do not wait for clients, as a stop never does here
    #[arg(long, conflicts_with = "immediate")]
    pub(super) fast: bool,
    /// Stop as if it crashed
    #[arg(long)]
    pub(super) immediate: bool,
}

/// `status`
#[derive(Args, Clone, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `config …`
#[derive(Subcommand, Debug)]
pub(super) enum Config {
    /// Check the configuration, and show what is in force
    Check {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        json: Json,
    },
    /// Show all settings, or one
    Get {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        json: Json,
        /// Which one
        #[arg(value_name = "SECTION.NAME")]
        name: Option<String>,
    },
    /// Change a setting
    Set {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        json: Json,
        /// Which one
        #[arg(value_name = "SECTION.NAME")]
        name: String,
        /// To what; - reads it from standard input, as is right for a password
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

/// `show …`
#[derive(Subcommand, Debug)]
pub(super) enum Show {
    /// Connection strings of the monitor and of the formations
    Uri(ShowUri),
    /// Nodes and their states
    State(ShowState),
    /// What happened last
    Events(ShowEvents),
    /// Settings of a formation and its nodes
    Settings {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        formation: Formation,
        #[command(flatten)]
        json: Json,
    },
    /// Whom a commit on the primary waits for
    StandbyNames {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        group: FormationGroup,
        #[command(flatten)]
        json: Json,
    },
    /// Files of the node in PGDATA
    File(ShowFile),
    /// A unit file for systemd that runs the node in PGDATA
    Systemd(Pgdata),
}

/// `show uri`
#[derive(Args, Clone, Debug)]
pub(super) struct ShowUri {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// Connection string of the monitor to ask; without a value, show the monitor's only
    #[arg(long, value_name = "URI", num_args = 0..=1, default_missing_value = "")]
    pub(super) monitor: Option<String>,
    #[command(flatten)]
    pub(super) formation: Formation,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `show state`
#[derive(Args, Clone, Debug)]
pub(super) struct ShowState {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) group: FormationGroup,
    /// Only the node in PGDATA, without asking the monitor
    #[arg(long)]
    pub(super) local: bool,
    /// Again whenever it changes
    #[arg(long, conflicts_with_all = ["local", "json"])]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `show events`
#[derive(Args, Clone, Debug)]
pub(super) struct ShowEvents {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) group: FormationGroup,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) count: i32,
    /// And those that come
    #[arg(long, conflicts_with = "json")]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `show file`
#[derive(Args, Clone, Debug)]
pub(super) struct ShowFile {
    #[command(flatten)]
    pub(super) pgdata: Pgdata,
    /// All of them, which is the default
    #[arg(long, conflicts_with_all = ["config", "state", "init", "pid"])]
    pub(super) all: bool,
    /// The configuration
    #[arg(long, conflicts_with_all = ["state", "init", "pid"])]
    pub(super) config: bool,
    /// The state
    #[arg(long, conflicts_with_all = ["init", "pid"])]
    pub(super) state: bool,
    /// The progress of an unfinished create
    #[arg(long, conflicts_with = "pid")]
    pub(super) init: bool,
    /// The process
    #[arg(long)]
    pub(super) pid: bool,
    /// Print what is in the file
    #[arg(long, conflicts_with = "all")]
    pub(super) contents: bool,
}

/// `watch`
#[derive(Args, Clone, Debug)]
pub(super) struct Watch {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) group: FormationGroup,
}

/// `enable …`
#[derive(Subcommand, Debug)]
pub(super) enum Enable {
    /// Let the groups of a formation have standbys
    Secondary {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
    },
    /// Take the node in PGDATA out
    Maintenance {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Do so although it is the primary: a standby is promoted first
        #[arg(long)]
        allow_failover: bool,
    },
    /// Encrypt connections
    Ssl {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        ssl: Ssl,
    },
    /// Have the node in PGDATA controlled by a monitor
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Connection string of the monitor
        uri: String,
    },
}

/// `disable …`
#[derive(Subcommand, Debug)]
pub(super) enum Disable {
    /// Let the groups of a formation have one node each
    Secondary {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
    },
    /// Take the node in PGDATA in again
    Maintenance(Pgdata),
    /// Do not encrypt connections
    Ssl(Pgdata),
    /// Have the node in PGDATA controlled by nobody
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Also when the monitor cannot be reached
        #[arg(long)]
        force: bool,
    },
}

/// Which node of which formation; the one in PGDATA unless named.
#[derive(Args, Clone, Debug)]
pub(super) struct NodeChoice {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) formation: Formation,
    /// Name of the node
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) json: Json,
}

/// Which formation, and how to print.
#[derive(Args, Clone, Debug)]
pub(super) struct FormationChoice {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) formation: Formation,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `get …`
#[derive(Subcommand, Debug)]
pub(super) enum Get {
    /// Of a node
    #[command(subcommand)]
    Node(GetNode),
    /// Of a formation
    #[command(subcommand)]
    Formation(GetFormation),
}

/// `get node …`
#[derive(Subcommand, Debug)]
pub(super) enum GetNode {
    /// Whether commits on the primary may wait for it
    ReplicationQuorum(NodeChoice),
    /// How much it is preferred for promotion
    CandidatePriority(NodeChoice),
}

/// `get formation …`
#[derive(Subcommand, Debug)]
pub(super) enum GetFormation {
    /// Settings of the formation and its nodes
    Settings(FormationChoice),
    /// Standbys that a commit never goes without
    NumberSyncStandbys(FormationChoice),
}

/// `set …`
#[derive(Subcommand, Debug)]
pub(super) enum Set {
    /// Of a node
    #[command(subcommand)]
    Node(SetNode),
    /// Of a formation
    #[command(subcommand)]
    Formation(SetFormation),
}

/// `set node …`
#[derive(Subcommand, Debug)]
pub(super) enum SetNode {
    /// Name and address of the node in PGDATA
    Metadata {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Host
        #[arg(long, value_name = "HOST")]
        hostname: Option<String>,
        /// Port
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        pgport: Option<u16>,
        #[command(flatten)]
        json: Json,
    },
    /// Whether commits on the primary may wait for it
    ReplicationQuorum {
        #[command(flatten)]
        node: NodeChoice,
        /// true or false
        #[arg(value_parser = clap::builder::BoolishValueParser::new(), action = ArgAction::Set)]
        value: bool,
    },
    /// How much it is preferred for promotion
    CandidatePriority {
        #[command(flatten)]
        node: NodeChoice,
        /// 0 to 100; one with 0 is never promoted
        #[arg(value_parser = clap::value_parser!(i32).range(0..=100))]
        value: i32,
    },
}

/// `set formation …`
#[derive(Subcommand, Debug)]
pub(super) enum SetFormation {
    /// Standbys that a commit never goes without
    NumberSyncStandbys {
        #[command(flatten)]
        formation: FormationChoice,
        /// How many
        #[arg(value_parser = clap::value_parser!(i32).range(0..))]
        value: i32,
    },
}

/// `perform …`
#[derive(Subcommand, Debug)]
pub(super) enum Perform {
    /// Have the primary hand over to a standby
    Failover(PerformFailover),
    /// The same as failover
    Switchover(PerformFailover),
    /// Make a node the primary of its group
    Promotion {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        formation: Formation,
        /// Name of the node; the one in PGDATA unless given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
}

/// `perform failover`
#[derive(Args, Clone, Debug)]
pub(super) struct PerformFailover {
    #[command(flatten)]
    pub(super) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(super) group: FormationGroup,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `do …`
#[derive(Subcommand, Debug)]
pub(super) enum Debugging {
    /// The local Postgres
    #[command(subcommand)]
    Pgsetup(Pgsetup),
    /// The keeper's state
    #[command(subcommand)]
    Fsm(Fsm),
    /// A part of what runs
    #[command(subcommand)]
    Service(Service),
}

/// `do pgsetup …`
#[derive(Subcommand, Debug)]
pub(super) enum Pgsetup {
    /// Exit with 0 when the local Postgres accepts connections
    Ready(Pgdata),
    /// Wait until the local Postgres accepts connections
    Wait(Pgdata),
}

/// `do fsm …`
#[derive(Subcommand, Debug)]
pub(super) enum Fsm {
    /// Print what the node is and should become
    State(Pgdata),
    /// Assign a state to a node that has no monitor
    Assign {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Which
        state: String,
    },
    /// Make one step towards the assigned state
    Step(Pgdata),
    /// The other nodes of a node that has no monitor
    #[command(subcommand)]
    Nodes(Nodes),
}

/// `do fsm nodes …`
#[derive(Subcommand, Debug)]
pub(super) enum Nodes {
    /// Take them from a file
    Set {
        #[command(flatten)]
        pgdata: Pgdata,
        /// A JSON file
        file: PathBuf,
    },
}

/// `do service …`
#[derive(Subcommand, Debug)]
pub(super) enum Service {
    /// Stop it so that it is started again
    #[command(subcommand)]
    Restart(Restart),
}

/// `do service restart …`
#[derive(Subcommand, Debug)]
pub(super) enum Restart {
    /// The local Postgres
    Postgres(Pgdata),
}
