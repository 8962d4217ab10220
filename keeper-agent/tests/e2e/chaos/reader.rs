//! A client that reads the set back, from the server that accepts writes or from one server whatever it is.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::harness::{Door, Row, Session, Target, new_runtime};

const DEADLINE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(40);
const RETRY_PACE: Duration = Duration::from_millis(100);
/// How far back a read looks behind the highest value it has seen of a writer: a commit that nobody answered may
/// appear later than its successors.
const LOOK_BACK: u64 = 60;

/// A row of the set: which writer, which value.
pub(super) type Element = (usize, u64);

/// The first time that a reader saw a row on a server that was in a certain state.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) element: Element,
    /// The address of the server.
    pub(super) server: Arc<str>,
    /// The timeline it wrote to; none when it was in recovery.
    pub(super) timeline: Option<u32>,
    /// When the answer was there.
    pub(super) at: Instant,
}

/// A running reader.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Reading>>,
}

impl Reader {
    /// Starts reading from the namespace behind the door what that many writers write. With several targets it asks
    /// for one that accepts writes.
    pub(super) fn start(door: Door, targets: Vec<Target>, writers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut eyes = Eyes {
            targets,
            writers,
            stop: Arc::clone(&stop),
            highest: BTreeMap::new(),
            known: HashSet::new(),
            readings: Vec::new(),
        };
        let thread = std::thread::spawn(move || {
            if let Ok(runtime) = door.enter().and_then(|()| new_runtime()) {
                runtime.block_on(eyes.look());
            }
            eyes.readings
        });
        Self { stop, thread }
    }

    /// Stops, and tells what it saw.
    pub(super) fn stop(self) -> Result<Vec<Reading>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_panic| anyhow!("a reader has panicked"))
    }
}

struct Eyes {
    targets: Vec<Target>,
    writers: usize,
    stop: Arc<AtomicBool>,
    highest: BTreeMap<usize, u64>,
    /// What has been seen already, where, and on which timeline.
    known: HashSet<(Element, Arc<str>, Option<u32>)>,
    readings: Vec<Reading>,
}

impl Eyes {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn look(&mut self) {
        while !self.is_stopped() {
            if let Ok(session) = self.connect().await {
                // Whatever goes wrong, the next look connects anew.
                let _lost = self.look_through(&session).await;
            }
            tokio::time::sleep(RETRY_PACE).await;
        }
    }

    async fn connect(&self) -> Result<Session> {
        for target in &self.targets {
            let Ok(session) = Session::open(target, DEADLINE).await else {
                continue;
            };
            if self.targets.len() == 1 {
                return Ok(session);
            }
            let rows = session.rows("show transaction_read_only", DEADLINE).await;
            if rows.is_ok_and(|rows| {
                rows.first().is_some_and(|row| row.first() == Some(&Some("off".to_owned())))
            }) {
                return Ok(session);
            }
        }
        bail!("no server to read from")
    }

    async fn look_through(&mut self, session: &Session) -> Result<()> {
        while !self.is_stopped() {
            let rows = session.rows(&self.query(), DEADLINE).await?;
            self.remember(&rows)?;
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Who answers, then the newest rows of each writer.
    fn query(&self) -> String {
        let mut sql = "select host(inet_server_addr()), case when not pg_is_in_recovery() then \
                       substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end, ''; \
                       select writer, value from ledger where false"
            .to_owned();
        for writer in 1..=self.writers {
            let from = self.highest.get(&writer).copied().unwrap_or(0).saturating_sub(LOOK_BACK);
            // Writing to a string cannot fail.
            let _infallible = write!(sql, " or (writer = {writer} and value > {from})");
        }
        sql
    }

    fn remember(&mut self, rows: &[Row]) -> Result<()> {
        let at = Instant::now();
        let (who, rows) = rows.split_first().context("an answer without rows")?;
        let server: Arc<str> = who.first().cloned().flatten().context("no server address")?.into();
        let timeline = who.get(1).cloned().flatten();
        let timeline = timeline.map(|text| u32::from_str_radix(&text, 16)).transpose()?;
        for row in rows {
            let [Some(writer), Some(value)] = row.as_slice() else {
                bail!("no row of the set: {row:?}");
            };
            let element: Element = (writer.parse()?, value.parse()?);
            let highest = self.highest.entry(element.0).or_default();
            *highest = (*highest).max(element.1);
            if self.known.insert((element, Arc::clone(&server), timeline)) {
                self.readings.push(Reading { element, server: Arc::clone(&server), timeline, at });
            }
        }
        Ok(())
    }
}
