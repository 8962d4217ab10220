//! A keeper: the clockwork around the shipped `Authority`, `Recall` and `plan`. Its present moment stands still;
//! time makes what happened older.

use std::time::Duration;

use pgaf_core::keeper::{
    Authority, Cluster, DataDirectory, Following, Memory, Moment, Numbering, Observed, Plan, Receiver,
    Running, StreamingStandby, epoch_to_report,
};
use pgaf_core::{
    Assignment, Epoch, Lineage, NodeId, Peer, ReplicationState, Report, ReportDetail, Timeline, Upstream,
};

use super::server::{Data, Mode, Server};

/// One step of the model's time.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// A primary fences itself after this long without a word of anybody.
pub(crate) const FENCE_AFTER: Duration = Duration::from_secs(2);
/// Nothing gets older than this.
pub(crate) const OLDEST_TICKS: u8 = 4;
/// The present.
pub(crate) const NOW: Moment = Moment::after_boot(Duration::from_secs(OLDEST_TICKS as u64));

/// What a keeper knows; a new process has the state file only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keeper {
    pub(crate) is_up: bool,
    pub(crate) reported: ReplicationState,
    pub(crate) reported_epoch: Epoch,
    pub(crate) assignment: Option<Assignment>,
    pub(crate) authority: Authority,
    pub(crate) recall: Memory,
    /// Goes on in the next process: nothing depends on where a process begins but that it is higher.
    pub(crate) numbering: Numbering,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self {
            is_up: true,
            reported: ReplicationState::Init,
            reported_epoch: Epoch(0),
            assignment: None,
            authority: Authority::new(NOW),
            recall: Memory::default(),
            numbering: Numbering::of_start(0),
        }
    }

    pub(crate) fn restart(&mut self) {
        self.is_up = true;
        self.authority = Authority::new(NOW);
        self.recall = Memory::default();
    }

    pub(crate) fn die(&mut self) {
        self.is_up = false;
        self.authority = Authority::new(NOW);
        self.recall = Memory::default();
    }

    /// A look at the server: remembers what the agent remembers, and says what to do.
    pub(crate) fn look(&mut self, server: &Server, upstream: Option<&Server>) -> Plan {
        let observed = observe(server, upstream);
        self.recall.saw(&observed.server);
        let Some(assignment) = self.assignment.clone() else {
            return Plan::Wait("waiting for the monitor");
        };
        let rule = &assignment.commit_rule;
        let fresh = server
            .replies
            .iter()
            .filter(|reply| reply.age == 0 && rule.standbys.contains(&NodeId(reply.standby as i64 + 1)));
        if rule.is_synchronous() && server.is_running() && fresh.count() >= rule.acks as usize {
            self.authority.standbys_seen(NOW);
        }
        self.recall.wants(&assignment, &observed.server);
        let observed = Observed { memory: self.recall.clone(), ..observed };
        self.authority.plan(&assignment, &observed, FENCE_AFTER, NOW)
    }

    /// Notes that the goal holds.
    pub(crate) fn reached(&mut self) {
        let Some(assignment) = &self.assignment else { return };
        self.recall.reached(assignment);
        self.reported = assignment.goal;
        self.reported_epoch = assignment.epoch;
    }

    /// It must stop its server before any more time passes.
    pub(crate) fn must_fence(&self, server: &Server) -> bool {
        let is_concerned = self
            .assignment
            .as_ref()
            .is_some_and(|assignment| assignment.goal.is_writer() && assignment.commit_rule.is_synchronous());
        is_concerned && server.mode == Mode::Writer && self.authority.ends(FENCE_AFTER) < NOW.after(TICK)
    }

    /// What it would report now.
    pub(crate) fn report(&mut self, server: &Server) -> Report {
        if !server.is_running() {
            self.authority.goes_down(NOW);
        }
        let has_data = server.data == Data::Whole;
        let observed = observe(server, None);
        Report {
            state: self.reported,
            is_running: server.is_running(),
            timeline: Timeline(server.timeline.into()),
            lsn: server.end(),
            sync_state: String::new(),
            detail: ReportDetail {
                epoch: epoch_to_report(self.reported, self.reported_epoch, &observed),
                number: Some(self.numbering.next()),
                system_identifier: has_data.then_some(1),
                goal: None,
                upstream: (server.mode == Mode::Standby).then(|| Upstream {
                    is_streaming: server.is_streaming,
                    silent_ms: u64::from(server.unheard) * 1000,
                }),
                is_gated: server.mode == Mode::Gated,
                shutdown_lsn: server.shutdown_lsn(),
                history: has_data.then(|| server.history()),
                ..ReportDetail::default()
            },
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
        memory: Default::default(),
    }
}

fn running(server: &Server) -> Running {
    Running {
        is_in_recovery: server.mode == Mode::Standby,
        is_gated: server.mode == Mode::Gated,
        timeline: Timeline(server.timeline.into()),
        lsn: server.end(),
        replayed: server.end(),
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
