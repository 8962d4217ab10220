//! `do …`: for debugging.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::options::Pgdata;

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
}

/// `do pgsetup …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Pgsetup {
    /// Exit with 0 when the local Postgres accepts connections
    Ready(Pgdata),
    /// Wait until the local Postgres accepts connections
    Wait(Pgdata),
}

/// `do fsm …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Fsm {
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
pub(in crate::cli) enum Nodes {
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
}

/// `do service restart …`
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Restart {
    /// The local Postgres
    Postgres(Pgdata),
}
