//! Makes the server read its files again, and waits until that shows.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::postgres::server::{LocalServer, PostgresError, connection};

use super::overruled;

/// How long a changed file may take to show.
const RELOAD_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl LocalServer {
    /// Makes a running server read its configuration and pg_hba.conf again, and waits until new sessions follow; one
    /// that does not run reads them when it starts.
    ///
    /// # Errors
    /// It cannot be connected to, or does not reload in time.
    pub async fn reload(&self) -> Result<(), PostgresError> {
        let Some(postmaster) = self.postmaster()? else {
            return Ok(());
        };
        let before = self.load_time().await?;
        postmaster.signal(Signal::HUP);
        let give_up = Instant::now() + RELOAD_DEADLINE;
        while self.load_time().await? == before {
            if Instant::now() >= give_up {
                return Err(PostgresError::TimedOut {
                    what: "a reload of the configuration".to_owned(),
                    after: RELOAD_DEADLINE,
                });
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn load_time(&self) -> Result<String, PostgresError> {
        let session = self.any_session().await?;
        let row =
            connection::row(&session, "look at the configuration", "SELECT pg_conf_load_time()::text", &[])
                .await?;
        Ok(row.get(0))
    }
}

/// Reloads, and waits until a new session sees `value`.
///
/// # Errors
/// It never does, because another file or ALTER SYSTEM says otherwise.
pub(crate) async fn run_and_await(
    server: &LocalServer,
    setting: &'static str,
    value: &str,
) -> Result<(), PostgresError> {
    let Some(postmaster) = server.postmaster()? else {
        return Ok(());
    };
    overruled::reset(server, setting).await?;
    postmaster.signal(Signal::HUP);
    let give_up = Instant::now() + RELOAD_DEADLINE;
    loop {
        // Each look is a new session: an old one may not have read its signal yet.
        let session = server.any_session().await?;
        let row = connection::row(
            &session,
            "look at the configuration",
            "SELECT current_setting($1, true), \
             (SELECT sourcefile FROM pg_settings WHERE name = $1)",
            &[&setting],
        )
        .await?;
        let seen: Option<String> = row.get(0);
        if seen.as_deref() == Some(value) {
            return Ok(());
        }
        if Instant::now() >= give_up {
            let source: Option<String> = row.get(1);
            return Err(PostgresError::Refused(format!(
                "{setting} does not take the value we set: remove it from \"{}\"",
                source.as_deref().unwrap_or("the file that overrides ours")
            )));
        }
        sleep(LOOK_INTERVAL).await;
    }
}
