//! Ends recovery on a new timeline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::postgres::data::history;
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, connection, files, within};

/// Promotion first replays what is there: it may go on as long as that advances; without, this long.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The checkpoint after it runs in the background, and is given up after this.
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(600);

/// Promotes it, and waits until it accepts writes: by then the new timeline and its parent are on the disk.
pub(crate) async fn run(server: &LocalServer) -> Result<(), PostgresError> {
    let session = server.any_session().await?;
    let (mut is_in_recovery, mut replayed) = look(&session).await?;
    if !is_in_recovery {
        return Ok(());
    }
    connection::run(&session, "promote", "SELECT pg_promote(wait => false)").await?;
    let mut advanced = Instant::now();
    while is_in_recovery {
        sleep(LOOK_INTERVAL).await;
        let last = replayed;
        (is_in_recovery, replayed) = look(&session).await?;
        if replayed != last {
            advanced = Instant::now();
        }
        if advanced.elapsed() > PATIENCE {
            return Err(PostgresError::TimedOut { what: "the promotion".to_owned(), after: PATIENCE });
        }
    }
    checkpoint_in_background(session);
    let config = server.config();
    let config = Arc::clone(&config);
    files::blocking("completing the timeline history", move || history::complete(&config.pgdata)).await
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
