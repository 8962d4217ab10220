//! How far a program of Postgres has got with a long copy: for the report to the monitor, and for the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use pgaf_core::message::Peer;

/// Nothing is being copied.
const NONE: u8 = u8::MAX;
/// The log has a line for each of these steps.
const LOGGED_STEP: u8 = 10;

/// A percentage, while there is one; shared by the one who copies and the one who tells.
#[derive(Clone, Debug)]
pub(crate) struct Gauge(Arc<AtomicU8>);

impl Default for Gauge {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(NONE)))
    }
}

impl Gauge {
    pub(crate) fn percent(&self) -> Option<u8> {
        Some(self.0.load(Ordering::Relaxed)).filter(|percent| *percent != NONE)
    }
}

/// One copy; when it is dropped there is nothing to tell any more.
pub(crate) struct Progress {
    gauge: Gauge,
    what: String,
}

impl Progress {
    /// `work` is what is done with the data of that node.
    pub(crate) fn of(gauge: &Gauge, work: &str, upstream: &Peer) -> Self {
        let what = format!("{work} node {} \"{}\"", upstream.node, upstream.name);
        Self { gauge: gauge.clone(), what }
    }

    /// Takes note of the last that the program has printed.
    pub(crate) fn note(&self, output: &str) {
        let Some(percent) = percent_in(output) else { return };
        let before = self.gauge.0.swap(percent, Ordering::Relaxed);
        let is_step = before == NONE || percent / LOGGED_STEP != before / LOGGED_STEP;
        if is_step {
            tracing::info!("{} is {percent} % complete", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.gauge.0.store(NONE, Ordering::Relaxed);
    }
}

/// Both pg_basebackup and pg_rewind print lines like `12345/67890 kB (18%), 0/1 tablespace`.
fn percent_in(output: &str) -> Option<u8> {
    let (before, _) = output.rsplit_once("%)")?;
    let digits = before.rsplit_once('(')?.1;
    digits.trim().parse::<u8>().ok().map(|percent| percent.min(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_percentage_counts() {
        assert_eq!(percent_in("waiting for checkpoint\n"), None);
        assert_eq!(percent_in("     0/23456 kB (0%), 0/2 tablespaces (/x/base)\n"), Some(0));
        assert_eq!(percent_in("1/9 kB (11%), 0/1 tablespace\n 5/9 kB (55%), 0/1 table"), Some(55));
        assert_eq!(percent_in("101/100 kB (101%)"), Some(100));
        assert_eq!(percent_in("(x%)"), None);
    }
}
