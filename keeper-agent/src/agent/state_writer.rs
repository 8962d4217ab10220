//! Writing the state file, off the loop.

use std::path::PathBuf;
use std::time::Duration;

use pgaf_core::keeper::{KeeperState, SaveId};

use crate::config::state;
use crate::files::FileWorker;

/// A write that takes longer has failed; the next waits for its end, as far as its own time allows.
const DEADLINE: Duration = Duration::from_secs(5);

/// Writes one state at a time: of two at once, the older could be the one that stays. The worker is not that of the data
/// directory, whose disk may hang alone.
pub(super) struct StateWriter {
    path: PathBuf,
    worker: FileWorker,
}

impl StateWriter {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, worker: FileWorker::default() }
    }

    /// A write, as a future that does not borrow this; an error is for people to read.
    pub(super) fn write(
        &self,
        save: SaveId,
        state: KeeperState,
    ) -> impl Future<Output = (SaveId, Result<(), String>)> + 'static {
        let (path, worker) = (self.path.clone(), self.worker.clone());
        async move {
            let name = path.display().to_string();
            let saved = match worker.run(DEADLINE, move || state::store(&path, &state)).await {
                Ok(stored) => stored.map_err(|error| error.to_string()),
                Err(late) => Err(format!("cannot write the state file \"{name}\": {late}")),
            };
            (save, saved)
        }
    }
}
