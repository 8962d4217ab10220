//! The state file: nothing is done under an assignment that a restarted keeper would not know of.

use std::time::{Duration, Instant};

use tracing::error;

use super::Keeper;
use crate::agent::slot::Operation;
use crate::config::state::{self, StateError};

/// After a failed write, the next is begun this much later.
const RETRY: Duration = Duration::from_millis(300);

impl Keeper {
    pub(super) fn save(&mut self) {
        let (path, state) = (self.config.paths.state.clone(), self.state.clone());
        let write = write_after(self.saving.take(), move || state::store(&path, &state));
        self.saving.start(write);
    }

    /// Nothing is done under an assignment that a restarted keeper would not know of.
    pub(super) fn on_saved(&mut self, result: Result<(), StateError>) {
        if let Err(error) = result {
            error!("{error}; trying again");
            self.next_look = Instant::now() + RETRY;
            self.save();
            return;
        }
        self.is_considered = false;
    }
}

/// Writes when the write before has ended: of two at once, the older could be the one that stays. What came of that one
/// does not matter, the newer has all that it had.
async fn write_after<T: Send + 'static>(
    before: Option<Operation<T>>,
    write: impl FnOnce() -> T + Send + 'static,
) -> T {
    if let Some(before) = before {
        before.await;
    }
    let written = tokio::task::spawn_blocking(write).await;
    // A write that panics is a defect; it must not be taken for a saved state.
    written.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;
    use crate::agent::slot::Slot;

    #[tokio::test]
    async fn the_newer_of_two_writes_is_the_one_that_stays() {
        let file = Arc::new(Mutex::new(0));
        let (go_on, wait) = mpsc::channel::<()>();
        let mut saving = Slot::empty();
        let first = Arc::clone(&file);
        saving.start(write_after(None, move || {
            wait.recv().expect("told to go on");
            *first.lock().expect("locked") = 1;
        }));
        tokio::select! {
            biased;
            () = saving.done() => panic!("the first write does not wait"),
            () = tokio::task::yield_now() => {}
        }
        let second = Arc::clone(&file);
        let write = write_after(saving.take(), move || *second.lock().expect("locked") = 2);
        saving.start(write);
        tokio::select! {
            biased;
            () = saving.done() => panic!("the second write does not wait for the first"),
            () = tokio::task::yield_now() => {}
        }
        go_on.send(()).expect("it waits");
        saving.done().await;
        assert_eq!(*file.lock().expect("locked"), 2);
    }
}
