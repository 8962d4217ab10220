//! Keeps the role that standbys connect as what it must be: a standby that comes back is refused otherwise. A standby
//! receives the role from its primary.

use crate::client::Secret;
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, REPLICATION_ROLE, connection};

/// What an operator, or a tool, may have taken from it, in the words of ALTER ROLE; one row, unless the role was dropped.
const FAULTS: &str = "\
SELECT array_remove(ARRAY[
           CASE WHEN NOT rolcanlogin THEN 'NOLOGIN' END,
           CASE WHEN NOT rolreplication THEN 'NOREPLICATION' END,
           CASE WHEN rolconnlimit >= 0 THEN 'CONNECTION LIMIT ' || rolconnlimit END,
           CASE WHEN rolvaliduntil <= now() THEN format('VALID UNTIL %L', rolvaliduntil) END], NULL),
       coalesce(rolpassword, '')
  FROM pg_authid WHERE rolname = $1::text";

/// Gives the role the password that is configured, and what it has lost.
pub(super) async fn keep(server: &LocalServer, session: &LocalSession) -> Result<(), PostgresError> {
    let row = connection::row(session, "ask for recovery", "SELECT pg_is_in_recovery()", &[]).await?;
    if row.get(0) {
        return Ok(());
    }
    let (mut faults, verifier) = match faults(session).await? {
        Some(found) => found,
        None => (vec!["dropped".to_owned()], String::new()),
    };
    let password = server.config().replication_password.clone();
    let is_new = match (&server.state().replication_role, &password) {
        (_, None) => false,
        (Some((given, kept)), Some(password)) if given == password => {
            if kept.expose() != verifier {
                faults.push("with another PASSWORD".to_owned());
            }
            false
        }
        _ => true,
    };
    if !faults.is_empty() {
        tracing::warn!(
            "role {REPLICATION_ROLE}, which standbys connect as, was found {}: it is pg_autoctl's to set, and was put right",
            faults.join(", ")
        );
        server.ensure_replication_roles().await?;
        let unlimited = format!("ALTER ROLE {REPLICATION_ROLE} CONNECTION LIMIT -1 VALID UNTIL 'infinity'");
        connection::run(session, "put the replication role right", &unlimited).await?;
    } else if is_new {
        server.ensure_replication_roles().await?;
    } else {
        return Ok(());
    }
    if let (Some(password), Some((_, verifier))) = (password, self::faults(session).await?) {
        server.state().replication_role = Some((password, Secret::new(verifier)));
    }
    Ok(())
}

/// `None` when there is no such role; the second is its verifier.
async fn faults(session: &LocalSession) -> Result<Option<(Vec<String>, String)>, PostgresError> {
    let rows =
        connection::rows(session, "look at the replication role", FAULTS, &[&REPLICATION_ROLE]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}
