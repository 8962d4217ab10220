//! Waiting for conditions, never for time to pass.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition that announces itself to nobody is looked at.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Looks until `look` finds something, for at most `within`.
///
/// # Errors
/// The time is over: says what was waited for and what the last look said. A look that fails is a look that has
/// found nothing: the thing looked at may just be down.
pub(crate) fn wait_for<T>(
    what: &str,
    within: Duration,
    look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait_looking_every(LOOK_AGAIN_AFTER, what, within, look)
}

/// The same for looks that cost so much that there should be a longer time between them.
///
/// # Errors
/// As `wait_for`.
pub(crate) fn wait_looking_every<T>(
    interval: Duration,
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        let last = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if began.elapsed() > within {
            match last {
                Some(error) => bail!("waited {within:?} for {what}; at last: {error:#}"),
                None => bail!("waited {within:?} for {what}"),
            }
        }
        std::thread::sleep(interval);
    }
}
