//! What answers on a monitor.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;

use super::bulletin::Bulletin;
use super::stream;
use crate::http::answer::{Answer, Request};
use crate::http::counters::Counters;
use crate::http::health::Check;
use crate::http::lives::Life;
use crate::http::metrics;
use crate::http::server::{Http, Settings, Site};
use crate::postgres::BootTime;

/// The page: one file, which loads nothing.
const PAGE: &str = include_str!("page.html");
/// What was read longer ago is not the present.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// A process that has not tried to read for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// The site of a monitor.
#[derive(Clone)]
pub struct MonitorSite {
    bulletin: Arc<Bulletin>,
}

impl fmt::Debug for MonitorSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorSite").finish_non_exhaustive()
    }
}

impl Default for MonitorSite {
    fn default() -> Self {
        Self::new()
    }
}

impl MonitorSite {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self { bulletin: Arc::new(Bulletin::new()) }
    }

    /// Serves it.
    pub fn serve(&self, settings: Settings) -> Http {
        Http::start(Arc::new(self.clone()), settings)
    }

    pub(super) fn bulletin(&self) -> &Bulletin {
        &self.bulletin
    }

    fn health(&self, check: Check) -> Answer {
        let (status, now) = (self.bulletin.status(), BootTime::now().moment());
        let is_fresh = status.read_at.is_some_and(|at| now.since(at) < FRESH_FOR);
        let is_up = status.is_up && is_fresh;
        let is_so = match check {
            Check::Primary => is_up && !status.is_standby,
            Check::Replica => is_up && status.is_standby,
            Check::Health | Check::Readiness | Check::ReadOnly => is_up,
            Check::Liveness => now.since(status.tried_at) < STUCK_AFTER,
            _ => false,
        };
        let mut body = self.bulletin.about();
        body["role"] = "monitor".into();
        Answer::json(if is_so { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
    }

    fn metrics(&self) -> Answer {
        let (status, now) = (self.bulletin.status(), BootTime::now().moment());
        let mut figures = self.bulletin.picture().figures(status.read_at.map(|at| now.since(at)));
        figures.is_up = status.is_up;
        figures.viewers = self.bulletin.viewers.load(Ordering::Relaxed);
        Answer::metrics(metrics::of_monitor(&figures, &self.bulletin.counters))
    }

    fn cluster(&self) -> Answer {
        let formations = self.bulletin.formations();
        let all: Vec<&str> = formations.values().filter_map(|json| std::str::from_utf8(json).ok()).collect();
        Answer::json_text(format!(
            "{{\"monitor\":{},\"formations\":[{}]}}\n",
            self.bulletin.about(),
            all.join(",")
        ))
    }
}

impl Site for MonitorSite {
    fn is_open(&self, path: &str, is_bearer: bool) -> bool {
        // A browser cannot show a token when it opens a page: the page, which says nothing by itself, asks for it.
        match path {
            "/" => is_bearer,
            path => Check::of(path).is_some(),
        }
    }

    fn needs_secret(&self) -> bool {
        true
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        match (request.path, Check::of(request.path)) {
            ("/", _) => Answer::page(PAGE),
            ("/metrics", _) => self.metrics(),
            ("/cluster", _) => self.cluster(),
            (_, Some(check)) => self.health(check),
            _ => Answer::not_found(),
        }
    }

    fn is_stream(&self, path: &str) -> bool {
        path == "/events"
    }

    fn stream(&self, life: &Arc<Life>) -> Answer {
        Answer::events(stream::begin(Arc::clone(&self.bulletin), Arc::clone(life)))
    }

    fn counters(&self) -> &Counters {
        &self.bulletin.counters
    }
}
