//! Writing the state file, off the loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pgaf_core::keeper::{KeeperState, SaveId};
use tokio::sync::Mutex;

use crate::config::state;

/// A write that takes longer has failed; the next waits for its end, as far as its own time allows.
const DEADLINE: Duration = Duration::from_secs(5);

/// Writes one state at a time: of two at once, the older could be the one that stays.
pub(super) struct StateWriter {
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl StateWriter {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, writing: Arc::default() }
    }

    /// A write, as a future that does not borrow this; an error is for people to read.
    pub(super) fn write(
        &self,
        save: SaveId,
        state: KeeperState,
    ) -> impl Future<Output = (SaveId, Result<(), String>)> + 'static {
        let (path, writing) = (self.path.clone(), Arc::clone(&self.writing));
        let late = format!(
            "cannot write the state file \"{}\": not done within {} s",
            path.display(),
            DEADLINE.as_secs()
        );
        let write = after_others(writing, move || state::store(&path, &state));
        async move {
            match tokio::time::timeout(DEADLINE, write).await {
                Ok(written) => (save, written.map_err(|error| error.to_string())),
                Err(_) => (save, Err(late)),
            }
        }
    }
}

/// Writes when the writes before have ended, and goes on when it is no longer waited for.
async fn after_others<T: Send + 'static>(
    writing: Arc<Mutex<()>>,
    write: impl FnOnce() -> T + Send + 'static,
) -> T {
    let turn = writing.lock_owned().await;
    let written = tokio::task::spawn_blocking(move || {
        let written = write();
        drop(turn);
        written
    });
    // A write that panics is a defect; it must not be taken for a saved state.
    written.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::agent::slot::Slot;

    #[tokio::test]
    async fn the_newer_of_two_writes_is_the_one_that_stays() {
        let writing: Arc<Mutex<()>> = Arc::default();
        let file = Arc::new(std::sync::Mutex::new(0));
        let (go_on, wait) = mpsc::channel::<()>();
        let mut saving = Slot::empty();
        let first = Arc::clone(&file);
        saving.start(after_others(Arc::clone(&writing), move || {
            wait.recv().expect("told to go on");
            *first.lock().expect("locked") = 1;
        }));
        tokio::select! {
            biased;
            () = saving.done() => panic!("the first write does not wait"),
            () = tokio::task::yield_now() => {}
        }
        // It is no longer waited for, and goes on.
        saving.cancel();
        let second = Arc::clone(&file);
        saving.start(after_others(writing, move || *second.lock().expect("locked") = 2));
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
