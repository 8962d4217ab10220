//! The connections that are open: no more than so many, and each for a limited time.
//!
//! When there is no room, the one that has been longest without asking for anything makes room, so that clients who
//! connect and say nothing shut nobody out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Open connections at most.
const MOST: usize = 128;
/// Connections that watch the page at most.
const MOST_STREAMS: usize = 32;
/// A connection ends after this long, used or not.
const LIFE: Duration = Duration::from_secs(60);

/// All of them.
pub(super) struct Lives {
    began: Instant,
    open: Mutex<Vec<Arc<Life>>>,
}

/// One of them.
pub(super) struct Life {
    /// When it ends, and since when it has asked for nothing; milliseconds after `Lives::began`.
    ends: AtomicU64,
    idle_since: AtomicU64,
    began: Instant,
    ended: Notify,
}

/// It is being answered.
const BUSY: u64 = u64::MAX;
/// It gets what is news.
const STREAMING: u64 = u64::MAX - 1;

impl Lives {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), open: Mutex::default() })
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Life>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one; `None` when all others are busy.
    pub(super) fn begin(&self) -> Option<Arc<Life>> {
        let mut open = self.all();
        if open.len() >= MOST {
            let idle = open.iter().enumerate().filter(|(_, life)| life.idle_since() < STREAMING);
            let (longest, _) = idle.min_by_key(|(_, life)| life.idle_since())?;
            open.swap_remove(longest).end();
        }
        let now = millis(self.began.elapsed());
        let life = Arc::new(Life {
            ends: AtomicU64::new(now.saturating_add(millis(LIFE))),
            idle_since: AtomicU64::new(now),
            began: self.began,
            ended: Notify::new(),
        });
        open.push(Arc::clone(&life));
        Some(life)
    }

    /// It is closed.
    pub(super) fn forget(&self, life: &Arc<Life>) {
        self.all().retain(|other| !Arc::ptr_eq(other, life));
    }

    /// It gets what is news from now on; false when enough do.
    pub(super) fn stream(&self, life: &Life) -> bool {
        let open = self.all();
        let has_room = open.iter().filter(|life| life.idle_since() == STREAMING).count() < MOST_STREAMS;
        if has_room {
            life.idle_since.store(STREAMING, Ordering::Relaxed);
        }
        has_room
    }
}

impl Life {
    fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.ended.notify_one();
    }

    /// It has asked for something.
    pub(super) fn is_busy(&self) {
        self.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// It has its answer, and may ask for more.
    pub(super) fn is_idle(&self) {
        self.idle_since.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// It lives so much longer from now on.
    pub(super) fn extend(&self, by: Duration) {
        self.ends.store(millis(self.began.elapsed().saturating_add(by)), Ordering::Relaxed);
    }

    /// Waits for the end of its time.
    pub(super) async fn over(&self) {
        loop {
            let ends = self.began + Duration::from_millis(self.ends.load(Ordering::Relaxed));
            if ends <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(ends) => {}
                () = self.ended.notified() => return,
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_says_nothing_makes_room_and_whoever_is_busy_does_not() {
        let lives = Lives::new();
        let first = lives.begin().expect("room");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let others: Vec<_> = (1..MOST).map(|_| lives.begin().expect("room")).collect();
        assert_eq!(lives.all().len(), MOST);
        let next = lives.begin().expect("the first makes room");
        first.over().await;
        for life in others.iter().chain([&next]) {
            life.is_busy();
        }
        assert!(lives.begin().is_none(), "all are busy");
        lives.forget(&next);
        assert!(lives.begin().is_some());
        let streaming = others.iter().filter(|life| lives.stream(life)).count();
        assert_eq!(streaming, MOST_STREAMS);
    }
}
