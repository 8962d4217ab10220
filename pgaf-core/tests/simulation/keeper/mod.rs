//! A keeper: the shipped engine, and what a simulated agent has in its hands: its state file, the operations that are
//! under way, and what it remembers between two looks.

mod look;

use std::collections::VecDeque;
use std::time::Duration;

use pgaf_core::keeper::{
    Engine, Event, Hold, KeeperState, LookId, Moment, Observation, PostgresExit, Progress, SaveId, Settings,
    Step, StepId,
};
use pgaf_core::{
    Answer, FormationNode, GroupId, NodeId, NodeKind, Peer, ReplicationState, Report, ReportNumber,
    TimelineHistory,
};

use super::postgres::Postgres;

/// The monitor says less.
const FENCE_LIMIT: Duration = Duration::from_secs(20);
/// A request that is not answered in this time has failed.
const REPORT_DEADLINE_MS: u64 = 2000;

pub(crate) fn moment(now: u64) -> Moment {
    Moment::after_boot(Duration::from_millis(now))
}

/// In whole milliseconds.
pub(crate) fn milliseconds(moment: Moment) -> u64 {
    moment.since_boot().as_millis() as u64
}

/// The request that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Counts on for as long as there is this host.
    pub(crate) number: u64,
    pub(crate) report: ReportNumber,
    pub(crate) sent: u64,
    pub(crate) fails_at: u64,
    /// The history that is told with it.
    history: Option<TimelineHistory>,
}

/// A session with a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Which run of the monitor it is with.
    pub(crate) run: u64,
    /// Which start of the keeper it is of.
    pub(crate) start: u64,
}

/// A step that is under way; when it was begun, and when it may end.
pub(crate) struct StepUnderWay {
    pub(crate) id: StepId,
    pub(crate) step: Step,
    pub(crate) times: Option<(u64, u64)>,
}

/// What the agent has begun. An observation is of the moment at which the look was begun.
#[derive(Default)]
pub(crate) struct UnderWay {
    pub(crate) look: Option<(LookId, Box<Observation>, u64)>,
    pub(crate) save: Option<(SaveId, Box<KeeperState>, u64)>,
    pub(crate) step: Option<StepUnderWay>,
    pub(crate) maintenance: Option<(StepId, Vec<Peer>, u64)>,
    pub(crate) exchange: Option<Exchange>,
}

pub(crate) struct Keeper {
    pub(crate) is_up: bool,
    /// In which run of the monitor it has last reported.
    pub(crate) session: Option<Session>,
    /// A session of a process that is gone, whose end the monitor does not know of.
    pub(crate) ended: Option<Session>,
    engine: Engine,
    /// The state file.
    pub(crate) disk: KeeperState,
    coordinator: Option<Peer>,
    knows_coordinator: bool,
    pub(crate) under_way: UnderWay,
    pub(crate) events: VecDeque<Event>,
    pub(crate) wakes_at: Option<u64>,
    /// The dead man's switch kills Postgres then.
    pub(crate) dead_man: Option<u64>,
    /// Its loop stands still until then.
    pub(crate) hangs_until: u64,
    exchanges: u64,
    told_history: Option<TimelineHistory>,
    was_running: bool,
    /// The value of `synchronous_standby_names` that all backends were seen to follow.
    followed_names: Option<String>,
    is_rewind_hopeless: bool,
    streaming_since: Option<u64>,
    /// What only a person can help with, and since when.
    pub(crate) blocked: Option<(&'static str, u64)>,
}

impl Keeper {
    /// Of a node that was just registered; a worker's knows the coordinator.
    pub(crate) fn new(node: NodeId, coordinator: Option<Peer>) -> Self {
        let group = GroupId(i32::from(coordinator.is_some()));
        let disk = KeeperState::registered(node, group);
        Self {
            is_up: false,
            session: None,
            ended: None,
            engine: engine(&disk, coordinator.is_some(), 0),
            disk,
            coordinator,
            knows_coordinator: false,
            under_way: UnderWay::default(),
            events: VecDeque::new(),
            wakes_at: None,
            dead_man: None,
            hangs_until: 0,
            exchanges: 0,
            told_history: None,
            was_running: false,
            followed_names: None,
            is_rewind_hopeless: false,
            streaming_since: None,
            blocked: None,
        }
    }

    /// A new process: only the state file is left.
    pub(crate) fn start(&mut self, now: u64) {
        let coordinator = self.coordinator.clone();
        let mut disk = self.disk.clone();
        disk.keeper_start += 1;
        *self = Self {
            is_up: true,
            engine: engine(&disk, coordinator.is_some(), now),
            events: VecDeque::from([Event::Started]),
            exchanges: self.exchanges,
            ended: self.ended,
            disk,
            ..Self::new(self.disk.node, coordinator)
        };
    }

    /// The process is gone, with all it knew.
    pub(crate) fn dies(&mut self) {
        self.is_up = false;
        self.ended = self.session.take().or(self.ended);
        self.under_way = UnderWay::default();
        self.events.clear();
        self.wakes_at = None;
        self.dead_man = None;
    }

    /// Takes what has happened; gives what shall be done.
    pub(crate) fn handle(&mut self, event: Event, now: u64) -> Vec<pgaf_core::keeper::Command> {
        let commands = self.engine.handle(event, moment(now));
        self.blocked = match self.engine.progress() {
            Progress::Blocked(why) => {
                Some(self.blocked.filter(|(other, _)| other == why).unwrap_or((why, now)))
            }
            // Between two answers of the monitor nothing is planned.
            Progress::Waiting(_) => self.blocked,
            Progress::None | Progress::Step(_) => None,
        };
        commands
    }

    /// What it shall be, as it was last told.
    pub(crate) fn goal(&self) -> Option<ReplicationState> {
        self.engine.assignment().map(|assignment| assignment.goal)
    }

    /// The monitor has answered the request that is under way.
    pub(crate) fn answered(&mut self, answer: Answer) {
        let Some(exchange) = self.under_way.exchange.take() else { return };
        if answer.overtaken_by.is_none() && exchange.history.is_some() {
            self.told_history = exchange.history;
        }
        let is_new = answer.overtaken_by.is_none() && !std::mem::replace(&mut self.knows_coordinator, true);
        let formation = self.coordinator.clone().filter(|_| is_new).map(formation);
        let (report, sent) = (exchange.report, moment(exchange.sent));
        self.events.push_back(Event::Answered { report, sent, answer: Box::new(answer), formation });
    }

    /// It has answered that there is no such node.
    pub(crate) fn dropped(&mut self) {
        if let Some(exchange) = self.under_way.exchange.take() {
            self.events.push_back(Event::Dropped { report: exchange.report });
        }
    }

    /// The monitor has not answered in time.
    pub(crate) fn give_up_exchange(&mut self, now: u64) {
        if let Some(exchange) = self.under_way.exchange.take_if(|exchange| exchange.fails_at <= now) {
            self.told_history = None;
            let reason = String::new();
            self.events.push_back(Event::Unanswered { report: exchange.report, reason });
        }
    }

    /// The connection to the monitor is closed: on the next one all is told again.
    pub(crate) fn is_disconnected(&mut self) {
        self.told_history = None;
        if self.is_up {
            self.events.push_back(Event::Notified);
        }
    }

    /// Sends a report; a history that the monitor was told is left out.
    pub(crate) fn send(&mut self, report: &mut Report, now: u64) {
        if self.told_history == report.detail.history {
            report.detail.history = None;
        }
        self.exchanges += 1;
        self.under_way.exchange = Some(Exchange {
            number: self.exchanges,
            report: report.detail.number.unwrap_or_default(),
            sent: now,
            fails_at: now + REPORT_DEADLINE_MS,
            history: report.detail.history.clone(),
        });
    }

    /// Notices that its child has ended. An end that a step has asked for is none to tell of.
    pub(crate) fn watch_child(&mut self, postgres: &Postgres) {
        let is_running = !postgres.is_stopped();
        let has_ended = self.was_running && !is_running;
        self.was_running = is_running;
        if !has_ended {
            return;
        }
        self.followed_names = None;
        let step = self.under_way.step.as_ref().map(|under_way| &under_way.step);
        if !matches!(step, Some(Step::StopPostgres(_))) {
            let exit = if postgres.is_clean { PostgresExit::Clean } else { PostgresExit::Crashed };
            self.events.push_back(Event::PostgresExited(exit));
        }
    }

    /// A step has ended.
    pub(crate) fn step_done(&mut self, outcome: Result<(), &'static str>) {
        let Some(StepUnderWay { id, step, .. }) = self.under_way.step.take() else { return };
        match step {
            Step::SetSynchronousStandbyNames(names) if outcome.is_ok() => self.followed_names = Some(names),
            Step::BaseBackup { .. } | Step::Rewind { .. } if outcome.is_ok() => {
                self.is_rewind_hopeless = false;
            }
            _ => {}
        }
        self.events.push_back(Event::StepEnded { step: id, outcome: outcome.map_err(str::to_owned) });
    }

    /// A coordinator holds writes for this node, as far as it knows.
    pub(crate) fn holds_writes(&self) -> bool {
        self.engine.memory().routing.hold == Hold::Open
    }

    /// pg_rewind has said that it cannot work.
    pub(crate) const fn rewind_is_hopeless(&mut self) {
        self.is_rewind_hopeless = true;
    }
}

fn engine(state: &KeeperState, is_worker: bool, now: u64) -> Engine {
    let settings = Settings {
        is_monitored: true,
        network_partition_timeout: FENCE_LIMIT,
        dbname: String::new(),
        kind: if is_worker { NodeKind::Worker } else { NodeKind::Standalone },
        has_hooks: false,
        // Some have a hook that is asked before they take over.
        has_before_promote: state.node.0 % 3 == 2,
        has_poolers: false,
    };
    Engine::new(settings, state.clone(), moment(now))
}

/// All that a worker needs to know of it.
fn formation(coordinator: Peer) -> Vec<FormationNode> {
    vec![FormationNode {
        peer: coordinator,
        group: GroupId::COORDINATOR,
        goal: ReplicationState::Primary,
        reported: ReplicationState::Primary,
        cluster: String::new(),
    }]
}
