//! Whom an agent reports to.

use pgaf_core::Report;

use super::council::Council;
use super::link::{Exchange, Link};
use crate::client::ConnectionString;

/// What says what the node shall be.
pub(super) enum Authority {
    /// The monitor, for a data node.
    Monitor(Link),
    /// The agents of all monitors, for the Postgres of one of them.
    Monitors(Council),
}

impl Authority {
    /// The exchange, as a future that does not borrow this; `None` when there is nobody to report to.
    pub(super) fn exchange(
        &self,
        report: Report,
    ) -> Option<std::pin::Pin<Box<dyn Future<Output = Exchange>>>> {
        match self {
            Self::Monitor(link) => Some(Box::pin(link.exchange(report)?)),
            Self::Monitors(council) => Some(Box::pin(council.exchange(report))),
        }
    }

    /// Takes the end of an exchange.
    pub(super) fn settle(&mut self, exchange: &mut Exchange) {
        if let Self::Monitor(link) = self {
            link.settle(exchange);
        }
    }

    /// The monitor is another one from now on.
    pub(super) fn retarget(&mut self, target: Option<ConnectionString>) {
        if let Self::Monitor(link) = self {
            link.retarget(target);
        }
    }

    /// The monitor is the same, and is found elsewhere when it has to be found again.
    pub(super) fn aim(&mut self, target: Option<ConnectionString>) {
        if let Self::Monitor(link) = self {
            link.aim(target);
        }
    }

    /// Waits until there is a reason to report.
    pub(super) async fn notified(&mut self) {
        match self {
            Self::Monitor(link) => link.notified().await,
            Self::Monitors(council) => council.notified().await,
        }
    }
}
