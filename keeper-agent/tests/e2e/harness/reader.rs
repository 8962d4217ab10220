//! A client that reads one query again and again, and remembers every answer it was given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::network::Door;
use super::sql::{Session, Target, new_runtime};

const DEADLINE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(5);

/// A running reader.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Reader {
    /// Starts reading from the namespace behind the door.
    pub(crate) fn start(door: Door, target: Target, query: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            if let Ok(runtime) = door.enter().and_then(|()| new_runtime()) {
                while !is_over.load(Ordering::Relaxed) {
                    // Whatever goes wrong, the next look connects anew.
                    let _lost = runtime.block_on(read(&target, query, &is_over, &mut seen));
                }
            }
            seen
        });
        Self { stop, thread }
    }

    /// Stops; the first columns of all answers, each once.
    pub(crate) fn stop(self) -> Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_panic| anyhow!("the reader has panicked"))
    }
}

async fn read(target: &Target, query: &str, is_over: &AtomicBool, seen: &mut BTreeSet<String>) -> Result<()> {
    let connected = Session::open(target, DEADLINE).await;
    tokio::time::sleep(PACE).await;
    let session = connected?;
    while !is_over.load(Ordering::Relaxed) {
        for row in session.rows(query, DEADLINE).await? {
            seen.extend(row.into_iter().next().flatten());
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}
