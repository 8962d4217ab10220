//! A data node over HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use super::answer::{Answer, Request};
use super::counters::Counters;
use super::health::{self, Check};
use super::metrics;
use super::server::{Http, Settings, Site};
use super::snapshot::NodeSnapshot;
use crate::postgres::BootTime;

/// What answers on a data node.
pub struct NodeSite {
    newest: Mutex<Arc<NodeSnapshot>>,
    counters: Arc<Counters>,
}

impl NodeSite {
    /// With the first snapshot.
    pub fn new(snapshot: NodeSnapshot) -> Arc<Self> {
        Arc::new(Self { newest: Mutex::new(Arc::new(snapshot)), counters: Arc::new(Counters::new()) })
    }

    /// Serves it.
    pub fn serve(self: &Arc<Self>, settings: Settings) -> Http {
        Http::start(Arc::clone(self) as Arc<dyn Site>, settings)
    }

    /// From now on this is what is known.
    pub fn publish(&self, snapshot: NodeSnapshot) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// What is counted beside it.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn newest(&self) -> Arc<NodeSnapshot> {
        Arc::clone(&self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Site for NodeSite {
    fn is_open(&self, path: &str, _is_bearer: bool) -> bool {
        path != "/metrics"
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let (snapshot, now) = (self.newest(), BootTime::now().moment());
        match (request.path, Check::of(request.path)) {
            ("/metrics", _) => Answer::metrics(metrics::of_node(&snapshot, &self.counters, now)),
            (_, Some(check)) => health::answer(check, request, &snapshot, now),
            _ => Answer::not_found(),
        }
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
