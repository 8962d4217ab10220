//! Fencing: a primary that nobody confirms stops at once, whatever else is under way.

use std::time::Duration;

use super::Engine;
use super::command::Command;
use super::notice::Notice;
use crate::keeper::isolated::plan_isolated;
use crate::keeper::moment::Moment;
use crate::keeper::server::Server;
use crate::keeper::step::{Plan, Step, StopMode};

/// The dead man's switch leaves the engine so much time to fence by itself.
const DEAD_MAN_MARGIN: Duration = Duration::from_millis(100);
/// A server that may begin to serve by itself is killed when the engine has not looked for this long, and its authority
/// has ended: as long as the engine looks, a recovery is let go on.
const DEAD_MAN_PATIENCE: Duration = Duration::from_secs(2);

/// What a server can do without this keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// Accept writes: it does, or nobody knows.
    Now,
    /// Begin to accept writes.
    Soon,
    /// Nothing: it is stopped, gated, or a standby.
    Never,
}

impl Engine {
    /// When a server that accepts writes must have stopped, unless somebody confirms it before; `None` for a node that
    /// nobody can replace behind its back.
    pub fn authority_ends(&self) -> Option<Moment> {
        let is_concerned = self.is_synchronous_writer() && !self.is_unmonitored();
        is_concerned.then(|| self.authority.ends(self.fence_limit()))
    }

    /// Stops Postgres when the time has come, judged by the last look, however old: a server that hangs is no reason
    /// to wait. After something has just happened the look that is under way is waited for.
    pub(super) fn fence_if_due(&mut self) {
        let is_due = self.authority_ends().is_some_and(|end| end <= self.now());
        let has_just_changed = self.looking.is_stale() && !self.work.is_busy();
        if !is_due || has_just_changed || self.work.is_fencing() {
            return;
        }
        let (Some(seen), Some(assignment)) = (self.looking.newest(), self.assignment()) else { return };
        let silence = self.authority.silence(self.fence_limit(), self.now());
        let plan = plan_isolated(assignment, &seen.observed, silence);
        if matches!(plan, Plan::Steps(steps) if steps == [Step::StopPostgres(StopMode::Immediate)]) {
            self.tell(Notice::Fencing);
            self.call_fence_hook();
            self.fence();
        }
    }

    /// When fencing is due, for as long as it has not begun.
    pub(super) fn fence_due(&self) -> Option<Moment> {
        self.authority_ends().filter(|end| *end > self.now() && !self.work.is_fencing())
    }

    /// Sets the dead man's switch anew when its time has changed.
    pub(super) fn arm(&mut self) {
        let deadline = self.authority_ends().and_then(|end| match self.serving() {
            Serving::Now => Some(end.after(DEAD_MAN_MARGIN)),
            Serving::Soon => Some(end.max(self.now().after(DEAD_MAN_PATIENCE)).after(DEAD_MAN_MARGIN)),
            Serving::Never => None,
        });
        if deadline != self.outbox.armed {
            self.outbox.armed = deadline;
            self.order(Command::Arm(deadline));
        }
    }

    fn serving(&self) -> Serving {
        let serving = match self.server() {
            None | Some(Server::Unresponsive | Server::Refusing) => Serving::Now,
            Some(Server::Running(running)) if !running.is_in_recovery && !running.is_gated => Serving::Now,
            Some(Server::Starting) => Serving::Soon,
            Some(Server::Stopped | Server::Running(_)) => Serving::Never,
        };
        if serving == Serving::Never && self.work.may_begin_to_write() { Serving::Soon } else { serving }
    }
}
