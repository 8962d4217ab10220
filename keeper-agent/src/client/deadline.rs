//! Waiting for something no longer than until a deadline.

use std::time::Duration;

/// What was waited for has taken too long. Each kind of error says so in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} took longer than {} s", .after.as_secs_f32())]
pub struct Late {
    /// What was waited for; begins the sentence.
    pub what: String,
    /// For how long.
    pub after: Duration,
}

/// Waits for `future` until the deadline.
///
/// # Errors
/// `Late` after the deadline; `what` begins the sentence.
pub async fn within<T>(deadline: Duration, what: &str, future: impl Future<Output = T>) -> Result<T, Late> {
    tokio::time::timeout(deadline, future).await.map_err(|_| Late { what: what.to_owned(), after: deadline })
}
