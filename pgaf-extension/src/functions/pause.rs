//! A pause of automatic failover: said for a formation, kept in a table, and ended by a person or by its time.

use pgaf_core::monitor::Event;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::operate;
use crate::catalog::load::{self, Row};
use crate::catalog::{locate, store};
use crate::error::Error;
use crate::lock;
use crate::statement::statements;
use crate::transition;

statements! {
    PAUSE(TEXTOID, TIMESTAMPTZOID, TEXTOID) = "
        INSERT INTO pgautofailover.failover_pause (formationid, endtime, pausedby) VALUES ($1, $2, $3)
        ON CONFLICT (formationid)
          DO UPDATE SET pausetime = pg_catalog.now(), endtime = excluded.endtime, pausedby = excluded.pausedby
     RETURNING coalesce(' until ' || endtime::text, ''), coalesce(endtime <= pg_catalog.clock_timestamp(), false)";
    RESUME(TEXTOID) = "
        DELETE FROM pgautofailover.failover_pause WHERE formationid = $1 RETURNING formationid";
}

#[pg_extern(sql = false)]
fn pause_failover(
    formation_id: Option<&str>,
    end_time: Option<TimestampWithTimeZone>,
) -> Result<(), ErrorReport> {
    transition::run(|client| {
        let formation = formation_id.ok_or(Error::Null("the name of the formation"))?;
        lock::formation(formation);
        locate::formation(client, formation)?;
        let who = operate::caller(client)?;
        let arguments = [formation.into(), end_time.into(), who.as_str().into()];
        let row = PAUSE.with(|statement| statement.run(client, &arguments))?.next();
        let row = Row { row: row.ok_or(Error::Null("a pause"))?, what: "a pause" };
        if row.get(2)? {
            return Err(Error::Invalid {
                what: "the pause would end before it begins".to_owned(),
                hint: "Give a time that is to come.",
            });
        }
        let until: String = row.get(1)?;
        tell_groups(client, formation, &format!("{who} paused automatic failover{until}"))
    })
}

#[pg_extern(sql = false)]
fn resume_failover(formation_id: &str) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        lock::formation(formation_id);
        locate::formation(client, formation_id)?;
        if RESUME.with(|statement| statement.run(client, &[formation_id.into()]))?.next().is_none() {
            return Ok(false);
        }
        let who = operate::caller(client)?;
        tell_groups(client, formation_id, &format!("{who} resumed automatic failover"))?;
        Ok(true)
    })
}

/// Says it in every group of the formation, which the caller has locked, and decides: what has happened meanwhile counts.
pub(crate) fn tell_groups(client: &mut SpiClient<'_>, formation: &str, what: &str) -> Result<(), Error> {
    for group in load::groups(client, formation)? {
        let before = load::group(client, formation, group)?;
        store::group_event(client, &before, what)?;
        transition::decide(client, &before, &before, &Event::Tick)?;
    }
    Ok(())
}
