//! The keeper's own session with the server: one, kept open, replaced when it breaks, and never piled up on a server
//! that hangs.

use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;

use crate::client::within;
use crate::postgres::server::{
    BootTime, LocalServer, LocalSession, PostgresError,
    connection::{PidFile, Purpose, connect_anywhere},
    process,
};

use super::running::{Answer, QUESTION};

/// How long the server may take to let us in, and to answer.
const DEADLINE: Duration = Duration::from_millis(1500);
/// Recovery, or a shutdown, may take as long as it makes progress; without, this long.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(30);
/// Server processes that were left with a question of ours; with so many, no further one is asked.
const ABANDONED_LIMIT: usize = 3;

/// What the title of the startup process says before the name of the segment that it waits for.
const WAITING_TITLE: &str = "startup waiting for";

/// What came back.
pub(crate) enum Reply {
    /// It answers.
    Answer(Box<Answer>),
    /// It does not let anybody in yet, or any more, and is busy with that.
    Starting,
    /// It lives, and gives the keeper no session.
    Refused,
    /// Nothing, in time.
    Nothing,
}

/// The session, and what is remembered of earlier ones.
#[derive(Default)]
pub(crate) struct Listening {
    session: Option<Open>,
    abandoned: Vec<i32>,
    progress: Option<Progress>,
    /// The reason that the server last gave for a refusal.
    refusal: Option<String>,
}

/// A session with this postmaster, and the question, which the server has read and planned once.
struct Open {
    postmaster: i32,
    session: LocalSession,
    question: Option<Statement>,
}

/// What a server that lets nobody in was last seen doing.
struct Progress {
    postmaster: i32,
    seen: Vec<Work>,
    changed: BootTime,
}

/// What one of its processes has done so far, and says of itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    pid: i32,
    cpu_ticks: Option<u64>,
    title: Option<String>,
    /// What it runs, a command of the server's owner for example: each is bounded by itself.
    runs: Vec<i32>,
}

impl Work {
    fn of_children(postmaster: i32) -> Vec<Self> {
        let mut seen: Vec<Self> = process::children(postmaster)
            .into_iter()
            .map(|pid| Self {
                pid,
                cpu_ticks: process::cpu_ticks(pid),
                title: process::title(pid),
                runs: process::children(pid),
            })
            .collect();
        seen.sort();
        seen
    }
}

impl Listening {
    /// There is no server to listen to.
    pub(crate) fn forget(&mut self) {
        self.session = None;
        self.abandoned.clear();
        self.progress = None;
        self.refusal = None;
    }

    /// Asks the server. A session that has broken is replaced once.
    pub(crate) async fn ask(&mut self, server: &LocalServer, postmaster: i32) -> Reply {
        if self.session.as_ref().is_some_and(|open| open.postmaster != postmaster || open.session.is_closed())
        {
            self.session = None;
        }
        if self.session.is_some() {
            match self.ask_session().await {
                Err(error) if is_broken(&error) => {}
                result => return self.judge(server, postmaster, result).await,
            }
        }
        if self.has_abandoned_too_many() {
            return Reply::Nothing;
        }
        let config = server.config();
        match is_open(server, postmaster).await {
            Ok(true) => {}
            Ok(false) => {
                let has_progress = self.has_progress(server, postmaster).await;
                return if has_progress { Reply::Starting } else { Reply::Nothing };
            }
            Err(error) => {
                tracing::warn!("{error}");
                return Reply::Nothing;
            }
        }
        match connect_anywhere(server.files(), &config, Purpose::Looking, DEADLINE).await {
            Ok(session) => {
                self.session = Some(Open { postmaster, session, question: None });
                let result = self.ask_session().await;
                self.judge(server, postmaster, result).await
            }
            Err(error) => self.judge(server, postmaster, Err(error)).await,
        }
    }

    async fn ask_session(&mut self) -> Result<Answer, PostgresError> {
        let Some(open) = &mut self.session else {
            return Err(PostgresError::Refused("there is no session with the local Postgres".to_owned()));
        };
        let session = &open.session;
        let query = async {
            let question = match open.question.take() {
                Some(question) => question,
                None => session.prepare(&QUESTION).await?,
            };
            let row = session.query_one(&question, &[]).await?;
            open.question = Some(question);
            Ok(row)
        };
        let asked = match within(DEADLINE, "looking at the local Postgres", query).await {
            Err(late) => {
                self.abandoned.push(session.backend());
                Err(late.into())
            }
            Ok(row) => row.map_err(PostgresError::sql("look at the local Postgres")).and_then(|row| {
                serde_json::from_str(row.get(0)).map_err(|error| {
                    PostgresError::Refused(format!("could not query the local Postgres: {error}"))
                })
            }),
        };
        // A gated server lets us into template1 only, and CREATE DATABASE wants nobody in there: after the gate has
        // opened, another session is used.
        let is_to_go = asked.is_err()
            || asked.as_ref().is_ok_and(|answer: &Answer| answer.is_in_template && !answer.is_gated);
        if is_to_go {
            self.session = None;
        }
        asked
    }

    async fn judge(
        &mut self,
        server: &LocalServer,
        postmaster: i32,
        result: Result<Answer, PostgresError>,
    ) -> Reply {
        let error = match result {
            Ok(answer) => {
                self.progress = None;
                if self.refusal.take().is_some() {
                    tracing::info!("Postgres accepts the sessions of pg_autoctl again");
                }
                return Reply::Answer(Box::new(answer));
            }
            Err(error) => error,
        };
        if error.is_refusal() {
            self.progress = None;
            let reason = error.to_string();
            if self.refusal.as_ref() != Some(&reason) {
                tracing::error!(
                    "{reason}; Postgres is left running, and pg_autoctl does what needs no session"
                );
                self.refusal = Some(reason);
            }
            return Reply::Refused;
        }
        if is_not_open(&error) {
            tracing::debug!("{error}");
            if self.has_progress(server, postmaster).await {
                return Reply::Starting;
            }
        }
        tracing::warn!("{error}");
        Reply::Nothing
    }

    /// Something has changed within the last half minute, or it waits for WAL, which is no fault of its own.
    async fn has_progress(&mut self, server: &LocalServer, postmaster: i32) -> bool {
        // Titles are in the memory of their processes: whoever reads one may have to wait for the disk of that process.
        let look = move || Ok(Work::of_children(postmaster));
        let Ok(seen) = server.files().look("looking at the processes of Postgres", look).await else {
            return false;
        };
        let waits =
            seen.iter().any(|work| work.title.as_ref().is_some_and(|title| title.contains(WAITING_TITLE)));
        match &mut self.progress {
            Some(known) if known.postmaster == postmaster && known.seen == seen => {
                waits || known.changed.elapsed() < PROGRESS_PATIENCE
            }
            progress => {
                *progress = Some(Progress { postmaster, seen, changed: BootTime::now() });
                true
            }
        }
    }

    /// The segment that a server which starts waits for, as its startup process says.
    pub(crate) fn awaited_segment(&self) -> Option<&str> {
        let titles = self.progress.iter().flat_map(|progress| &progress.seen);
        let mut awaited = titles.filter_map(|work| work.title.as_deref()?.split_once(WAITING_TITLE));
        awaited.next().map(|(_, segment)| segment.trim())
    }

    /// Their processes still hang: one more would only hang, too.
    fn has_abandoned_too_many(&mut self) -> bool {
        self.abandoned.retain(|pid| Pid::from_raw(*pid).is_some_and(|pid| test_kill_process(pid).is_ok()));
        self.abandoned.len() >= ABANDONED_LIMIT
    }
}

/// The postmaster says that it lets others in. Asking one that does not only fills its log.
async fn is_open(server: &LocalServer, postmaster: i32) -> Result<bool, PostgresError> {
    let config = server.config();
    let read = move || Ok(PidFile::read(&config.pgdata));
    let pid_file = server.files().look("reading postmaster.pid", read).await?;
    Ok(pid_file.is_some_and(|file| {
        file.pid == postmaster && !matches!(file.status.as_str(), "starting" | "stopping" | "")
    }))
}

/// The connection is gone; the server may be well.
fn is_broken(error: &PostgresError) -> bool {
    match error {
        PostgresError::Sql { sqlstate, .. } => {
            sqlstate.as_ref().is_none_or(|code| *code == SqlState::ADMIN_SHUTDOWN)
        }
        _ => false,
    }
}

/// It says that it starts or stops, or does not listen yet.
fn is_not_open(error: &PostgresError) -> bool {
    match error {
        PostgresError::Sql { sqlstate, .. } => {
            sqlstate.as_ref().is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW)
        }
        // No pid file, or not yet a complete one.
        PostgresError::Refused(_) => true,
        _ => false,
    }
}
