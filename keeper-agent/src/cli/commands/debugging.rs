//! `do …`: for debugging.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::options::{FormationGroup, Json, MonitorOrPgdata, Pgdata};

/// `do …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Debugging {
    /// The local Postgres
    #[command(subcommand)]
    Pgsetup(Pgsetup),
    /// The keeper's state
    #[command(subcommand)]
    Fsm(Fsm),
    /// A part of what runs
    #[command(subcommand)]
    Service(Service),
    /// The network as this machine sees it
    #[command(subcommand)]
    Show(ShowNetwork),
    /// Clients that write through failovers
    #[command(subcommand)]
    Demo(Demo),
    /// A formation in a tmux session, to try things
    #[command(subcommand)]
    Tmux(Tmux),
}

/// `do show …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ShowNetwork {
    /// Print the address that this machine uses towards other networks
    Ipaddr,
    /// Print the local network of this machine as address/bits
    Cidr,
    /// Look a host name up
    Lookup {
        /// Name
        name: String,
    },
    /// Print the host name that this machine gives to others
    Hostname,
    /// Look the name of an address up, and look that name up
    Reverse {
        /// Address
        address: String,
    },
}

/// `do demo …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Demo {
    /// Have clients write for a while, with failovers, and print how long they took to connect
    Run(DemoOptions),
    /// Print the connection string that the clients use
    Uri(DemoOptions),
    /// Connect once
    Ping(DemoOptions),
    /// Print what the clients of the last run have recorded
    Summary(DemoOptions),
}

/// `do demo …`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct DemoOptions {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    /// Role that the clients connect as
    #[arg(short = 'U', long, env = "PGUSER", value_name = "ROLE")]
    pub(in crate::cli) username: Option<String>,
    /// How many clients
    #[arg(short, long, env = "PG_AUTOCTL_DEMO_CLIENTS", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(in crate::cli) clients: u32,
    /// For how many seconds
    #[arg(short = 't', long, env = "PG_AUTOCTL_DEMO_DURATION", value_name = "SECONDS", default_value_t = 30)]
    pub(in crate::cli) duration: u64,
    /// Have no failover
    #[arg(short = 'N', long)]
    pub(in crate::cli) no_failover: bool,
    /// Seconds until the first failover
    #[arg(
        short = 'F',
        long,
        env = "PG_AUTOCTL_DEMO_FAILOVER_FIRST",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub(in crate::cli) first_failover: u64,
    /// Seconds from one failover to the next
    #[arg(
        short = 'Q',
        long,
        env = "PG_AUTOCTL_DEMO_FAILOVER_FREQ",
        value_name = "SECONDS",
        default_value_t = 45
    )]
    pub(in crate::cli) failover_freq: u64,
}

/// `do tmux …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Tmux {
    /// Print the commands that make the session
    Script(Session),
    /// Create a formation in directories of this machine, and show it in a tmux session
    Session(Session),
    /// The same with Docker Compose
    #[command(subcommand)]
    Compose(Compose),
}

/// `do tmux compose …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Compose {
    /// Print the compose file
    Config(Session),
    /// Print the commands that make the session
    Script(Session),
    /// Write the compose file, bring it up, and show it in a tmux session
    Session(Session),
}

/// What such a session consists of.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Session {
    /// Directory of its files
    #[arg(short = 'D', long, value_name = "DIRECTORY", default_value = "/tmp/pgaf/tmux")]
    pub(in crate::cli) root: PathBuf,
    /// Port of the monitor; each node has the next one
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 5500)]
    pub(in crate::cli) first_pgport: u16,
    /// How many nodes
    #[arg(short, long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=12))]
    pub(in crate::cli) nodes: u16,
    /// How many of them no commit waits for
    #[arg(short, long, value_name = "NUMBER", default_value_t = 0)]
    pub(in crate::cli) async_nodes: u16,
    /// Candidate priorities of the nodes, separated by commas
    #[arg(short = 'P', long, value_name = "LIST", value_delimiter = ',')]
    pub(in crate::cli) node_priorities: Vec<i32>,
    /// Number of standbys that must acknowledge each commit
    #[arg(short = 's', long, value_name = "NUMBER", default_value_t = 0)]
    pub(in crate::cli) sync_standbys: u16,
    /// Do not edit pg_hba.conf
    #[arg(short = 'S', long)]
    pub(in crate::cli) skip_pg_hba: bool,
    /// Layout of the panes
    #[arg(short, long, value_name = "LAYOUT", default_value = "even-vertical")]
    pub(in crate::cli) layout: String,
    /// The pg_autoctl to run; this one unless given
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) binpath: Option<PathBuf>,
}

/// `do pgsetup …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Pgsetup {
    /// Exit with 0 when the local Postgres accepts connections
    Ready(Pgdata),
    /// Wait until the local Postgres accepts connections
    Wait(Pgdata),
    /// Say which pg_ctl create would use, and whether its Postgres has the extension
    #[command(name = "pg_ctl")]
    PgCtl,
    /// Show the local Postgres as it is found
    Discover {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        json: Json,
    },
    /// Print the last lines of the log of the local Postgres
    Logs(Pgdata),
    /// Print the settings of a new cluster that depend on the memory of this machine
    Tune,
}

/// `do fsm …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Fsm {
    /// Make the node's state anew, for a node that has no monitor
    Init(Pgdata),
    /// Print what the node is and should become
    State(Pgdata),
    /// Print the states that the node may be assigned, from where it is
    List(Pgdata),
    /// Print the states and the ways between them, for graphviz
    Gv,
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
pub(in crate::cli) enum Nodes {
    /// Print them as JSON
    Get(Pgdata),
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
pub(in crate::cli) enum Service {
    /// Stop it so that it is started again
    #[command(subcommand)]
    Restart(Restart),
    /// Print its process id
    #[command(subcommand)]
    Getpid(Getpid),
    /// What a supervisor of pg_autoctl 2.x starts
    #[command(hide = true)]
    Postgres(Pgdata),
    /// What a supervisor of pg_autoctl 2.x starts
    #[command(hide = true)]
    NodeActive(Pgdata),
    /// What a supervisor of pg_autoctl 2.x starts
    #[command(hide = true)]
    Listener(Pgdata),
}

/// `do service getpid …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Getpid {
    /// The postmaster
    Postgres(Pgdata),
    /// The keeper
    NodeActive(Pgdata),
    /// The process that runs the monitor
    Listener(Pgdata),
}

/// `do service restart …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Restart {
    /// The local Postgres
    Postgres(Pgdata),
}
