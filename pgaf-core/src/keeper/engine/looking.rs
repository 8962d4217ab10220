//! Looking at the local Postgres, and noticing its end.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::event::{LookId, Observation, PostgresExit};
use super::notice::Notice;
use super::shutdown::Shutdown;
use crate::keeper::claim::state_that_holds;
use crate::keeper::moment::Moment;
use crate::keeper::server::Server;
use crate::keeper::step::Step;
use crate::message::Peer;
use crate::state::ReplicationState;

/// The local Postgres is looked at this often when nothing is awaited.
const PERIOD: Duration = Duration::from_millis(500);
/// This often by a primary to which the monitor's last word gets old: what it knows of its standbys must be fresh then.
const DOUBTFUL_PERIOD: Duration = Duration::from_millis(100);
/// And this often when the plan has begun to wait for something.
const WAITING_PERIOD: Duration = Duration::from_millis(50);
/// A Postgres that ended cleanly by itself is restarted without asking, unless it was so this recently.
const QUICK_RESTART_PERIOD: Duration = Duration::from_secs(30);

/// The newest look, the one that is under way, and when the next is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Looking {
    newest: Option<Observation>,
    /// Something has happened since the newest look was begun.
    is_stale: bool,
    last: LookId,
    /// The last one is under way, and nothing has happened since it was begun.
    is_under_way: bool,
    next: Moment,
    unresponsive_since: Option<Moment>,
    disk_hung_since: Option<Moment>,
    quick_restart: Option<Moment>,
}

impl Looking {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            newest: None,
            is_stale: true,
            last: LookId(0),
            is_under_way: false,
            next: now,
            unresponsive_since: None,
            disk_hung_since: None,
            quick_restart: None,
        }
    }

    pub(super) const fn newest(&self) -> Option<&Observation> {
        self.newest.as_ref()
    }

    pub(super) const fn newest_mut(&mut self) -> Option<&mut Observation> {
        self.newest.as_mut()
    }

    /// Something has happened since the newest look was begun, or there is none.
    pub(super) const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Something has happened: what was seen before does not count, nor does a look that is under way.
    pub(super) const fn look_again(&mut self) {
        self.is_under_way = false;
        self.is_stale = true;
    }

    /// Something is awaited: the next look comes early.
    pub(super) fn look_soon(&mut self, now: Moment) {
        self.next = self.next.min(now.after(WAITING_PERIOD));
    }

    /// The next look is due.
    fn look_now(&mut self, now: Moment) {
        self.next = self.next.min(now);
    }

    /// When the next look is due; `None` while one is under way.
    pub(super) const fn due(&self) -> Option<Moment> {
        if self.is_under_way { None } else { Some(self.next) }
    }

    /// For how long Postgres has not answered.
    pub(super) fn unresponsive_for(&self, now: Moment) -> Option<Duration> {
        self.unresponsive_since.map(|since| now.since(since))
    }

    /// For how long the data directory has not answered.
    pub(super) fn disk_hung_for(&self, now: Moment) -> Option<Duration> {
        self.disk_hung_since.map(|since| now.since(since))
    }

    /// Without anything that the next look finds again, and at rest.
    pub(super) fn rest(&mut self, now: Moment) {
        *self = Self { quick_restart: self.quick_restart, ..Self::new(now) };
    }

    pub(super) fn age(&mut self, by: Duration) {
        self.next = self.next.before(by);
        self.unresponsive_since = self.unresponsive_since.map(|since| since.before(by));
        self.disk_hung_since = self.disk_hung_since.map(|since| since.before(by));
        self.quick_restart = self.quick_restart.map(|at| at.before(by));
    }
}

impl Engine {
    /// The monitor has something new, or wants to know what there is now. A report does not wait for the look: if that has
    /// news, another follows.
    pub(super) fn on_notified(&mut self) {
        let now = self.now();
        self.looking.look_now(now);
        self.reporting.make_due(now);
    }

    pub(super) fn look_if_due(&mut self) {
        let is_due = self.looking.is_stale || self.looking.next <= self.now();
        if self.looking.is_under_way || !is_due {
            return;
        }
        self.looking.next = self.now().after(self.look_period());
        self.looking.last.0 += 1;
        self.looking.is_under_way = true;
        let upstream = self.upstream_to_ask();
        self.order(Command::Observe { look: self.looking.last, upstream });
    }

    fn look_period(&self) -> Duration {
        let is_heard = self.authority.is_fresh(self.fence_limit() / 3, self.now());
        if self.is_synchronous_writer() && !is_heard { DOUBTFUL_PERIOD } else { PERIOD }
    }

    /// Whose history the local log is compared with. A secondary that runs has proved itself, and when its upstream
    /// is gone it must not lose time with asking it.
    fn upstream_to_ask(&self) -> Option<Peer> {
        let assignment = self.assignment()?;
        let runs = matches!(self.server(), Some(Server::Running(_)));
        let is_proved = assignment.goal == ReplicationState::Secondary && runs;
        assignment.upstream.clone().filter(|_| !is_proved)
    }

    pub(super) fn on_observed(&mut self, look: LookId, observation: Observation) {
        if look != self.looking.last || !self.looking.is_under_way {
            return;
        }
        let now = self.now();
        let server = &observation.observed.server;
        self.memory.saw(server);
        if let Some(at) = observation.quorum_contact {
            self.authority.standbys_seen(at);
        }
        if *server == Server::Unresponsive {
            self.looking.unresponsive_since.get_or_insert(now);
        } else {
            self.looking.unresponsive_since = None;
        }
        self.note_disk(observation.is_disk_hung);
        let server = &observation.observed.server;
        if matches!(server, Server::Running(_)) && !std::mem::replace(&mut self.is_ready, true) {
            self.order(Command::TellReady);
        }
        self.withdraw_claim(&observation);
        self.note_restarted(&observation);
        self.looking.newest = Some(observation);
        self.note_role();
        self.looking.is_under_way = false;
        self.looking.is_stale = false;
        self.planning.is_due = true;
        self.report_news();
    }

    fn note_disk(&mut self, is_hung: bool) {
        let now = self.now();
        if !is_hung {
            if self.looking.disk_hung_since.take().is_some() {
                self.tell(Notice::DiskAnswers);
            }
        } else if self.looking.disk_hung_since.is_none() {
            self.looking.disk_hung_since = Some(now);
            self.tell(Notice::DiskHangs);
        }
    }

    /// What was reached does not hold any more: that is remembered, also over a crash of Postgres, until it is reached
    /// again.
    fn withdraw_claim(&mut self, seen: &Observation) {
        let (reported, epoch) = (self.state.reported, self.state.reported_epoch);
        let holds = state_that_holds(reported, epoch, self.assignment(), &seen.observed);
        if holds != reported {
            self.tell(Notice::NoLongerHolds { reached: reported, holds });
            self.state.reported = holds;
            self.saving.state_changed();
            self.reporting.make_due(self.now());
        }
    }

    pub(super) fn on_postgres_exited(&mut self, exit: PostgresExit) {
        let now = self.now();
        let is_expected = self.work.is_stopping_postgres();
        if !is_expected {
            self.tell(Notice::PostgresEnded(exit));
            self.note_dead_man();
        }
        let is_recent = self.looking.quick_restart.is_some_and(|at| now.since(at) < QUICK_RESTART_PERIOD);
        let may_restart = exit == PostgresExit::Clean
            && !is_expected
            && !is_recent
            && self.looking.disk_hung_since.is_none()
            && self.shutdown == Shutdown::None
            && self.authority.is_fresh(self.fence_limit() / 2, now);
        if may_restart && self.is_synchronous_writer() {
            self.looking.quick_restart = Some(now);
            self.give_up_work();
            self.begin(vec![Step::StartPostgres]);
        } else {
            self.authority.goes_down(now);
        }
        self.looking.look_again();
    }
}
