//! Connections between the agents of monitors: TLS, with a certificate on both sides, and one call at a time on each.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openssl::ssl::{Ssl, SslContext};
use pgaf_core::monitors::{Reply, What};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::frame;
use super::identity;
use super::types::{Status, Types};
use crate::client::addresses;
use crate::config::Member;

/// For a connection, with its handshake.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_millis(600);
/// A caller that has not said who it is by then is nobody.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);
/// Longer than this nobody is silent who has something to say.
const IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// A monitor has a few others, each with a few connections.
const MAX_CONNECTIONS: usize = 64;

/// What one agent asks another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// Of openraft.
    Append(AppendEntriesRequest<Types>),
    /// Of openraft.
    Vote(VoteRequest<u64>),
    /// Of openraft.
    Snapshot(InstallSnapshotRequest<Types>),
    /// To whoever leads: propose this.
    Submit(What),
    /// How it is.
    Status,
    /// To whoever leads: a new monitor of that name wants a number.
    Admit {
        /// Its name.
        name: String,
        /// Where its agent will listen.
        address: String,
    },
    /// To whoever leads: a monitor that has a number wants to follow, and to vote when it has followed.
    Join {
        /// Its number.
        id: u64,
        /// Where it is.
        member: Member,
    },
    /// To whoever leads: a monitor shall go, who need not come back.
    Drop {
        /// Its name.
        name: String,
    },
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// Of openraft.
    Append(Result<AppendEntriesResponse<u64>, RaftError<u64>>),
    /// Of openraft.
    Vote(Result<VoteResponse<u64>, RaftError<u64>>),
    /// Of openraft.
    Snapshot(Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>),
    /// What came of it, or why nothing did.
    Submit(Result<Reply, String>),
    /// How it is.
    Status(Box<Status>),
    /// The number of a new monitor, and all monitors, the new one included.
    Admit(Result<Admission, String>),
    /// How far it has come, or why it cannot.
    Step(Result<Progress, String>),
}

/// What a new monitor begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admission {
    /// Its number.
    pub(crate) id: u64,
    /// The others.
    pub(crate) members: Vec<(u64, Member)>,
}

/// How far a monitor has come that joins or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// Ask again.
    UnderWay,
    /// It has come to its end.
    Done,
}

/// Somebody who answers calls.
pub(super) trait Answers: Send + Sync + 'static {
    /// The answer to one call.
    fn answer(&self, call: Call) -> impl Future<Output = Response> + Send;
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Connects to a monitor, and makes sure that it is this one.
pub(super) async fn connect(context: &SslContext, member: &Member) -> io::Result<SslStream<TcpStream>> {
    let attempt = async {
        let mut error = io::Error::other(format!("{} has no address", member.host));
        for address in addresses(&member.host, CONNECT_DEADLINE).await.map_err(failed)? {
            match TcpStream::connect((address, member.port)).await {
                Ok(stream) => return handshake(context, stream, member).await,
                Err(reason) => error = reason,
            }
        }
        Err(error)
    };
    timeout(CONNECT_DEADLINE, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn handshake(
    context: &SslContext,
    stream: TcpStream,
    member: &Member,
) -> io::Result<SslStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let mut stream = SslStream::new(Ssl::new(context).map_err(failed)?, stream)?;
    Pin::new(&mut stream).connect().await.map_err(failed)?;
    let name = stream.ssl().peer_certificate().and_then(|certificate| identity::name_of(&certificate));
    // Whoever has a certificate of these monitors is one of them; which one, a new monitor cannot know yet.
    let is_any = member.name.is_empty() && name.is_some();
    if !is_any && name.as_deref() != Some(&member.name) {
        let found = name.unwrap_or_default();
        return Err(failed(format!("\"{found}\" answers in the place of \"{}\"", member.name)));
    }
    Ok(stream)
}

/// One call over a connection.
pub(super) async fn ask(stream: &mut SslStream<TcpStream>, call: &Call) -> io::Result<Response> {
    frame::write(stream, call).await?;
    frame::read(stream).await
}

/// Answers whoever connects and has a certificate, for ever.
pub(super) async fn serve(listener: TcpListener, context: SslContext, server: Arc<impl Answers>) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("could not accept a connection of another monitor: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // More than that wait for nothing.
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else { continue };
        let (context, server) = (context.clone(), Arc::clone(&server));
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &context, &*server).await {
                tracing::debug!("a connection of another monitor has ended: {error}");
            }
            drop(permit);
        });
    }
}

async fn converse(stream: TcpStream, context: &SslContext, server: &impl Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = SslStream::new(Ssl::new(context).map_err(failed)?, stream)?;
    timeout(HANDSHAKE_DEADLINE, Pin::new(&mut stream).accept())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(failed)?;
    loop {
        let call = timeout(IDLE_DEADLINE, frame::read(&mut stream)).await;
        let call = call.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        frame::write(&mut stream, &server.answer(call).await).await?;
    }
}
