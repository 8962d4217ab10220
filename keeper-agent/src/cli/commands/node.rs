//! What is done with the node of a PGDATA.

use clap::{Args, Subcommand};

use crate::cli::options::{Formation, Http, Json, MonitorOrPgdata, Pgdata, Ssl, Wait};

/// `drop …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Drop {
    /// Remove the monitor
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Name of one of several monitors, which may be lost for good; without it, the one in --pgdata
        #[arg(long, value_name = "NAME", hide = true)]
        name: Option<String>,
        /// Delete its data, too
        #[arg(short = 'd', long, conflicts_with = "name")]
        destroy: bool,
    },
    /// Remove a node from its formation
    Node(DropNode),
    /// Remove a formation that has no nodes
    Formation {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        /// Name of the formation
        #[arg(short = 'f', long, value_name = "NAME")]
        formation: String,
    },
}

/// `drop node`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct DropNode {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) formation: Formation,
    /// Name of the node; without it, and without --hostname, the node in --pgdata
    #[arg(short = 'a', long, value_name = "NAME", conflicts_with = "hostname")]
    pub(in crate::cli) name: Option<String>,
    /// Host of the node
    #[arg(short = 'n', long, value_name = "HOST")]
    pub(in crate::cli) hostname: Option<String>,
    /// Port of the node
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 5432)]
    pub(in crate::cli) pgport: u16,
    /// Delete its data, too
    #[arg(short = 'd', long, conflicts_with_all = ["name", "hostname"])]
    pub(in crate::cli) destroy: bool,
    /// Do not wait for the node to agree
    #[arg(short = 'F', long)]
    pub(in crate::cli) force: bool,
    #[command(flatten)]
    pub(in crate::cli) wait: Wait,
}

/// `run`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    pub(in crate::cli) pgdata: Pgdata,
    /// Change the port
    #[arg(short = 'p', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) pgport: Option<u16>,
    /// Change the address
    #[arg(short = 'H', long, value_name = "HOST")]
    pub(in crate::cli) hostname: Option<String>,
    /// Change the name
    #[arg(short = 'n', short_alias = 'a', long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) http: Http,
}

/// `stop`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Stop {
    #[command(flatten)]
    pub(in crate::cli) pgdata: Pgdata,
    /// Do not wait for clients, as a stop never does here
    #[arg(short = 'f', long, conflicts_with_all = ["immediate", "sigkill"])]
    pub(in crate::cli) fast: bool,
    /// Stop Postgres immediately, as in a crash
    #[arg(short = 'i', long, conflicts_with = "sigkill")]
    pub(in crate::cli) immediate: bool,
    /// Kill pg_autoctl and Postgres with SIGKILL: for tests of what happens then
    #[arg(long)]
    pub(in crate::cli) sigkill: bool,
}

/// `status`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    pub(in crate::cli) pgdata: Pgdata,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `config …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Config {
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
        /// New value; - reads it from standard input, for passwords
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

/// `enable …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Enable {
    /// Let the groups of a formation have standbys
    Secondary {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
    },
    /// Put the node in PGDATA into maintenance
    Maintenance {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
        /// Allow it for the primary: a standby is promoted first
        #[arg(short = 'A', long)]
        allow_failover: bool,
    },
    /// Encrypt connections
    Ssl {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        ssl: Ssl,
    },
    /// Have the node in PGDATA, which has no monitor, controlled by this one; Postgres goes on as it is
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Accepted as 2.2 accepts it: a node never fails over because it comes to a monitor
        #[arg(short = 'A', long)]
        allow_failover: bool,
        /// Connection string of the monitor
        uri: String,
    },
}

/// `disable …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Disable {
    /// Let the groups of a formation have one node each
    Secondary {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
    },
    /// End the maintenance of the node in PGDATA
    Maintenance {
        #[command(flatten)]
        pgdata: Pgdata,
        #[command(flatten)]
        formation: Formation,
        /// Accepted as 2.2 accepts it: to leave maintenance never needs a failover
        #[arg(short = 'A', long, hide = true)]
        allow_failover: bool,
    },
    /// Do not encrypt connections
    Ssl(Pgdata),
    /// Have the node in PGDATA controlled by nobody; Postgres goes on as it is
    Monitor {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Also when the monitor cannot be reached, or when the node is a primary that its standbys could succeed
        #[arg(short = 'F', long)]
        force: bool,
    },
}
