//! Since when the standbys and the upstream are silent, on the boot-time clock. What they send has times of its own in
//! it, which are only compared for change.

use std::collections::HashMap;
use std::time::Duration;

use pgaf_core::StandbyNames;

use crate::postgres::server::BootTime;

use super::running::{Answer, ReceiverRow, StandbyRow};

/// A standby that streams replies every second.
const FRESH: Duration = Duration::from_secs(2);

/// Two clocks that differ by more in what they say has passed: one was set.
const CLOCK_IS_SET: Duration = Duration::from_millis(100);

/// Looks are this far apart. What a look finds that comes later may have been there all the time since the one before.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// A stream that has lasted for so long goes on.
const STEADY: Duration = Duration::from_millis(1500);

/// Something that changes when somebody is heard, and when it last did.
#[derive(Clone, Debug)]
struct Heard {
    what: String,
    /// When the question was asked to which that was the answer.
    at: BootTime,
}

/// The newest reply of a standby.
#[derive(Clone, Debug)]
struct Reply {
    heard: Heard,
    /// Since when nobody can have been promoted because of the silence of this node: when the question before was asked.
    /// What is found now may have come right after.
    proves: BootTime,
}

/// Who was heard when.
#[derive(Debug)]
pub(crate) struct Contacts {
    standbys: HashMap<i32, Reply>,
    quorum: Option<BootTime>,
    upstream: Option<(String, BootTime)>,
    /// When the last question was asked, and what the wall clock said when it was answered.
    last: Option<(BootTime, f64)>,
    streaming: Option<BootTime>,
    /// When the server was last asked.
    asked: Option<BootTime>,
    /// Nobody can have been heard before.
    since: BootTime,
}

impl Default for Contacts {
    fn default() -> Self {
        Self {
            standbys: HashMap::new(),
            quorum: None,
            upstream: None,
            last: None,
            streaming: None,
            asked: None,
            since: BootTime::now(),
        }
    }
}

impl Contacts {
    /// Takes note of what was answered to a question that was asked then.
    ///
    /// What is new was heard after the question before was asked. A standby counts as heard then: that errs on the side
    /// that fences earlier. An upstream counts as heard as long ago as the server's clock says, but not before that
    /// question; now, when the clock was set meanwhile. The answer itself may have waited for us: a process that was frozen
    /// reads it when it is thawed.
    pub(crate) fn note(&mut self, answer: &Answer, asked: BootTime) {
        let now = BootTime::now();
        self.note_rows(&answer.synchronous_standby_names, &answer.standbys, asked);
        let is_streaming = answer.receiver.as_ref().is_some_and(ReceiverRow::is_streaming);
        self.streaming = self.streaming.or(Some(now)).filter(|_| is_streaming);
        if !answer.is_in_recovery {
            self.upstream = None;
            self.since = now;
        } else if let Some(what) = answer.receiver.as_ref().and_then(|row| row.heard.clone()) {
            let is_new = self.upstream.as_ref().is_none_or(|(known, _)| *known != what);
            if is_new {
                self.upstream = Some((what, self.upstream_heard_at(answer, asked, now)));
            }
        }
        self.last = Some((asked, answer.clock));
    }

    /// When the upstream was heard that was not heard before.
    fn upstream_heard_at(&self, answer: &Answer, asked: BootTime, now: BootTime) -> BootTime {
        let age = answer.receiver.as_ref().and_then(|row| row.heard_ago);
        match (self.last, age) {
            (Some((last_asked, last_clock)), Some(age)) => {
                let passed = asked.since(last_asked);
                let was_set =
                    (answer.clock - last_clock - passed.as_secs_f64()).abs() > CLOCK_IS_SET.as_secs_f64();
                // Of the moment at which the question was answered, which is no earlier than that at which it was asked.
                let heard = Duration::try_from_secs_f64(age).map_or(now, |age| now.before(age));
                if was_set { now } else { heard.max(last_asked).min(now) }
            }
            _ => now,
        }
    }

    fn note_rows(&mut self, names: &str, rows: &[StandbyRow], asked: BootTime) {
        self.standbys.retain(|pid, _| rows.iter().any(|row| row.pid == *pid));
        let before = self.asked.replace(asked);
        let proves = before.map_or(asked, |before| asked.min(before.after(LOOK_PERIOD)));
        for row in rows {
            self.note_standby(row, asked, before, proves);
        }
        self.note_quorum(names, rows);
    }

    fn note_standby(
        &mut self,
        row: &StandbyRow,
        asked: BootTime,
        before: Option<BootTime>,
        proves: BootTime,
    ) {
        let Some(what) = row.replied.clone() else {
            return;
        };
        let known = self.standbys.get(&row.pid);
        if known.is_none_or(|reply| reply.heard.what != what) {
            // Of a connection that is new to us nothing else is known: it may have been made just now.
            let proves = known.and(before).unwrap_or(proves);
            self.standbys.insert(row.pid, Reply { heard: Heard { what, at: asked }, proves });
        }
    }

    /// Fewer standbys than a commit waits for prove nothing: the others may have elected somebody.
    fn note_quorum(&mut self, names: &str, rows: &[StandbyRow]) {
        let synchronous = rows.iter().filter(|row| row.is_synchronous());
        let mut heard: Vec<BootTime> =
            synchronous.filter_map(|row| self.standbys.get(&row.pid)).map(|reply| reply.proves).collect();
        heard.sort_unstable();
        let acks = StandbyNames::parse(names).acks;
        let latest = heard.len().checked_sub(acks).and_then(|index| heard.get(index)).copied();
        self.quorum = self.quorum.max(latest);
    }

    /// The standby of this walsender has replied lately.
    pub(crate) fn is_fresh(&self, walsender: i32) -> bool {
        self.standbys.get(&walsender).is_some_and(|reply| reply.heard.at.elapsed() < FRESH)
    }

    /// When as many standbys as a commit waits for had last replied.
    pub(crate) const fn quorum_contact(&self) -> Option<BootTime> {
        self.quorum
    }

    /// It has streamed at every look for a while. A node whose history is another's streams for moments, too.
    pub(crate) fn is_stream_steady(&self) -> bool {
        self.streaming.is_some_and(|since| since.elapsed() >= STEADY)
    }

    /// How long the upstream has been silent.
    pub(crate) fn upstream_silence(&self) -> Duration {
        self.upstream.as_ref().map_or(self.since, |(_, at)| *at).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_was_held_up_proves_nothing_for_that_time() {
        let row = |replied: &str| -> StandbyRow {
            let row = serde_json::json!({"pid": 7, "name": "a", "sync_state": "quorum", "replied": replied});
            serde_json::from_value(row).expect("a row")
        };
        let begin = BootTime::now();
        let mut contacts = Contacts::default();
        let mut look = |replied: &str, asked: Duration| {
            contacts.note_rows("ANY 1 (a)", &[row(replied)], begin.after(asked));
            contacts.quorum_contact().map(|at| at.since(begin))
        };
        let seconds = Duration::from_secs_f32;
        assert_eq!(look("first", seconds(1.0)), Some(seconds(1.0)));
        assert_eq!(
            look("second", seconds(1.4)),
            Some(seconds(1.0)),
            "it may have come just after the look before"
        );
        assert_eq!(look("third", seconds(5.0)), Some(seconds(1.4)), "however long ago that was");
        assert_eq!(look("third", seconds(5.4)), Some(seconds(1.4)));
        assert_eq!(look("fourth", seconds(5.8)), Some(seconds(5.4)));
    }
}
