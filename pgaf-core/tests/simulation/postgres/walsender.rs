//! What a server knows of a standby that receives from it.

use pgaf_core::{Lsn, NodeId};

use super::Postgres;

/// `wal_sender_timeout`.
const TIMEOUT_MS: u64 = 5000;
/// A standby that has replied within this time streams.
const FRESH_MS: u64 = 2000;

/// A row of `pg_stat_replication`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walsender {
    pub(crate) node: NodeId,
    pub(crate) replied_at: u64,
    pub(crate) flushed: Lsn,
    /// It has sent all there was once: from then on its acknowledgements count.
    pub(crate) has_caught_up: bool,
}

impl Walsender {
    /// As the keeper sees it.
    pub(crate) const fn is_fresh(&self, now: u64) -> bool {
        now - self.replied_at < FRESH_MS
    }
}

impl Postgres {
    pub(super) fn forget_silent_walsenders(&mut self, now: u64) {
        for walsender in &mut self.walsenders {
            if walsender.is_some_and(|it| now - it.replied_at >= TIMEOUT_MS) {
                *walsender = None;
            }
        }
    }

    /// A reply of a standby has come in.
    pub(crate) fn hears_reply(&mut self, host: usize, flushed: Lsn, now: u64) {
        let end = self.end.lsn();
        if let Some(walsender) = &mut self.walsenders[host] {
            walsender.replied_at = now;
            walsender.flushed = flushed;
            walsender.has_caught_up |= flushed >= end;
        }
    }
}
