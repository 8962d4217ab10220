//! Makes the node a standby of another, or of nobody.

use std::time::Duration;

use pgaf_core::message::Peer;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::connection::{self, LocalSession};
use super::error::PostgresError;
use super::instance::Instance;
use super::start::STANDBY_SIGNAL;
use super::{conninfo, files, reload, settings};

/// Replay may wait this long for a query that is in its way; then somebody has paused it.
const REPLAY_PATIENCE: Duration = Duration::from_secs(45);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Writes signal file and settings; a server in recovery takes them over at once. Without an upstream, waits until
/// nothing is received any more and all that was received is replayed.
pub(super) async fn run(instance: &Instance, upstream: Option<&Peer>) -> Result<(), PostgresError> {
    let postmaster = instance.postmaster()?;
    let session = match &postmaster {
        None => None,
        // A server that does not let us in yet recovers.
        Some(_) => instance.any_session().await.ok(),
    };
    if let Some(session) = &session
        && !is_in_recovery(session).await?
    {
        return Err(PostgresError::Refused(
            "Postgres runs as a primary: it has to be stopped before it can follow".to_owned(),
        ));
    }
    write(instance, upstream).await?;
    let (Some(postmaster), Some(session)) = (postmaster, session) else {
        if let Some(postmaster) = instance.postmaster()? {
            postmaster.signal(Signal::HUP);
        }
        return Ok(());
    };
    postmaster.signal(Signal::HUP);
    let wanted =
        upstream.map_or_else(String::new, |upstream| conninfo::streaming(&instance.config(), upstream));
    reload::run_and_await(instance, "primary_conninfo", &wanted).await?;
    match upstream {
        Some(_) => Ok(()),
        None => await_silence(&session).await,
    }
}

/// The files of a standby.
pub(super) async fn write(instance: &Instance, upstream: Option<&Peer>) -> Result<(), PostgresError> {
    let config = instance.config();
    let upstream = upstream.cloned();
    files::blocking("writing the settings of a standby", move || {
        conninfo::write_passfile(&config)?;
        let mut changing = settings::Changing::read(&config.pgdata)?;
        // Left from a time as primary, or copied from one: whoever is promoted gets its own.
        changing.synchronous_standby_names.clear();
        settings::write(&config, &changing)?;
        settings::write_standby(&config, upstream.as_ref())?;
        files::replace(&config.in_pgdata(STANDBY_SIGNAL), b"", 0o600)
    })
    .await
}

pub(super) async fn is_in_recovery(session: &LocalSession) -> Result<bool, PostgresError> {
    let row =
        connection::row(session, "ask whether Postgres recovers", "SELECT pg_is_in_recovery()", &[]).await?;
    Ok(row.get(0))
}

/// What tells whether replay goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replay {
    has_receiver: bool,
    /// Everything received is replayed.
    is_complete: bool,
    /// The startup process has found no more WAL, and waits before it looks again.
    is_idle: bool,
    lsn: Option<String>,
    /// How long it waits.
    retry_interval: Duration,
}

impl Replay {
    async fn look(session: &LocalSession) -> Result<Self, PostgresError> {
        let row = connection::row(
            session,
            "look at replay",
            "SELECT coalesce(bool_or(backend_type = 'walreceiver'), false), \
                    coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false), \
                    coalesce(bool_or(backend_type = 'startup' \
                        AND wait_event = 'RecoveryRetrieveRetryInterval'), false), \
                    pg_last_wal_replay_lsn()::text, \
                    (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_retrieve_retry_interval') \
             FROM pg_stat_activity WHERE backend_type IN ('walreceiver', 'startup')",
            &[],
        )
        .await?;
        Ok(Self {
            has_receiver: row.get(0),
            is_complete: row.get(1),
            is_idle: row.get(2),
            lsn: row.get(3),
            retry_interval: Duration::from_millis(row.get::<_, i64>(4).unsigned_abs()),
        })
    }
}

/// Waits until there is no walreceiver, and all is replayed. The last record may have come in part only, and is never
/// replayed: then replay ends where it was seen idle before and after another attempt.
async fn await_silence(session: &LocalSession) -> Result<(), PostgresError> {
    let mut idle_since: Option<(Option<String>, Instant)> = None;
    let mut advanced = (None, Instant::now());
    loop {
        let replay = Replay::look(session).await?;
        if !replay.has_receiver && replay.is_complete {
            return Ok(());
        }
        if replay.lsn != advanced.0 {
            advanced = (replay.lsn.clone(), Instant::now());
        }
        if !replay.has_receiver && replay.is_idle {
            let attempt = replay.retry_interval + Duration::from_millis(50);
            match &idle_since {
                Some((lsn, since)) if *lsn == replay.lsn && since.elapsed() > attempt => return Ok(()),
                Some((lsn, _)) if *lsn == replay.lsn => {}
                _ => idle_since = Some((replay.lsn.clone(), Instant::now())),
            }
        }
        if advanced.1.elapsed() > REPLAY_PATIENCE {
            return Err(PostgresError::TimedOut {
                what: "replay of the received WAL".to_owned(),
                after: REPLAY_PATIENCE,
            });
        }
        sleep(LOOK_INTERVAL).await;
    }
}
