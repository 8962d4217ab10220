//! The monitor's event table.

use std::time::Duration;

use anyhow::{Result, bail};

use super::cluster::Cluster;
use super::wait::wait_for;

impl Cluster {
    /// The newest event's id: those with a higher one tell of what happens from now on.
    pub(crate) fn last_event(&self) -> Result<i64> {
        let sql = "select coalesce(max(eventid), 0) from pgautofailover.event";
        Ok(self.on_monitor(|monitor| monitor.text(sql))?.parse()?)
    }

    /// The descriptions of all events after that one, in their order.
    pub(crate) fn events_after(&self, event: i64) -> Result<Vec<String>> {
        let sql =
            format!("select description from pgautofailover.event where eventid > {event} order by eventid");
        Ok(self.on_monitor(|monitor| monitor.rows(&sql))?.into_iter().flatten().flatten().collect())
    }

    /// Waits for an event after that one that says all these words; returns what it says.
    pub(crate) fn wait_event(&self, after: i64, words: &[&str], within: Duration) -> Result<String> {
        wait_for(&format!("an event that says {words:?}"), within, || {
            let events = self.events_after(after)?;
            let found = events.iter().find(|event| words.iter().all(|word| event.contains(word)));
            match found {
                Some(event) => Ok(Some(event.clone())),
                None => bail!("the events are:\n{}", events.join("\n")),
            }
        })
    }
}
