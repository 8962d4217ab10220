//! Several monitors: the agents of the monitors elect, over Raft, and one of their Postgres servers decides.
//!
//! What is replicated is [`pgaf_core::monitors::Monitors`], a group whose nodes are the monitors' own servers. Each agent
//! runs the keeper's engine for its server; what a keeper hears from the monitor, that engine hears from this group.
//! Nodes and formations are not in the log: they are in the database that the servers replicate.
//!
//! The consensus is openraft's. From the bottom up: what it replicates (`types`), its log on disk (`store`), the
//! certificates and frames of its transport (`identity`, `frame`, `wire`), its network (`network`), the memory of whoever
//! leads (`leadership`, `prober`), joining (`joining`), and `peer`, the thread in which all of it runs.

mod types;

mod store;

mod identity;

mod frame;

mod wire;

mod network;

mod prober;

mod leadership;

mod majority;

mod joining;

mod peer;

#[cfg(test)]
mod tests;

pub(crate) use identity::{Identity, Token};
pub(crate) use network::{admit, drop_member, propose, status_of};
pub(crate) use peer::{Beginning, Handle, Peer, PeerError};
pub(crate) use store::create as create_store;
pub(crate) use types::Status;
pub(crate) use wire::{Admission, Progress};
