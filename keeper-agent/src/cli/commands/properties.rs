//! `get …`, `set …` and `perform …`: what is asked of the monitor.

use clap::{ArgAction, Args, Subcommand};

use crate::cli::options::{Formation, FormationGroup, Json, MonitorOrPgdata, Pgdata, Wait, boolean};

/// Which node of which formation; the one in PGDATA unless named.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NodeChoice {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) formation: Formation,
    /// Name of the node
    #[arg(short = 'a', long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// Which formation, and how to print.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct FormationChoice {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) formation: Formation,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `get …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Get {
    /// Of a node
    #[command(subcommand)]
    Node(GetNode),
    /// Of a formation
    #[command(subcommand)]
    Formation(GetFormation),
}

/// `get node …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum GetNode {
    /// Whether commits on the primary may wait for it
    ReplicationQuorum(NodeChoice),
    /// Preference in elections, from 0 (never promoted) to 100
    CandidatePriority(NodeChoice),
}

/// `get formation …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum GetFormation {
    /// Settings of the formation and its nodes
    Settings(FormationChoice),
    /// Number of standbys that must acknowledge each commit
    NumberSyncStandbys(FormationChoice),
    /// Settings of Postgres that all nodes have
    PostgresSettings(FormationChoice),
}

/// `unset …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Unset {
    /// Of a formation
    #[command(subcommand)]
    Formation(UnsetFormation),
}

/// `unset formation …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum UnsetFormation {
    /// Take back settings of Postgres: each node has its own value again
    PostgresSettings {
        #[command(flatten)]
        formation: FormationChoice,
        /// Which ones
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

/// `set …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Set {
    /// Of a node
    #[command(subcommand)]
    Node(SetNode),
    /// Of a formation
    #[command(subcommand)]
    Formation(SetFormation),
}

/// `set node …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum SetNode {
    /// Name and address of the node in PGDATA
    Metadata {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Name
        #[arg(short = 'n', short_alias = 'a', long, value_name = "NAME")]
        name: Option<String>,
        /// Host
        #[arg(short = 'H', long, value_name = "HOST")]
        hostname: Option<String>,
        /// Port
        #[arg(short = 'p', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        pgport: Option<u16>,
        #[command(flatten)]
        json: Json,
    },
    /// Whether commits on the primary may wait for it
    ReplicationQuorum {
        #[command(flatten)]
        node: NodeChoice,
        /// true or false
        #[arg(value_parser = boolean, action = ArgAction::Set)]
        value: bool,
    },
    /// Preference in elections, from 0 (never promoted) to 100
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
pub(in crate::cli) enum SetFormation {
    /// Number of standbys that must acknowledge each commit
    NumberSyncStandbys {
        #[command(flatten)]
        formation: FormationChoice,
        /// How many
        #[arg(value_parser = clap::value_parser!(i32).range(0..))]
        value: i32,
    },
    /// Settings of Postgres for all nodes, like work_mem=64MB
    PostgresSettings {
        #[command(flatten)]
        formation: FormationChoice,
        /// Which ones
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = crate::cli::options::assignment)]
        settings: Vec<(String, String)>,
    },
}

/// `perform …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Perform {
    /// Promote a standby in place of the primary
    Failover(PerformFailover),
    /// The same as failover
    Switchover(PerformFailover),
    /// Promote a node of its group
    Promotion {
        #[command(flatten)]
        monitor: MonitorOrPgdata,
        #[command(flatten)]
        formation: Formation,
        /// Name of the node; the one in PGDATA unless given
        #[arg(short = 'a', long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        json: Json,
    },
    /// Restart the Postgres of all nodes, one after the other: the standbys first, the primary last, by a switchover
    Restart(PerformRestart),
    /// Have the Postgres of another one of several monitors decide
    #[command(hide = true)]
    MonitorSwitchover {
        #[command(flatten)]
        pgdata: Pgdata,
        /// Name of that monitor; the monitors choose unless given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
}

/// `perform restart`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct PerformRestart {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    /// Which groups: all of the formation unless one is given
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    #[command(flatten)]
    pub(in crate::cli) wait: Wait,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `pause`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Pause {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) formation: Formation,
    /// For how long, like 90s, 30min, 2h or 1d; until it is resumed unless given
    #[arg(long = "for", value_name = "TIME", value_parser = crate::cli::options::duration)]
    pub(in crate::cli) during: Option<std::time::Duration>,
}

/// `resume`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct Resume {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) formation: Formation,
}

/// `perform failover`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct PerformFailover {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    /// Go on without nodes that may have acknowledged commits: those commits are lost when only they have them
    #[arg(long)]
    pub(in crate::cli) allow_data_loss: bool,
    /// Not now but at this time, which has a time zone, like "2026-12-01 03:00+01"; the monitor sees to it
    #[arg(long, value_name = "TIME", conflicts_with_all = ["allow_data_loss", "cancel"])]
    pub(in crate::cli) at: Option<String>,
    /// Cancel the one that was asked for with --at
    #[arg(long, conflicts_with = "allow_data_loss")]
    pub(in crate::cli) cancel: bool,
    #[command(flatten)]
    pub(in crate::cli) wait: Wait,
    #[command(flatten)]
    pub(in crate::cli) json: Json,
}

/// `accept …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Accept {
    /// Choose the timeline branch to keep; nodes on other branches are rewound or copied again
    Timeline(AcceptTimeline),
}

/// `accept timeline`
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct AcceptTimeline {
    #[command(flatten)]
    pub(in crate::cli) monitor: MonitorOrPgdata,
    #[command(flatten)]
    pub(in crate::cli) group: FormationGroup,
    /// The newest timeline of that branch, see show timeline
    #[arg(value_parser = clap::value_parser!(u32).range(1..=0x7FFF_FFFF))]
    pub(in crate::cli) timeline: u32,
}
