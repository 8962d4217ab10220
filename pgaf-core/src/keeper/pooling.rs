//! The poolers that clients connect through, and what they are told while the primary changes.
//!
//! A primary that is about to stop has them paused: their clients wait. Whoever accepts writes has them send clients
//! there, and go on. All of this is best effort and short: nothing waits for a pooler that does not answer.

/// What this node has still to tell the poolers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Poolers {
    /// There are none.
    #[default]
    Unused,
    /// They may send clients elsewhere, or be paused.
    ToRoute,
    /// They were told to send clients here.
    Routed,
}
