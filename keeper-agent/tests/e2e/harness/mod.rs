//! A test bed of real processes: every "host" is a network namespace with a Postgres, a keeper and directories of
//! its own, joined by a bridge that can be cut. Nothing here knows what a scenario expects; it only builds
//! clusters, breaks them, writes to them and counts what was acknowledged.

mod citus;
mod clock;
mod cluster;
mod delay;
mod disk;
mod dump;
mod event;
mod fault;
mod host;
mod impairment;
pub(crate) mod ledger;
mod loss;
mod monitors;
mod network;
mod operator;
mod peer;
pub(crate) mod process;
mod reader;
mod security;
mod sql;
mod standby_names;
mod standin;
mod stoppable_disk;
mod sweep;
mod tls;
mod tools;
mod wait;
pub(crate) mod watch;
pub(crate) mod workload;
mod writer;

pub(crate) use citus::{Clients, Formation, Patience, is_citus_required, lacks_citus, prepared_transactions};
pub(crate) use clock::SteppedClock;
pub(crate) use cluster::{Cluster, Setup};
pub(crate) use delay::Delay;
pub(crate) use disk::SmallDisk;
pub(crate) use host::{Host, give_to_postgres};
pub(crate) use ledger::{Ack, Ledger, check_one_writer};
pub(crate) use loss::Loss;
pub(crate) use network::{Door, Link, Network};
pub(crate) use peer::lacks_older;
pub(crate) use process::{
    Ended, is_process, kill_namespace, pids_in_namespace, run, run_to_end, run_to_end_with_input, signal,
    wait_child,
};
pub(crate) use security::{Auth, Security, Tls};
pub(crate) use sql::{Row, Session, Sql, Target, new_runtime, sqlstate};
pub(crate) use stoppable_disk::StoppableDisk;
pub(crate) use sweep::{
    clean_up_on_signals, is_kept, remove_directory, run_directory, sweep, sweep_dead_runs,
};
pub(crate) use tools::{Build, Installed, Tools, unavailable};
pub(crate) use wait::{wait_for, wait_looking_every};
pub(crate) use writer::{Application, Audience, Pace, Writer};
