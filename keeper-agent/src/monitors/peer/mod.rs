//! The agent's part in the consensus: a thread with a runtime of its own, so that nothing that holds up the keeper delays
//! a vote, and a disk that hangs here delays nothing there.

mod membership;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::error::{InitializeError, RaftError};
use openraft::{Config, Raft, ServerState, SnapshotPolicy};
use pgaf_core::Group;
use pgaf_core::monitors::{Entry, Monitors, Reply, What};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use super::identity::Identity;
use super::joining;
use super::leadership::Leadership;
use super::majority::{MAJORITY_LOST_AFTER, Majority};
use super::network::{Client, Network};
use super::prober;
use super::store::{self, Applied, StoreError};
use super::types::{Status, Types};
use super::wire::{self, Answers, Call, Response};
use crate::config::Member;

const HEARTBEAT_MS: u64 = 200;
/// An election begins after this much silence of whoever leads, and at the latest after that much.
const ELECTION_MS: (u64, u64) = (800, 1_200);
/// The whole state is a few pages.
const ENTRIES_UNTIL_SNAPSHOT: u64 = 2_000;
const MAX_CHUNK_BYTES: u64 = 512 << 10;

const TICK: Duration = Duration::from_millis(100);
const PROBE_PERIOD: Duration = Duration::from_millis(500);
/// What has not been agreed by then is given up, by whoever asked.
const PROPOSAL_DEADLINE: Duration = Duration::from_millis(900);
const START_RETRY: Duration = Duration::from_secs(3);
const NOBODY_LEADS: &str = "no monitor leads now, as far as this one knows";
/// Questions that wait for the thread.
const QUEUE: usize = 64;

/// What an agent needs to take part.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its number.
    pub(crate) id: u64,
    /// The monitors that it begins with; later the log says who they are.
    pub(crate) members: Vec<(u64, Member)>,
    /// How it has become one of them.
    pub(crate) beginning: Beginning,
    /// It has no server.
    pub(crate) is_witness: bool,
    /// The port that it listens on, at all addresses.
    pub(crate) port: u16,
    /// The file of its store.
    pub(crate) store: PathBuf,
    /// Its certificate.
    pub(crate) identity: Identity,
}

/// How a monitor becomes one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// All begin at once, with the same list.
    Together,
    /// The others are several already.
    Joined,
}

/// Why an agent cannot take part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its certificate.
    #[error("{0}")]
    Identity(String),
    /// Its thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The library has given up.
    #[error("{0}")]
    Raft(String),
}

struct Question {
    what: What,
    answer: oneshot::Sender<Result<Reply, String>>,
}

/// What the rest of the agent has of it.
#[derive(Clone)]
pub(crate) struct Handle {
    questions: mpsc::Sender<Question>,
    applied: watch::Receiver<Monitors>,
    members: watch::Receiver<Vec<(u64, Member)>>,
}

impl Handle {
    /// Has the monitors agree on something.
    ///
    /// # Errors
    /// They did not, and why.
    pub(crate) async fn submit(&self, what: What) -> Result<Reply, String> {
        let gone = || "the agent takes no part in the consensus now".to_owned();
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Question { what, answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// What has been agreed, now and later.
    pub(crate) fn agreed(&self) -> watch::Receiver<Monitors> {
        self.applied.clone()
    }

    /// All monitors as was agreed, now and later; empty until that is known.
    pub(crate) fn members(&self) -> watch::Receiver<Vec<(u64, Member)>> {
        self.members.clone()
    }
}

/// What the thread tells the rest of the agent.
struct Outlet {
    agreed: watch::Sender<Monitors>,
    members: watch::Sender<Vec<(u64, Member)>>,
}

impl Outlet {
    fn tell(&self, applied: &Applied) {
        tell(&self.agreed, applied.monitors.clone());
        tell(&self.members, applied.members());
    }
}

fn tell<T: PartialEq>(channel: &watch::Sender<T>, value: T) {
    channel.send_if_modified(|known| {
        let is_new = *known != value;
        *known = value;
        is_new
    });
}

impl Peer {
    /// Begins to take part, in a thread that lives as long as the process.
    ///
    /// # Errors
    /// A store or a certificate that cannot be used.
    pub(crate) fn start(self) -> Result<Handle, PeerError> {
        self.identity.context().map_err(PeerError::Identity)?;
        drop(store::open(&self.store)?);
        let (questions, mut asked) = mpsc::channel(QUEUE);
        let (agreed, applied) = watch::channel(Monitors::default());
        let (know_members, members) = watch::channel(Vec::new());
        let outlet = Outlet { agreed, members: know_members };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("monitors".to_owned()).spawn(move || {
            runtime.block_on(async {
                // What has made it end may pass: a full disk for example.
                loop {
                    let Err(reason) = self.take_part(&mut asked, &outlet).await else { return };
                    error!(
                        "this monitor takes no part in elections: {reason}; retrying in {} s",
                        START_RETRY.as_secs()
                    );
                    sleep(START_RETRY).await;
                }
            });
        })?;
        Ok(Handle { questions, applied, members })
    }

    async fn take_part(
        &self,
        asked: &mut mpsc::Receiver<Question>,
        outlet: &Outlet,
    ) -> Result<(), PeerError> {
        let context = self.identity.context().map_err(PeerError::Identity)?;
        let (log, state) = store::open(&self.store)?;
        let applied = state.watch();
        let network = Network::new(context.clone());
        let failed = |error: &dyn std::fmt::Display| PeerError::Raft(error.to_string());
        let config = Arc::new(config().validate().map_err(|error| failed(&error))?);
        let raft =
            Raft::new(self.id, config, network.clone(), log, state).await.map_err(|error| failed(&error))?;
        let listener = listen(self.port).await;
        let part = Arc::new(Part {
            id: self.id,
            is_witness: self.is_witness,
            raft: raft.clone(),
            network,
            applied,
            leadership: Mutex::new(Leadership::none()),
            leader: Mutex::new(None),
            turn: AtomicUsize::new(0),
        });
        let lived = async {
            if self.beginning == Beginning::Together {
                self.initialize(&raft).await?;
            }
            let server = tokio::spawn(wire::serve(listener?, context, Arc::clone(&part)));
            let result = tokio::select! {
                result = part.live(asked, outlet) => result,
                () = self.join(part.applied.clone()) => Ok(()),
            };
            server.abort();
            result
        };
        let result = lived.await;
        if let Err(error) = raft.shutdown().await {
            warn!("the consensus did not end well: {error}");
        }
        result
    }

    /// Has the others make it one of them, unless it is; never ends.
    async fn join(&self, applied: watch::Receiver<Applied>) {
        let own = self.members.iter().find(|(id, _)| *id == self.id).cloned();
        let others: Vec<(u64, Member)> =
            self.members.iter().filter(|(id, _)| *id != self.id).cloned().collect();
        if let (Beginning::Joined, Some(own)) = (self.beginning, own) {
            joining::join(&self.identity, own, others, applied).await;
        }
        std::future::pending().await
    }

    /// Every monitor does so when it is new, all with the same members.
    async fn initialize(&self, raft: &Raft<Types>) -> Result<(), PeerError> {
        let members: std::collections::BTreeMap<u64, Member> = self.members.iter().cloned().collect();
        match raft.initialize(members).await {
            Ok(()) => info!("takes part in the election of monitors for the first time"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(PeerError::Raft(error.to_string())),
        }
        Ok(())
    }
}

/// At all addresses, also where there is no IPv6.
async fn listen(port: u16) -> Result<TcpListener, PeerError> {
    let bound = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    };
    bound.map_err(|error| PeerError::Raft(format!("cannot listen on port {port}: {error}")))
}

fn config() -> Config {
    Config {
        cluster_name: "monitors".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS.0,
        election_timeout_max: ELECTION_MS.1,
        install_snapshot_timeout: 2_000,
        max_payload_entries: 64,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(ENTRIES_UNTIL_SNAPSHOT),
        snapshot_max_chunk_size: MAX_CHUNK_BYTES,
        max_in_snapshot_log_to_keep: ENTRIES_UNTIL_SNAPSHOT / 2,
        ..Config::default()
    }
}

/// One life of the library.
struct Part {
    id: u64,
    is_witness: bool,
    raft: Raft<Types>,
    network: Network,
    applied: watch::Receiver<Applied>,
    leadership: Mutex<Leadership>,
    /// How to reach whoever leads.
    leader: Mutex<Option<(u64, Client)>>,
    /// Whom to ask when nobody is known to lead.
    turn: AtomicUsize,
}

impl Answers for Part {
    async fn answer(&self, call: Call) -> Response {
        match call {
            Call::Append(request) => Response::Append(self.raft.append_entries(request).await),
            Call::Vote(request) => Response::Vote(self.raft.vote(request).await),
            Call::Snapshot(request) => Response::Snapshot(self.raft.install_snapshot(request).await),
            Call::Submit(what) => Response::Submit(self.propose(what).await),
            Call::Status => Response::Status(Box::new(self.status())),
            Call::Admit { name, address } => Response::Admit(self.admit(&name, &address).await),
            Call::Join { id, member } => Response::Step(self.take_in(id, member).await),
            Call::Drop { name } => Response::Step(self.let_go(&name).await),
        }
    }
}

impl Part {
    async fn live(
        self: &Arc<Self>,
        asked: &mut mpsc::Receiver<Question>,
        outlet: &Outlet,
    ) -> Result<(), PeerError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut applied = self.applied.clone();
        applied.mark_changed();
        let mut last_probe = Instant::now();
        let mut majority = Majority::heard();
        loop {
            tokio::select! {
                question = asked.recv() => {
                    let Some(Question { what, answer }) = question else { return Ok(()) };
                    let part = Arc::clone(self);
                    // Whoever asked may have given up.
                    tokio::spawn(async move { let _ = answer.send(part.submit(what).await); });
                }
                _ = applied.changed() => outlet.tell(&applied.borrow_and_update()),
                _ = ticks.tick() => {
                    let state = self.raft.metrics().borrow().running_state.clone();
                    state.map_err(|error| PeerError::Raft(error.to_string()))?;
                    majority.look(self.has_majority());
                    if let Some(term) = self.term_it_leads() {
                        if last_probe.elapsed() >= PROBE_PERIOD {
                            last_probe = Instant::now();
                            self.probe(term);
                        }
                        self.tick(term);
                    }
                }
            }
        }
    }

    fn term_it_leads(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        (metrics.state == ServerState::Leader).then_some(metrics.current_term)
    }

    fn has_majority(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let limit = u64::try_from(MAJORITY_LOST_AFTER.as_millis()).unwrap_or(u64::MAX);
        match metrics.state {
            ServerState::Leader => metrics.millis_since_quorum_ack.is_some_and(|age| age < limit),
            _ => metrics.current_leader.is_some(),
        }
    }

    fn leadership(&self) -> MutexGuard<'_, Leadership> {
        self.leadership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self) -> Option<Group> {
        self.applied.borrow().monitors.group.clone()
    }

    /// Decides because time has passed.
    fn tick(self: &Arc<Self>, term: u64) {
        let ages = {
            let mut leadership = self.leadership();
            leadership.lead(term, self.group().as_ref());
            leadership.ages()
        };
        if self.applied.borrow().monitors.is_due(&ages) {
            let part = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = part.propose(What::Tick).await {
                    tracing::debug!("{error}");
                }
            });
        }
    }

    fn probe(self: &Arc<Self>, term: u64) {
        for node in self.group().into_iter().flat_map(|group| group.nodes) {
            let part = Arc::clone(self);
            tokio::spawn(async move {
                let answers = prober::answers(&node.host, node.port).await;
                part.leadership().probed(term, node.id, answers);
            });
        }
    }

    /// Proposes it, if this agent leads.
    async fn propose(&self, what: What) -> Result<Reply, String> {
        let term = self.term_it_leads().ok_or("this monitor does not lead")?;
        let ages = {
            let mut leadership = self.leadership();
            leadership.lead(term, self.group().as_ref());
            if let What::Report { node, .. } = &what {
                leadership.heard(*node);
            }
            leadership.ages()
        };
        let written = timeout(PROPOSAL_DEADLINE, self.raft.client_write(Entry { what, ages })).await;
        let response = written
            .map_err(|_| {
                format!("no majority of the monitors has agreed within {} ms", PROPOSAL_DEADLINE.as_millis())
            })?
            .map_err(|error| error.to_string())?;
        response.data.ok_or_else(|| "the entry was another one".to_owned())
    }

    /// Has whoever leads propose it.
    async fn submit(&self, what: What) -> Result<Reply, String> {
        if self.term_it_leads().is_some() {
            return self.propose(what).await;
        }
        let leader = self.leader().or_else(|| self.any_other()).ok_or(NOBODY_LEADS)?;
        match timeout(PROPOSAL_DEADLINE, leader.ask(&Call::Submit(what))).await {
            Ok(Ok(Response::Submit(result))) => result,
            Ok(Ok(_)) => Err("the answer is to another call".to_owned()),
            Ok(Err(error)) => Err(format!("the leading monitor cannot be reached: {error}")),
            Err(_) => Err(format!(
                "the leading monitor has not answered within {} ms",
                PROPOSAL_DEADLINE.as_millis()
            )),
        }
    }

    fn leader(&self) -> Option<Client> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let id = metrics.current_leader?;
        let mut known = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = &*known
            && *of == id
        {
            return Some(client.clone());
        }
        let client = self.network.client(id, metrics.membership_config.membership().get_node(&id)?);
        *known = Some((id, client.clone()));
        Some(client)
    }

    /// One of the others, another one each time. A monitor that was removed while it was away hears of no leader any more:
    /// whoever leads tells it.
    fn any_other(&self) -> Option<Client> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let others: Vec<_> =
            metrics.membership_config.membership().nodes().filter(|(id, _)| **id != self.id).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (id, member) = others.get(turn.checked_rem(others.len())?)?;
        Some(self.network.client(**id, member))
    }

    fn status(&self) -> Status {
        let has_majority = self.has_majority();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        Status {
            id: self.id,
            leader: metrics.current_leader.filter(|_| has_majority),
            term: metrics.current_term,
            applied: metrics.last_applied.map_or(0, |applied| applied.index),
            has_majority,
            is_witness: self.is_witness,
            members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
            voters: membership.voter_ids().collect(),
            monitors: self.applied.borrow().monitors.clone(),
        }
    }
}
