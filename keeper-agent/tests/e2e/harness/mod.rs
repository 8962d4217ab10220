//! A test bed of real processes: every "host" is a network namespace with a Postgres, a keeper and directories of
//! its own, joined by a bridge that can be cut. Nothing here knows what a scenario expects; it only builds
//! clusters, breaks them, writes to them and counts what was acknowledged.

mod citus;
mod clock;
mod cluster;
mod disk;
mod dump;
mod event;
mod fault;
mod host;
mod impairment;
mod ledger;
mod network;
mod operator;
mod peer;
mod process;
mod reader;
mod security;
mod sql;
mod standby_names;
mod standin;
mod sweep;
mod tls;
mod tools;
mod wait;
mod watch;
mod workload;
mod writer;

pub(crate) use citus::{Clients, Formation, Patience, is_citus_required, lacks_citus, prepared_transactions};
pub(crate) use clock::SteppedClock;
pub(crate) use cluster::{Cluster, Setup};
pub(crate) use disk::SmallDisk;
pub(crate) use host::Host;
pub(crate) use ledger::{Ack, Ledger, check_one_writer};
pub(crate) use network::Door;
pub(crate) use process::{is_process, pids_in_namespace, run_to_end, signal};
pub(crate) use security::{Auth, Security, Tls};
pub(crate) use sql::{Row, Session, Sql, Target, new_runtime, sqlstate};
pub(crate) use sweep::{clean_up_on_signals, run_directory, sweep, sweep_dead_runs};
pub(crate) use tools::{Tools, unavailable};
pub(crate) use wait::wait_for;
pub(crate) use writer::{Application, Audience, Pace, Writer};
