//! Carrying out a step: each takes its time, may fail, and may be interrupted half-way.

use pgaf_core::Peer;
use pgaf_core::keeper::Step;

use super::super::address::index_of;
use super::super::postgres::{Files, Mode, Names, Role};
use super::World;

/// Steps that fail for no reason, of a thousand.
const BAD_LUCK: u64 = 30;
/// What cannot work out is found out after this long.
const CONNECT_MS: u64 = 1000;
/// A start that takes longer ends as a step; the server goes on to recover.
const READY_DEADLINE_MS: u64 = 1000;

/// Requests to the coordinator that fail, of a thousand.
const COORDINATOR_FAILS: u64 = 150;
/// And a hook to let its node take over.
const HOOK_REFUSES: u64 = 200;

type Outcome = Result<(), &'static str>;

impl World {
    /// How long the step will take at least.
    pub(super) fn begin_step(&mut self, index: usize, step: &Step) -> Result<u64, &'static str> {
        let now = self.now;
        if self.random.per_mille(BAD_LUCK) {
            return Err("bad luck");
        }
        let short = self.random.between(1, 4) * super::tick::TICK_MS;
        let postgres = &mut self.hosts[index].postgres;
        match step {
            Step::StopPostgres(mode) => {
                postgres.begin_stop(*mode, now);
                Ok(short)
            }
            Step::StartPostgres if postgres.mode == Mode::Up(Role::Gated) => Ok(short),
            Step::StartPostgres | Step::StartGated if !postgres.is_stopped() => Ok(0),
            Step::StartPostgres => self.start_postgres(index, false),
            Step::StartGated => self.start_postgres(index, true),
            Step::BaseBackup { upstream } => self.begin_copy(index, upstream, true),
            Step::Rewind { upstream } => self.begin_copy(index, upstream, false),
            Step::SetSynchronousStandbyNames(names) => {
                let names = Names::parse(names);
                if matches!(postgres.mode, Mode::Up(_)) {
                    let old = std::mem::replace(&mut postgres.names, names);
                    postgres.older_names.get_or_insert(old);
                    Ok(short)
                } else {
                    Err("Postgres does not run")
                }
            }
            _ => Ok(short),
        }
    }

    /// Nothing is changed before the source has answered.
    fn begin_copy(&mut self, index: usize, upstream: &Peer, is_backup: bool) -> Result<u64, &'static str> {
        let source = index_of(&upstream.host);
        if !self.hosts[index].postgres.is_stopped() {
            return Err("Postgres runs: it has to be stopped first");
        }
        if !self.can_ask(index, source) {
            return Err("the source does not answer");
        }
        let source = &self.hosts[source].postgres;
        if is_backup && !source.is_standby() && self.hosts[index].node.is_none_or(|node| !source.admits(node))
        {
            return Err("the source does not let this node in");
        }
        if is_backup {
            self.hosts[index].postgres.files = Files::Incomplete;
            return Ok(self.random.between(300, 4000));
        }
        if self.hosts[index].postgres.files != Files::Present {
            return Err("an unfinished copy cannot be rewound");
        }
        if self.random.per_mille(40) {
            self.hosts[index].keeper.rewind_is_hopeless();
            return Err("this cannot be rewound");
        }
        let is_known = source.is_standby()
            || self.archive.timeline(source.checkpoint) == self.archive.timeline(source.end);
        if !is_known {
            return Err("the source has not checkpointed its timeline yet");
        }
        self.hosts[index].postgres.files = Files::Incomplete;
        Ok(self.random.between(200, 1500))
    }

    /// What comes of a step that is under way; `None` while it goes on.
    pub(super) fn go_on(&mut self, index: usize, step: &Step, begun: u64, until: u64) -> Option<Outcome> {
        let now = self.now;
        if let Step::BaseBackup { upstream } | Step::Rewind { upstream } = step {
            return self.go_on_copying(index, upstream, until);
        }
        if now < until {
            return None;
        }
        let postgres = &mut self.hosts[index].postgres;
        match step {
            Step::StopPostgres(_) => postgres.is_stopped().then_some(Ok(())),
            Step::StartPostgres if postgres.mode == Mode::Up(Role::Gated) => {
                postgres.mode = Mode::Up(Role::Writer);
                Some(Ok(()))
            }
            Step::StartPostgres | Step::StartGated => match postgres.mode {
                Mode::Up(_) => Some(Ok(())),
                Mode::Starting { .. } if now - begun < READY_DEADLINE_MS => None,
                Mode::Starting { .. } => Some(Ok(())),
                Mode::Stopped | Mode::Stopping { .. } => Some(Err("Postgres does not run")),
            },
            Step::Follow { upstream: None } if postgres.is_standby() => {
                if postgres.follows.is_some() {
                    postgres.follow(None);
                }
                postgres.proves_replay_is_over().then_some(Ok(()))
            }
            _ => Some(self.finish_step(index, step)),
        }
    }

    fn go_on_copying(&mut self, index: usize, upstream: &Peer, until: u64) -> Option<Outcome> {
        let source = index_of(&upstream.host);
        if !self.can_ask(index, source) {
            let is_lost = self.now + CONNECT_MS > until || self.random.per_mille(100);
            return is_lost.then_some(Err("the connection to the source is lost"));
        }
        if self.now < until {
            return None;
        }
        let [host, source] = self.hosts.get_disjoint_mut([index, source]).expect("two hosts");
        host.postgres.becomes_copy_of(&source.postgres);
        Some(Ok(()))
    }

    fn finish_step(&mut self, index: usize, step: &Step) -> Outcome {
        let postgres = &mut self.hosts[index].postgres;
        let is_up = matches!(postgres.mode, Mode::Up(_));
        match step {
            Step::Checkpoint => postgres.checkpoints(),
            Step::Follow { upstream } if postgres.files == Files::Present => {
                postgres.follow(upstream.as_ref().map(|peer| index_of(&peer.host)));
            }
            Step::Follow { .. } => return Err("there is no cluster to configure"),
            Step::Promote if postgres.is_standby() => self.promote(index),
            Step::AdmitStandbys { peers } if is_up => {
                postgres.admitted = peers.iter().map(|peer| peer.node).collect();
            }
            Step::SetSynchronousStandbyNames(_) if is_up => postgres.older_names = None,
            Step::BeforePromote { .. } if self.random.per_mille(HOOK_REFUSES) => {
                return Err("the hook refuses");
            }
            Step::BeforePromote { .. } | Step::PausePoolers | Step::RoutePoolers => {}
            Step::HoldWrites { .. } | Step::ReleaseWrites | Step::RouteWrites { .. } => {
                if self.random.per_mille(COORDINATOR_FAILS) {
                    return Err("the coordinator does not answer");
                }
            }
            _ => return Err("Postgres does not run as it should"),
        }
        Ok(())
    }

    fn promote(&mut self, index: usize) {
        let postgres = &mut self.hosts[index].postgres;
        postgres.promote(&mut self.archive);
        let end = postgres.end;
        let timeline = self.archive.timeline(end);
        self.tell(|_| format!("host {index} is promoted to timeline {timeline} at {end:?}"));
        self.fencing.promoted(index, self.now);
        if !self.profile.allows_data_loss {
            let whose = format!("host {index}, which is promoted");
            let verdict = self.acknowledged.check(&self.archive, end, &whose);
            self.judge(verdict);
        }
    }
}
