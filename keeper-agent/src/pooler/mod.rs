//! PgBouncer: told to wait while the primary changes, and whom to send its clients to.
//!
//! A pooler is reached through its admin console, so it may run beside any node or on a host of its own. It has one
//! configuration file for each node, which differs from the others in the host that clients are sent to; the primary has
//! the pooler read the file that is its own (`SET conffile`, `RELOAD`) and go on (`RESUME`). Nothing here takes longer
//! than [`LIMIT`], whatever a pooler does: what was left undone is done by whoever looks after the poolers later.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::client::{self, ConnectionString, Session};
use crate::config::PoolerConfig;

/// All that is told to all poolers may take this long.
const LIMIT: Duration = Duration::from_millis(900);

/// The poolers of a formation.
#[derive(Clone, Debug, Default)]
pub struct Poolers(PoolerConfig);

impl Poolers {
    /// As configured.
    pub const fn new(config: PoolerConfig) -> Self {
        Self(config)
    }

    /// Has them keep clients waiting: returns when no transaction of a client is open any more.
    ///
    /// # Errors
    /// A pooler did not answer in time, or refused; the others have been told all the same.
    pub async fn pause(&self) -> Result<(), String> {
        let databases = self.0.databases.clone();
        self.tell_all(move |admin| pause(admin, databases.clone())).await
    }

    /// Has them send clients to this node, and go on.
    ///
    /// # Errors
    /// As `pause`.
    pub async fn route(&self) -> Result<(), String> {
        let config = self.0.clone();
        self.tell_all(move |admin| route(admin, config.clone())).await
    }

    /// Looks whether they do, and routes those that do not; says which these were.
    ///
    /// # Errors
    /// As `pause`.
    pub async fn check(&self) -> Result<(), String> {
        let config = self.0.clone();
        self.tell_all(move |admin| check(admin, config.clone())).await
    }

    async fn tell_all<F: Future<Output = Result<(), String>> + Send + 'static>(
        &self,
        tell: impl Fn(ConnectionString) -> F,
    ) -> Result<(), String> {
        let mut told = JoinSet::new();
        for admin in &self.0.admin {
            let name = admin.hosts.first().map(ToString::to_string).unwrap_or_default();
            let telling = tell(admin.clone());
            told.spawn(async move {
                match timeout(LIMIT, telling).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(reason)) => Err(format!("pooler {name}: {reason}")),
                    Err(_) => Err(format!("pooler {name} did not finish within {} ms", LIMIT.as_millis())),
                }
            });
        }
        let outcomes = told.join_all().await;
        let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }
}

async fn pause(admin: ConnectionString, databases: Vec<String>) -> Result<(), String> {
    let session = open(&admin).await?;
    for command in of_databases("PAUSE", &databases) {
        tell(&session, &command, Some("already")).await?;
    }
    Ok(())
}

async fn route(admin: ConnectionString, config: PoolerConfig) -> Result<(), String> {
    let session = open(&admin).await?;
    send_here(&session, &config).await
}

async fn send_here(session: &Session, config: &PoolerConfig) -> Result<(), String> {
    if let Some(file) = &config.conffile {
        tell(session, &format!("SET conffile = {}", quoted(file)), None).await?;
        tell(session, "RELOAD", None).await?;
    }
    for command in of_databases("RESUME", &config.databases) {
        tell(session, &command, Some("not paused")).await?;
    }
    Ok(())
}

/// A pooler that was restarted reads the file of its command line; one that was paused by a primary that is gone waits.
async fn check(admin: ConnectionString, config: PoolerConfig) -> Result<(), String> {
    let session = open(&admin).await?;
    let present = column(&ask(&session, "SHOW CONFIG").await?, |row| {
        (row.get("key") == Some("conffile")).then(|| row.get("value").unwrap_or_default().to_owned())
    });
    let is_paused = |row: &tokio_postgres::SimpleQueryRow| {
        let name = row.get("name").unwrap_or_default();
        let is_ours = config.databases.is_empty() || config.databases.iter().any(|database| database == name);
        (is_ours && row.get("paused") == Some("1")).then(|| name.to_owned())
    };
    let paused = column(&ask(&session, "SHOW DATABASES").await?, is_paused);
    let is_elsewhere = config.conffile.as_ref().is_some_and(|file| present.first() != Some(file));
    if is_elsewhere || !paused.is_empty() {
        let name = admin.hosts.first().map(ToString::to_string).unwrap_or_default();
        tracing::info!("pooler {name} does not route its clients to this node: routing them again");
        send_here(&session, &config).await?;
    }
    Ok(())
}

async fn open(admin: &ConnectionString) -> Result<Session, String> {
    client::connect_to_pooler(admin, LIMIT).await.map_err(|error| error.to_string())
}

/// The command for each database, or for all at once.
fn of_databases(command: &str, databases: &[String]) -> Vec<String> {
    if databases.is_empty() {
        return vec![command.to_owned()];
    }
    databases.iter().map(|database| format!("{command} {}", identifier(database))).collect()
}

/// The console knows only the simple protocol. What it already is, is no error.
async fn tell(session: &Session, command: &str, tolerated: Option<&str>) -> Result<(), String> {
    match session.client.simple_query(command).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = client::describe(&error);
            let is_tolerated = tolerated.is_some_and(|words| reason.contains(words));
            if is_tolerated { Ok(()) } else { Err(format!("{command}: {reason}")) }
        }
    }
}

async fn ask(session: &Session, command: &str) -> Result<Vec<SimpleQueryMessage>, String> {
    let asked = session.client.simple_query(command).await;
    asked.map_err(|error| format!("{command}: {}", client::describe(&error)))
}

fn column(
    messages: &[SimpleQueryMessage],
    of: impl Fn(&tokio_postgres::SimpleQueryRow) -> Option<String>,
) -> Vec<String> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => of(row),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}
