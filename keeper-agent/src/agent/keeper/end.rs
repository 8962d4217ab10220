//! The end of a keeper: a hand-over when there is somebody to take over, a stopped Postgres, a last report.

use std::time::Instant;

use pgaf_core::keeper::Server;
use pgaf_core::{Answer, Report};
use tracing::info;

use super::Keeper;
use crate::agent::shutdown::Shutdown;
use crate::agent::signals::Request;
use crate::exit::Exit;

impl Keeper {
    pub(super) fn on_signal(&mut self, request: Request) {
        match request {
            Request::Reload => self.reload(),
            Request::StopNow => {
                info!("told to stop immediately");
                self.work.give_up();
                self.shutdown = Shutdown::Stopping { immediately: true, exit: Exit::Quit };
            }
            Request::Stop if self.shutdown.is_wanted() => {}
            Request::StopFast if self.shutdown.is_past_hand_over() => {}
            Request::Stop | Request::StopFast => {
                info!("told to stop");
                let is_running =
                    self.sight.as_ref().is_some_and(|sight| sight.observed.server != Server::Stopped);
                let hands_over = request == Request::Stop && !self.has_no_answer();
                self.shutdown = if hands_over && self.is_synchronous_writer() && is_running {
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

    pub(super) fn note_answer_for_shutdown(&mut self, report: &Report, answer: &Answer) {
        match &mut self.shutdown {
            Shutdown::HandingOver { is_answered, .. } if report.detail.is_stopping => {
                // A candidate that has writes held first is worth waiting for.
                *is_answered = !answer.is_handing_over;
                let has_drained = !answer.assignment.goal.is_writer() && !report.is_running;
                if has_drained {
                    self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Quit };
                }
            }
            Shutdown::Farewell { deadline, .. } if !report.is_running => *deadline = Instant::now(),
            _ => {}
        }
    }

    /// Moves through the phases of the end; gives the exit code after the last.
    pub(super) fn ended(&mut self) -> Option<Exit> {
        let is_stopped = self.sight.as_ref().is_some_and(|sight| sight.observed.server == Server::Stopped);
        match self.shutdown {
            Shutdown::None => None,
            Shutdown::HandingOver { deadline, is_answered } => {
                let stays_writer = is_answered && self.is_synchronous_writer();
                if stays_writer || deadline <= Instant::now() || self.has_no_answer() {
                    info!("no standby can take over: stopping Postgres");
                    self.shutdown = Shutdown::Stopping { immediately: false, exit: Exit::Quit };
                    self.look_again();
                }
                None
            }
            Shutdown::Stopping { exit, .. } => {
                if is_stopped && !self.is_sight_stale && !self.work.is_busy() {
                    if exit == Exit::Dropped || self.has_no_answer() {
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
                (deadline <= Instant::now() || self.has_no_answer()).then_some(exit)
            }
        }
    }
}
