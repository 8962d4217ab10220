//! Connections of the test's own, to the monitor and to data nodes.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage, Socket};

use super::tls;

/// How long a statement of the test's own may take.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(5);

/// Where to connect to and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) user: &'static str,
    pub(crate) dbname: &'static str,
    pub(crate) password: Option<&'static str>,
    /// Encrypt, and accept only certificates of that authority if one is given.
    pub(crate) tls: Option<Option<PathBuf>>,
}

/// An open connection, driven by a task of the runtime it was opened in.
pub(crate) struct Session {
    client: Client,
    inbox: Arc<Mutex<Inbox>>,
    driver: JoinHandle<()>,
}

/// What the server said beside the answers.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Messages of severity WARNING.
    pub(crate) warnings: Vec<String>,
    /// Channel and payload of notifications.
    pub(crate) notifications: Vec<(String, String)>,
}

/// One row: a text or NULL for each column.
pub(crate) type Row = Vec<Option<String>>;

impl Session {
    /// Connects.
    pub(crate) async fn open(target: &Target, within: Duration) -> Result<Self> {
        let attempt = Self::connect(target);
        tokio::time::timeout(within, attempt)
            .await
            .map_err(|_elapsed| anyhow!("no connection to {} within {within:?}", target.host))?
    }

    async fn connect(target: &Target) -> Result<Self> {
        let mut config = Config::new();
        config.host(target.host.to_string()).port(target.port);
        config.user(target.user).dbname(target.dbname).application_name("e2e");
        if let Some(password) = target.password {
            config.password(password);
        }
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (client, driver) = match &target.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, Arc::clone(&inbox))))
            }
            Some(authority) => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let (client, connection) = config.connect(tls::connector(authority.as_deref())?).await?;
                (client, tokio::spawn(drive(connection, Arc::clone(&inbox))))
            }
        };
        Ok(Self { client, inbox, driver })
    }

    /// Runs statements; the rows of all of them.
    pub(crate) async fn rows(&self, sql: &str, within: Duration) -> Result<Vec<Row>> {
        let messages = tokio::time::timeout(within, self.client.simple_query(sql))
            .await
            .map_err(|_elapsed| anyhow!("no answer within {within:?}"))??;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }

    /// Takes what has arrived beside the answers.
    pub(crate) fn take_inbox(&self) -> Inbox {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn drive<S>(mut connection: Connection<Socket, S>, inbox: Arc<Mutex<Inbox>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            AsyncMessage::Notice(notice) if notice.severity() == "WARNING" => {
                inbox.warnings.push(notice.message().to_owned());
            }
            AsyncMessage::Notification(sent) => {
                inbox.notifications.push((sent.channel().to_owned(), sent.payload().to_owned()));
            }
            _ => {}
        }
    }
}

/// A connection for code that blocks.
pub(crate) struct Sql {
    session: Session,
    runtime: Runtime,
}

impl Sql {
    /// Connects.
    pub(crate) fn open(target: &Target, within: Duration) -> Result<Self> {
        let runtime = new_runtime()?;
        let session = runtime.block_on(Session::open(target, within))?;
        Ok(Self { session, runtime })
    }

    /// Runs statements; the rows of all of them.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Row>> {
        self.runtime.block_on(self.session.rows(sql, STATEMENT_DEADLINE)).with_context(|| sql.to_owned())
    }

    /// The first column of the first row.
    pub(crate) fn text(&self, sql: &str) -> Result<String> {
        self.rows(sql)?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .with_context(|| format!("no value: {sql}"))
    }

    /// The notifications that have arrived since the last call; `LISTEN` first.
    pub(crate) fn notifications(&self) -> Result<Vec<(String, String)>> {
        self.rows("select 1")?;
        Ok(self.session.take_inbox().notifications)
    }
}

/// A runtime of one thread.
pub(crate) fn new_runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The SQLSTATE of an error that a server has sent.
pub(crate) fn sqlstate(error: &anyhow::Error) -> Option<String> {
    let sent = error.chain().find_map(|cause| cause.downcast_ref::<tokio_postgres::Error>())?;
    Some(sent.code()?.code().to_owned())
}
