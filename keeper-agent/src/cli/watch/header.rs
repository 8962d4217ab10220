//! The topmost lines: which formation, and whether the picture is the present.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

use super::picture::{Loss, Picture};
use super::text::{clip, width};
use crate::cli::local_time::LocalTime;

/// The time of day, and space before it.
const CLOCK_WIDTH: u16 = 11;

/// Formations, the setting of the shown one, and the time of day.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, now: LocalTime) {
    let setting = setting(picture);
    let [left, middle, right] = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Length(if area.width < 60 { 0 } else { width(&setting) + 1 }),
        Constraint::Length(CLOCK_WIDTH),
    ])
    .areas(area);
    frame.render_widget(formations(picture, left.width), left);
    frame.render_widget(Line::from(setting).dim().right_aligned(), middle);
    frame.render_widget(Line::from(now.to_string()).right_aligned(), right);
}

/// Since when the picture is not the present, and why.
pub(super) fn draw_loss(frame: &mut Frame<'_>, area: Rect, picture: &Picture, loss: &Loss) {
    let text = format!("{} since {}: {}", loss.headline(), picture.seen, loss.reason);
    let style = Style::new().fg(Color::White).bg(Color::Red).bold();
    frame.buffer_mut().set_style(area, style);
    frame.render_widget(Line::styled(clip(&text, area.width), style), area);
}

fn setting(picture: &Picture) -> String {
    let summary = picture.formation_index().map(|index| &picture.formations[index]);
    summary.map_or_else(String::new, |summary| {
        let paused = if summary.is_paused { "automatic failover paused, " } else { "" };
        format!("{paused}number_sync_standbys {}", summary.number_sync_standbys)
    })
}

/// The names of all formations, or as many as fit around the shown one. Those with a node that does not answer are red.
fn formations(picture: &Picture, columns: u16) -> Line<'_> {
    let title = "Formation ";
    let columns = columns.saturating_sub(width(title));
    let label = |name: &str| format!(" {} ", clip(name, columns.saturating_sub(2)));
    let Some(shown) = picture.formation_index() else {
        return Line::from_iter([Span::raw(title).dim(), Span::raw(label(&picture.formation)).reversed()]);
    };
    let labels: Vec<String> = picture.formations.iter().map(|summary| label(&summary.name)).collect();
    let mut first = 0;
    while first < shown
        && labels[first..=shown].iter().map(|label| u32::from(width(label))).sum::<u32>() > u32::from(columns)
    {
        first += 1;
    }
    let spans = labels.into_iter().zip(&picture.formations).enumerate().skip(first);
    let spans = spans.map(|(index, (label, summary))| {
        let span = Span::raw(label);
        let span = if summary.has_bad_health { span.red() } else { span };
        if index == shown { span.bold().reversed() } else { span }
    });
    Line::from_iter(std::iter::once(Span::raw(title).dim()).chain(spans))
}
