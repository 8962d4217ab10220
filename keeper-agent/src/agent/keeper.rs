//! The keeper's loop.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::{self, Plan, Server, Step, StopMode};
use pgaf_core::{Assignment, Peer, ReplicationState, Report};
use tracing::{debug, error, info, warn};

use super::AgentError;
use super::authority::Authority;
use super::contact::{Answer, Link};
use super::recall::Recall;
use super::report::{self, Circumstances};
use super::shutdown::Shutdown;
use super::signals::{Request, Signals};
use super::slot::Slot;
use super::work::{Purpose, Work};
use crate::config::NodeConfig;
use crate::config::state::StateError;
use crate::config::state::{self, KeeperState};
use crate::exit::Exit;
use crate::monitor::MonitorError;
use crate::postgres::{BootTime, Exit as ServerExit, Instance, PostgresError, Sight};

/// A report is sent at least this often.
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// After a failed exchange with the monitor, the next is begun this much later.
const CONTACT_RETRY: Duration = Duration::from_millis(300);
/// The local Postgres is looked at this often when nothing is awaited.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// And this often while the plan waits for something.
const WAITING_LOOK_PERIOD: Duration = Duration::from_millis(50);
/// A Postgres that answers nothing for this long is taken for hung.
const HUNG_AFTER: Duration = Duration::from_secs(10);
/// A Postgres that ended cleanly by itself is restarted without asking, unless it was so this recently.
const QUICK_RESTART_PERIOD: Duration = Duration::from_secs(30);

pub(super) struct Keeper {
    config: NodeConfig,
    instance: Rc<Instance>,
    signals: Signals,
    link: Link,
    state: KeeperState,
    authority: Authority,
    recall: Recall,
    work: Work,
    shutdown: Shutdown,
    observing: Slot<Sight>,
    contacting: Slot<Answer>,
    saving: Slot<Result<(), StateError>>,
    reloading: Slot<Result<(), PostgresError>>,
    /// The newest look at Postgres.
    sight: Option<Sight>,
    /// Something has happened since that look was begun.
    is_sight_stale: bool,
    /// Nothing has changed since the last plan was made.
    is_considered: bool,
    unresponsive_since: Option<Instant>,
    next_look: Instant,
    next_report: Instant,
    last_report: Option<Report>,
    is_monitor_failing: bool,
    progress: Option<String>,
    quick_restart: Option<Instant>,
    is_ready: bool,
}

impl Keeper {
    pub(super) fn new(config: NodeConfig) -> Result<Self, AgentError> {
        let state = state::load(&config.paths.state)?.ok_or(AgentError::NotRegistered)?;
        let monitor = config.monitor.clone().ok_or(AgentError::NoMonitor)?;
        let instance = Rc::new(Instance::new(config.instance(Some(state.node))));
        if instance.adopt()? {
            info!("adopted the Postgres that runs in {}", config.postgres.pgdata.display());
        }
        let now = Instant::now();
        Ok(Self {
            link: Link::new(monitor, config.formation.clone()),
            work: Work::new(Rc::clone(&instance)),
            signals: Signals::install()?,
            config,
            instance,
            state,
            authority: Authority::new(),
            recall: Recall::default(),
            shutdown: Shutdown::None,
            observing: Slot::empty(),
            contacting: Slot::empty(),
            saving: Slot::empty(),
            reloading: Slot::empty(),
            sight: None,
            is_sight_stale: true,
            is_considered: true,
            unresponsive_since: None,
            next_look: now,
            next_report: now,
            last_report: None,
            is_monitor_failing: false,
            progress: None,
            quick_restart: None,
            is_ready: false,
        })
    }

    pub(super) async fn live(mut self) -> Result<Exit, AgentError> {
        info!("keeper of node {} \"{}\" starts", self.state.node, self.config.name);
        loop {
            self.look();
            self.consider();
            self.speak();
            if let Some(exit) = self.ended() {
                info!("keeper ends");
                return Ok(exit);
            }
            let wake = tokio::time::Instant::from_std(self.next_wake());
            tokio::select! {
                biased;
                request = self.signals.next() => self.on_signal(request),
                exit = self.instance.exited() => self.on_exit(exit),
                step = self.work.step_done() => self.on_step(step),
                result = self.saving.done() => self.on_saved(result)?,
                answer = self.contacting.done() => self.on_answer(answer),
                () = self.link.notified() => self.next_report = Instant::now(),
                sight = self.observing.done() => self.on_sight(sight),
                result = self.reloading.done() => on_reloaded(result),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// When something is due by itself; what is under way wakes the loop when it ends.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let look = (!self.observing.is_busy()).then_some(self.next_look);
        let report = (!self.contacting.is_busy() && !self.is_sight_stale).then_some(self.next_report);
        let due = [look, report, self.work.not_before()].into_iter().flatten().min();
        due.unwrap_or(now + REPORT_PERIOD).max(now)
    }

    // ---- looking ----

    fn look(&mut self) {
        let is_due = self.is_sight_stale || self.next_look <= Instant::now();
        if self.observing.is_busy() || !is_due {
            return;
        }
        self.next_look = Instant::now() + LOOK_PERIOD;
        let instance = Rc::clone(&self.instance);
        let upstream = self.upstream_to_ask();
        self.observing.start(async move { instance.observe(upstream.as_ref()).await });
    }

    /// Whose history the local log is compared with. A secondary that runs has proved itself, and when its upstream
    /// is gone it must not lose time with asking it.
    fn upstream_to_ask(&self) -> Option<Peer> {
        let assignment = self.assignment()?;
        let runs =
            self.sight.as_ref().is_some_and(|sight| matches!(sight.observed.server, Server::Running(_)));
        let is_proved = assignment.goal == ReplicationState::Secondary && runs;
        assignment.upstream.clone().filter(|_| !is_proved)
    }

    /// Something happened: what was seen before does not count, nor does a look that is under way.
    fn look_again(&mut self) {
        self.observing.cancel();
        self.is_sight_stale = true;
    }

    fn on_sight(&mut self, sight: Sight) {
        self.recall.saw(&sight.observed.server);
        if let Some(age) = sight.quorum_contact {
            self.authority.standbys_seen(BootTime::now().before(age));
        }
        if sight.observed.server == Server::Unresponsive {
            self.unresponsive_since.get_or_insert_with(Instant::now);
        } else {
            self.unresponsive_since = None;
        }
        if matches!(sight.observed.server, Server::Running(_)) {
            self.tell_supervisor_ready();
        }
        self.sight = Some(sight);
        self.is_sight_stale = false;
        self.is_considered = false;
        self.report_news();
    }

    fn tell_supervisor_ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            crate::supervisor::ready();
        }
    }

    fn on_exit(&mut self, exit: ServerExit) {
        let is_expected = self.work.is_stopping_postgres();
        if !is_expected {
            warn!(
                "Postgres has ended {}",
                if exit == ServerExit::Clean { "by itself" } else { "in a crash" }
            );
        }
        let is_recent = self.quick_restart.is_some_and(|at| at.elapsed() < QUICK_RESTART_PERIOD);
        let may_restart = exit == ServerExit::Clean
            && !is_expected
            && !is_recent
            && !self.shutdown.is_wanted()
            && self.authority.is_fresh(self.fence_limit() / 2);
        if may_restart && self.is_synchronous_writer() {
            self.quick_restart = Some(Instant::now());
            self.work.give_up();
            self.begin_for_goal(vec![Step::StartPostgres]);
        } else {
            self.authority.goes_down();
        }
        self.look_again();
    }

    // ---- deciding what to do ----

    fn assignment(&self) -> Option<&Assignment> {
        self.state.assignment.as_ref()
    }

    fn is_synchronous_writer(&self) -> bool {
        self.assignment()
            .is_some_and(|assignment| assignment.goal.is_writer() && assignment.commit_rule.is_synchronous())
    }

    /// After how long without a word of the monitor and the standbys a primary fences itself.
    fn fence_limit(&self) -> Duration {
        let of_monitor = self.assignment().and_then(|assignment| assignment.network_partition_timeout_ms);
        let own = self.config.timeout.network_partition;
        of_monitor.map_or(own, |limit| own.min(Duration::from_millis(limit)))
    }

    fn consider(&mut self) {
        if self.is_considered || self.is_sight_stale || self.saving.is_busy() {
            return;
        }
        self.is_considered = true;
        match self.next_plan() {
            Some(plan) => self.follow(plan),
            None => self.tell_progress("waiting for the monitor"),
        }
    }

    /// What the present sight calls for; `None` without an assignment.
    fn next_plan(&self) -> Option<Plan> {
        let mut observed = self.sight.as_ref()?.observed.clone();
        observed.memory = self.recall.memory();
        let mut assignment = self.assignment().cloned();
        if let Shutdown::Stopping { immediately, .. } = self.shutdown {
            if immediately && observed.server != Server::Stopped {
                return Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)]));
            }
            if assignment.is_none() && observed.server != Server::Stopped {
                return Some(Plan::Steps(vec![Step::StopPostgres(StopMode::Fast)]));
            }
            if let Some(assignment) = &mut assignment {
                assignment.goal = ReplicationState::Demoted;
            }
        }
        let assignment = assignment?;
        let limit = self.fence_limit();
        if self.authority.is_isolated(limit) {
            return Some(keeper::plan_isolated(&assignment, &observed, self.authority.silence(limit)));
        }
        if self.unresponsive_since.is_some_and(|since| since.elapsed() < HUNG_AFTER) {
            return Some(Plan::Wait("Postgres does not answer"));
        }
        let needs_answer = assignment.goal.is_writer()
            && assignment.commit_rule.is_synchronous()
            && observed.server == Server::Stopped
            && !self.authority.may_start_writer();
        if needs_answer {
            return Some(Plan::Wait("the monitor must confirm that this node is the primary"));
        }
        Some(keeper::plan(&assignment, &observed))
    }

    fn follow(&mut self, plan: Plan) {
        let must_fence = self.authority.is_isolated(self.fence_limit())
            && plan == Plan::Steps(vec![Step::StopPostgres(StopMode::Immediate)]);
        if self.work.is_fencing() || (self.work.is_busy() && !must_fence) {
            return;
        }
        match plan {
            Plan::Reached => self.on_reached(),
            Plan::Wait(reason) => {
                self.next_look = self.next_look.min(Instant::now() + WAITING_LOOK_PERIOD);
                self.tell_progress(reason);
            }
            Plan::Blocked(reason) => {
                if self.progress.as_deref() != Some(reason) {
                    error!("{reason}");
                }
                self.progress = Some(reason.to_owned());
            }
            Plan::Steps(steps) => {
                if must_fence {
                    warn!("neither the monitor nor the standbys answer: this primary fences itself");
                    self.work.give_up();
                } else if self.work.not_before().is_some() {
                    return;
                }
                self.begin_for_goal(steps);
                self.progress = self.work.current().map(ToString::to_string);
            }
        }
    }

    fn begin_for_goal(&mut self, steps: Vec<Step>) {
        let purpose = self.assignment().map(Purpose::from);
        self.work.begin(purpose, steps);
    }

    fn tell_progress(&mut self, reason: &str) {
        if self.progress.as_deref() != Some(reason) {
            debug!("waiting: {reason}");
            self.progress = Some(reason.to_owned());
        }
    }

    fn on_reached(&mut self) {
        self.progress = None;
        if matches!(self.shutdown, Shutdown::Stopping { .. }) {
            return;
        }
        let Some(assignment) = self.state.assignment.clone() else {
            return;
        };
        self.recall.reached(&assignment);
        if (self.state.reported, self.state.reported_epoch) != (assignment.goal, assignment.epoch) {
            info!("reached {}", assignment.goal);
            self.state.reported = assignment.goal;
            self.state.reported_epoch = assignment.epoch;
            self.save();
            self.next_report = Instant::now();
        }
    }

    fn on_step(&mut self, done: Option<Step>) {
        match done {
            Some(step) => self.recall.did(&step),
            None => self.next_report = Instant::now(),
        }
        self.look_again();
    }

    // ---- the state file ----

    fn save(&mut self) {
        let (path, state) = (self.config.paths.state.clone(), self.state.clone());
        let write = tokio::task::spawn_blocking(move || state::store(&path, &state));
        self.saving.start(async move {
            // A write that panics is a defect; it must not be taken for a saved state.
            write.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        });
    }

    /// Nothing is done under an assignment that a restarted keeper would not know of.
    fn on_saved(&mut self, result: Result<(), StateError>) -> Result<(), AgentError> {
        if let Err(error) = result {
            error!("{error}; trying again");
            self.next_look = Instant::now() + CONTACT_RETRY;
            self.save();
            return Ok(());
        }
        self.is_considered = false;
        Ok(())
    }

    // ---- speaking with the monitor ----

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            is_starting: self.work.is_starting_postgres(),
            is_stopping: self.shutdown.is_wanted(),
            progress: self.progress.as_deref(),
        }
    }

    /// Has the next report sent at once when the monitor would decide differently on it.
    fn report_news(&mut self) {
        let Some(sight) = &self.sight else { return };
        let report = report::compose(&self.state, sight, self.circumstances());
        let is_news = self.last_report.as_ref().is_none_or(|last| report::is_news(last, &report));
        if is_news && !self.is_monitor_failing {
            self.next_report = Instant::now();
        }
    }

    fn speak(&mut self) {
        if self.contacting.is_busy() || self.next_report > Instant::now() || self.is_sight_stale {
            return;
        }
        let Some(sight) = &self.sight else { return };
        let report = report::compose(&self.state, sight, self.circumstances());
        if !report.is_running {
            self.authority.goes_down();
        }
        self.last_report = Some(report.clone());
        self.next_report = Instant::now() + REPORT_PERIOD;
        self.contacting.start(self.link.exchange(self.state.node, self.state.group, report));
    }

    fn on_answer(&mut self, mut answer: Answer) {
        self.link.settle(&mut answer);
        match answer.result {
            Ok(assignment) => {
                if std::mem::take(&mut self.is_monitor_failing) {
                    info!("the monitor answers again");
                }
                self.authority.answered(answer.sent);
                self.note_answer_for_shutdown(&answer.report, &assignment);
                self.accept(assignment);
            }
            Err(MonitorError::NodeDropped { .. }) => {
                error!("this node was dropped from its formation: Postgres is stopped");
                self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Dropped };
                self.look_again();
            }
            Err(error) => self.on_unanswered(&error),
        }
    }

    fn on_unanswered(&mut self, error: &MonitorError) {
        self.authority.failed();
        if !std::mem::replace(&mut self.is_monitor_failing, true) {
            warn!("the monitor does not answer: {error}; this node goes on with its last assignment");
        }
        self.next_report = Instant::now() + CONTACT_RETRY;
        self.last_report = None;
        self.is_considered = false;
    }

    fn accept(&mut self, assignment: Assignment) {
        if self.assignment() == Some(&assignment) {
            self.is_considered = false;
            return;
        }
        if self.assignment().map(|known| known.goal) != Some(assignment.goal) {
            info!("goal: {} (was {})", assignment.goal, self.state.reported);
        }
        self.work.drop_unless_for(&Purpose::from(&assignment));
        self.state.assignment = Some(assignment);
        self.save();
        self.look_again();
    }

    // ---- ending ----

    fn on_signal(&mut self, request: Request) {
        match request {
            Request::Reload => self.reload(),
            Request::StopNow => {
                info!("told to stop immediately");
                self.work.give_up();
                self.shutdown = Shutdown::Stopping { immediately: true, exit: Exit::Quit };
            }
            Request::Stop if self.shutdown.is_wanted() => {}
            Request::Stop => {
                info!("told to stop");
                let is_running =
                    self.sight.as_ref().is_some_and(|sight| sight.observed.server != Server::Stopped);
                self.shutdown = if self.is_synchronous_writer() && is_running && !self.is_monitor_failing {
                    Shutdown::hand_over()
                } else {
                    Shutdown::Stopping { immediately: false, exit: Exit::Quit }
                };
            }
        }
        if self.shutdown.is_wanted() {
            crate::supervisor::stopping();
            self.next_report = Instant::now();
            self.look_again();
        }
    }

    fn note_answer_for_shutdown(&mut self, report: &Report, assignment: &Assignment) {
        match &mut self.shutdown {
            Shutdown::HandingOver { is_answered, .. } if report.detail.is_stopping => {
                *is_answered = true;
                let has_drained = !assignment.goal.is_writer() && !report.is_running;
                if has_drained {
                    self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Quit };
                }
            }
            Shutdown::Farewell { deadline, .. } if !report.is_running => *deadline = Instant::now(),
            _ => {}
        }
    }

    /// Moves through the phases of the end; gives the exit code after the last.
    fn ended(&mut self) -> Option<Exit> {
        let is_stopped = self.sight.as_ref().is_some_and(|sight| sight.observed.server == Server::Stopped);
        match self.shutdown {
            Shutdown::None => None,
            Shutdown::HandingOver { deadline, is_answered } => {
                let stays_writer = is_answered && self.is_synchronous_writer();
                if stays_writer || deadline <= Instant::now() || self.is_monitor_failing {
                    info!("no standby can take over: stopping Postgres");
                    self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Quit };
                    self.look_again();
                }
                None
            }
            Shutdown::Stopping { exit, .. } => {
                if is_stopped && !self.is_sight_stale && !self.work.is_busy() {
                    if exit == Exit::Dropped || self.is_monitor_failing {
                        return Some(exit);
                    }
                    self.shutdown = Shutdown::farewell(exit);
                    self.contacting.cancel();
                    self.next_report = Instant::now();
                    self.speak();
                }
                None
            }
            Shutdown::Farewell { deadline, exit } => {
                (deadline <= Instant::now() || self.is_monitor_failing).then_some(exit)
            }
        }
    }

    fn reload(&mut self) {
        info!("reading the configuration again");
        match self.config.reload() {
            Ok(config) => {
                if let Some(monitor) =
                    config.monitor.clone().filter(|uri| Some(uri) != self.config.monitor.as_ref())
                {
                    self.link.retarget(monitor);
                }
                self.instance.reconfigure(config.instance(Some(self.state.node)));
                self.config = config;
                let instance = Rc::clone(&self.instance);
                self.reloading.start(async move {
                    instance.write_settings().await?;
                    instance.reload().await
                });
            }
            Err(error) => error!("the configuration was not changed: {error}"),
        }
    }
}

fn on_reloaded(result: Result<(), PostgresError>) {
    match result {
        Ok(()) => info!("the configuration was read again"),
        Err(error) => error!("Postgres did not take over the changed configuration: {error}"),
    }
}
