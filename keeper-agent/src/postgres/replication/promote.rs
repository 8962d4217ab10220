//! Ends recovery on a new timeline.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::client::within;
use crate::postgres::data::{history, start::STANDBY_SIGNAL};
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, Session, connection, files};

use super::hold_ups::HoldUps;

/// The file that asks a server in recovery to end it.
const PROMOTE_SIGNAL: &str = "promote";

/// Promotion first replays what is there: it may go on as long as that advances; without, this long.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The checkpoint after it runs in the background, and is given up after this.
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(600);

/// Promotes it, and waits until it accepts writes: by then the new timeline and its parent are on the disk.
pub(crate) async fn run(server: &LocalServer) -> Result<(), PostgresError> {
    let session = match server.any_session().await {
        Ok(session) => session,
        Err(error) if error.is_refusal() => return run_without_session(server).await,
        Err(error) => return Err(error),
    };
    let (mut is_in_recovery, mut replayed) = look(&session).await?;
    if !is_in_recovery {
        return Ok(());
    }
    connection::run(&session, "promote", "SELECT pg_promote(wait => false)").await?;
    let mut advanced = Instant::now();
    let mut hold_ups = HoldUps::new(server);
    while is_in_recovery {
        sleep(LOOK_INTERVAL).await;
        let last = replayed;
        (is_in_recovery, replayed) = look(&session).await?;
        if replayed != last {
            advanced = Instant::now();
            hold_ups.note_progress();
        } else if is_in_recovery {
            hold_ups.clear(server, &session, advanced.elapsed()).await?;
        }
        if advanced.elapsed() > PATIENCE {
            return Err(PostgresError::TimedOut { what: "the promotion".to_owned(), after: PATIENCE });
        }
    }
    // The kept session must be free for other steps.
    if let Session::New(session) = session {
        checkpoint_in_background(session);
    }
    complete_history(server).await
}

async fn complete_history(server: &LocalServer) -> Result<(), PostgresError> {
    let config = server.config();
    server.files().run("completing the timeline history", move || history::complete(&config.pgdata)).await
}

/// As `pg_ctl promote` does it, on a server that refuses the keeper. It removes its signal file when recovery has ended.
async fn run_without_session(server: &LocalServer) -> Result<(), PostgresError> {
    let config = server.config();
    let Some(postmaster) = server.postmaster().await? else {
        return Err(PostgresError::Refused("Postgres does not run".to_owned()));
    };
    let files_of = Arc::clone(&config);
    server
        .files()
        .run("asking for the promotion", move || {
            files::replace(&files_of.in_pgdata(PROMOTE_SIGNAL), b"", 0o600)
        })
        .await?;
    postmaster.signal(Signal::USR1);
    let give_up = Instant::now() + PATIENCE;
    loop {
        let files_of = Arc::clone(&config);
        let is_standby = move || Ok(files_of.in_pgdata(STANDBY_SIGNAL).exists());
        if !server.files().run("looking at the signal file", is_standby).await? {
            return complete_history(server).await;
        }
        if Instant::now() >= give_up || postmaster.has_ended() {
            return Err(PostgresError::TimedOut { what: "the promotion".to_owned(), after: PATIENCE });
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn look(session: &LocalSession) -> Result<(bool, Option<String>), PostgresError> {
    let row = connection::row(
        session,
        "look at the promotion",
        "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text",
        &[],
    )
    .await?;
    Ok((row.get(0), row.get(1)))
}

/// Until the first checkpoint, the control file knows the old timeline only, and pg_rewind would compare with that.
/// The server's own checkpoint takes its time.
fn checkpoint_in_background(session: LocalSession) {
    tokio::spawn(async move {
        let checkpoint = session.batch_execute("CHECKPOINT");
        let what = "the checkpoint after the promotion";
        match within(CHECKPOINT_DEADLINE, what, checkpoint).await {
            Ok(Ok(())) => tracing::debug!("{what} is done"),
            Ok(Err(error)) => tracing::debug!("{what} failed: {error}"),
            Err(error) => tracing::debug!("{error}"),
        }
    });
}
