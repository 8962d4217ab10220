//! Switchovers at a time that a person has chosen. The worker carries them out.

use pgaf_core::GroupId;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::operate;
use crate::catalog::load::{self, Row};
use crate::catalog::store;
use crate::error::Error;
use crate::lock::{self, Wait};
use crate::statement::statements;
use crate::transition;

statements! {
    KEEP(TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID) = "
        INSERT INTO pgautofailover.scheduled_switchover (formationid, groupid, switchovertime, expirytime, scheduledby)
             VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (formationid, groupid)
          DO UPDATE SET switchovertime = excluded.switchovertime, expirytime = excluded.expirytime,
                        scheduledby = excluded.scheduledby
     RETURNING switchovertime::text, switchovertime <= pg_catalog.clock_timestamp(), expirytime <= switchovertime";
    CANCEL(TEXTOID, INT4OID) = "
        DELETE FROM pgautofailover.scheduled_switchover WHERE formationid = $1 AND groupid = $2
     RETURNING switchovertime::text";
}

#[pg_extern(sql = false)]
fn keep_schedule(
    formation_id: &str,
    group_id: i32,
    switchover_time: TimestampWithTimeZone,
    expiry_time: TimestampWithTimeZone,
) -> Result<(), ErrorReport> {
    transition::run(|client| {
        let id = GroupId(group_id);
        lock::group(formation_id, id, Wait::Blocking);
        let group = load::group(client, formation_id, id)?;
        if group.nodes.is_empty() {
            return Err(Error::UnknownGroup { formation: formation_id.to_owned(), group: id });
        }
        let who = operate::caller(client)?;
        let arguments = [
            formation_id.into(),
            group_id.into(),
            switchover_time.into(),
            expiry_time.into(),
            who.as_str().into(),
        ];
        let row = KEEP.with(|statement| statement.run(client, &arguments))?.next();
        let row = Row { row: row.ok_or(Error::Null("a schedule"))?, what: "a schedule" };
        let time: String = row.get(1)?;
        if row.get(2)? {
            return Err(Error::Invalid {
                what: format!("{time} is in the past"),
                hint: "Give a time that is to come, with its time zone.",
            });
        }
        if row.get(3)? {
            return Err(Error::Invalid {
                what: "the switchover would expire before it is due".to_owned(),
                hint: "Allow it some minutes.",
            });
        }
        store::group_event(client, &group, &format!("{who} scheduled a switchover for {time}"))
    })
}

#[pg_extern(sql = false)]
fn cancel_switchover(formation_id: &str, group_id: i32) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let id = GroupId(group_id);
        lock::group(formation_id, id, Wait::Blocking);
        let group = load::group(client, formation_id, id)?;
        let Some(row) =
            CANCEL.with(|statement| statement.run(client, &[formation_id.into(), group_id.into()]))?.next()
        else {
            return Ok(false);
        };
        let time: String = Row { row, what: "a schedule" }.get(1)?;
        let who = operate::caller(client)?;
        store::group_event(client, &group, &format!("{who} cancelled the switchover scheduled for {time}"))?;
        Ok(true)
    })
}
