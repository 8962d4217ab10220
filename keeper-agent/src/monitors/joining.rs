//! A new monitor that wants to be one of several: it asks whoever leads until it votes.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::identity::Identity;
use super::network;
use super::store::Applied;
use crate::config::Member;

/// Between two attempts.
const RETRY: Duration = Duration::from_millis(500);
/// So often the log says what it waits for.
const REPEAT: Duration = Duration::from_secs(10);

/// Has the others take this monitor in, until it votes.
pub(super) async fn join(
    identity: &Identity,
    own: (u64, Member),
    others: Vec<(u64, Member)>,
    applied: watch::Receiver<Applied>,
) {
    let mut told_at: Option<Instant> = None;
    // What it has heard of the others lately is newer than what it was created with.
    let known = || {
        let now = applied.borrow().members();
        let now: Vec<_> = now.into_iter().filter(|(id, _)| *id != own.0).collect();
        if now.is_empty() { others.clone() } else { now }
    };
    while !applied.borrow().is_voter(own.0) {
        let result = network::join(identity, &known(), own.clone()).await;
        if let Err(reason) = result
            && told_at.is_none_or(|at| at.elapsed() >= REPEAT)
        {
            tracing::info!("waiting for the other monitors to take this one in: {reason}");
            told_at = Some(Instant::now());
        }
        sleep(RETRY).await;
    }
}
