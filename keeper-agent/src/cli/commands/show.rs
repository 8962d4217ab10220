//! `show …` and `watch`.

use clap::{Args, Subcommand};

use crate::cli::options::{Formation, FormationGroup, Json, MonitorOrPgdata, Pgdata};

/// `show …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Show {
    /// Connection strings of the monitor and of the formations
    Uri(ShowUri),
    /// Nodes and their states
    State(ShowState),
    /// Latest events
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
    /// Standbys that a commit on the primary waits for
    StandbyNames {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        group: FormationGroup,
        #[command(flatten)]
        json: Json,
    },
    /// Timelines of a group, and which node is on which branch of the log
    Timeline {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        group: FormationGroup,
        #[command(flatten)]
        json: Json,
    },
    /// Several monitors: who leads, how far each is, and who does not answer
    #[command(hide = true)]
    Monitors {
        #[command(flatten)]
        pgdata: Pgdata,
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
pub(in crate::cli) struct ShowUri {
    #[command(flatten)]
    pub(in crate::cli) pgdata: Pgdata,
    /// Connection string of the monitor to ask; without a value, show the monitor's only
    #[arg(short = 'm', long, value_name = "URI", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) monitor: Option<String>,
    /// Formation whose connection string to show alone; monitor for that of the monitor
    #[arg(short = 'f', long, value_name = "NAME")]
    pub(in crate::cli) formation: Option<String>,
    /// Read-only Citus cluster to connect to
    #[arg(short = 'Z', long, value_name = "NAME")]
    pub(in crate::cli) citus_cluster: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `show state`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct ShowState {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    /// Only the node in PGDATA, without asking the monitor
    #[arg(short = 'L', long)]
    pub(in crate::cli) local: bool,
    /// The dashboard; when standard output is no terminal, print again whenever it changes
    #[arg(short = 'W', long, conflicts_with_all = ["local", "json"])]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `show events`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct ShowEvents {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    /// How many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..))]
    pub(in crate::cli) count: i32,
    /// The dashboard; when standard output is no terminal, print those that come, too
    #[arg(short = 'W', long, conflicts_with = "json")]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `show file`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct ShowFile {
    #[command(flatten)]
    pub(in crate::cli) pgdata: Pgdata,
    /// All of them, which is the default
    #[arg(short = 'a', long, conflicts_with_all = ["config", "state", "init", "pid"])]
    pub(in crate::cli) all: bool,
    /// The configuration
    #[arg(short = 'c', long, conflicts_with_all = ["state", "init", "pid"])]
    pub(in crate::cli) config: bool,
    /// The state
    #[arg(short = 's', long, conflicts_with_all = ["init", "pid"])]
    pub(in crate::cli) state: bool,
    /// The progress of an unfinished create
    #[arg(short = 'i', long, conflicts_with = "pid")]
    pub(in crate::cli) init: bool,
    /// The process
    #[arg(short = 'p', long)]
    pub(in crate::cli) pid: bool,
    /// Print what is in the file
    #[arg(short = 'C', long, conflicts_with = "all")]
    pub(in crate::cli) contents: bool,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `watch`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Watch {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
}
