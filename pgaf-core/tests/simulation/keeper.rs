//! A keeper: the clockwork around `plan`, as the agent has it, in simulated time.

use std::time::Duration;

use pgaf_core::keeper::{
    Cluster, DataDirectory, Following, Memory, Observed, Plan, Receiver, Running, Server, Silence, Step,
    StreamingStandby, plan, plan_isolated,
};
use pgaf_core::{
    Assignment, CommitRule, Epoch, Lineage, Lsn, NodeId, ReplicationState, Report, ReportDetail, Timeline,
    Upstream,
};

use super::postgres::{Mode, Postgres};

const FENCE_LIMIT_MS: u64 = 4000;
/// A standby that has replied within this time streams.
const FRESH_MS: u64 = 2000;

pub(crate) struct Keeper {
    pub(crate) is_up: bool,
    pub(crate) reported: ReplicationState,
    pub(crate) reported_epoch: Epoch,
    pub(crate) assignment: Option<Assignment>,
    memory: Memory,
    wanted_rule: Option<CommitRule>,
    seen_names: String,
    answered_at: Option<u64>,
    needs_answer_after: Option<u64>,
    has_failed: bool,
    standbys_seen_at: u64,
    pub(crate) next_report: u64,
    last_report: Option<Report>,
    was_running: bool,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self {
            is_up: false,
            reported: ReplicationState::Init,
            reported_epoch: Epoch(0),
            assignment: None,
            memory: Memory::default(),
            wanted_rule: None,
            seen_names: String::new(),
            answered_at: None,
            needs_answer_after: None,
            has_failed: false,
            standbys_seen_at: 0,
            next_report: 0,
            last_report: None,
            was_running: false,
        }
    }

    /// A new process: only the state file is left.
    pub(crate) fn start(&mut self, now: u64) {
        let old = std::mem::replace(self, Self::new());
        self.reported = old.reported;
        self.reported_epoch = old.reported_epoch;
        self.assignment = old.assignment;
        self.is_up = true;
        self.needs_answer_after = Some(now);
        self.standbys_seen_at = now;
        self.next_report = now;
    }

    pub(crate) fn answered(&mut self, assignment: Assignment, sent: u64) {
        self.answered_at = Some(sent);
        self.has_failed = false;
        if self.needs_answer_after.is_some_and(|since| sent >= since) {
            self.needs_answer_after = None;
        }
        self.assignment = Some(assignment);
    }

    pub(crate) fn failed(&mut self, now: u64) {
        self.has_failed = true;
        self.next_report = now + 300;
    }

    pub(crate) fn observe(&self, postgres: &Postgres, upstream: Option<&Postgres>, now: u64) -> Observed {
        let lineage = upstream
            .filter(|_| !postgres.is_streaming)
            .map(|upstream| if postgres.is_behind(upstream) { Lineage::Behind } else { Lineage::Forked });
        let lsn = Lsn(postgres.len() as u64);
        let data = match &postgres.log {
            None => DataDirectory::Missing,
            Some(_) => DataDirectory::Present(Cluster {
                system_identifier: 1,
                timeline: Timeline(postgres.timeline),
                checkpoint: lsn,
                is_clean: postgres.is_clean,
                is_standby: postgres.has_signal,
            }),
        };
        let server = match postgres.mode {
            Mode::Stopped => Server::Stopped,
            mode => Server::Running(Running {
                is_in_recovery: mode == Mode::Standby,
                is_gated: mode == Mode::Gated,
                timeline: Timeline(postgres.timeline),
                lsn,
                replayed: lsn,
                synchronous_standby_names: postgres.names.clone(),
                follows: postgres
                    .follows
                    .map(|index| Following { host: format!("host{}", index + 1), port: 5432 }),
                receiver: if postgres.is_streaming { Receiver::Streaming } else { Receiver::Idle },
                is_replay_over: !postgres.is_streaming && postgres.follows.is_none(),
                standbys: standbys_of(postgres, now),
                slots: Vec::new(),
            }),
        };
        Observed { data, server, lineage, is_rewind_hopeless: false, memory: self.memory.clone() }
    }

    /// Keeps in mind what the agent keeps in mind.
    pub(crate) fn remember(&mut self, observed: &Observed, now: u64) {
        let is_running = observed.server != Server::Stopped;
        if self.was_running && !is_running {
            self.needs_answer_after = Some(now);
            self.next_report = now;
        }
        self.was_running = is_running;
        match &observed.server {
            Server::Running(running) if !running.is_in_recovery => {
                if running.standbys.iter().any(|standby| standby.is_streaming) {
                    self.standbys_seen_at = now;
                }
                if running.synchronous_standby_names != self.seen_names {
                    self.forget();
                    self.seen_names.clone_from(&running.synchronous_standby_names);
                }
                self.memory.names_in_force_since.get_or_insert(running.lsn);
            }
            _ => self.forget(),
        }
    }

    fn forget(&mut self) {
        self.seen_names.clear();
        self.memory.names_in_force_since = None;
        self.memory.is_quorum_confirmed = false;
    }

    pub(crate) fn did(&mut self, step: &Step) {
        if let Step::AdmitStandbys { peers } = step {
            self.memory.admitted = Some(peers.clone());
        }
    }

    /// The steps to carry out now.
    pub(crate) fn next_steps(&mut self, observed: &Observed, now: u64) -> Vec<Step> {
        let Some(assignment) = self.assignment.clone() else { return Vec::new() };
        if self.wanted_rule.as_ref() != Some(&assignment.commit_rule) {
            self.wanted_rule = Some(assignment.commit_rule.clone());
            self.memory.rule_wanted_since = None;
        }
        if let (Server::Running(running), None) = (&observed.server, self.memory.rule_wanted_since) {
            self.memory.rule_wanted_since = Some(running.lsn);
        }
        let mut observed = observed.clone();
        observed.memory = self.memory.clone();
        let is_synchronous = assignment.goal.is_writer() && assignment.commit_rule.is_synchronous();
        let plan = if self.has_failed || self.answered_at.is_some_and(|sent| now - sent >= FENCE_LIMIT_MS) {
            let known = self.answered_at.filter(|_| self.needs_answer_after.is_none());
            let silence = Silence {
                monitor: known.map(|sent| Duration::from_millis(now - sent)),
                standbys: Duration::from_millis(now - self.standbys_seen_at),
                limit: Duration::from_millis(FENCE_LIMIT_MS),
            };
            plan_isolated(&assignment, &observed, silence)
        } else if is_synchronous && observed.server == Server::Stopped && self.needs_answer_after.is_some() {
            Plan::Wait("the monitor must confirm")
        } else {
            plan(&assignment, &observed)
        };
        match plan {
            Plan::Steps(steps) => steps,
            Plan::Reached => {
                if is_synchronous {
                    self.memory.is_quorum_confirmed = true;
                }
                if (self.reported, self.reported_epoch) != (assignment.goal, assignment.epoch) {
                    self.reported = assignment.goal;
                    self.reported_epoch = assignment.epoch;
                    self.next_report = now;
                }
                Vec::new()
            }
            Plan::Wait(_) | Plan::Blocked(_) => Vec::new(),
        }
    }

    /// The report to send now, when one is due.
    pub(crate) fn next_report(&mut self, postgres: &Postgres, now: u64) -> Option<Report> {
        let is_standby = postgres.mode == Mode::Standby;
        let report = Report {
            state: self.reported,
            is_running: postgres.is_running(),
            timeline: Timeline(postgres.timeline),
            lsn: Lsn(postgres.len() as u64),
            sync_state: String::new(),
            detail: ReportDetail {
                epoch: self.reported_epoch,
                upstream: is_standby.then(|| Upstream {
                    is_streaming: postgres.is_streaming,
                    silent_ms: now - postgres.heard_at,
                }),
                ..ReportDetail::default()
            },
        };
        let is_news = self.last_report.as_ref().is_none_or(|last| {
            (last.state, last.is_running, last.detail.epoch)
                != (report.state, report.is_running, report.detail.epoch)
        });
        if now < self.next_report && (!is_news || self.has_failed) {
            return None;
        }
        if !report.is_running {
            self.needs_answer_after = Some(now);
        }
        self.next_report = now + 1000;
        self.last_report = Some(report.clone());
        Some(report)
    }
}

fn standbys_of(postgres: &Postgres, now: u64) -> Vec<StreamingStandby> {
    let Some((at, flushed)) = postgres.reply else { return Vec::new() };
    [NodeId(1), NodeId(2)]
        .into_iter()
        .map(|node| StreamingStandby {
            node,
            is_streaming: now - at < FRESH_MS,
            is_synchronous: postgres.names.contains(&node.slot_name()),
            flushed: Lsn(flushed as u64),
        })
        .collect()
}
