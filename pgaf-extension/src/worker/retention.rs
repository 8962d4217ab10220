//! Deletes old events, a few at a time: no lock is held for long, and nobody waits for one.

use std::time::{Duration, Instant};

use pgrx::Spi;

use super::session;
use crate::error::Error;
use crate::gucs;
use crate::statement::statements;

/// Rows a transaction, some milliseconds of work: the worker has nodes to probe meanwhile.
const BATCH: i64 = 1_000;
/// Between two batches while there are more.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks when there are none.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

statements! {
    // By the index on the time. A row that somebody has locked is left for the next look.
    EXPIRED(INT4OID, INT8OID) = "
        DELETE FROM pgautofailover.event
              WHERE ctid = ANY (ARRAY(
                        SELECT ctid
                          FROM pgautofailover.event
                         WHERE eventtime < pg_catalog.now() - $1 * interval '1 second'
                      ORDER BY eventtime
                         LIMIT $2
                    FOR UPDATE SKIP LOCKED))
          RETURNING 1";
}

/// How long events are kept, and when to look for older ones next.
pub(super) struct Retention {
    kept_for: Option<Duration>,
    look_at: Instant,
}

impl Retention {
    pub(super) fn new() -> Self {
        Self { kept_for: gucs::event_retention(), look_at: Instant::now() }
    }

    /// Deletes a batch when one is due, and at once when the setting has changed.
    pub(super) fn apply_when_due(&mut self) {
        let (now, kept_for) = (Instant::now(), gucs::event_retention());
        if now < self.look_at && kept_for == self.kept_for {
            return;
        }
        self.kept_for = kept_for;
        self.look_at = now + LOOK_INTERVAL;
        let Some(retention) = kept_for else { return };
        let deleted = session::transaction("deleting old events", || delete(retention));
        if deleted.is_some_and(|deleted| deleted == BATCH.unsigned_abs()) {
            self.look_at = now + BATCH_INTERVAL;
        }
    }
}

/// Gives the number of rows.
fn delete(retention: Duration) -> Result<u64, Error> {
    let seconds = i32::try_from(retention.as_secs()).unwrap_or(i32::MAX);
    Spi::connect_mut(|client| {
        let rows = EXPIRED.with(|statement| statement.run(client, &[seconds.into(), BATCH.into()]))?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    })
}
