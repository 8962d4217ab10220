//! What openraft sends to the other monitors, over connections that are kept.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openssl::ssl::SslContext;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::identity::Identity;
use super::types::{Status, Types};
use super::wire::{self, Call, Response};
use crate::config::Member;

/// Between two attempts to reach a monitor.
const RETRY: Duration = Duration::from_millis(200);
/// For an operator who asks.
const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// Makes clients.
#[derive(Clone)]
pub(super) struct Network {
    context: SslContext,
}

/// Talks to one monitor. One call at a time; a call that was given up takes its connection with it.
#[derive(Clone)]
pub(super) struct Client {
    context: SslContext,
    id: u64,
    member: Member,
    idle: Arc<Mutex<Option<SslStream<TcpStream>>>>,
}

/// How that monitor sees the monitors.
///
/// # Errors
/// It cannot be reached, or this one's certificate cannot be used.
pub(crate) async fn status_of(identity: &Identity, id: u64, member: &Member) -> Result<Status, String> {
    let client = Network::new(identity.context()?).client(id, member);
    match timeout(STATUS_DEADLINE, client.ask(&Call::Status)).await {
        Ok(Ok(Response::Status(status))) => Ok(*status),
        Ok(Ok(_)) => Err("the answer is to another call".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", STATUS_DEADLINE.as_millis())),
    }
}

type Failed<E> = RPCError<u64, Member, E>;

impl Network {
    pub(super) const fn new(context: SslContext) -> Self {
        Self { context }
    }

    /// A client of this monitor.
    pub(super) fn client(&self, id: u64, member: &Member) -> Client {
        Client { context: self.context.clone(), id, member: member.clone(), idle: Arc::default() }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &Member) -> Client {
        self.client(target, node)
    }
}

impl Client {
    /// One call, and its answer.
    pub(super) async fn ask(&self, call: &Call) -> io::Result<Response> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut stream = match idle {
            Some(stream) => stream,
            None => wire::connect(&self.context, &self.member).await?,
        };
        let response = wire::ask(&mut stream, call).await?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        Ok(response)
    }

    async fn call<T, E: std::error::Error>(
        &self,
        call: Call,
        option: &RPCOption,
        take: impl FnOnce(Response) -> Option<Result<T, E>>,
    ) -> Result<T, Failed<E>> {
        let limit = option.hard_ttl();
        let response = match timeout(limit, self.ask(&call)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(RPCError::Unreachable(Unreachable::new(&error))),
            Err(_) => {
                return Err(RPCError::Timeout(Timeout {
                    action: openraft::RPCTypes::AppendEntries,
                    id: self.id,
                    target: self.id,
                    timeout: limit,
                }));
            }
        };
        let senseless = || io::Error::new(io::ErrorKind::InvalidData, "the answer is to another call");
        match take(response) {
            Some(result) => result.map_err(|error| RPCError::RemoteError(RemoteError::new(self.id, error))),
            None => Err(RPCError::Network(NetworkError::new(&senseless()))),
        }
    }
}

impl RaftNetwork<Types> for Client {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>> {
        let take = |response| if let Response::Append(result) = response { Some(result) } else { None };
        self.call(Call::Append(request), &option, take).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<RaftError<u64, InstallSnapshotError>>> {
        let take = |response| if let Response::Snapshot(result) = response { Some(result) } else { None };
        self.call(Call::Snapshot(request), &option, take).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed<RaftError<u64>>> {
        let take = |response| if let Response::Vote(result) = response { Some(result) } else { None };
        self.call(Call::Vote(request), &option, take).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}
