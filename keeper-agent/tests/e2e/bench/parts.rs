//! Where a pause goes: until the monitor notices something, until it decides, until the successor is told to write.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::Cluster;

/// Seconds since the loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    noticed: f64,
    decided: f64,
    promoted: f64,
}

impl Parts {
    /// What the monitor tells of the last loss in this group; nothing when it is not one of ours, or has not decided.
    pub(super) fn of(cluster: &Cluster, group: i32, struck: SystemTime) -> Option<Self> {
        let struck = struck.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let since = format!("to_timestamp({struck:.6})");
        let query = format!(
            "select concat_ws(' ', extract(epoch from least(noticed, unreachable, decided) - {since}),
                              extract(epoch from decided - {since}), extract(epoch from promoted - {since}))
               from (select min(eventtime) filter (where description like '%has hung up%') as noticed,
                            min(eventtime) filter (where description like 'Setting goal state%') as decided,
                            min(eventtime) filter (where goalstate = 'wait_primary'
                                                     and description like 'Setting goal state%') as promoted
                       from pgautofailover.event where groupid = {group} and eventtime > {since}) as events,
                    (select min(healthchecktime) as unreachable from pgautofailover.node
                      where groupid = {group} and health = 0 and healthchecktime > {since}) as probes"
        );
        let answer = cluster.monitor.psql("pg_auto_failover", &query).ok()?;
        let mut times = answer.split_whitespace().map_while(|time| time.parse().ok());
        Some(Self { noticed: times.next()?, decided: times.next()?, promoted: times.next()? })
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noticed, decided, promoted } = self;
        write!(f, "noticed {noticed:.2}, decided {decided:.2}, promoted {promoted:.2}")
    }
}
