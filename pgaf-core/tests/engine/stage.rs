//! A keeper's engine, told line by line what happens to it.
//!
//! ```text
//! state GOAL [sync] [reached] [epoch E] [left_monitor]   the state file the keeper starts with; no goal: state none
//! settings [unmonitored] [worker|coordinator] [hooks] [asks] [poolers] [fences SECONDS]
//!                                                        with `fences`: the network_partition_timeout, else 4
//! at SECONDS EVENT …                                     what happens:
//!   started, woken, notified, dropped, unknown, silent, saved, signal stop|fast|immediate|reload
//!   save_fails WORD, settings_applied, exit clean|crash
//!   seen stopped|starting|hung|primary|gated|standby [names] [streams] [contact SECONDS] [look N] …
//!   answer GOAL [sync] [epoch E] [sent SECONDS] [report S.N] [overtaken S.N] [handing_over] [coordinator HOST]
//!   tuned ok|pending=NAME|refused=NAME|WORD
//!   step ok|WORD [id N], maintained ok|WORD, reconciled complete|incomplete, poolers_tended
//!   reconfigured [unmonitored] [other], assigned GOAL
//!   COMMAND                                              indented: what it wants done, all of it and in this order, but
//!                                                        looks, the times to wake it, the dead man's switch, and the log
//!   also COMMAND                                         these, too
//!   log TEXT                                             a message with these words
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use pgaf_core::keeper::{
    Command, Ending, Engine, Event, KeeperState, LookId, ManualAssignment, Moment, PostgresExit, SaveId,
    Settings, Signal, StepId,
};
use pgaf_core::{Assignment, GroupId, NodeId, NodeKind, Report, ReportNumber, SettingsStatus};

use super::situation::{Words, answer, assignment, formation, moment, observation, report_number};

/// The engine, and what it has wanted since the last event.
pub(crate) struct Stage {
    state: KeeperState,
    settings: Settings,
    engine: Option<Engine>,
    now: Moment,
    look: LookId,
    step: StepId,
    maintenance: StepId,
    save: SaveId,
    report: ReportNumber,
    assigned: Option<Assignment>,
    /// What has to be written down.
    acts: VecDeque<String>,
    /// What may be.
    others: Vec<String>,
}

/// What reports say, and is not written down.
const USUAL_FENCE_TIME_MS: u64 = 4000;

impl Default for Stage {
    fn default() -> Self {
        Self {
            state: KeeperState {
                keeper_start: 1,
                granted_fence_time_ms: Some(USUAL_FENCE_TIME_MS),
                ..KeeperState::registered(NodeId(1), GroupId(1))
            },
            settings: Settings {
                is_monitored: true,
                network_partition_timeout: Duration::from_secs(4),
                dbname: "app".to_owned(),
                kind: NodeKind::Standalone,
                has_hooks: false,
                has_before_promote: false,
                has_poolers: false,
            },
            engine: None,
            now: Moment::default(),
            look: LookId::default(),
            step: StepId::default(),
            maintenance: StepId::default(),
            save: SaveId::default(),
            report: ReportNumber::default(),
            assigned: None,
            acts: VecDeque::new(),
            others: Vec::new(),
        }
    }
}

impl Stage {
    pub(crate) fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            return self.expect(line.trim());
        }
        match words.as_slice() {
            ["state", goal, rest @ ..] => self.set_state(goal, &Words(rest.to_vec())),
            ["settings", rest @ ..] => {
                self.settings = self.settings_of(&Words(rest.to_vec()));
                Ok(())
            }
            ["at", time, event, rest @ ..] => {
                self.end()?;
                self.now = moment(time)?;
                let event = self.event(event, &Words(rest.to_vec()))?;
                self.handle(event);
                Ok(())
            }
            _ => Err(format!("what is \"{line}\"?")),
        }
    }

    /// Everything that was wanted has been written down.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        if self.acts.is_empty() {
            return Ok(());
        }
        let acts = self.take_acts();
        Err(format!("also wanted: {}; beside {}", acts.join("; "), self.others.join("; ")))
    }

    /// Everything that was wanted and has not been written down.
    pub(crate) fn take_acts(&mut self) -> Vec<String> {
        self.acts.drain(..).collect()
    }

    fn set_state(&mut self, goal: &str, words: &Words<'_>) -> Result<(), String> {
        self.state.has_left_monitor = words.has("left_monitor");
        if goal == "none" {
            return Ok(());
        }
        let assignment = assignment(goal, words, 1)?;
        if words.has("reached") {
            self.state.reported = assignment.goal;
            self.state.reported_epoch = assignment.epoch;
        }
        self.state.assignment = Some(assignment.clone());
        self.assigned = Some(assignment);
        Ok(())
    }

    fn settings_of(&self, words: &Words<'_>) -> Settings {
        let kind = if words.has("worker") {
            NodeKind::Worker
        } else if words.has("coordinator") {
            NodeKind::Coordinator
        } else {
            NodeKind::Standalone
        };
        let fences = words.number("fences").ok().flatten().map(Duration::from_secs);
        Settings {
            is_monitored: !words.has("unmonitored"),
            network_partition_timeout: fences.unwrap_or(self.settings.network_partition_timeout),
            kind,
            has_hooks: words.has("hooks"),
            has_before_promote: words.has("asks"),
            has_poolers: words.has("poolers"),
            ..self.settings.clone()
        }
    }

    fn handle(&mut self, event: Event) {
        self.others.clear();
        let (settings, state, now) = (&self.settings, &self.state, self.now);
        let engine = self.engine.get_or_insert_with(|| Engine::new(settings.clone(), state.clone(), now));
        for command in engine.handle(event, now) {
            self.note(&command);
            let text = text(&command);
            match command {
                Command::Observe { .. } | Command::WakeAt(_) | Command::Arm(_) | Command::Log(_) => {
                    self.others.push(text);
                }
                _ => self.acts.push_back(text),
            }
        }
    }

    /// What comes back is about the newest.
    fn note(&mut self, command: &Command) {
        match command {
            Command::Observe { look, .. } => self.look = *look,
            Command::RunStep { id, .. } | Command::Fence(id) => self.step = *id,
            Command::MaintainPeers { id, .. } => self.maintenance = *id,
            Command::Save { save, .. } => self.save = *save,
            Command::Report(report) => self.report = report.detail.number.unwrap_or_default(),
            _ => {}
        }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let told = |others: &[String], text: &str| others.iter().any(|other| other.contains(text));
        if let Some(text) = wanted.strip_prefix("also ") {
            let is_wanted = self.others.iter().any(|other| other == text);
            return is_wanted.then_some(()).ok_or_else(|| format!("not wanted; {}", self.others.join("; ")));
        }
        if wanted.starts_with("log ") {
            let is_told = told(&self.others, wanted.trim_start_matches("log "));
            return is_told.then_some(()).ok_or_else(|| format!("not told; {}", self.others.join("; ")));
        }
        match self.acts.pop_front() {
            Some(act) if act == wanted => Ok(()),
            other => Err(format!("instead: {other:?}; beside {}", self.others.join("; "))),
        }
    }

    fn event(&mut self, name: &str, words: &Words<'_>) -> Result<Event, String> {
        let first = words.0.first().copied().unwrap_or_default();
        let outcome = if first == "ok" { Ok(()) } else { Err(first.to_owned()) };
        let report = words.value("report").map(report_number).transpose()?.unwrap_or(self.report);
        let step = words.number("id")?.map_or(self.step, StepId);
        Ok(match name {
            "started" => Event::Started,
            "woken" => Event::Woken,
            "notified" => Event::Notified,
            "dropped" => Event::Dropped { report },
            "unknown" => Event::UnknownNode { report, reason: "another monitor".to_owned() },
            "silent" => Event::Unanswered { report, reason: "no route to host".to_owned() },
            "saved" => Event::Saved(words.number("save")?.map_or(self.save, SaveId)),
            "save_fails" => Event::SaveFailed { save: self.save, reason: first.to_owned() },
            "settings_applied" => Event::SettingsApplied(Ok(())),
            "tuned" => Event::PostgresSettingsApplied(tuned(first)),
            "exit" if first == "clean" => Event::PostgresExited(PostgresExit::Clean),
            "exit" => Event::PostgresExited(PostgresExit::Crashed),
            "step" => Event::StepEnded { step, outcome },
            "maintained" => Event::PeersMaintained { step: self.maintenance, outcome },
            "poolers_tended" => Event::PoolersTended,
            "reconciled" => Event::Reconciled { is_complete: first == "complete" },
            "signal" => Event::Signal(signal(first)?),
            "reconfigured" => Event::Reconfigured {
                settings: Box::new(self.settings_of(words)),
                has_other_monitor: words.has("other"),
            },
            "assigned" => Event::Assigned(ManualAssignment {
                goal: Some(first.parse().map_err(|_| format!("{first} is no state"))?),
                nodes: Vec::new(),
            }),
            "seen" => Event::Observed {
                look: words.number("look")?.map_or(self.look, LookId),
                observation: Box::new(observation(first, words)?),
            },
            "answer" => self.answer(first, words, report)?,
            _ => return Err(format!("nothing happens as {name}")),
        })
    }

    fn answer(&mut self, goal: &str, words: &Words<'_>, report: ReportNumber) -> Result<Event, String> {
        let same =
            |known: &Assignment| goal == "same" || known.goal.to_string() == goal && words.0.len() == 1;
        let assignment = match &self.assigned {
            Some(known) if same(known) => known.clone(),
            known => {
                let epoch = known.as_ref().map_or(1, |known| known.epoch.0 + 1);
                assignment(goal, words, epoch)?
            }
        };
        self.assigned = Some(assignment.clone());
        Ok(Event::Answered {
            report,
            sent: words.value("sent").map(moment).transpose()?.unwrap_or(self.now),
            answer: Box::new(answer(assignment, words)?),
            formation: words.value("coordinator").map(formation),
        })
    }
}

/// Everything in force, one that waits for a restart, one that is refused, or a failure.
fn tuned(word: &str) -> Result<SettingsStatus, String> {
    match word.split_once('=') {
        None if word == "ok" => Ok(SettingsStatus::default()),
        Some(("pending", name)) => {
            Ok(SettingsStatus { pending_restart: vec![name.to_owned()], ..SettingsStatus::default() })
        }
        Some(("refused", name)) => {
            let not_applied = [(name.to_owned(), "not known here".to_owned())].into();
            Ok(SettingsStatus { not_applied, ..SettingsStatus::default() })
        }
        _ => Err(word.to_owned()),
    }
}

fn signal(word: &str) -> Result<Signal, String> {
    match word {
        "stop" => Ok(Signal::Stop),
        "fast" => Ok(Signal::StopFast),
        "immediate" => Ok(Signal::StopImmediately),
        "reload" => Ok(Signal::Reload),
        _ => Err(format!("{word} is no signal")),
    }
}

/// A command in words.
fn text(command: &Command) -> String {
    let seconds = |moment: &Moment| format!("{:.2}", moment.since_boot().as_secs_f64());
    match command {
        Command::Observe { upstream: None, .. } => "look".to_owned(),
        Command::Observe { upstream: Some(peer), .. } => format!("look asking {}", peer.node),
        Command::Report(report) => report_text(report),
        Command::AbandonReport => "abandon report".to_owned(),
        Command::RunStep { step, .. } => format!("run {step}"),
        Command::CancelStep => "cancel step".to_owned(),
        Command::Fence(_) => "fence".to_owned(),
        Command::MaintainPeers { admits: true, .. } => "admit and maintain peers".to_owned(),
        Command::MaintainPeers { .. } => "maintain peers".to_owned(),
        Command::CancelMaintenance => "cancel maintenance".to_owned(),
        Command::KnowFormation { hosts } => format!("know {}", hosts.join(" ")),
        Command::Reconcile { .. } => "reconcile".to_owned(),
        Command::RunHook(call) => format!("hook {} {} to {}", call.kind, call.old_role, call.new_role),
        Command::CheckPoolers => "check poolers".to_owned(),
        Command::Save { state, .. } => {
            let goal = state.assignment.as_ref().map_or("none", |assignment| assignment.goal.as_str());
            format!("save {goal}, reached {}", state.reported)
        }
        Command::ReadConfiguration => "read configuration".to_owned(),
        Command::ApplyPostgresSettings(settings) => {
            let settings: Vec<String> =
                settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("tune {}", settings.join(" ")).trim_end().to_owned()
        }
        Command::ApplySettings => "apply settings".to_owned(),
        Command::Arm(Some(moment)) => format!("arm {}", seconds(moment)),
        Command::Arm(None) => "disarm".to_owned(),
        Command::WakeAt(moment) => format!("wake {}", seconds(moment)),
        Command::TellReady => "tell ready".to_owned(),
        Command::TellStopping => "tell stopping".to_owned(),
        Command::Log(notice) => notice.to_string(),
        Command::Exit(Ending::Stopped) => "exit".to_owned(),
        Command::Exit(Ending::Dropped) => "exit dropped".to_owned(),
    }
}

fn report_text(report: &Report) -> String {
    let mut text = format!("report {}", report.state);
    for (is_so, word) in [
        (!report.is_running, " down"),
        (report.detail.is_stopping, " stopping"),
        (report.detail.is_gated, " gated"),
        (report.detail.is_hung, " hung"),
        (report.detail.refuses_promotion, " refuses"),
        (!report.detail.settings.is_settled(), " unsettled"),
    ] {
        if is_so {
            text.push_str(word);
        }
    }
    match report.detail.fence_after_ms {
        Some(USUAL_FENCE_TIME_MS) | None => text,
        Some(other) => format!("{text} fences {}", other / 1000),
    }
}
