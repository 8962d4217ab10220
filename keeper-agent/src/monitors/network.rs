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
use pgaf_core::monitors::{Reply, What};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::identity::Identity;
use super::types::{Status, Types};
use super::wire::{self, Admission, Call, Progress, Response};
use crate::config::Member;

/// Between two attempts to reach a monitor.
const RETRY: Duration = Duration::from_millis(200);
/// For an operator who asks.
const STATUS_DEADLINE: Duration = Duration::from_secs(2);
/// For a monitor that carries out what an operator wants.
const ORDER_DEADLINE: Duration = Duration::from_secs(5);

const FOREIGN: &str = "the answer is to another call";

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
        Ok(Ok(_)) => Err(FOREIGN.to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", STATUS_DEADLINE.as_millis())),
    }
}

/// Has whoever leads the monitors do something, and gives its answer. The monitors are those that this one knows; one
/// without a name is any of them.
///
/// # Errors
/// None of them can be reached, or none leads.
async fn ask_leader(identity: &Identity, known: &[(u64, Member)], call: &Call) -> Result<Response, String> {
    let mut reasons = Vec::new();
    for (id, member) in known {
        let status = match status_of(identity, *id, member).await {
            Ok(status) if status.has_majority => status,
            Ok(_) => {
                reasons.push(format!("{} does not hear a majority of the monitors", member.address()));
                continue;
            }
            Err(reason) => {
                reasons.push(format!("{}: {reason}", member.address()));
                continue;
            }
        };
        let leader = status.members.iter().find(|(id, _)| Some(*id) == status.leader);
        let Some((id, leader)) = leader else {
            reasons.push(format!("{} knows of no monitor that leads", member.address()));
            continue;
        };
        let client = Network::new(identity.context()?).client(*id, leader);
        match timeout(ORDER_DEADLINE, client.ask(call)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => reasons.push(format!("{}: {error}", leader.address())),
            Err(_) => {
                reasons.push(format!(
                    "{}: no answer within {} s",
                    leader.address(),
                    ORDER_DEADLINE.as_secs()
                ));
            }
        }
    }
    Err(format!("no monitor could do it: {}", reasons.join("; ")))
}

/// Gets a number for a new monitor.
///
/// # Errors
/// The others cannot be reached, or do not take another one.
pub(crate) async fn admit(
    identity: &Identity,
    contact: Member,
    name: &str,
    address: String,
) -> Result<Admission, String> {
    let call = Call::Admit { name: name.to_owned(), address };
    match ask_leader(identity, &[(0, contact)], &call).await? {
        Response::Admit(result) => result,
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Goes on with joining.
///
/// # Errors
/// The others cannot be reached, or do not take it.
pub(super) async fn join(
    identity: &Identity,
    known: &[(u64, Member)],
    (id, member): (u64, Member),
) -> Result<Progress, String> {
    match ask_leader(identity, known, &Call::Join { id, member }).await? {
        Response::Step(result) => result,
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Goes on with dropping a monitor.
///
/// # Errors
/// The monitors cannot be reached, or do not do it.
pub(crate) async fn drop_member(
    identity: &Identity,
    known: &[(u64, Member)],
    name: &str,
) -> Result<Progress, String> {
    match ask_leader(identity, known, &Call::Drop { name: name.to_owned() }).await? {
        Response::Step(result) => result,
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Has the monitors agree on something, for an operator.
///
/// # Errors
/// The monitors cannot be reached, or do not do it.
pub(crate) async fn propose(
    identity: &Identity,
    known: &[(u64, Member)],
    what: What,
) -> Result<Reply, String> {
    match ask_leader(identity, known, &Call::Submit(what)).await? {
        Response::Submit(result) => result,
        _ => Err(FOREIGN.to_owned()),
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
        let senseless = || io::Error::new(io::ErrorKind::InvalidData, FOREIGN);
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
