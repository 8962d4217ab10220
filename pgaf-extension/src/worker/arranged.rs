//! What persons have arranged for a time: switchovers that are due, and pauses that end.

use pgaf_core::GroupId;
use pgaf_core::monitor::{self, Event};
use pgrx::Spi;
use pgrx::spi::SpiClient;

use crate::catalog::load::{self, Row};
use crate::catalog::store;
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition;

statements! {
    DUE() = "
        SELECT formationid, groupid FROM pgautofailover.scheduled_switchover
         WHERE switchovertime <= pg_catalog.clock_timestamp()";
    ENDED() = "
        SELECT formationid FROM pgautofailover.failover_pause WHERE endtime <= pg_catalog.clock_timestamp()";
    SCHEDULE(TEXTOID, INT4OID) = "
        SELECT switchovertime::text, scheduledby, expirytime <= pg_catalog.clock_timestamp()
          FROM pgautofailover.scheduled_switchover
         WHERE formationid = $1 AND groupid = $2 AND switchovertime <= pg_catalog.clock_timestamp()";
    FORGET(TEXTOID, INT4OID) = "
        DELETE FROM pgautofailover.scheduled_switchover WHERE formationid = $1 AND groupid = $2";
    END_PAUSE(TEXTOID) = "
        DELETE FROM pgautofailover.failover_pause
         WHERE formationid = $1 AND endtime <= pg_catalog.clock_timestamp()
     RETURNING formationid";
}

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) switchovers: Vec<(String, GroupId)>,
    pub(super) pauses: Vec<String>,
}

/// Reads what is due.
pub(super) fn due() -> Result<Due, Error> {
    Spi::connect(|client| {
        let rows = DUE.with(|statement| statement.read(client, &[]))?;
        let switchovers = rows.map(|row| {
            let row = Row { row, what: "a schedule" };
            Ok((row.get(1)?, GroupId(row.get(2)?)))
        });
        let switchovers = switchovers.collect::<Result<_, Error>>()?;
        let rows = ENDED.with(|statement| statement.read(client, &[]))?;
        let pauses = rows.map(|row| Row { row, what: "a pause" }.get(1)).collect::<Result<_, Error>>()?;
        Ok(Due { switchovers, pauses })
    })
}

/// Carries out a switchover that is due, or forgets it when it could not be for too long. What refuses it now may not in a
/// second. False when the group is locked.
pub(super) fn switch_over(formation: &str, id: GroupId) -> Result<bool, Error> {
    Spi::connect_mut(|client| {
        if !lock::group(formation, id, Wait::Never) {
            return Ok(false);
        }
        let Some(row) =
            SCHEDULE.with(|statement| statement.run(client, &[formation.into(), id.0.into()]))?.next()
        else {
            return Ok(true);
        };
        let row = Row { row, what: "a schedule" };
        let (time, who): (String, String) = (row.get(1)?, row.get(2)?);
        let is_expired: bool = row.get(3)?;
        let group = load::group(client, formation, id)?;
        if is_expired {
            // Also when the monitor did not run in time: nobody expects it any more.
            let reason = match monitor::decide(&group, &Event::PerformFailover) {
                Err(refusal) => refusal.to_string(),
                Ok(_) => "the monitor did not come to it in time".to_owned(),
            };
            forget(client, formation, id)?;
            let what = format!("the switchover that {who} scheduled for {time} has expired: {reason}");
            store::group_event(client, &group, &what)?;
            return Ok(true);
        }
        match transition::decide(client, &group, &group, &Event::PerformFailover) {
            Ok(_) => {
                forget(client, formation, id)?;
                let what = format!("carrying out the switchover that {who} scheduled for {time}");
                store::group_event(client, &group, &what)?;
            }
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    })
}

/// Ends a pause whose time is over, and decides what has waited for that.
pub(super) fn end_pause(formation: &str) -> Result<bool, Error> {
    Spi::connect_mut(|client| {
        lock::formation(formation);
        if END_PAUSE.with(|statement| statement.run(client, &[formation.into()]))?.next().is_none() {
            return Ok(true);
        }
        for id in load::groups(client, formation)? {
            let group = load::group(client, formation, id)?;
            store::group_event(client, &group, "the pause of automatic failover is over")?;
            transition::decide(client, &group, &group, &Event::Tick)?;
        }
        Ok(true)
    })
}

fn forget(client: &mut SpiClient<'_>, formation: &str, group: GroupId) -> Result<(), Error> {
    FORGET
        .with(|statement| statement.run(client, &[formation.into(), group.0.into()]))
        .map(|_| ())
        .map_err(Error::from)
}
