//! Calls the monitor's hook for every event that is recorded.
//!
//! The event table is read a few times a second. Numbers of events are taken before their transactions commit, so an event
//! may appear after one with a higher number: the newest numbers are looked at again and again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use pgaf_core::keeper::HookKind;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Row;

use crate::config::HookCommand;
use crate::hooks::{Call, Hooks};
use crate::postgres::{Instance, LocalSession, PostgresError};

/// Between two looks at the table.
const PERIOD: Duration = Duration::from_millis(300);
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(1);
/// So many numbers below the highest may still appear.
const LATE: i64 = 200;
/// Events that are read at once.
const MOST_AT_ONCE: i64 = 500;

const NEWEST: &str = "SELECT coalesce(max(eventid), 0) FROM pgautofailover.event";

const QUESTION: &str = "\
SELECT eventid, pg_catalog.to_char(eventtime AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), formationid, groupid,
       nodeid, nodename, nodehost, nodeport, reportedstate::text, goalstate::text, reportedtli, description
  FROM pgautofailover.event
 WHERE eventid > $1 AND eventid <> ALL ($2)
 ORDER BY eventid
 LIMIT $3";

/// Which events the hook was called for.
#[derive(Debug, Default)]
pub(crate) struct EventFeed {
    /// All up to this one, and those that came late are not expected any more.
    floor: Option<i64>,
    seen: BTreeSet<i64>,
    is_failing: bool,
}

impl EventFeed {
    /// Calls the hook for every event, as long as Postgres runs; events from before are not told.
    pub(crate) async fn follow(
        &mut self,
        instance: &Instance,
        dbname: &str,
        command: Option<&HookCommand>,
        hooks: &Hooks,
    ) -> Infallible {
        let Some(command) = command else {
            // What happens without a hook is not told when there is one.
            *self = Self::default();
            return pending().await;
        };
        loop {
            if let Err(error) = self.read_on(instance, dbname, command, hooks).await
                && !std::mem::replace(&mut self.is_failing, true)
            {
                tracing::warn!("could not read events for hook on_event: {error}; retrying");
            }
            sleep(RETRY).await;
        }
    }

    async fn read_on(
        &mut self,
        instance: &Instance,
        dbname: &str,
        command: &HookCommand,
        hooks: &Hooks,
    ) -> Result<Infallible, PostgresError> {
        let session = instance.session(dbname).await?;
        if self.floor.is_none() {
            let row = session.query_one(NEWEST, &[]).await.map_err(PostgresError::sql("read the events"))?;
            self.floor = Some(row.get(0));
        }
        loop {
            for row in self.read(&session).await? {
                hooks.call(command.clone(), call(&row));
                self.note(row.get(0));
            }
            self.is_failing = false;
            sleep(PERIOD).await;
        }
    }

    async fn read(&self, session: &LocalSession) -> Result<Vec<Row>, PostgresError> {
        let floor = self.floor.unwrap_or_default();
        let seen: Vec<i64> = self.seen.iter().copied().collect();
        let rows = session.query(QUESTION, &[&floor, &seen, &MOST_AT_ONCE]).await;
        rows.map_err(PostgresError::sql("read the events"))
    }

    fn note(&mut self, event: i64) {
        self.seen.insert(event);
        let highest = self.seen.last().copied().unwrap_or_default();
        let floor = self.floor.unwrap_or_default().max(highest - LATE);
        self.floor = Some(floor);
        self.seen.retain(|seen| *seen > floor);
    }
}

fn call(row: &Row) -> Call {
    let text = |index: usize| Value::from(row.get::<_, Option<String>>(index));
    let facts = vec![
        ("event_id", json!(row.get::<_, i64>(0))),
        ("event_time", text(1)),
        ("formation", text(2)),
        ("group", json!(row.get::<_, i32>(3))),
        ("node_id", json!(row.get::<_, i64>(4))),
        ("node_name", text(5)),
        ("node_host", text(6)),
        ("node_port", json!(row.get::<_, i32>(7))),
        ("reported_state", text(8)),
        ("goal_state", text(9)),
        ("timeline", json!(row.get::<_, i32>(10))),
        ("description", text(11)),
    ];
    Call::new(HookKind::Event, facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_events_are_expected_for_a_while() {
        let mut feed = EventFeed { floor: Some(10), ..EventFeed::default() };
        feed.note(12);
        assert_eq!((feed.floor, feed.seen.len()), (Some(10), 1));
        feed.note(11);
        feed.note(12 + LATE);
        assert_eq!(feed.floor, Some(12));
        assert_eq!(feed.seen.iter().copied().collect::<Vec<_>>(), [12 + LATE]);
    }
}
