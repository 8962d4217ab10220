//! The extension in the monitor's database, in the version that this program works with.

use crate::client::describe;
use crate::exit::Exit;
use crate::monitor::EXTENSION_VERSION;
use crate::postgres::LocalSession;

/// Why it cannot be had. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// The database is that of a later version.
    #[error(
        "the monitor has extension pgautofailover {installed}, this program works with {wanted}: install the packages of version {installed} or later"
    )]
    Newer {
        /// In the database.
        installed: String,
        /// By this program.
        wanted: String,
    },
    /// Postgres refuses.
    #[error("could not update extension pgautofailover from {installed} to {wanted}: {reason}")]
    Refused {
        /// In the database.
        installed: String,
        /// By this program.
        wanted: String,
        /// Why.
        reason: String,
    },
    /// It could not be asked for.
    #[error("could not read the version of extension pgautofailover: {0}")]
    Unknown(String),
}

impl ExtensionError {
    /// What the program ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Newer { .. } | Self::Refused { .. } => Exit::ExtensionMissing,
            Self::Unknown(_) => Exit::PgCtl,
        }
    }
}

/// The version that this program works with; another one where people test updates.
fn wanted() -> String {
    let is_test = std::env::var_os("PG_AUTOCTL_DEBUG").is_some();
    let given = std::env::var("PG_AUTOCTL_EXTENSION_VERSION").ok();
    given.filter(|_| is_test).unwrap_or_else(|| EXTENSION_VERSION.to_owned())
}

/// Updates an older extension; all of that is one transaction.
///
/// # Errors
/// A newer one, or an update that fails.
pub async fn bring_up_to_date(session: &LocalSession) -> Result<(), ExtensionError> {
    let wanted = wanted();
    let unknown = |error: tokio_postgres::Error| ExtensionError::Unknown(describe(&error));
    let query = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pgautofailover'";
    let Some(row) = session.query_opt(query, &[]).await.map_err(unknown)? else {
        tracing::warn!("the monitor's database does not have the extension pgautofailover");
        return Ok(());
    };
    let installed: String = row.try_get(0).map_err(unknown)?;
    if installed == wanted {
        return Ok(());
    }
    if order(&installed) > order(&wanted) {
        return Err(ExtensionError::Newer { installed, wanted });
    }
    tracing::info!("updating extension pgautofailover from {installed} to {wanted}");
    let update = format!("ALTER EXTENSION pgautofailover UPDATE TO '{}'", wanted.replace('\'', "''"));
    match session.batch_execute(&update).await {
        Ok(()) => {
            tracing::info!("updated extension pgautofailover to {wanted}");
            Ok(())
        }
        Err(error) => Err(ExtensionError::Refused { installed, wanted, reason: describe(&error) }),
    }
}

/// By which versions are compared: the numbers before and after the point.
fn order(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(order("3.10") > order("3.9"));
        assert!(order("2.2") < order("3.0"));
        assert!(order("3.0") < order("3.0.1"));
    }
}
