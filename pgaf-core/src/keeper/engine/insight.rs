//! What people and load balancers may know of a keeper. Nothing here changes anything.

use super::event::Observation;
use super::{Engine, Moment};
use crate::message::Position;

impl Engine {
    /// What was seen last of the local Postgres.
    pub const fn seen(&self) -> Option<&Observation> {
        self.looking.newest()
    }

    /// How far the other nodes are, as the monitor last said.
    pub fn positions(&self) -> &[Position] {
        &self.reporting.positions
    }

    /// What it waits for or is doing, as it tells the monitor.
    pub fn doing(&self) -> Option<String> {
        self.looking.newest().and_then(|seen| self.progress_to_report(seen))
    }

    /// It stops Postgres for good: nobody shall be sent there any more.
    pub fn is_closing(&self) -> bool {
        self.work.is_fencing() || self.work.is_stopping_postgres() || self.shutdown.is_past_hand_over()
    }

    /// When the request was sent that the monitor answered last.
    pub const fn monitor_answered(&self) -> Option<Moment> {
        self.authority.monitor_answered()
    }

    /// The last report was not answered.
    pub const fn is_monitor_silent(&self) -> bool {
        self.reporting.is_monitor_silent()
    }
}
