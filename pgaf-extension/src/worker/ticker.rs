//! The worker: probes the nodes, and steps the groups in which something changed without anybody's report.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use pgaf_core::{GroupId, Health, NodeId};
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::prelude::*;
use pgrx::{FromDatum, pg_sys};

use super::arranged;
use super::groups::{self, Ages, Known, Overdue, Written};
use super::prober::{Finding, Prober, Verdict};
use super::retention::Retention;
use super::session;
use crate::error::Error;
use crate::{gucs, lock, server_log, version};

/// How often time-outs are looked at, and how late a signal is noticed.
const TICK: Duration = Duration::from_millis(200);
/// How often the list of nodes is read.
const REFRESH: Duration = Duration::from_secs(1);
/// How often it is looked for what persons have arranged.
const ARRANGED: Duration = Duration::from_millis(500);
/// How soon a group is tried again in which a step has failed.
const RETRY: Duration = Duration::from_secs(1);

/// The process. Postgres calls it by this name, with the database to connect to.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn pgautofailover_worker_main(database: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // SAFETY: the launcher passed an oid.
    let database = unsafe { pg_sys::Oid::from_datum(database, false) };
    BackgroundWorker::connect_worker_to_spi_by_oid(database, None);
    session::set_common();
    // A row that somebody holds locked must not keep all other groups waiting.
    session::set(c"lock_timeout", c"500ms");
    // A superuser's queries mean what they say, whatever functions and operators there are in other schemas.
    session::set(c"search_path", c"pg_catalog, pg_temp");
    // What a probe found is found again after a crash; a decision is made durable whatever is set here.
    session::set(c"synchronous_commit", c"off");
    match Prober::new(gucs::probing()) {
        Ok(prober) => ProbingWorker::new(prober).run(),
        Err(error) => server_log::line(&format!("The nodes cannot be probed: {error}; it is tried again")),
    }
    // SAFETY: ends the process; the launcher starts another one.
    unsafe { pg_sys::proc_exit(1) }
}

struct ProbingWorker {
    prober: Prober,
    nodes: HashMap<NodeId, Known>,
    /// What is not written yet: health, nodes that refuse connections, and keepers that have hung up.
    pending: HashMap<NodeId, Health>,
    refusing: HashSet<NodeId>,
    hang_ups: HashMap<NodeId, i32>,
    /// The ages for which the groups have been stepped.
    overdue: BTreeSet<Overdue>,
    /// Groups in which a step has failed, and when the next one may be tried.
    failed: HashMap<Place, Instant>,
    is_grace_over: bool,
    look_at: Instant,
    refresh_at: Instant,
    retention: Retention,
    arranged_at: Instant,
    has_forgotten: bool,
    /// The version of an extension that is not this library's.
    rests_for: Option<String>,
}

/// A group of a formation.
type Place = (String, GroupId);

impl ProbingWorker {
    fn new(prober: Prober) -> Self {
        Self {
            prober,
            nodes: HashMap::new(),
            pending: HashMap::new(),
            refusing: HashSet::new(),
            hang_ups: HashMap::new(),
            overdue: BTreeSet::new(),
            failed: HashMap::new(),
            is_grace_over: groups::is_grace_over(),
            look_at: Instant::now(),
            refresh_at: Instant::now(),
            retention: Retention::new(),
            arranged_at: Instant::now(),
            has_forgotten: false,
            rests_for: None,
        }
    }

    /// Until the process is told to end, or its database is wanted.
    fn run(&mut self) {
        // Does not wait: looks for a signal, an interrupt, and whether the postmaster is still there.
        while BackgroundWorker::wait_latch(Some(Duration::ZERO)) {
            session::reload_if_asked();
            self.prober.set(gucs::probing());
            match self.look_when_due() {
                Some(Look::Leave) => return,
                Some(Look::NotInstalled(other)) => {
                    self.rest(other);
                    continue;
                }
                Some(Look::At(ages)) => {
                    // A time-out is exact.
                    let next = ages.next_in.map(|time| Instant::now() + time);
                    self.look_at = next.map_or(self.look_at, |next| self.look_at.min(next));
                    self.step_overdue(ages.overdue);
                }
                None => {}
            }
            if Instant::now() >= self.refresh_at {
                self.refresh();
            }
            self.write_hang_ups();
            self.write_refusals();
            self.write_pending();
            self.retention.apply_when_due();
            self.carry_out_what_is_arranged();
            self.probe();
        }
    }

    /// Switchovers and the ends of pauses, when their time has come.
    fn carry_out_what_is_arranged(&mut self) {
        let now = Instant::now();
        if now < self.arranged_at {
            return;
        }
        self.arranged_at = now + ARRANGED;
        let Some(due) = session::transaction("looking for what is arranged", arranged::due) else { return };
        for place in due.switchovers {
            let doing = format!("switching over group {} of formation \"{}\"", place.1, place.0);
            self.step(&place, &doing, || arranged::switch_over(&place.0, place.1));
        }
        for formation in due.pauses {
            let doing = format!("ending the pause of formation \"{formation}\"");
            session::transaction(&doing, || arranged::end_pause(&formation));
        }
    }

    /// There is nothing to do before there is an extension of this library's version. Says so once.
    fn rest(&mut self, other: Option<String>) {
        self.prober.follow(HashSet::new());
        self.nodes.clear();
        self.pending.clear();
        self.refusing.clear();
        self.hang_ups.clear();
        self.refresh_at = Instant::now();
        if let Some(version) = other.as_ref().filter(|_| self.rests_for != other) {
            server_log::line(&format!(
                "No node is probed: the library of pgautofailover is version {}, and the installed extension is \
                 version {version}",
                version::OURS
            ));
        }
        self.rests_for = other;
        self.probe();
    }

    /// However often there is news, the tables are read once a tick.
    fn look_when_due(&mut self) -> Option<Look> {
        let now = Instant::now();
        if now < self.look_at {
            return None;
        }
        self.look_at = now + TICK;
        self.look()
    }

    /// One short look at the database.
    fn look(&self) -> Option<Look> {
        session::transaction("looking for time-outs", || {
            // SAFETY: set when this process connected.
            if lock::is_database_wanted(unsafe { pg_sys::MyDatabaseId }) {
                return Ok(Look::Leave);
            }
            let version = version::installed();
            if version.as_deref() != Some(version::OURS) {
                return Ok(Look::NotInstalled(version));
            }
            Ok(Look::At(groups::overdue(TICK)?))
        })
    }

    /// Steps every group in which an age has passed a time-out since it was stepped last.
    fn step_overdue(&mut self, now: BTreeSet<Overdue>) {
        let is_grace_over = groups::is_grace_over();
        if is_grace_over != self.is_grace_over {
            // Every silence counts from now on.
            self.overdue.clear();
            self.is_grace_over = is_grace_over;
        }
        self.overdue.retain(|old| now.contains(old));
        let news: Vec<Overdue> = now.difference(&self.overdue).cloned().collect();
        let due: BTreeSet<Place> =
            news.iter().map(|overdue| (overdue.formation.clone(), overdue.group)).collect();
        for place in due {
            let doing = format!("deciding for group {} of formation \"{}\"", place.1, place.0);
            if self.step(&place, &doing, || groups::tick(&place.0, place.1)) {
                let is_here = |overdue: &&Overdue| overdue.formation == place.0 && overdue.group == place.1;
                self.overdue.extend(news.iter().filter(is_here).cloned());
            }
        }
    }

    /// One step of a group, in a transaction of its own. False when it has to be tried again.
    fn step(&mut self, place: &Place, doing: &str, body: impl FnOnce() -> Result<bool, Error>) -> bool {
        let now = Instant::now();
        self.failed.retain(|_, retry_at| *retry_at > now);
        if self.failed.contains_key(place) {
            return false;
        }
        let done = session::transaction(doing, body);
        if done.is_none() {
            self.failed.insert(place.clone(), now + RETRY);
        }
        done == Some(true)
    }

    /// Reads who there is to probe.
    fn refresh(&mut self) {
        self.refresh_at = Instant::now() + REFRESH;
        let nodes = session::transaction("reading the list of nodes", || {
            if !self.has_forgotten {
                groups::forget_health()?;
            }
            groups::nodes()
        });
        if let Some(nodes) = nodes {
            self.has_forgotten |= !nodes.is_empty();
            self.prober.follow(nodes.iter().map(|known| known.target.clone()).collect());
            self.nodes = nodes.into_iter().map(|known| (known.target.node, known)).collect();
        }
    }

    /// Writes which keepers have hung up, and has their nodes examined.
    fn write_hang_ups(&mut self) {
        for (node, pid) in self.hang_ups.clone() {
            let doing = format!("writing that the keeper of node {node} has hung up");
            match self.write(node, &doing, |known| groups::write_hang_up(known, pid)) {
                Some(Written::NotYet) => continue,
                Some(Written::Something) => self.examine(node),
                Some(Written::Nothing) | None => {}
            }
            self.hang_ups.remove(&node);
        }
    }

    fn examine(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            // When it answers again, that is news.
            known.health = Health::Unknown;
            self.prober.examine(&known.target);
        }
    }

    /// Writes which of these nodes refuse connections.
    fn write_refusals(&mut self) {
        for node in self.refusing.clone() {
            let doing = format!("writing that node {node} refuses connections");
            if self.write(node, &doing, groups::write_refusal) != Some(Written::NotYet) {
                self.refusing.remove(&node);
            }
        }
    }

    /// One step of the group of a node; `None` when there is no such node.
    fn write(
        &mut self,
        node: NodeId,
        doing: &str,
        body: impl FnOnce(&Known) -> Result<Written, Error>,
    ) -> Option<Written> {
        let known = self.nodes.get(&node)?.clone();
        let place = (known.formation.clone(), known.group);
        let mut written = Written::NotYet;
        self.step(&place, doing, || {
            written = body(&known)?;
            Ok(written != Written::NotYet)
        });
        Some(written)
    }

    /// Writes what the probes have found, until the next look is due; what is left stays, and is tried again.
    fn write_pending(&mut self) {
        for (node, health) in self.pending.clone() {
            if Instant::now() >= self.look_at {
                return;
            }
            let Some(known) = self.nodes.get(&node).cloned() else {
                self.pending.remove(&node);
                continue;
            };
            let doing = format!("writing the health of node {node}");
            let place = (known.formation.clone(), known.group);
            if self.step(&place, &doing, || groups::write_health(&known, health)) {
                self.pending.remove(&node);
                self.nodes.insert(node, Known { health, ..known });
            }
        }
    }

    /// Lets the probes run until one has news, until a keeper hangs up, or until the next tick.
    fn probe(&mut self) {
        let (nodes, pending) = (&self.nodes, &self.pending);
        let is_news = |verdict: &Verdict| match verdict.finding {
            Finding::Refuses => true,
            Finding::Health(health) => {
                let written = || nodes.get(&verdict.node).map(|known| known.health);
                let known = pending.get(&verdict.node).copied().or_else(written);
                known.is_some_and(|known| known != health)
            }
        };
        let limit = self.look_at.saturating_duration_since(Instant::now()).min(TICK);
        let news = self.prober.run(limit, is_news);
        for verdict in news.verdicts {
            match verdict.finding {
                Finding::Health(health) => drop(self.pending.insert(verdict.node, health)),
                Finding::Refuses => drop(self.refusing.insert(verdict.node)),
            }
        }
        self.hang_ups.extend(news.hang_ups.into_iter().map(|hang_up| (hang_up.node, hang_up.pid)));
    }
}

/// What one look at the database says.
enum Look {
    /// Somebody waits for the sessions of this database to end.
    Leave,
    /// There is no extension, or not that of this library.
    NotInstalled(Option<String>),
    /// The ages that have passed a time-out.
    At(Ages),
}
