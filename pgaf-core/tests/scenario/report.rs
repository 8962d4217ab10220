//! The line of a report.

use std::time::Duration;

use pgaf_core::{Epoch, Health, Lsn, NodeId, ReplicationState, Timeline, TimelineHistory, Upstream};

use pgaf_core::monitor::Event;

use super::{Outcome, World, health, number, state};

/// What a standby says of the node it follows.
#[derive(Clone, Copy)]
enum Stream {
    Flows,
    /// For so many seconds.
    Cut(u64),
    None,
}

impl Stream {
    const fn upstream(self) -> Option<Upstream> {
        match self {
            Self::Flows => Some(Upstream { is_streaming: true, silent_ms: 0 }),
            Self::Cut(seconds) => Some(Upstream { is_streaming: false, silent_ms: seconds * 1000 }),
            Self::None => None,
        }
    }
}

/// Where timelines left their parents, the newest last; its own timeline left that of the number before.
fn history(timeline: Timeline, left_at: &str) -> Result<TimelineHistory, String> {
    let left_at: Vec<Lsn> = left_at
        .split(',')
        .filter(|lsn| *lsn != "-")
        .map(|lsn| lsn.parse().map_err(|error| format!("{error}")))
        .collect::<Result<_, _>>()?;
    let first = timeline.0.checked_sub(left_at.len() as u32).ok_or("there are no timelines before 1")?;
    let ancestors = (first..timeline.0).map(Timeline).zip(left_at).collect();
    Ok(TimelineHistory { timeline, ancestors })
}

impl World {
    pub(super) fn report(&mut self, id: NodeId, words: &[&str]) -> Outcome {
        use ReplicationState::{CatchingUp, FastForward, PreparePromotion, Secondary};
        let node = self.find(id)?;
        let goal = node.goal;
        let has_fetched = node.reported == FastForward && goal == PreparePromotion;
        node.reported = goal;
        node.reported_epoch = node.goal_epoch;
        node.is_running = !goal.is_retiring() && goal != ReplicationState::WaitStandby;
        node.is_stopping = false;
        node.is_hung = false;
        node.is_gated = false;
        node.refuses_promotion = false;
        node.silent_for = Duration::ZERO;
        node.has_reported = true;
        node.session_ended_for = None;
        node.is_refusing = false;
        node.health = Health::Good;
        node.upstream = None;
        node.shutdown_lsn = None;
        node.has_data = true;
        let words_say_down = words.contains(&"down");
        let mut words = words.iter();
        let (mut stream, mut is_up) = (None, false);
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match *word {
                "down" => node.is_running = false,
                "up" => is_up = true,
                "gated" => node.is_gated = true,
                "stopping" => node.is_stopping = true,
                "hung" => node.is_hung = true,
                "asks" => node.asks_before_promotion = true,
                "refuses" => node.refuses_promotion = true,
                "old" => node.reported_epoch = Epoch(node.goal_epoch.0 - 1),
                "lsn" => node.lsn = value()?.parse().map_err(|error| format!("{error}"))?,
                "tli" => {
                    node.timeline = Timeline(number(value()?)?);
                    node.history = None;
                }
                "from" => {
                    node.history = Some(history(node.timeline, value()?)?);
                }
                "fences" => node.fence_after = Some(Duration::from_secs(number(value()?)?)),
                "end" => node.shutdown_lsn = Some(value()?.parse().map_err(|error| format!("{error}"))?),
                "nodata" => node.has_data = false,
                "epoch" => node.reported_epoch = Epoch(number(value()?)?),
                "cut" => stream = Some(Stream::Cut(number(value()?)?)),
                "streams" => stream = Some(Stream::Flows),
                "alone" => stream = Some(Stream::None),
                "health" => node.health = health(value()?)?,
                reported => node.reported = state(reported)?,
            }
        }
        // Who has fetched goes on receiving until it is promoted.
        let is_presumed = matches!(node.reported, Secondary | CatchingUp | FastForward) || has_fetched;
        let presumed = if is_presumed { Stream::Flows } else { Stream::None };
        node.upstream = stream.unwrap_or(presumed).upstream();
        if is_up || (node.reported.is_writer() && !words_say_down) {
            node.is_running = true;
        }
        self.event(Event::Reported(id));
        Ok(())
    }
}
