//! A Citus formation: group 0 is the coordinator's, every other group holds a part of the shards. Its applications
//! write through the coordinator, and it is in order when the coordinator, its workers and the monitor agree.

mod available;
mod clients;
mod formation;
mod held;
mod order;

pub(crate) use available::{Citus, is_citus_required, lacks_citus};
pub(crate) use clients::{Clients, Patience};
pub(crate) use formation::Formation;
pub(crate) use order::prepared_transactions;
