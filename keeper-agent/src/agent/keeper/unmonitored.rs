//! While a person has disabled the monitor: the node goes on as it is, or becomes what the person assigns, and reports
//! to nobody.

use std::time::Instant;

use pgaf_core::keeper::Authority;
use tracing::{error, info};

use super::Keeper;
use crate::config::orders;
use crate::postgres::BootTime;

impl Keeper {
    /// There is no monitor to report to.
    pub(super) const fn is_unmonitored(&self) -> bool {
        self.config.monitor.is_none()
    }

    /// Nobody answers now, or would.
    pub(super) const fn has_no_answer(&self) -> bool {
        self.is_monitor_failing || self.is_unmonitored()
    }

    /// Leaves the monitor, or comes to one, as the configuration says. The state file tells whoever asked for it that
    /// it is done.
    pub(super) fn note_monitor(&mut self) {
        if self.state.has_left_monitor != self.is_unmonitored() {
            if self.is_unmonitored() {
                info!("the monitor is disabled: this node goes on as it is, and reports to nobody");
            } else {
                info!("a monitor is enabled: this node reports to it from now on");
            }
            self.state.change_monitor(self.is_unmonitored());
            // Nobody has been silent yet.
            self.authority = Authority::new(BootTime::now().moment());
            self.is_monitor_failing = false;
            self.last_report = None;
            self.next_report = Instant::now();
            self.save();
        }
        if self.is_unmonitored() {
            self.follow_orders();
        }
    }

    fn follow_orders(&mut self) {
        match orders::load(&self.config.paths.orders()) {
            Ok(orders) => {
                if let Some(assignment) = orders.assignment(&self.state, &self.config.postgres.dbname) {
                    info!("a person has assigned something new to this node");
                    self.accept(assignment);
                }
            }
            Err(error) => error!("{error}; this node goes on as it is"),
        }
    }
}
