//! What holds up replay of a standby that is to be promoted, or to vote: sessions in conflict with it, a pause, commands of
//! its owner. Postgres itself waits for those as long as `max_standby_streaming_delay` and the commands like, and nobody
//! accepts writes meanwhile. So they are ended, and the log says so; a server that still stands is stopped, and starts
//! without them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgaf_core::keeper::StopMode;
use tokio::time::Instant;

use crate::postgres::server::{
    LocalServer, LocalSession, PostgresError, connection, owners_commands::OwnersCommands, stop,
};

/// Replay that has not advanced for this long may be held up.
const PATIENCE: Duration = Duration::from_millis(100);
/// Between two looks at what holds it up.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// What was told to end, and has not, is not waited for longer than this.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Ends the sessions that replay waits for. Postgres tells who has a lock (not by `pg_blocking_pids`, which knows nothing of
/// the startup process; what that asks for conflicts with every other lock); of a snapshot that is too old, the oldest is
/// ended first; who uses a page or a temporary file it does not tell.
const END_SESSIONS: &str = "\
SELECT session.pid, coalesce(session.usename, '')::text, startup.event, pg_terminate_backend(session.pid)
FROM (SELECT pid, wait_event_type AS type, wait_event AS event FROM pg_stat_activity
      WHERE backend_type = 'startup' AND (wait_event_type = 'Lock' OR wait_event IN
        ('RecoveryConflictSnapshot', 'RecoveryConflictTablespace', 'BufferPin'))) AS startup,
     LATERAL (SELECT * FROM pg_stat_activity
              WHERE pid NOT IN (pg_backend_pid(), startup.pid)
                AND CASE WHEN startup.type = 'Lock' THEN pid IN
                           (SELECT held.pid FROM pg_locks AS held JOIN pg_locks AS wanted
                              ON (held.locktype, held.database, held.relation, held.classid, held.objid)
                                 IS NOT DISTINCT FROM
                                 (wanted.locktype, wanted.database, wanted.relation, wanted.classid, wanted.objid)
                            WHERE held.granted AND NOT wanted.granted AND wanted.pid = startup.pid)
                         WHEN backend_type <> 'client backend' THEN false
                         WHEN startup.event = 'RecoveryConflictSnapshot' THEN backend_xmin IS NOT NULL
                         ELSE state <> 'idle' END
              ORDER BY age(backend_xmin) DESC NULLS LAST
              LIMIT CASE WHEN startup.event = 'RecoveryConflictSnapshot' THEN 1 END) AS session";

/// Of one promotion, or one vote.
pub(super) struct HoldUps {
    commands: Arc<Mutex<OwnersCommands>>,
    /// Since when sessions are told to end, without replay having gone on.
    told: Option<Instant>,
    looked: Option<Instant>,
}

impl HoldUps {
    pub(super) fn new(server: &LocalServer) -> Self {
        let commands = OwnersCommands::hurried(server.archive_hangs());
        Self { commands: Arc::new(Mutex::new(commands)), told: None, looked: None }
    }

    /// Replay has got on.
    pub(super) const fn note_progress(&mut self) {
        self.told = None;
    }

    /// Ends what holds up replay, which has stood still for this long.
    ///
    /// # Errors
    /// It cannot be ended otherwise, and Postgres was stopped: it has to be started again.
    pub(super) async fn clear(
        &mut self,
        server: &LocalServer,
        session: &LocalSession,
        still: Duration,
    ) -> Result<(), PostgresError> {
        let is_soon = self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL);
        if still < PATIENCE || is_soon {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        self.end_commands(server).await;
        let ended = connection::rows(session, "end what holds up replay", END_SESSIONS, &[]).await?;
        let Some(first) = ended.first() else {
            self.told = None;
            return Ok(());
        };
        let Some(told) = self.told else {
            self.told = Some(Instant::now());
            for row in &ended {
                let (pid, role, wait): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
                tracing::warn!(
                    "a query of role \"{role}\" (process {pid}) holds up replay of the WAL ({wait}), and this node \
                     is to take over: ending the session"
                );
            }
            return Ok(());
        };
        if told.elapsed() < END_PATIENCE {
            return Ok(());
        }
        let pid: i32 = first.get(0);
        stop::run(server, StopMode::Immediate).await?;
        Err(PostgresError::Refused(format!(
            "process {pid} of Postgres holds up replay of the WAL and does not end: Postgres was stopped, to be \
             started without it"
        )))
    }

    async fn end_commands(&self, server: &LocalServer) {
        let Ok(Some(postmaster)) = server.postmaster().await else { return };
        let (commands, config, pid) = (Arc::clone(&self.commands), server.config(), postmaster.pid());
        let look =
            move || Ok(commands.lock().unwrap_or_else(PoisonError::into_inner).end_hung(pid, &config.pgdata));
        if let Err(error) = server.files().look("looking at commands of Postgres", look).await {
            tracing::debug!("{error}");
        }
    }
}
