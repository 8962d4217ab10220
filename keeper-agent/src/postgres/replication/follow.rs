//! Makes the node a standby of another, or of nobody.

use std::time::Duration;

use pgaf_core::lsn::Lsn;
use pgaf_core::message::Peer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::postgres::configuration::{conninfo, overruled, reload, route::Route, settings};
use crate::postgres::data::start::STANDBY_SIGNAL;
use crate::postgres::server::{
    LocalServer, LocalSession, PostgresError, connection, files, process, version,
};

use super::hold_ups::HoldUps;

/// Replay that stands still for this long, with nothing to end that holds it up, does not end.
const REPLAY_PATIENCE: Duration = Duration::from_secs(45);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// So many times the startup process goes to sleep between two looks that are to prove something: the first may be a
/// sleep that it was about to begin.
const ATTEMPTS: u64 = 2;

/// Whether this is a standby that does not receive, and by what it follows.
const LOST: &str = "SELECT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
                           current_setting('primary_conninfo')";

/// Writes signal file and settings; a server in recovery takes them over at once. Without an upstream, waits until
/// nothing is received any more and all that was received is replayed, and remembers that for the looks that follow.
pub(crate) async fn run(server: &LocalServer, upstream: Option<&Peer>) -> Result<(), PostgresError> {
    server.state().replay_over = None;
    let postmaster = server.postmaster().await?;
    let session = match &postmaster {
        None => None,
        // A server that does not let us in yet recovers.
        Some(_) => server.any_session().await.ok(),
    };
    if let Some(session) = &session
        && !is_in_recovery(session).await?
    {
        return Err(PostgresError::Refused(
            "Postgres runs as a primary: it has to be stopped before it can follow".to_owned(),
        ));
    }
    let route = write(server, upstream).await?;
    let (Some(postmaster), Some(session)) = (postmaster, session) else {
        if let Some(postmaster) = server.postmaster().await? {
            postmaster.signal(Signal::HUP);
        }
        return Ok(());
    };
    postmaster.signal(Signal::HUP);
    let wanted = match &route {
        None => String::new(),
        Some(route) => {
            let config = server.config();
            let pgdata = config.pgdata.clone();
            let major = server.files().run("reading PG_VERSION", move || version::of_data(&pgdata)).await?;
            conninfo::primary(&config, route, major)
        }
    };
    overruled::reset(server, "primary_slot_name", Some(&session)).await?;
    reload::run_and_await(server, "primary_conninfo", &wanted, Some(&session)).await?;
    if upstream.is_none() {
        let end = await_end(server, &session).await?;
        tracing::info!("WAL receiver stopped, replay complete at {end}");
        server.state().replay_over = Some((postmaster.pid(), end));
    }
    Ok(())
}

/// The files of a standby. Gives the way to the upstream that they have.
pub(crate) async fn write(
    server: &LocalServer,
    upstream: Option<&Peer>,
) -> Result<Option<Route>, PostgresError> {
    let config = server.config();
    let route = match upstream {
        None => None,
        Some(upstream) => Some(Route::to(upstream).await),
    };
    let written = route.clone();
    server
        .files()
        .run("writing the settings of a standby", move || {
            conninfo::write_passfile(&config)?;
            // Left from a time as primary, or copied from one: whoever is promoted gets its own.
            settings::update(&config, |changing| changing.synchronous_standby_names.clear())?;
            settings::write_standby(&config, written.as_ref())?;
            files::replace(&config.in_pgdata(STANDBY_SIGNAL), b"", 0o600)
        })
        .await?;
    Ok(route)
}

/// A standby that does not receive looks for its upstream again: its name may mean another address by now, or the address
/// that was tried first may be one that does not answer.
pub(crate) async fn look_again(server: &LocalServer) -> Result<(), PostgresError> {
    let row = {
        let session = server.any_session().await?;
        connection::row(&session, "look at the WAL receiver", LOST, &[]).await?
    };
    let (is_lost, present): (bool, String) = (row.get(0), row.get(1));
    let Some(upstream) = conninfo::upstream(&present).filter(|_| is_lost) else { return Ok(()) };
    let config = server.config();
    let route = Route::to(&upstream).await;
    let pgdata = config.pgdata.clone();
    let major = server.files().run("reading PG_VERSION", move || version::of_data(&pgdata)).await?;
    if route.addresses.is_empty() || conninfo::primary(&config, &route, major) == present {
        return Ok(());
    }
    let addresses = route.addresses.clone();
    let write = move || settings::reroute(&config, &present, &route);
    if server.files().run("writing the settings of a standby", write).await? {
        tracing::info!("\"{}\" is tried at {addresses:?} from now on", upstream.host);
        if let Some(postmaster) = server.postmaster().await? {
            postmaster.signal(Signal::HUP);
        }
    }
    Ok(())
}

pub(crate) async fn is_in_recovery(session: &LocalSession) -> Result<bool, PostgresError> {
    let row =
        connection::row(session, "ask whether Postgres recovers", "SELECT pg_is_in_recovery()", &[]).await?;
    Ok(row.get(0))
}

/// What tells whether replay goes on.
#[derive(Clone, Debug)]
struct Replay {
    has_receiver: bool,
    /// The startup process, which replays.
    startup: i32,
    /// It has found no more WAL, and waits before it looks again.
    is_idle: bool,
    /// How often it has gone to sleep.
    sleeps: u64,
    /// Somebody has paused it.
    is_paused: bool,
    lsn: Lsn,
}

impl Replay {
    async fn look(session: &LocalSession) -> Result<Self, PostgresError> {
        let row = connection::row(
            session,
            "look at replay",
            "SELECT coalesce(bool_or(backend_type = 'walreceiver'), false), \
                    coalesce(max(pid) FILTER (WHERE backend_type = 'startup'), 0), \
                    coalesce(bool_or(backend_type = 'startup' \
                        AND wait_event = 'RecoveryRetrieveRetryInterval'), false), \
                    coalesce(pg_last_wal_replay_lsn(), '0/0')::text, \
                    pg_is_wal_replay_paused() \
             FROM pg_stat_activity WHERE backend_type IN ('walreceiver', 'startup')",
            &[],
        )
        .await?;
        let startup = row.get(1);
        let lsn: &str = row.get(3);
        Ok(Self {
            has_receiver: row.get(0),
            startup,
            is_idle: row.get(2),
            sleeps: process::sleeps(startup).unwrap_or_default(),
            is_paused: row.get(4),
            lsn: lsn.parse().map_err(|_| PostgresError::Refused(format!("\"{lsn}\" is no LSN")))?,
        })
    }

    /// It waits for WAL, and nothing is received.
    const fn is_at_rest(&self) -> bool {
        self.is_idle && !self.has_receiver
    }

    /// Ends its wait: a signal makes it read its settings and then look for WAL at once.
    fn nudge(&self) {
        if let Some(pid) = Pid::from_raw(self.startup)
            && let Err(error) = kill_process(pid, Signal::HUP)
        {
            tracing::debug!("could not signal the startup process: {error}");
        }
    }
}

/// Waits until there is no walreceiver, nor will be, and all is replayed that can be; says where that ends. The last
/// record may have come in part only, and is never replayed.
///
/// What was received and what was replayed prove nothing by themselves: after a restart nothing counts as received, and
/// a startup process that has not read its settings yet may start another walreceiver. So it is made to look for WAL
/// again, and has to be seen at rest before and after, at the same place: it goes to sleep only after it has read its
/// settings, stopped the walreceiver and found nothing more.
async fn await_end(server: &LocalServer, session: &LocalSession) -> Result<Lsn, PostgresError> {
    let mut rest: Option<Replay> = None;
    let mut advanced = (Lsn::ZERO, Instant::now());
    let mut hold_ups = HoldUps::new(server);
    loop {
        let now = Replay::look(session).await?;
        if now.lsn != advanced.0 {
            advanced = (now.lsn, Instant::now());
            hold_ups.note_progress();
        } else if now.is_paused {
            resume(session).await?;
        } else if !now.is_at_rest() {
            hold_ups.clear(server, session, advanced.1.elapsed()).await?;
        }
        if now.is_at_rest() {
            match &rest {
                Some(before) if before.lsn == now.lsn && before.startup == now.startup => {
                    if now.sleeps >= before.sleeps + ATTEMPTS {
                        return Ok(now.lsn);
                    }
                }
                _ => rest = Some(now.clone()),
            }
            now.nudge();
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

/// Ends a pause: the others wait for what this node has.
async fn resume(session: &LocalSession) -> Result<(), PostgresError> {
    tracing::warn!("replay was paused, and this node is to say what it has: resuming replay");
    connection::run(session, "resume replay", "SELECT pg_wal_replay_resume()").await
}
