//! Makes the server read its files again, and waits until that shows.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::postgres::server::{LocalServer, LocalSession, PostgresError, Postmaster, Session, connection};

use super::overruled;

/// How long a changed file may take to show.
const RELOAD_DEADLINE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The first reload that an open session shows may be somebody else's.
const ROUNDS: usize = 2;

impl LocalServer {
    /// Makes a running server read its configuration and pg_hba.conf again, and waits until new sessions follow; one
    /// that does not run reads them when it starts.
    ///
    /// # Errors
    /// It cannot be connected to, or does not reload in time.
    pub async fn reload(&self) -> Result<(), PostgresError> {
        let Some(postmaster) = self.postmaster().await? else {
            return Ok(());
        };
        let before = self.load_time().await?;
        postmaster.signal(Signal::HUP);
        let give_up = Instant::now() + RELOAD_DEADLINE;
        while self.load_time().await? == before {
            if Instant::now() >= give_up {
                return Err(too_late());
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn load_time(&self) -> Result<String, PostgresError> {
        load_time(&*self.any_session().await?).await
    }
}

async fn load_time(session: &LocalSession) -> Result<String, PostgresError> {
    let question = "SELECT pg_conf_load_time()::text";
    Ok(connection::row(session, "look at the configuration", question, &[]).await?.get(0))
}

/// Reloads, one after the other, until the postmaster has certainly read the files as they are now. A session that is
/// open reads them when the postmaster signals it, which may be for a reload that somebody else asked for before.
async fn await_rounds(
    postmaster: &Postmaster,
    session: &LocalSession,
    give_up: Instant,
) -> Result<(), PostgresError> {
    for _ in 0..ROUNDS {
        let before = load_time(session).await?;
        postmaster.signal(Signal::HUP);
        while load_time(session).await? == before {
            if Instant::now() >= give_up {
                return Err(too_late());
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
    Ok(())
}

fn too_late() -> PostgresError {
    PostgresError::TimedOut { what: "a reload of the configuration".to_owned(), after: RELOAD_DEADLINE }
}

/// Reloads, and waits until the server, and so every new session, has `value`. A caller that borrows the kept session
/// gives it: the server refuses another.
///
/// # Errors
/// It never does, because another file or ALTER SYSTEM says otherwise.
pub(in crate::postgres) async fn run_and_await(
    server: &LocalServer,
    setting: &'static str,
    value: &str,
    borrowed: Option<&Session>,
) -> Result<(), PostgresError> {
    let Some(postmaster) = server.postmaster().await? else {
        return Ok(());
    };
    overruled::reset(server, setting, borrowed).await?;
    let give_up = Instant::now() + RELOAD_DEADLINE;
    let borrowed = borrowed.filter(|session| matches!(session, Session::Reserved(_)));
    if let Some(session) = borrowed {
        await_rounds(&postmaster, session, give_up).await?;
    }
    postmaster.signal(Signal::HUP);
    loop {
        // Each look is a new session, if possible: an old one may not have read its signal yet.
        let new = match borrowed {
            None => Some(server.any_session().await?),
            Some(_) => None,
        };
        let Some(session) = new.as_ref().or(borrowed) else { return Ok(()) };
        let row = connection::row(
            session,
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
