//! What is known of the monitor and its formations, for all who ask.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use pgaf_core::keeper::Moment;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

use super::picture::Picture;
use crate::http::counters::Counters;
use crate::postgres::BootTime;

/// Whether the monitor's Postgres answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MonitorStatus {
    pub(super) is_up: bool,
    /// It is a standby of another monitor.
    pub(super) is_standby: bool,
    /// Why it does not answer.
    pub(super) why: Option<String>,
    /// When it was last read.
    pub(super) read_at: Option<Moment>,
    /// When that was last tried.
    pub(super) tried_at: Moment,
}

/// All of it.
pub(super) struct Bulletin {
    picture: Mutex<Picture>,
    status: Mutex<MonitorStatus>,
    /// Counts what is news.
    pub(super) news: watch::Sender<u64>,
    pub(super) counters: Counters,
    pub(super) viewers: AtomicU64,
}

impl Bulletin {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        let tried_at = BootTime::now().moment();
        Self {
            picture: Mutex::default(),
            status: Mutex::new(MonitorStatus {
                is_up: false,
                is_standby: false,
                why: None,
                read_at: None,
                tried_at,
            }),
            news: watch::Sender::new(0),
            counters: Counters::new(),
            viewers: AtomicU64::new(0),
        }
    }

    pub(super) fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> MonitorStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it, and tells those who watch that there is something new.
    pub(super) fn set_status(&self, change: impl FnOnce(&mut MonitorStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The formations by name, each as the page gets it.
    pub(super) fn formations(&self) -> Arc<BTreeMap<String, Bytes>> {
        self.picture().formations()
    }

    /// What the page says of the monitor itself.
    pub(super) fn about(&self) -> Value {
        let (status, now) = (self.status(), BootTime::now().moment());
        json!({
            "is_up": status.is_up,
            "is_standby": status.is_standby,
            "why": status.why,
            "age_ms": status.read_at.map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)),
            "version": env!("CARGO_PKG_VERSION"),
            "formations": self.formations().keys().collect::<Vec<_>>(),
        })
    }
}
