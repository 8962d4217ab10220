//! What nodes and the monitor tell over HTTP, asked as load balancers, scrapers and browsers ask.

mod browser;
mod client;
mod door;
mod haproxy;
mod health;
mod metrics;
mod page;

use crate::case::Case;

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [door::cases(), haproxy::cases(), health::cases(), metrics::cases(), page::cases()]
        .into_iter()
        .flatten()
        .collect()
}
