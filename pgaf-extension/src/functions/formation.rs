//! `create_formation` and `drop_formation`: a place for nodes that serve one database.

use std::ffi::CStr;

use pgaf_core::{FormationKind, MAX_NAME_BYTES};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::catalog::{load, locate};
use crate::error::Error;
use crate::lock;
use crate::record::Record;
use crate::statement::statements;
use crate::transition;

statements! {
    INSERT(TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4OID) = "
        INSERT INTO pgautofailover.formation (formationid, kind, dbname, opt_secondary, number_sync_standbys)
             VALUES ($1, $2, $3, $4, $5)";
    DELETE_STATUS(TEXTOID) = "
        DELETE FROM pgautofailover.group_status WHERE formationid = $1";
    DELETE_TIMELINES(TEXTOID) = "
        DELETE FROM pgautofailover.timeline WHERE formationid = $1";
    DELETE(TEXTOID) = "
        DELETE FROM pgautofailover.formation WHERE formationid = $1";
}

#[pg_extern(sql = false)]
fn create_formation(
    formation_id: &str,
    kind: &str,
    dbname: &CStr,
    has_secondary: bool,
    number_sync_standbys: i32,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Record, ErrorReport> {
    let dbname = dbname.to_string_lossy();
    transition::run(|client| {
        check(formation_id, kind, &dbname, number_sync_standbys)?;
        lock::formation(formation_id);
        if locate::find_formation(client, formation_id)?.is_some() {
            return Err(Error::Duplicate {
                what: format!("formation \"{formation_id}\" exists already"),
                hint: "Choose another name, or drop that formation first.",
            });
        }
        let row = [
            formation_id.into(),
            kind.into(),
            dbname.as_ref().into(),
            has_secondary.into(),
            number_sync_standbys.into(),
        ];
        INSERT.with(|statement| statement.run(client, &row))?;
        Ok(())
    })?;
    let columns = [
        formation_id.to_owned(),
        kind.to_owned(),
        dbname.into_owned(),
        has_secondary.to_string(),
        number_sync_standbys.to_string(),
    ];
    Ok(Record::new(fcinfo, &columns.map(Some))?)
}

#[pg_extern(sql = false)]
fn drop_formation(formation_id: &str) -> Result<(), ErrorReport> {
    transition::run(|client| {
        lock::formation(formation_id);
        locate::formation(client, formation_id)?;
        if !load::groups(client, formation_id)?.is_empty() {
            return Err(Error::WrongState {
                what: format!("formation \"{formation_id}\" still has nodes"),
                hint: "Drop its nodes first, with \"pg_autoctl drop node\".",
            });
        }
        for statement in [&DELETE_STATUS, &DELETE_TIMELINES, &DELETE] {
            statement.with(|statement| statement.run(client, &[formation_id.into()]))?;
        }
        Ok(())
    })
}

fn check(name: &str, kind: &str, dbname: &str, number_sync_standbys: i32) -> Result<(), Error> {
    let invalid = |what: String, hint| Err(Error::Invalid { what, hint });
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return invalid(
            format!("{name:?} cannot be the name of a formation"),
            "A name has 1 to 63 bytes and no control characters.",
        );
    }
    if ![FormationKind::Pgsql, FormationKind::Citus].map(FormationKind::as_str).contains(&kind) {
        return invalid(
            format!("\"{kind}\" is not a kind of formation"),
            "The kinds are \"pgsql\" and \"citus\".",
        );
    }
    if dbname.is_empty() {
        return invalid(
            "a formation needs the name of a database".to_owned(),
            "Use \"postgres\" when there is no other.",
        );
    }
    if number_sync_standbys < 0 {
        return invalid(
            format!("number_sync_standbys is {number_sync_standbys}, it cannot be negative"),
            "With 0 a primary goes on alone when it has lost its last standby.",
        );
    }
    Ok(())
}
