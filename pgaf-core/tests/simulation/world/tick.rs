//! The steps in which time passes.

pub(super) const TICK_MS: u64 = 50;
