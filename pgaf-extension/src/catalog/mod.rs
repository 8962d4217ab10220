//! The tables: what is in them becomes a [`pgaf_core::Group`], what was decided becomes rows and notifications.
//!
//! Nothing here decides.

pub(crate) mod load;
pub(crate) mod locate;
pub(crate) mod notify;
pub(crate) mod store;
pub(crate) mod timelines;
