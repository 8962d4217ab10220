//! Sessions with the local server, as the superuser: over its socket, or over localhost where it has none.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::client::{superuser_options, within};

use super::config::InstanceConfig;
use super::error::PostgresError;
use super::files::Files;
use super::process;
use super::version;

/// How long the local server may take to let us in.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_millis(1500);
/// How long a simple statement may take.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(10);

/// Databases to connect to, where the statement does not care: `postgres` may have been dropped, and a gated server
/// lets us into `template1` only, where no application works.
const ANY_DATABASE: [&str; 2] = ["postgres", "template1"];

/// A session; dropping it closes the connection at once, even when an answer is awaited.
pub struct LocalSession {
    client: Client,
    driver: AbortHandle,
    /// The server process that serves it.
    backend: i32,
}

impl LocalSession {
    /// The id of the server process that serves it.
    pub(crate) const fn backend(&self) -> i32 {
        self.backend
    }
}

impl Deref for LocalSession {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What the postmaster's pid file says of how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) port: u16,
    /// Socket directory or address.
    pub(crate) host: String,
    /// The word in the last line: `starting`, `ready`, `standby`, `stopping`.
    pub(crate) status: String,
}

impl PidFile {
    /// Reads it; `None` while it is not there, or not yet complete.
    pub(crate) fn read(pgdata: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(pgdata.join("postmaster.pid")).ok()?)
    }

    fn parse(content: &str) -> Option<Self> {
        let mut lines = content.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let port = lines.nth(2)?.trim().parse().ok()?;
        let socket = lines.next()?.trim();
        let address = lines.next()?.trim();
        let host = match (socket, address) {
            ("", "*" | "0.0.0.0" | "") => "localhost",
            ("", "::") => "::1",
            ("", address) => address,
            (socket, _) => socket,
        };
        Some(Self {
            pid,
            port,
            host: host.to_owned(),
            status: lines.nth(1).unwrap_or_default().trim().to_owned(),
        })
    }
}

/// Where the server of this data directory listens for local connections: a socket directory or an address, and the
/// port; `None` while it does not run.
pub fn local_address(pgdata: &Path) -> Option<(String, u16)> {
    process::postmaster_of(pgdata)?;
    PidFile::read(pgdata).map(|found| (found.host, found.port))
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look: it sees the server's own default of `synchronous_commit`.
    Looking,
    /// To change something: it waits for no standby.
    Acting,
}

/// What the postmaster of this data directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostmasterStatus {
    /// Its process; absent when there is none.
    pub pid: Option<i32>,
    /// `starting`, `ready`, `standby` (which accepts connections), `stopping`; `unknown` when there is none.
    pub status: String,
}

impl PostmasterStatus {
    /// Reads its pid file.
    pub fn of(pgdata: &Path) -> Self {
        let pid = process::postmaster_of(pgdata);
        let found = pid.and_then(|_| PidFile::read(pgdata));
        let status = found.map(|file| file.status).filter(|word| !word.is_empty());
        Self { pid, status: status.unwrap_or_else(|| "unknown".to_owned()) }
    }

    /// It accepts connections.
    pub fn is_ready(&self) -> bool {
        matches!(self.status.as_str(), "ready" | "standby")
    }
}

/// Opens a session in the first database of `ANY_DATABASE` that lets us in.
pub(crate) async fn connect_anywhere(
    files: &Files,
    config: &InstanceConfig,
    purpose: Purpose,
    deadline: Duration,
) -> Result<LocalSession, PostgresError> {
    let mut last = None;
    for dbname in ANY_DATABASE {
        match open(files, config, dbname, purpose, deadline).await {
            Ok(session) => return Ok(session),
            Err(error) if is_about_database(&error) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| PostgresError::Refused("there is no database".to_owned())))
}

fn is_about_database(error: &PostgresError) -> bool {
    let reasons = [SqlState::INVALID_CATALOG_NAME, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
    error.sqlstate().is_some_and(|code| reasons.contains(code))
}

/// Opens a session in which to change something.
pub(crate) async fn connect(
    files: &Files,
    config: &InstanceConfig,
    dbname: &str,
    deadline: Duration,
) -> Result<LocalSession, PostgresError> {
    open(files, config, dbname, Purpose::Acting, deadline).await
}

async fn open(
    files: &Files,
    config: &InstanceConfig,
    dbname: &str,
    purpose: Purpose,
    deadline: Duration,
) -> Result<LocalSession, PostgresError> {
    let pgdata = config.pgdata.clone();
    let address = files.look("looking for the address of Postgres", move || {
        Ok((PidFile::read(&pgdata), version::of_data(&pgdata).ok().flatten()))
    });
    let (Some(pid_file), major) = address.await? else {
        return Err(PostgresError::Refused("Postgres does not run".to_owned()));
    };
    let mut wanted = superuser_options(major);
    if purpose == Purpose::Acting {
        wanted.push_str("-c synchronous_commit=local");
    }
    let mut options = Config::new();
    options
        .host(&pid_file.host)
        .port(pid_file.port)
        .user(&config.superuser)
        .dbname(dbname)
        .application_name("pg_autoctl")
        .options(wanted);
    if let Ok(password) = std::env::var("PGPASSWORD") {
        options.password(password);
    }
    let opening = async {
        let (client, connection) = options.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("local session ended: {error}");
            }
        });
        let mut session = LocalSession { client, driver: driver.abort_handle(), backend: 0 };
        let row = session.query_one("SELECT pg_backend_pid()", &[]).await?;
        session.backend = row.try_get(0)?;
        Ok(session)
    };
    within(deadline, "connecting to the local Postgres", opening)
        .await?
        .map_err(PostgresError::sql("connect to the local Postgres"))
}

/// Runs a query, within the deadline of statements.
pub(crate) async fn rows(
    session: &Client,
    action: &'static str,
    query: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, PostgresError> {
    within(STATEMENT_DEADLINE, action, session.query(query, parameters))
        .await?
        .map_err(PostgresError::sql(action))
}

/// Runs a query that gives one row.
pub(crate) async fn row(
    session: &Client,
    action: &'static str,
    query: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Row, PostgresError> {
    within(STATEMENT_DEADLINE, action, session.query_one(query, parameters))
        .await?
        .map_err(PostgresError::sql(action))
}

/// Runs a statement without a result.
pub(crate) async fn run(
    session: &Client,
    action: &'static str,
    statement: &str,
) -> Result<(), PostgresError> {
    within(STATEMENT_DEADLINE, action, session.batch_execute(statement))
        .await?
        .map_err(PostgresError::sql(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_file(socket: &str, address: &str) -> Option<PidFile> {
        PidFile::parse(&format!("41\n/data\n1700000000\n5433\n{socket}\n{address}\n  12 34\nready   \n"))
    }

    #[test]
    fn a_server_without_socket_is_reached_over_tcp() {
        let host = |socket, address| pid_file(socket, address).map(|file| file.host);
        assert_eq!(host("/run/pg", "*").as_deref(), Some("/run/pg"));
        assert_eq!(host("", "*").as_deref(), Some("localhost"));
        assert_eq!(host("", "192.0.2.3").as_deref(), Some("192.0.2.3"));
        let read = pid_file("", "*").expect("complete");
        assert_eq!((read.port, read.status.as_str()), (5433, "ready"));
    }

    #[test]
    fn a_pid_file_being_written_is_not_used() {
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("41\n/data\n1700000000\n5433\n"), None);
    }
}
