//! What a server is to the other nodes: whom it copies, rewinds to and follows, and who follows it.

pub(super) mod remote;

mod hold_ups;

pub(super) mod base_backup;
pub(super) mod follow;
pub(super) mod promote;
pub(super) mod rewind;

pub(super) mod admit;
mod logical_slots;
mod role;
mod slots;
pub(super) mod synchronous_standby_names;
