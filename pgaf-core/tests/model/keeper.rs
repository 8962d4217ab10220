//! A keeper: the shipped engine. Its present moment stands still; time makes what happened older. Between two actions it
//! is at rest: nothing is under way, and what was asked of it is done or lost.

use std::time::Duration;

use pgaf_core::keeper::{
    Cluster, Command, DataDirectory, Engine, Event, Following, KeeperState, Memory, Moment, Observation,
    Observed, PostgresExit, Progress, Receiver, Running, Settings, StreamingStandby,
};
use pgaf_core::{Assignment, Epoch, GroupId, Lineage, NodeId, NodeKind, Peer, Timeline, Upstream};

use super::server::{Data, Mode, Server};

/// One step of the model's time.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// A primary fences itself after this long without a word of anybody, or sooner when the monitor says so, as it does at
/// first.
pub(crate) const FENCE_AFTER: Duration = Duration::from_secs(3);
/// Nothing gets older than this.
pub(crate) const OLDEST_TICKS: u8 = 4;
/// The present.
pub(crate) const NOW: Moment = Moment::after_boot(Duration::from_secs(OLDEST_TICKS as u64));

/// The numbers of reports go on from here: nothing depends on them but which is higher.
const KEEPER_START: u64 = 1;

/// The engine of a process; a new one has the state file only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keeper {
    pub(crate) is_up: bool,
    engine: Engine,
}

impl Keeper {
    pub(crate) fn new(node: NodeId) -> Self {
        Self::of(KeeperState::registered(node, GroupId(0)))
    }

    fn of(state: KeeperState) -> Self {
        let settings = Settings {
            is_monitored: true,
            network_partition_timeout: FENCE_AFTER,
            dbname: String::new(),
            kind: NodeKind::Standalone,
            has_hooks: false,
            has_before_promote: false,
            has_poolers: false,
        };
        let mut keeper = Self { is_up: true, engine: Engine::new(settings, state, NOW) };
        keeper.handle(Event::Started);
        keeper.rest();
        keeper
    }

    pub(crate) fn restart(&mut self) {
        *self = Self::of(self.engine.state().clone());
    }

    pub(crate) fn die(&mut self) {
        self.restart();
        self.is_up = false;
    }

    pub(crate) fn handle(&mut self, event: Event) -> Vec<Command> {
        self.engine.handle(event, NOW)
    }

    /// Its Postgres has ended by itself.
    pub(crate) fn loses_postgres(&mut self) {
        self.handle(Event::PostgresExited(PostgresExit::Crashed));
        self.rest();
    }

    /// Everything that was asked of it is done or lost.
    pub(crate) fn rest(&mut self) {
        self.engine.rest(NOW);
        self.engine.renumber_reports(KEEPER_START);
    }

    /// A tick passes.
    pub(crate) fn age(&mut self) {
        if self.is_up {
            self.engine.age(TICK);
        }
    }

    pub(crate) fn assignment(&self) -> Option<&Assignment> {
        self.engine.assignment()
    }

    /// What only a person can help with.
    pub(crate) fn blocked(&self) -> Option<&'static str> {
        match self.engine.progress() {
            Progress::Blocked(why) => Some(why),
            _ => None,
        }
    }

    /// It must stop its server before any more time passes.
    pub(crate) fn must_fence(&self, server: &Server) -> bool {
        let is_due = self.engine.authority_ends().is_some_and(|end| end < NOW.after(TICK));
        is_due && server.mode == Mode::Writer
    }

    /// The numbers of assignments that it knows.
    pub(crate) fn epochs(&self) -> impl Iterator<Item = Epoch> {
        let state = self.engine.state();
        let of_assignment = state.assignment.as_ref().map(|assignment| assignment.epoch);
        std::iter::once(state.reported_epoch).chain(of_assignment)
    }

    pub(crate) fn renumber_epochs(&mut self, visit: impl FnMut(&mut Epoch)) {
        self.engine.renumber_epochs(visit);
    }

    /// A look at the server.
    pub(crate) fn observe(&self, server: &Server, upstream: Option<&Server>) -> Observation {
        let rule = self.assignment().map(|assignment| &assignment.commit_rule);
        let is_member =
            |standby: usize| rule.is_some_and(|rule| rule.standbys.contains(&NodeId(standby as i64 + 1)));
        let fresh = server.replies.iter().filter(|reply| reply.age == 0 && is_member(reply.standby));
        let acks = rule.map_or(0, |rule| rule.acks as usize);
        let has_quorum = acks > 0 && server.is_running() && fresh.count() >= acks;
        Observation {
            observed: observe(server, upstream),
            upstream: (server.mode == Mode::Standby).then(|| Upstream {
                is_streaming: server.is_streaming,
                silent_ms: u64::from(server.unheard) * 1000,
            }),
            quorum_contact: has_quorum.then_some(NOW),
            sync_state: String::new(),
            shutdown_lsn: server.shutdown_lsn(),
            history: (server.data == Data::Whole).then(|| server.history()),
            notice: None,
            copied_percent: None,
            server_start: None,
            is_disk_hung: false,
        }
    }
}

fn observe(server: &Server, upstream: Option<&Server>) -> Observed {
    let lineage = upstream
        .filter(|_| !server.is_streaming)
        .map(|upstream| if server.is_behind(upstream) { Lineage::Behind } else { Lineage::Forked });
    let cluster = Cluster {
        system_identifier: 1,
        timeline: Timeline(server.timeline.into()),
        checkpoint: server.end(),
        is_clean: server.is_clean,
        is_standby: server.has_signal,
    };
    let data = match server.data {
        Data::Missing => DataDirectory::Missing,
        Data::Incomplete => DataDirectory::Incomplete,
        Data::Whole => DataDirectory::Present(cluster),
    };
    let is_running = server.is_running();
    Observed {
        data,
        server: if is_running {
            pgaf_core::keeper::Server::Running(running(server))
        } else {
            pgaf_core::keeper::Server::Stopped
        },
        lineage,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    }
}

fn running(server: &Server) -> Running {
    Running {
        is_in_recovery: server.mode == Mode::Standby,
        is_gated: server.mode == Mode::Gated,
        timeline: Timeline(server.timeline.into()),
        lsn: server.end(),
        replayed: server.end(),
        is_short_of_settings: false,
        is_replay_over: server.mode == Mode::Standby && server.follows.is_none() && !server.is_streaming,
        synchronous_standby_names: server.names.clone(),
        follows: server.follows.map(|index| Following { host: String::new(), port: port_of(index) }),
        receiver: if server.is_streaming { Receiver::Streaming } else { Receiver::Absent },
        standbys: server
            .replies
            .iter()
            .map(|reply| StreamingStandby {
                node: NodeId(reply.standby as i64 + 1),
                is_streaming: reply.age == 0,
                is_synchronous: super::server::rule_of(&server.names)
                    .standbys
                    .contains(&NodeId(reply.standby as i64 + 1)),
                flushed: pgaf_core::Lsn(reply.flushed.into()),
            })
            .collect(),
        slots: Vec::new(),
    }
}

/// Nodes are told apart by their ports.
pub(crate) const fn port_of(index: usize) -> u16 {
    index as u16 + 1
}

pub(crate) fn index_of(peer: &Peer) -> usize {
    usize::from(peer.port) - 1
}
