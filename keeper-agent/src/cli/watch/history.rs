//! The events, the newest at the bottom, and how far one has scrolled up from there.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use textwrap::Options;

use super::picture::{Direction, Picture, Reachability, WatchedEvent};
use super::text::{clip, width};
use crate::cli::local_time::LocalTime;

/// Between the time of an event and its text.
const GAP: u16 = 2;
/// Narrower than this, there is no room for times.
const WIDTH_WITH_TIMES: u16 = 36;
/// What can be done, as long as it fits.
const KEYS: &str = "↑↓ scroll  q quit";
/// The same when there are other formations.
const KEYS_OF_SEVERAL: &str = "←→ formation  ↑↓ scroll  q quit";

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Movement {
    LineUp,
    LineDown,
    PageUp,
    PageDown,
    Oldest,
    Newest,
}

/// How far the events are scrolled up. What is on the screen stays there when new events come, unless the newest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scroll {
    /// Lines below the last one shown; may be too many until the next frame.
    up: usize,
    /// The newest event when the last frame was drawn.
    newest: i64,
    /// Lines that were shown.
    page: usize,
}

impl Scroll {
    /// Moves.
    pub(super) fn go(&mut self, movement: Movement) {
        // One line of the last page stays.
        let page = self.page.saturating_sub(1).max(1);
        self.up = match movement {
            Movement::LineUp => self.up.saturating_add(1),
            Movement::LineDown => self.up.saturating_sub(1),
            Movement::PageUp => self.up.saturating_add(page),
            Movement::PageDown => self.up.saturating_sub(page),
            Movement::Oldest => usize::MAX,
            Movement::Newest => 0,
        };
    }

    /// Finds out which lines are shown; each line is given as the number of its event.
    fn settle(&mut self, lines: &[i64], page: usize) -> std::ops::Range<usize> {
        let added = lines.iter().filter(|event| **event > self.newest).count();
        if self.up > 0 && self.newest > 0 {
            self.up = self.up.saturating_add(added);
        }
        self.newest = lines.last().copied().unwrap_or(0);
        self.page = page;
        self.up = self.up.min(lines.len().saturating_sub(page));
        let end = lines.len() - self.up;
        end.saturating_sub(page)..end
    }
}

/// Draws as many as fit, and says how many lines there are below them.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    picture: &Picture,
    now: LocalTime,
    scroll: &mut Scroll,
) -> usize {
    let (numbers, lines): (Vec<i64>, Vec<Line<'_>>) =
        lay_out(&picture.events, area.width, now).into_iter().unzip();
    let shown = scroll.settle(&numbers, area.height.into());
    let is_old = matches!(picture.reachability, Reachability::Lost(_));
    for (line, row) in lines[shown].iter().zip(area.rows()) {
        frame.render_widget(if is_old { line.clone().dim() } else { line.clone() }, row);
    }
    scroll.up
}

/// The line above them.
pub(super) fn draw_title(frame: &mut Frame<'_>, area: Rect, picture: &Picture, below: usize) {
    let title = match below {
        0 => "Events".to_owned(),
        1 => "Events, 1 line below".to_owned(),
        count => format!("Events, {count} lines below"),
    };
    let has_others = picture.neighbour(&picture.formation, Direction::Next).is_some();
    let keys = if has_others { KEYS_OF_SEVERAL } else { KEYS };
    let filling = area.width.checked_sub(width(&title) + width(keys) + GAP);
    let keys = filling.map(|filling| format!("{}{keys}", " ".repeat(usize::from(filling + GAP))));
    let line = Line::from_iter([
        Span::raw(clip(&title, area.width)).bold().underlined(),
        Span::raw(keys.unwrap_or_default()).dim(),
    ]);
    frame.render_widget(line, area);
}

/// Every line, and the number of the event that it is of.
fn lay_out(events: &[WatchedEvent], columns: u16, now: LocalTime) -> Vec<(i64, Line<'static>)> {
    let stamps: Vec<String> = events.iter().map(|event| stamp(event.at, now)).collect();
    let stamp_width = stamps.iter().map(|stamp| width(stamp)).max().unwrap_or(0);
    let indent = if columns < WIDTH_WITH_TIMES { 0 } else { stamp_width + GAP };
    let options = Options::new(columns.saturating_sub(indent).max(1).into());
    let mut lines = Vec::new();
    for (event, stamp) in events.iter().zip(&stamps) {
        for (index, text) in textwrap::wrap(&event.text, &options).into_iter().enumerate() {
            let stamp = if index == 0 { stamp.as_str() } else { "" };
            let margin = match indent {
                0 => String::new(),
                _ => format!("{stamp:>columns$}  ", columns = usize::from(stamp_width)),
            };
            lines.push((
                event.event,
                Line::from_iter([Span::raw(margin).dim(), Span::raw(text.into_owned())]),
            ));
        }
    }
    lines
}

/// When an event happened: the day, too, when it was not today.
fn stamp(at: LocalTime, now: LocalTime) -> String {
    if at.date == now.date {
        return at.to_string();
    }
    let [_, month, day] = at.date;
    format!("{month:02}-{day:02} {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three lines each of events 1 to `newest`.
    fn lines(newest: i64) -> Vec<i64> {
        (1..=newest).flat_map(|event| [event; 3]).collect()
    }

    #[test]
    fn the_newest_are_shown_until_somebody_scrolls() {
        let mut scroll = Scroll::default();
        assert_eq!(scroll.settle(&lines(4), 5), 7..12);
        assert_eq!(scroll.settle(&lines(5), 5), 10..15);
    }

    #[test]
    fn what_is_looked_at_stays() {
        let mut scroll = Scroll::default();
        scroll.settle(&lines(4), 5);
        scroll.go(Movement::LineUp);
        assert_eq!(scroll.settle(&lines(4), 5), 6..11);
        assert_eq!(scroll.settle(&lines(6), 5), 6..11);
        scroll.go(Movement::PageDown);
        assert_eq!(scroll.settle(&lines(6), 5), 10..15);
        scroll.go(Movement::Newest);
        assert_eq!(scroll.settle(&lines(6), 5), 13..18);
        assert_eq!(scroll.settle(&lines(7), 5), 16..21);
    }

    #[test]
    fn there_is_nothing_above_the_oldest() {
        let mut scroll = Scroll::default();
        scroll.settle(&lines(4), 5);
        scroll.go(Movement::Oldest);
        assert_eq!(scroll.settle(&lines(4), 5), 0..5);
        scroll.go(Movement::LineUp);
        assert_eq!(scroll.settle(&lines(4), 5), 0..5);
        scroll.go(Movement::LineDown);
        assert_eq!(scroll.settle(&lines(4), 5), 1..6);
        // All of it fits now, and there is no room at all.
        assert_eq!(scroll.settle(&lines(4), 20), 0..12);
        assert_eq!(scroll.settle(&lines(4), 0), 12..12);
        assert_eq!(scroll.settle(&[], 5), 0..0);
    }
}
