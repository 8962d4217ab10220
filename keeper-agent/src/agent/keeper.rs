//! The keeper's loop: waits for what happens, has the engine decide, and carries out what it says.

use std::collections::VecDeque;
use std::rc::Rc;

use pgaf_core::SettingsStatus;
use pgaf_core::keeper::{Command, Ending, Engine, Event, LookId, Observation, SaveId, StepId};
use tracing::{info, warn};

use super::AgentError;
use super::authority::Authority;
use super::citus::Formation;
use super::companions::Companions;
use super::council::Council;
use super::executor::Executor;
use super::hold::Hold;
use super::link::{Exchange, Link};
use super::log::log;
use super::publisher::Publisher;
use super::reading::{self, Reading};
use super::signals::Signals;
use super::slot::Slot;
use super::state_writer::StateWriter;
use super::whereabouts::{self, Look};
use crate::client::Host;
use crate::config::{NodeConfig, state};
use crate::exit::Exit;
use crate::monitor::MonitorError;
use crate::monitors::Handle;
use crate::postgres::{BootTime, Instance, InstanceConfig, PostgresError};
use crate::supervisor;

/// A keeper at work.
pub(super) struct Keeper {
    engine: Engine,
    config: NodeConfig,
    instance: Rc<Instance>,
    executor: Executor,
    formation: Formation,
    companions: Rc<Companions>,
    authority: Authority,
    signals: Signals,
    state_writer: StateWriter,
    publisher: Publisher,
    under_way: UnderWay,
    /// What has happened, and the engine does not know yet.
    events: VecDeque<Event>,
    wakes_at: Option<BootTime>,
    hold: Hold,
}

/// Operations that go on beside each other.
struct UnderWay {
    look: Slot<(LookId, Observation)>,
    report: Slot<Exchange>,
    step: Slot<(StepId, Result<(), PostgresError>)>,
    maintenance: Slot<(StepId, Result<(), PostgresError>)>,
    save: Slot<(SaveId, Result<(), String>)>,
    reading: Slot<Option<Reading>>,
    settings: Slot<Result<(), PostgresError>>,
    pooler_check: Slot<()>,
    tuning: Slot<Result<SettingsStatus, PostgresError>>,
    /// Another name for this machine.
    whereabouts: Slot<String>,
}

impl Keeper {
    /// With the monitors, for the Postgres of one of them; else its configuration has the monitor.
    pub(super) async fn new(config: NodeConfig, monitors: Option<Handle>) -> Result<Self, AgentError> {
        let signals = Signals::install()?;
        // What was changed before signals were listened to was told to nobody.
        let config = match config.reload() {
            Ok(newest) => newest,
            Err(_) => config,
        };
        let mut state = state::load(&config.paths.state)?.ok_or(AgentError::NotRegistered)?;
        state.keeper_start = state.keeper_start.saturating_add(1);
        if let Err(error) = state::store(&config.paths.state, &state) {
            warn!("{error}; the monitor will have to say which start of the keeper this is");
        }
        let instance = Rc::new(Instance::new(config.instance(Some(state.node))));
        let formation = Formation::new(&config, &state, &instance);
        let companions = Companions::new(&config);
        let hook_counters = companions.hook_counters();
        instance.set_up_switch().await?;
        match instance.adopt().await {
            Ok(true) => info!("adopted the Postgres that runs in {}", config.postgres.pgdata.display()),
            Ok(false) => {}
            // Whether one runs is not known: every look asks again.
            Err(error) => warn!("{error}"),
        }
        info!("keeper of node {} \"{}\" starts", state.node, config.name);
        let manual = reading::manual_assignment(&config);
        let events = std::iter::once(Event::Started).chain(manual.map(Event::Assigned)).collect();
        let reads_formation = config.kind != pgaf_core::NodeKind::Standalone;
        Ok(Self {
            executor: Executor::new(
                Rc::clone(&instance),
                formation.worker(),
                Rc::clone(&companions),
                (state.node, state.group),
            ),
            companions,
            authority: match monitors {
                Some(handle) => Authority::Monitors(Council::new(state.node, handle)),
                None => Authority::Monitor(Link::new(
                    config.monitor.clone(),
                    config.formation.clone(),
                    (state.node, state.group),
                    reads_formation,
                )),
            },
            signals,
            state_writer: StateWriter::new(config.paths.state.clone()),
            publisher: Publisher::new(&config, &state, hook_counters),
            engine: Engine::new(reading::settings(&config), state, BootTime::now().moment()),
            formation,
            config,
            instance,
            under_way: UnderWay {
                look: Slot::empty(),
                report: Slot::empty(),
                step: Slot::empty(),
                maintenance: Slot::empty(),
                save: Slot::empty(),
                reading: Slot::empty(),
                settings: Slot::empty(),
                pooler_check: Slot::empty(),
                tuning: Slot::empty(),
                whereabouts: Slot::empty(),
            },
            events,
            wakes_at: None,
            hold: Hold::from_env(),
        })
    }

    pub(super) async fn live(mut self) -> Result<Exit, AgentError> {
        self.look_where_we_are(Look::Now);
        loop {
            while let Some(event) = self.events.pop_front() {
                let now = BootTime::now().moment();
                self.publisher.happened(&event, now);
                for command in self.engine.handle(event, now) {
                    if let Some(exit) = self.carry_out(command) {
                        // Postgres is stopped: its hooks may say so.
                        self.companions.finish().await;
                        return Ok(exit);
                    }
                }
            }
            self.publisher.publish(&self.engine, &self.instance);
            self.await_event().await;
            self.hold.wait();
        }
    }

    /// Waits for the next thing that happens.
    async fn await_event(&mut self) {
        let under_way = &mut self.under_way;
        tokio::select! {
            biased;
            signal = self.signals.next() => self.events.push_back(Event::Signal(signal)),
            exit = self.instance.exited() => self.events.push_back(Event::PostgresExited(exit)),
            (step, result) = under_way.step.done() => {
                self.events.push_back(Event::StepEnded { step, outcome: outcome(result) });
            }
            (save, result) = under_way.save.done() => self.events.push_back(match result {
                Ok(()) => Event::Saved(save),
                Err(reason) => Event::SaveFailed { save, reason },
            }),
            exchange = under_way.report.done() => self.take_exchange(exchange),
            () = self.authority.notified() => self.events.push_back(Event::Notified),
            (look, observation) = under_way.look.done() => {
                self.events.push_back(Event::Observed { look, observation: Box::new(observation) });
            }
            reading = under_way.reading.done() => self.take_reading(reading),
            result = under_way.settings.done() => {
                self.events.push_back(Event::SettingsApplied(outcome(result)));
            }
            result = under_way.tuning.done() => {
                let outcome = result.map_err(|error| error.to_string());
                self.events.push_back(Event::PostgresSettingsApplied(outcome));
            }
            (step, result) = under_way.maintenance.done() => {
                self.events.push_back(Event::PeersMaintained { step, outcome: outcome(result) });
            }
            hostname = under_way.whereabouts.done() => self.move_to(hostname),
            is_complete = self.formation.reconciled() => {
                self.events.push_back(Event::Reconciled { is_complete });
            }
            () = under_way.pooler_check.done() => self.events.push_back(Event::PoolersTended),
            () = sleep_until(self.wakes_at) => {
                self.wakes_at = None;
                self.events.push_back(Event::Woken);
            }
        }
    }

    /// Begins what the engine wants done; gives the exit code when that is to end.
    fn carry_out(&mut self, command: Command) -> Option<Exit> {
        let under_way = &mut self.under_way;
        match command {
            Command::Observe { look, upstream } => {
                self.publisher.ordered(look);
                let instance = Rc::clone(&self.instance);
                let observe = async move { (look, instance.observe(upstream.as_ref()).await) };
                under_way.look.start(observe);
            }
            Command::Report(report) => {
                if let Some(exchange) = self.authority.exchange(*report) {
                    under_way.report.start(exchange);
                }
            }
            Command::AbandonReport => under_way.report.cancel(),
            Command::RunStep { id, step } => {
                let executor = self.executor.clone();
                under_way.step.start(async move { (id, executor.execute(&step).await) });
            }
            Command::CancelStep => under_way.step.cancel(),
            Command::Fence(id) => {
                under_way.maintenance.cancel();
                let executor = self.executor.clone();
                under_way.step.start(async move { (id, executor.fence().await) });
            }
            Command::MaintainPeers { id, peers, positions, admits } => {
                let executor = self.executor.clone();
                let maintain = async move { (id, executor.maintain(peers, &positions, admits).await) };
                under_way.maintenance.start(maintain);
            }
            Command::CancelMaintenance => under_way.maintenance.cancel(),
            Command::KnowFormation { hosts } => {
                self.formation.hosts = hosts;
                self.instance.reconfigure(self.instance_config());
            }
            Command::Reconcile { nodes, read_at } => {
                self.formation.reconcile(&self.instance, &self.config, nodes, read_at);
            }
            Command::RunHook(call) => self.companions.call(&call),
            Command::CheckPoolers => {
                let companions = Rc::clone(&self.companions);
                under_way.pooler_check.start(async move { companions.check_poolers().await });
            }
            Command::Save { save, state } => under_way.save.start(self.state_writer.write(save, *state)),
            Command::ReadConfiguration => under_way.reading.start(reading::read_again(self.config.clone())),
            Command::ApplySettings => {
                let executor = self.executor.clone();
                under_way.settings.start(async move { executor.apply_settings().await });
            }
            Command::ApplyPostgresSettings(settings) => {
                let instance = Rc::clone(&self.instance);
                under_way.tuning.start(async move { instance.apply_formation_settings(settings).await });
            }
            Command::Arm(deadline) => self.instance.arm(deadline.map(BootTime::from)),
            Command::WakeAt(moment) => self.wakes_at = Some(BootTime::from(moment)),
            Command::TellReady => supervisor::ready(),
            Command::TellStopping => supervisor::stopping(),
            Command::Log(notice) => {
                self.publisher.note(&notice);
                log(&notice);
            }
            Command::Exit(Ending::Stopped) => return Some(Exit::Quit),
            Command::Exit(Ending::Dropped) => return Some(Exit::Dropped),
        }
        None
    }

    /// Takes the end of an exchange with the monitor.
    fn take_exchange(&mut self, mut exchange: Exchange) {
        self.authority.settle(&mut exchange);
        let Exchange { number: report, sent, result, nodes, monitors, .. } = exchange;
        self.take_monitors(monitors);
        self.publisher.counters().note_report(result.is_ok().then(|| sent.elapsed()));
        self.events.push_back(match result {
            Ok(answer) => {
                let (sent, answer) = (sent.moment(), Box::new(answer));
                Event::Answered { report, sent, answer, formation: nodes }
            }
            Err(MonitorError::NodeDropped { .. }) => Event::Dropped { report },
            Err(error @ MonitorError::UnknownNode { .. }) => {
                Event::UnknownNode { report, reason: error.to_string() }
            }
            Err(error) => Event::Unanswered { report, reason: error.to_string() },
        });
    }

    /// Has it written down where the monitors are, when they are several and others than before.
    fn take_monitors(&mut self, servers: Vec<Host>) {
        let Some(monitor) = self.config.monitor.as_ref().filter(|_| !servers.is_empty()) else { return };
        if monitor.hosts != servers {
            let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
            info!("the monitors are now: {}", names.join(", "));
            self.under_way.reading.start(reading::store_monitors(self.config.clone(), servers));
        }
    }

    /// Takes a changed configuration.
    fn take_reading(&mut self, reading: Option<Reading>) {
        let Some(Reading { config, manual, is_same_monitor }) = reading else {
            return self.look_where_we_are(Look::Later);
        };
        let has_other_monitor = config.monitor != self.config.monitor && !is_same_monitor;
        if has_other_monitor {
            self.authority.retarget(config.monitor.clone());
        } else {
            self.authority.aim(config.monitor.clone());
        }
        self.config = config;
        self.look_where_we_are(Look::Later);
        self.formation.reconfigure(&self.config, self.engine.state());
        self.publisher.reconfigure(&self.config, self.engine.state());
        self.companions.reconfigure(&self.config);
        self.instance.reconfigure(self.instance_config());
        let settings = Box::new(reading::settings(&self.config));
        self.events.push_back(Event::Reconfigured { settings, has_other_monitor });
        self.events.extend(manual.map(Event::Assigned));
    }

    fn look_where_we_are(&mut self, first: Look) {
        let node = self.engine.state().node;
        self.under_way.whereabouts.start(whereabouts::new_hostname(self.config.clone(), node, first));
    }

    /// Has another name for this machine written down, and follows it.
    fn move_to(&mut self, hostname: String) {
        self.under_way.reading.start(reading::store_hostname(self.config.clone(), hostname));
    }

    fn instance_config(&self) -> InstanceConfig {
        let formation_hosts = self.formation.hosts.clone();
        InstanceConfig { formation_hosts, ..self.config.instance(Some(self.engine.state().node)) }
    }
}

fn outcome(result: Result<(), PostgresError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

/// Never ends when there is nothing to wait for.
async fn sleep_until(moment: Option<BootTime>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.since(BootTime::now())).await,
        None => std::future::pending().await,
    }
}
