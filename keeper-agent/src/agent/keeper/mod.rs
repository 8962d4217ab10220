//! The keeper's loop: looks, considers, speaks, and waits for whatever comes next.

mod citus;
mod consider;
mod end;
mod fence;
mod look;
mod reload;
mod save;
mod speak;
mod tend;
mod unmonitored;

use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::{Authority, Numbering, Recall};
use pgaf_core::{Peer, Position, Report};
use tracing::{info, warn};

use super::AgentError;
use super::contact::{Exchange, Link};
use super::hold::Hold;
use super::shutdown::Shutdown;
use super::signals::Signals;
use super::slot::Slot;
use super::work::Work;
use crate::config::NodeConfig;
use crate::config::state::{self, KeeperState, StateError};
use crate::exit::Exit;
use crate::postgres::{BootTime, Instance, PostgresError, Sight};

/// A report is sent at least this often.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// A keeper at work.
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
    contacting: Slot<Exchange>,
    saving: Slot<Result<(), StateError>>,
    reloading: Slot<Result<(), PostgresError>>,
    tending: Slot<tend::Tended>,
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
    numbering: Numbering,
    /// How far the other nodes are, as the monitor last said.
    positions: Vec<Position>,
    formation: citus::Formation,
    next_tending: Instant,
    /// The peers that were last prepared for.
    tended_for: Option<Vec<Peer>>,
    is_monitor_failing: bool,
    progress: Option<String>,
    waiting_since: Instant,
    quick_restart: Option<Instant>,
    is_ready: bool,
    hold: Hold,
}

impl Keeper {
    pub(super) fn new(config: NodeConfig) -> Result<Self, AgentError> {
        let mut state = state::load(&config.paths.state)?.ok_or(AgentError::NotRegistered)?;
        state.keeper_start = state.keeper_start.saturating_add(1);
        if let Err(error) = state::store(&config.paths.state, &state) {
            warn!("{error}; the monitor will have to say which start of the keeper this is");
        }
        let instance = Rc::new(Instance::new(config.instance(Some(state.node))));
        let formation = citus::Formation::new(&config, &state, &instance);
        if instance.adopt()? {
            info!("adopted the Postgres that runs in {}", config.postgres.pgdata.display());
        }
        let now = Instant::now();
        Ok(Self {
            link: Link::new(config.monitor.clone(), config.formation.clone(), formation.is_citus()),
            work: Work::new(Rc::clone(&instance), formation.worker()),
            formation,
            signals: Signals::install()?,
            numbering: Numbering::of_start(state.keeper_start),
            config,
            instance,
            state,
            authority: Authority::new(BootTime::now().moment()),
            recall: Recall::default(),
            shutdown: Shutdown::None,
            observing: Slot::empty(),
            contacting: Slot::empty(),
            saving: Slot::empty(),
            reloading: Slot::empty(),
            tending: Slot::empty(),
            sight: None,
            is_sight_stale: true,
            is_considered: true,
            unresponsive_since: None,
            next_look: now,
            next_report: now,
            last_report: None,
            positions: Vec::new(),
            next_tending: now,
            tended_for: None,
            is_monitor_failing: false,
            progress: None,
            waiting_since: now,
            quick_restart: None,
            is_ready: false,
            hold: Hold::from_env(),
        })
    }

    pub(super) async fn live(mut self) -> Result<Exit, AgentError> {
        info!("keeper of node {} \"{}\" starts", self.state.node, self.config.name);
        self.note_monitor();
        loop {
            self.hold.wait();
            self.look();
            self.fence_if_due();
            self.consider();
            self.speak();
            self.tend();
            self.reconcile();
            self.arm()?;
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
                result = self.saving.done() => self.on_saved(result),
                answer = self.contacting.done() => self.on_answer(answer),
                () = self.link.notified() => self.next_report = Instant::now(),
                sight = self.observing.done() => self.on_sight(sight),
                result = self.reloading.done() => reload::done(result),
                tended = self.tending.done() => self.on_tended(tended),
                findings = self.formation.reconciled() => self.formation.note(findings),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// When something is due by itself; what is under way wakes the loop when it ends.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let look = (!self.observing.is_busy()).then_some(self.next_look);
        let may_report = !self.is_unmonitored() && !self.contacting.is_busy() && !self.is_sight_stale;
        let report = may_report.then_some(self.next_report);
        let fence = self.time_to_fence().filter(|left| !left.is_zero()).map(|left| now + left);
        let due = [look, report, fence, self.work.not_before()].into_iter().flatten().min();
        due.unwrap_or(now + REPORT_PERIOD).max(now)
    }
}
