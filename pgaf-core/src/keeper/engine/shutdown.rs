//! How a keeper ends: a hand-over when there is somebody to take over, a stopped Postgres, a last report.

use std::time::Duration;

use super::Engine;
use super::command::{Command, Ending};
use super::event::Signal;
use super::notice::Notice;
use crate::keeper::moment::Moment;
use crate::message::Answer;

/// A hand-over that takes longer is given up; Postgres is stopped all the same.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(60);
/// The last report is not waited for longer than this.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

/// Where in its end a keeper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shutdown {
    /// Not told to stop.
    None,
    /// Asks the monitor to promote a standby first.
    HandingOver {
        /// Then it is given up.
        deadline: Moment,
        /// The monitor has answered a report that asked for it.
        is_answered: bool,
    },
    /// Stops Postgres.
    Stopping {
        /// As if it crashed.
        immediately: bool,
        /// As what the keeper ends then.
        ending: Ending,
    },
    /// Tells the monitor that Postgres is stopped.
    Farewell {
        /// Then it is given up.
        deadline: Moment,
        /// As what the keeper ends then.
        ending: Ending,
        /// The monitor has answered the last report.
        is_answered: bool,
    },
    /// Has ended.
    Over,
}

impl Shutdown {
    /// Postgres is being stopped, or has been.
    pub(super) const fn is_past_hand_over(self) -> bool {
        matches!(self, Self::Stopping { .. } | Self::Farewell { .. } | Self::Over)
    }

    /// The keeper was told to stop.
    pub(super) const fn is_wanted(self) -> bool {
        !matches!(self, Self::None)
    }

    /// When a phase is given up.
    pub(super) const fn due(self) -> Option<Moment> {
        match self {
            Self::HandingOver { deadline, .. } | Self::Farewell { deadline, .. } => Some(deadline),
            Self::None | Self::Stopping { .. } | Self::Over => None,
        }
    }
}

const STOPPING: Shutdown = Shutdown::Stopping { immediately: false, ending: Ending::Stopped };

impl Engine {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => {
                self.tell(Notice::Reloading);
                self.order(Command::ReadConfiguration);
                return;
            }
            Signal::StopImmediately => {
                self.tell(Notice::ToldToStop { immediately: true });
                self.shutdown = Shutdown::Stopping { immediately: true, ending: Ending::Stopped };
                self.fence();
            }
            Signal::Stop if self.shutdown.is_wanted() => {}
            Signal::StopFast if self.shutdown.is_past_hand_over() => {}
            Signal::Stop | Signal::StopFast => {
                self.tell(Notice::ToldToStop { immediately: false });
                let is_running = self.server().is_some() && !self.is_seen_stopped();
                let can_hand_over = is_running && self.is_synchronous_writer() && !self.has_no_answer();
                self.shutdown = if signal == Signal::Stop && can_hand_over {
                    let deadline = self.now().after(HAND_OVER_LIMIT);
                    Shutdown::HandingOver { deadline, is_answered: false }
                } else {
                    STOPPING
                };
            }
        }
        self.order(Command::TellStopping);
        self.reporting.make_due(self.now());
        self.looking.look_again();
    }

    /// The monitor has answered the report that was sent last.
    pub(super) fn note_answer_for_shutdown(&mut self, answer: &Answer) {
        let Some((is_stopping, is_running)) = self.reporting.last_said() else { return };
        match &mut self.shutdown {
            Shutdown::HandingOver { is_answered, .. } if is_stopping => {
                // A candidate that has writes held first is worth waiting for.
                *is_answered = !answer.is_handing_over;
                let has_drained = !answer.assignment.goal.is_writer() && !is_running;
                if has_drained {
                    self.shutdown = STOPPING;
                }
            }
            Shutdown::Farewell { is_answered, .. } => *is_answered |= !is_running,
            _ => {}
        }
    }

    /// Moves through the phases of the end.
    pub(super) fn go_on_ending(&mut self) {
        let now = self.now();
        match self.shutdown {
            Shutdown::None | Shutdown::Over => {}
            Shutdown::HandingOver { deadline, is_answered } => {
                let stays_writer = is_answered && self.is_synchronous_writer();
                if stays_writer || deadline <= now || self.has_no_answer() {
                    self.tell(Notice::NoHandOver);
                    self.shutdown = STOPPING;
                    self.looking.look_again();
                }
            }
            Shutdown::Stopping { ending, .. } => {
                let is_stopped = self.is_seen_stopped() && !self.looking.is_stale() && !self.work.is_busy();
                if is_stopped && (ending == Ending::Dropped || self.has_no_answer()) {
                    self.exit(ending);
                } else if is_stopped {
                    let deadline = now.after(FAREWELL_LIMIT);
                    self.shutdown = Shutdown::Farewell { deadline, ending, is_answered: false };
                    self.abandon_report();
                    self.reporting.make_due(now);
                }
            }
            Shutdown::Farewell { deadline, ending, is_answered } => {
                if is_answered || deadline <= now || self.has_no_answer() {
                    self.exit(ending);
                }
            }
        }
    }

    fn exit(&mut self, ending: Ending) {
        self.shutdown = Shutdown::Over;
        self.tell(Notice::Ends);
        self.order(Command::Exit(ending));
    }
}
