//! What nodes and the monitor tell over HTTP, asked as load balancers, scrapers and browsers ask.

mod client;
mod door;
mod health;

use crate::case::Case;

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [door::cases(), health::cases()].into_iter().flatten().collect()
}
