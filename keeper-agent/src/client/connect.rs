//! Opens a session, with a deadline, and drives it until it ends.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use postgres_openssl::MakeTlsConnector;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::config::{ChannelBinding, SslMode as WireSslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Notification, Socket};

use crate::user;

use super::connection_string::{ConnectionString, Host};
use super::deadline::{Late, within};
use super::passfile::{self, Login};
use super::resolve;
use super::secret::Secret;
use super::session_options;
use super::ssl::SslMode;
use super::tls;

/// Silence on a connection after which the kernel asks whether the peer is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(3);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Unanswered questions after which the connection counts as lost.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay without an acknowledgement.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that has not said by then whether it accepts writes is not waited for alone.
const NEXT_HOST_AFTER: Duration = Duration::from_millis(250);
/// What `pg_stat_activity` shows when nothing else is asked for.
const APPLICATION_NAME: &str = "pg_autoctl";

/// An open connection.
pub struct Session {
    /// Sends queries; the connection ends when this is dropped.
    pub client: Client,
    /// What the server sends on the channels that are listened to; ends with the connection.
    pub notifications: UnboundedReceiver<Notification>,
}

/// A server that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No answer, or none of a Postgres server.
    #[error("cannot connect to {server}: {reason}")]
    Unreachable {
        /// `host:port`.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// No answer in time.
    #[error("{what} got no answer within {} ms", .after.as_millis())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// The server answered with an error.
    #[error("{server} refuses: {message}")]
    Refused {
        /// `host:port`.
        server: String,
        /// The error's code.
        sqlstate: SqlState,
        /// The error's text.
        message: String,
    },
    /// The server's certificate is not one that the options accept.
    #[error("the certificate of {server} is not accepted: {reason}")]
    Untrusted {
        /// `host:port`.
        server: String,
        /// Why not.
        reason: String,
    },
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
}

impl ConnectError {
    /// The code of the server's refusal.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Refused { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }
}

/// What went wrong, in one line: the server's message, or all causes.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return refusal.message().to_owned();
    }
    // Its own words for a failed connection only repeat what is said around it.
    let mut source = error.source();
    let mut text = match source {
        Some(cause) if error.to_string().starts_with("error connecting") => cause.to_string(),
        _ => error.to_string(),
    };
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<Late> for ConnectError {
    fn from(late: Late) -> Self {
        Self::TimedOut { what: late.what, after: late.after }
    }
}

/// Opens a session with the first server that is fit for it. Each may take `deadline`, or the connection string's own
/// `connect_timeout`; one that has several addresses shares it among them.
///
/// # Errors
/// The last server's, when none is fit.
pub async fn connect(target: &ConnectionString, deadline: Duration) -> Result<Session, ConnectError> {
    connect_as(target, deadline, Peer::Postgres).await
}

/// The same with the admin console of a PgBouncer, which knows no settings of a session.
///
/// # Errors
/// As `connect`.
pub async fn connect_to_pooler(
    target: &ConnectionString,
    deadline: Duration,
) -> Result<Session, ConnectError> {
    connect_as(target, deadline, Peer::Pooler).await
}

/// Who is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Postgres,
    Pooler,
}

async fn connect_as(
    target: &ConnectionString,
    deadline: Duration,
    peer: Peer,
) -> Result<Session, ConnectError> {
    let deadline = target.connect_timeout.unwrap_or(deadline);
    let mut last_error = ConnectError::Options("the connection string names no host".to_owned());
    let mut hosts: Vec<&Host> = target.hosts.iter().collect();
    if target.shuffles_hosts {
        let begin = anywhere_below(hosts.len());
        hosts.rotate_left(begin);
    }
    if peer == Peer::Postgres && target.needs_writer && hosts.len() > 1 {
        return connect_to_writer(target, hosts, deadline).await;
    }
    for host in hosts {
        match connect_to_host(target, host, deadline, peer).await {
            Ok(session) => return Ok(session),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Session, ConnectError>> + Send + 'a>>;

/// At most one of these servers accepts writes: whoever says so first is the one. The next host is tried when one refuses,
/// and beside one that says nothing: a host that is frozen or cut off must not cost its whole deadline.
async fn connect_to_writer(
    target: &ConnectionString,
    hosts: Vec<&Host>,
    deadline: Duration,
) -> Result<Session, ConnectError> {
    let mut last_error = ConnectError::Options("the connection string names no host".to_owned());
    let mut waiting = hosts.into_iter();
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    loop {
        match waiting.next() {
            Some(host) => attempts.push(Box::pin(connect_to_host(target, host, deadline, Peer::Postgres))),
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let patience = if waiting.len() == 0 { deadline } else { NEXT_HOST_AFTER };
        let Ok((index, result)) = tokio::time::timeout(patience, first_of(&mut attempts)).await else {
            continue;
        };
        drop(attempts.swap_remove(index));
        match result {
            Ok(session) => return Ok(session),
            Err(error) => last_error = error,
        }
    }
}

/// The first of these that ends, by its place.
async fn first_of(attempts: &mut [Attempt<'_>]) -> (usize, Result<Session, ConnectError>) {
    poll_fn(|context| {
        let ended = attempts.iter_mut().enumerate().find_map(|(index, attempt)| {
            match attempt.as_mut().poll(context) {
                Poll::Ready(result) => Some((index, result)),
                Poll::Pending => None,
            }
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Where to begin, so that many clients spread over the servers.
fn anywhere_below(count: usize) -> usize {
    let hash = RandomState::new().hash_one(count);
    usize::try_from(hash).unwrap_or(0) % count.max(1)
}

/// Tries the addresses of a host one after the other. One that is silent leaves time for the others.
async fn connect_to_host(
    target: &ConnectionString,
    host: &Host,
    deadline: Duration,
    peer: Peer,
) -> Result<Session, ConnectError> {
    let begin = Instant::now();
    let addresses = addresses_of(host, deadline).await?;
    let mut last_error = ConnectError::Options(format!("{host} has no address"));
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_sub(begin.elapsed());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let what = match address {
            Some(address) if addresses.len() > 1 => format!("connecting to {host} at {address}"),
            _ => format!("connecting to {host}"),
        };
        match within(share, &what, connect_to(target, host, *address, peer)).await {
            Ok(Ok(session)) => {
                address.inspect(|address| resolve::prefer(&host.name, *address));
                return Ok(session);
            }
            Ok(Err(error)) => last_error = error,
            Err(late) => last_error = late.into(),
        }
    }
    Err(last_error)
}

/// Where a host is; `None` stands for a socket.
async fn addresses_of(host: &Host, deadline: Duration) -> Result<Vec<Option<IpAddr>>, ConnectError> {
    if host.is_socket_directory() {
        return Ok(vec![None]);
    }
    if let Some(address) = host.address {
        return Ok(vec![Some(address)]);
    }
    let found = resolve::addresses(&host.name, deadline).await;
    let found = found.map_err(|reason| ConnectError::Unreachable { server: host.to_string(), reason })?;
    Ok(found.into_iter().map(Some).collect())
}

/// Tries one address with each of the modes that libpq would try.
async fn connect_to(
    target: &ConnectionString,
    host: &Host,
    address: Option<IpAddr>,
    peer: Peer,
) -> Result<Session, ConnectError> {
    let attempts: &[WireSslMode] = match target.ssl.mode {
        SslMode::Disable => &[WireSslMode::Disable],
        SslMode::Allow => &[WireSslMode::Disable, WireSslMode::Require],
        SslMode::Prefer => &[WireSslMode::Prefer, WireSslMode::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[WireSslMode::Require],
    };
    let attempts = if host.is_socket_directory() { &[WireSslMode::Disable] } else { attempts };
    let mut first_error = None;
    for mode in attempts {
        let error = match open(target, host, address, (*mode, peer)).await {
            Ok(session) => return Ok(session),
            Err(error) => error,
        };
        let goes_on = may_succeed_otherwise(&error);
        // The first way is the one that was asked for.
        first_error.get_or_insert_with(|| explain(host, &error));
        if !goes_on {
            break;
        }
    }
    Err(first_error.unwrap_or_else(|| ConnectError::Options("no way to connect was tried".to_owned())))
}

enum OpenError {
    Postgres(tokio_postgres::Error),
    Tls(tls::TlsError),
    /// Why the server's certificate is not accepted.
    Untrusted(String),
}

/// pg_hba.conf may allow with TLS what it refuses without, and the other way round.
fn may_succeed_otherwise(error: &OpenError) -> bool {
    let OpenError::Postgres(error) = error else {
        return false;
    };
    error.code().is_some_and(|code| *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

fn explain(host: &Host, error: &OpenError) -> ConnectError {
    let server = host.to_string();
    match error {
        OpenError::Tls(error) => ConnectError::Options(error.to_string()),
        OpenError::Untrusted(reason) => ConnectError::Untrusted { server, reason: reason.clone() },
        OpenError::Postgres(error) => match error.as_db_error() {
            Some(refusal) => ConnectError::Refused {
                server,
                sqlstate: refusal.code().clone(),
                message: refusal.message().to_owned(),
            },
            None if is_password_missing(error) => ConnectError::Options(format!(
                "{server} asks for a password: give it in the URI, as in postgres://role:password@host, in PGPASSWORD, or in ~/.pgpass"
            )),
            None => ConnectError::Unreachable { server, reason: describe(error) },
        },
    }
}

fn is_password_missing(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "password missing")
}

async fn open(
    target: &ConnectionString,
    host: &Host,
    address: Option<IpAddr>,
    (mode, peer): (WireSslMode, Peer),
) -> Result<Session, OpenError> {
    let mut config = configuration(target, host, peer);
    if let Some(address) = address {
        config.hostaddr(address);
    }
    config.ssl_mode(mode);
    if target.ssl.begins_with_tls && mode == WireSslMode::Require {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    let connector = tls::connector(&target.ssl).map_err(OpenError::Tls)?;
    let (client, connection) = config.connect(connector.make).await.map_err(|error| {
        connector.verdict.reason().map_or(OpenError::Postgres(error), OpenError::Untrusted)
    })?;
    let (sender, notifications) = unbounded_channel();
    tokio::spawn(drive::<MakeTlsConnector>(connection, sender));
    Ok(Session { client, notifications })
}

fn configuration(target: &ConnectionString, host: &Host, peer: Peer) -> Config {
    let mut config = Config::new();
    config
        .host(&host.name)
        .port(host.port)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .application_name(target.application_name.as_deref().unwrap_or(APPLICATION_NAME));
    if let Some(user) = &target.user {
        config.user(user);
    }
    if let Some(password) = target.password.clone().or_else(|| stored_password(target, host)) {
        config.password(password.expose());
    }
    if let Some(dbname) = &target.dbname {
        config.dbname(dbname);
    }
    // What the connection string asks for comes last, and counts.
    if peer == Peer::Postgres {
        config.options(session_options::any_role() + target.options.as_deref().unwrap_or_default());
    }
    if target.binds_channel {
        config.channel_binding(ChannelBinding::Require);
    }
    if target.needs_writer {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config
}

/// As libpq finds it when the connection string has none.
fn stored_password(target: &ConnectionString, host: &Host) -> Option<Secret> {
    let user = target.user.clone().or_else(user::name)?;
    let dbname = target.dbname.as_deref().unwrap_or(&user);
    let name = if host.is_socket_directory() { "localhost" } else { &host.name };
    let login = Login { host: name, port: host.port, dbname, user: &user };
    passfile::password(target.passfile.as_deref(), &login)
}

/// Moves the connection's bytes until either side ends it.
async fn drive<T: MakeTlsConnect<Socket>>(
    mut connection: Connection<Socket, T::Stream>,
    notifications: UnboundedSender<Notification>,
) {
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(notification)) => {
                // Nobody needs to be listening.
                let _ = notifications.send(notification);
            }
            Ok(AsyncMessage::Notice(notice)) => tracing::debug!("{notice}"),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("connection lost: {}", describe(&error));
                return;
            }
        }
    }
}
