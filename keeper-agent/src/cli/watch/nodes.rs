//! The table of nodes: the columns that fit, the most important ones first.

use pgaf_core::{Health, ReplicationState};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table};

use super::picture::{Lag, Picture, Reachability};
use super::text::{age, bytes, clip, width};
use crate::cli::access::access;
use crate::monitor::WatchedNode;

/// Between two columns.
const GAP: u16 = 2;
/// The longest state.
const STATE_MOST: u16 = 19;
/// Enough for the states in which nodes stay.
const STATE_USUAL: u16 = 17;
/// A longer name is cut.
const NAME_MOST: u16 = 24;

/// A column, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Name,
    Node,
    Address,
    Position,
    Lag,
    Report,
    Connection,
    Reported,
    Assigned,
    Priority,
    Quorum,
}

impl Column {
    /// Which column has to go last when there is no room.
    const BY_IMPORTANCE: [Self; 11] = [
        Self::Name,
        Self::Reported,
        Self::Assigned,
        Self::Connection,
        Self::Node,
        Self::Lag,
        Self::Address,
        Self::Position,
        Self::Priority,
        Self::Quorum,
        Self::Report,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Node => "Node",
            Self::Address => "Host:Port",
            Self::Position => "TLI: LSN",
            Self::Lag => "Lag",
            Self::Report => "Report",
            Self::Connection => "Connection",
            Self::Reported => "Reported State",
            Self::Assigned => "Assigned State",
            Self::Priority => "Prio",
            Self::Quorum => "Quorum",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Node | Self::Position | Self::Lag | Self::Report | Self::Priority)
    }

    const fn is_state(self) -> bool {
        matches!(self, Self::Reported | Self::Assigned)
    }

    /// What it takes at least, so that columns stay where they are when values change.
    const fn least_width(self) -> u16 {
        match self {
            Self::Position | Self::Connection => 12,
            Self::Lag => 7,
            Self::Report => 6,
            Self::Reported | Self::Assigned => STATE_USUAL,
            _ => 4,
        }
    }

    fn value(self, node: &WatchedNode, picture: &Picture) -> String {
        let state = &node.state;
        match self {
            Self::Name => state.name.clone(),
            Self::Node if picture.has_several_groups() => format!("{}/{}", state.group, state.node),
            Self::Node => state.node.to_string(),
            Self::Address => format!("{}:{}", state.host, state.port),
            Self::Position => format!("{}: {}", state.timeline, state.lsn),
            Self::Lag => match picture.lag(state) {
                Lag::Primary => String::new(),
                Lag::Bytes(count) => bytes(count),
                Lag::Unknown => "?".to_owned(),
            },
            Self::Report => node.silent_for.map_or_else(String::new, age),
            Self::Connection => access(state.reported, state.health),
            Self::Reported => state.reported.to_string(),
            Self::Assigned => state.goal.to_string(),
            Self::Priority => state.candidate_priority.to_string(),
            Self::Quorum => if state.replication_quorum { "yes" } else { "no" }.to_owned(),
        }
    }

    fn style(self, node: &WatchedNode) -> Style {
        match self {
            _ if node.state.health == Health::Bad => Style::new().fg(Color::Red),
            Self::Reported => style_of(node.state.reported),
            Self::Assigned if node.state.goal == node.state.reported => style_of(node.state.goal),
            // It is on its way there.
            Self::Assigned => Style::new().fg(Color::Yellow).bold(),
            _ => Style::new(),
        }
    }
}

/// Green accepts writes as it should, what is yellow does not last.
fn style_of(state: ReplicationState) -> Style {
    use ReplicationState as State;
    match state {
        State::Single | State::Primary => Style::new().fg(Color::Green),
        State::Secondary => Style::new(),
        State::Maintenance => Style::new().fg(Color::Cyan),
        _ => Style::new().fg(Color::Yellow),
    }
}

/// How many lines the whole table takes.
pub(super) fn height(picture: &Picture) -> u16 {
    // The titles, and a line when there is none.
    u16::try_from(picture.nodes.len().max(1) + 1).unwrap_or(u16::MAX)
}

/// The nodes, or as many as fit, and then how many do not.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let columns = choose(picture, area.width);
    let titles = columns.iter().map(|(column, width)| cell(*column, column.title(), *width));
    let room = usize::from(area.height.saturating_sub(1));
    let shown = if picture.nodes.len() <= room { picture.nodes.len() } else { room.saturating_sub(1) };
    let (visible, hidden) = picture.nodes.split_at(shown);
    let rows = visible.iter().map(|node| {
        Row::new(columns.iter().map(|(column, width)| {
            cell(*column, &column.value(node, picture), *width).style(column.style(node))
        }))
    });
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let table = Table::new(rows, widths).header(Row::new(titles).bold().underlined()).column_spacing(GAP);
    let is_old = matches!(picture.reachability, Reachability::Lost(_));
    frame.render_widget(if is_old { table.dim() } else { table }, area);
    if let Some(last) = area.rows().next_back().filter(|_| room > 0)
        && let Some(remark) = remark(picture, hidden)
    {
        frame.render_widget(Line::from(clip(&remark, area.width)).dim(), last);
    }
}

/// What is said below the nodes that are shown.
fn remark(picture: &Picture, hidden: &[WatchedNode]) -> Option<String> {
    if picture.formation_index().is_none() {
        return Some(format!("formation \"{}\" does not exist any more", picture.formation));
    }
    if picture.nodes.is_empty() {
        return Some("no nodes yet".to_owned());
    }
    let bad = match Picture::count_bad(hidden) {
        0 => String::new(),
        count => format!(", {count} of them not answering"),
    };
    let more = format!("and {} more{bad}: --group shows one group", hidden.len());
    (!hidden.is_empty()).then_some(more)
}

fn cell(column: Column, value: &str, width: u16) -> Cell<'static> {
    let line = Line::from(clip(value, width));
    Cell::from(Text::from(if column.is_number() { line.right_aligned() } else { line }))
}

/// The columns that fit, and their widths. Name and states are always there, however narrow.
fn choose(picture: &Picture, room: u16) -> Vec<(Column, u16)> {
    let most_of_name = NAME_MOST.min(room / 3);
    let wanted = |column: Column| {
        let values = picture.nodes.iter().map(|node| width(&column.value(node, picture)));
        let values = if column.is_state() { 0 } else { values.max().unwrap_or(0) };
        let wanted = values.max(width(column.title())).max(column.least_width());
        if column == Column::Name { wanted.min(most_of_name) } else { wanted }
    };
    let mut chosen: Vec<(Column, u16)> = Vec::new();
    let mut used: u16 = 0;
    for column in Column::BY_IMPORTANCE {
        let wanted = wanted(column);
        let with_gap = wanted.saturating_add(if chosen.is_empty() { 0 } else { GAP });
        let is_needed = column == Column::Name || column.is_state();
        if is_needed || used.saturating_add(with_gap) <= room {
            chosen.push((column, wanted));
            used = used.saturating_add(with_gap);
        }
    }
    // States take what is left, or what there is.
    let others = used.saturating_sub(2 * STATE_USUAL);
    let state = (room.saturating_sub(others) / 2).clamp(1, STATE_MOST);
    for (column, width) in &mut chosen {
        if column.is_state() {
            *width = state;
        }
    }
    chosen.sort_by_key(|(column, _)| *column);
    chosen
}
