//! Settings of Postgres that a person gives to all nodes of a formation.

use std::collections::BTreeMap;
use std::ffi::CString;

use pgaf_core::{Epoch, NodeId, why_not_of_formation};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::{operate, pause};
use crate::catalog::load::Row;
use crate::catalog::{locate, notify};
use crate::error::Error;
use crate::jsonb::Jsonb;
use crate::lock;
use crate::statement::statements;
use crate::transition;

statements! {
    KEEP(TEXTOID, TEXTOID, TEXTOID, TEXTOID) = "
        INSERT INTO pgautofailover.postgres_setting AS s (formationid, name, value, setby) VALUES ($1, $2, $3, $4)
        ON CONFLICT (formationid, name)
          DO UPDATE SET value = excluded.value, setby = excluded.setby, settime = pg_catalog.now()
          WHERE s.value <> excluded.value
     RETURNING name";
    FORGET(TEXTOID, TEXTOID) = "
        DELETE FROM pgautofailover.postgres_setting WHERE formationid = $1 AND name = $2 RETURNING name";
    NODES(TEXTOID) = "
        SELECT nodeid, goalepoch FROM pgautofailover.node WHERE formationid = $1 ORDER BY nodeid";
}

/// Names with values, or with null for those that shall be as without. False when nothing had to change.
#[pg_extern(sql = false)]
fn set_postgres_settings(formation_id: &str, settings: Jsonb) -> Result<bool, ErrorReport> {
    transition::run(|client| {
        let wanted: BTreeMap<String, Option<String>> = settings.parse().map_err(|error| Error::Invalid {
            what: format!("the settings cannot be read: {error}"),
            hint: "Give an object with a text for each setting, or null.",
        })?;
        lock::formation(formation_id);
        locate::formation(client, formation_id)?;
        for (name, value) in &wanted {
            if let Some(value) = value {
                check(name, value)?;
            }
        }
        let who = operate::caller(client)?;
        let mut changes = Vec::new();
        for (name, value) in &wanted {
            if keep(client, formation_id, name, value.as_deref(), &who)? {
                changes.push(match value {
                    Some(value) => format!("{name} to '{value}'"),
                    None => format!("{name} back to what each node has"),
                });
            }
        }
        if changes.is_empty() {
            return Ok(false);
        }
        pause::tell_groups(client, formation_id, &format!("{who} set {}", changes.join(", ")))?;
        tell_nodes(client, formation_id)?;
        Ok(true)
    })
}

/// Says whether that is a change.
fn keep(
    client: &mut SpiClient<'_>,
    formation: &str,
    name: &str,
    value: Option<&str>,
    who: &str,
) -> Result<bool, Error> {
    let mut changed = match value {
        Some(value) => KEEP.with(|statement| {
            statement.run(client, &[formation.into(), name.into(), value.into(), who.into()])
        })?,
        None => FORGET.with(|statement| statement.run(client, &[formation.into(), name.into()]))?,
    };
    Ok(changed.next().is_some())
}

/// Every keeper asks at once.
fn tell_nodes(client: &mut SpiClient<'_>, formation: &str) -> Result<(), Error> {
    let rows = NODES.with(|statement| statement.run(client, &[formation.into()]))?;
    let nodes = rows.map(|row| {
        let row = Row { row, what: "a node" };
        Ok((NodeId(row.get(1)?), Epoch(row.get(2)?)))
    });
    let nodes = nodes.collect::<Result<Vec<_>, Error>>()?;
    nodes.into_iter().try_for_each(|(node, epoch)| notify::keeper(client, node, epoch))
}

/// Refuses what cannot be one of a formation, and what this server, which is one of Postgres as well, would not take. The
/// settings of an extension are known to the nodes alone.
fn check(name: &str, value: &str) -> Result<(), Error> {
    let refused = |reason: &str| Error::Invalid {
        what: format!("\"{name}\" cannot be set for a formation: {reason}"),
        hint: "See which settings can be set for all nodes in docs/guide/postgres-settings.md.",
    };
    if let Some(reason) = why_not_of_formation(name) {
        return Err(refused(reason));
    }
    let (false, Ok(name_text), Ok(value_text)) =
        (value.contains(char::is_control), CString::new(name), CString::new(value))
    else {
        return Err(refused("its value has a line break or another control character"));
    };
    if name.contains('.') {
        return Ok(());
    }
    // SAFETY: reads what the server knows of a setting; both texts live until the calls have ended. The value is checked as
    // one of a configuration file, and not set. An unknown name and a wrong value are errors of Postgres, in its words.
    unsafe {
        let flags = pg_sys::GetConfigOptionFlags(name_text.as_ptr(), false);
        if u32::try_from(flags).is_ok_and(|flags| flags & pg_sys::GUC_DISALLOW_IN_FILE != 0) {
            return Err(refused("it cannot be set in a configuration file"));
        }
        pg_sys::set_config_option(
            name_text.as_ptr(),
            value_text.as_ptr(),
            pg_sys::GucContext::PGC_POSTMASTER,
            pg_sys::GucSource::PGC_S_FILE,
            pg_sys::GucAction::GUC_ACTION_SET,
            false,
            pgrx::PgLogLevel::ERROR as i32,
            false,
        );
    }
    Ok(())
}
