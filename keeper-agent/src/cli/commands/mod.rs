//! The command line as types: every command and its options.

mod create;
mod debugging;
mod node;
mod properties;
mod show;

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

pub(super) use create::{Create, Kind, NewCitusNode, NewFormation, NewMonitor, NewNode};
pub(super) use debugging::{
    Compose, Debugging, Demo, DemoOptions, Fsm, Getpid, Nodes, Pgsetup, Restart, Service, Session,
    ShowNetwork, Tmux,
};
pub(super) use node::{Config, Disable, Drop, DropNode, Enable, Run, Status, Stop};
pub(super) use properties::{
    Accept, AcceptTimeline, FormationChoice, Get, GetFormation, GetNode, NodeChoice, Pause, Perform,
    PerformFailover, PerformRestart, Resume, Set, SetFormation, SetNode, Unset, UnsetFormation,
};
pub(super) use show::{Show, ShowEvents, ShowFile, ShowState, ShowUri, Watch};

use super::options::{Json, Pgdata};

/// Automatic failover for Postgres: runs nodes and their monitor, shows and changes their state
#[derive(Parser, Debug)]
#[command(
    name = "pg_autoctl",
    version = "",
    propagate_version = true,
    disable_version_flag = true,
    subcommand_required = false,
    arg_required_else_help = true,
    infer_long_args = true,
    max_term_width = 100
)]
pub(in crate::cli) struct Cli {
    /// Messages from INFO up, as without it; -vv from DEBUG up, -vvv from TRACE up
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true, action = ArgAction::Count, overrides_with = "verbose")]
    pub(in crate::cli) quiet: u8,
    /// Print JSON, where a command prints anything
    #[arg(short = 'J', long, global = true)]
    pub(in crate::cli) json: bool,
    /// Print the version
    #[arg(short = 'V', long, global = true, action = ArgAction::Version)]
    pub(in crate::cli) version: Option<bool>,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<Command>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Command {
    /// Create a monitor, a node or a formation
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
    /// Watch node states and events live
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
    /// Take back a property of a formation
    #[command(subcommand)]
    Unset(Unset),
    /// Request a failover, a switchover or a promotion
    #[command(subcommand)]
    Perform(Perform),
    /// Pause automatic failover of a formation: nobody is promoted until a person says so
    Pause(Pause),
    /// Resume automatic failover of a formation
    Resume(Resume),
    /// Decide what only a person can decide
    #[command(subcommand)]
    Accept(Accept),
    /// Let a Citus worker take part
    Activate(Pgdata),
    /// Print the version
    Version(Json),
    /// Print a script that completes commands
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands
    #[command(hide = true)]
    Man {
        /// Directory
        directory: PathBuf,
    },
    /// For debugging, when PG_AUTOCTL_DEBUG is set
    #[command(subcommand, hide = true)]
    Do(Debugging),
}
