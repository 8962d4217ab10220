//! Draws a picture: header, nodes, and the newest events, in whatever room there is.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};

use super::history::{self, Scroll};
use super::picture::{Picture, Reachability};
use super::{header, nodes};
use crate::cli::local_time::LocalTime;

/// Events keep so many lines when there are more nodes than fit.
const EVENTS_LEAST: u16 = 5;
/// The header, the line below it, and the title of the events.
const OTHER_LINES: u16 = 3;

/// From this height on, a line is left empty between nodes and events.
const HEIGHT_WITH_SPACE: u16 = 20;

/// Draws it. `scroll` is brought back to where there are events.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, now: LocalTime, scroll: &mut Scroll) {
    let room = frame.area().height.saturating_sub(OTHER_LINES);
    let most = room.saturating_sub(EVENTS_LEAST).max(room.div_ceil(2));
    let space = u16::from(frame.area().height >= HEIGHT_WITH_SPACE);
    let [top, below, table, _, title, events] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(nodes::height(picture).min(most)),
        Constraint::Length(space),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    header::draw(frame, top, picture, now);
    match &picture.reachability {
        Reachability::Live => {}
        Reachability::Lost(loss) => header::draw_loss(frame, below, picture, loss),
    }
    nodes::draw(frame, table, picture);
    let below = history::draw(frame, events, picture, now, scroll);
    history::draw_title(frame, title, picture, below);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgaf_core::{GroupId, Health, Lsn, NodeId, ReplicationState as State, Timeline};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::style::{Color, Modifier};

    use super::super::history::Movement;
    use super::super::picture::{Loss, WatchedEvent};
    use super::*;
    use crate::monitor::{FormationSummary, NodeState, WatchedNode};

    const NOW: LocalTime = LocalTime { date: [2026, 11, 23], time: [13, 34, 20] };

    fn node(id: i64, reported: State, goal: State) -> WatchedNode {
        let state = NodeState {
            node: NodeId(id),
            group: GroupId(0),
            name: format!("node{id}"),
            host: format!("192.0.2.{id}"),
            port: 5432,
            reported,
            goal,
            timeline: Timeline(1),
            lsn: Lsn(0x0304_19F0),
            health: Health::Good,
            candidate_priority: 50,
            replication_quorum: true,
        };
        WatchedNode { state, silent_for: Some(Duration::from_millis(400)) }
    }

    fn formation(name: &str, has_bad_health: bool) -> FormationSummary {
        FormationSummary { name: name.to_owned(), number_sync_standbys: 1, is_paused: false, has_bad_health }
    }

    fn picture() -> Picture {
        let mut nodes =
            vec![node(1, State::Primary, State::Primary), node(2, State::Secondary, State::Secondary)];
        nodes[1].state.lsn = Lsn(0x0302_0000);
        let at = |time| LocalTime { time, ..NOW };
        let events = vec![
            WatchedEvent {
                event: 6,
                at: LocalTime { date: [2026, 11, 22], ..NOW },
                text: "Setting goal state of node 1 \"node1\" (192.0.2.1:5432) to primary because it has a healthy \
                       secondary [primary_has_standby]"
                    .to_owned(),
            },
            WatchedEvent { event: 7, at: at([13, 34, 11]), text: "New state of node 1".to_owned() },
        ];
        Picture {
            formations: vec![formation("default", false)],
            formation: "default".to_owned(),
            nodes,
            events,
            seen: NOW,
            reachability: Reachability::Live,
        }
    }

    fn paint(picture: &Picture, scroll: &mut Scroll, [width, height]: [u16; 2]) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, picture, NOW, scroll)).expect("drawn");
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> String {
        let lines = buffer.content().chunks(usize::from(buffer.area.width).max(1)).map(|cells| {
            let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            line.trim_end().to_owned() + "\n"
        });
        lines.collect::<String>().trim_end().to_owned() + "\n"
    }

    #[track_caller]
    fn check(picture: &Picture, size: [u16; 2], expected: &str) {
        let shown = text(&paint(picture, &mut Scroll::default(), size));
        assert_eq!(shown, expected, "shown:\n{shown}");
    }

    /// The colour of the first character of a text.
    #[track_caller]
    fn colour(buffer: &Buffer, words: &str) -> (Color, Modifier) {
        for row in buffer.area.rows() {
            let line: String = row.positions().map(|at| buffer[at].symbol()).collect();
            if let Some(column) = line.find(words) {
                let at = row.positions().nth(column).expect("in the line");
                return (buffer[at].fg, buffer[at].modifier);
            }
        }
        panic!("\"{words}\" is not in:\n{}", text(buffer));
    }

    #[test]
    fn eighty_columns() {
        check(&picture(), [80, 24], EIGHTY);
    }

    #[test]
    fn more_columns_when_there_is_room() {
        check(&picture(), [120, 40], HUNDRED_AND_TWENTY);
        let wide = text(&paint(&picture(), &mut Scroll::default(), [160, 40]));
        assert!(wide.contains("Lag  Report  Connection"), "{wide}");
    }

    #[test]
    fn few_columns_when_there_is_none() {
        check(&picture(), [40, 10], FORTY);
    }

    #[test]
    fn no_size_is_too_small() {
        let mut picture = picture();
        for reachability in [Reachability::Live, lost()] {
            picture.reachability = reachability;
            for size in 0..40 {
                paint(&picture, &mut Scroll::default(), [size, 24]);
                paint(&picture, &mut Scroll::default(), [80, size]);
                paint(&picture, &mut Scroll::default(), [size, size]);
            }
        }
    }

    fn lost() -> Reachability {
        Reachability::Lost(Loss {
            is_unreachable: true,
            reason: "cannot connect to 192.0.2.9:5432".to_owned(),
        })
    }

    #[test]
    fn a_lost_monitor_leaves_the_last_picture() {
        let mut picture = picture();
        picture.reachability = lost();
        let buffer = paint(&picture, &mut Scroll::default(), [80, 24]);
        let shown = text(&buffer);
        let words = "monitor unreachable since 13:34:20: cannot connect to 192.0.2.9:5432";
        assert!(shown.lines().nth(1).is_some_and(|line| line == words), "{shown}");
        assert_eq!(shown.replacen(words, "", 1), EIGHTY);
        assert_eq!(colour(&buffer, "node1"), (Color::Reset, Modifier::DIM));
    }

    #[test]
    fn colours_tell_what_matters() {
        let mut picture = picture();
        picture.nodes.push(node(3, State::Secondary, State::PreparePromotion));
        picture.nodes.push(node(4, State::Demoted, State::CatchingUp));
        picture.nodes[3].state.health = Health::Bad;
        let buffer = paint(&picture, &mut Scroll::default(), [80, 24]);
        assert_eq!(colour(&buffer, "primary  ").0, Color::Green);
        assert_eq!(colour(&buffer, "secondary  ").0, Color::Reset);
        assert_eq!(colour(&buffer, "prepare_promotion").0, Color::Yellow);
        assert_eq!(colour(&buffer, "node4").0, Color::Red);
        assert_eq!(colour(&buffer, "none !").0, Color::Red);
    }

    #[test]
    fn lag_is_told_where_it_can_be() {
        let mut picture = picture();
        picture.nodes.push(node(3, State::CatchingUp, State::CatchingUp));
        picture.nodes[2].state.timeline = Timeline(2);
        let lag = |picture: &Picture| {
            let shown = text(&paint(picture, &mut Scroll::default(), [80, 24]));
            shown.lines().skip(3).take(3).map(|line| line[11..20].trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(lag(&picture), ["", "134 kB", "?"]);
        // Nobody is the primary.
        picture.nodes[0].state.goal = State::Demoted;
        assert_eq!(lag(&picture), ["?", "?", "?"]);
    }

    #[test]
    fn several_groups_and_formations() {
        let mut picture = picture();
        picture.nodes[1].state.group = GroupId(1);
        picture.formations.extend([formation("payments", true), formation("x", false)]);
        let buffer = paint(&picture, &mut Scroll::default(), [80, 24]);
        let shown = text(&buffer);
        assert!(shown.starts_with("Formation  default  payments  x "), "{shown}");
        assert!(shown.contains("\nnode2   1/2        ?  read-only "), "{shown}");
        assert!(shown.contains("←→ formation"), "{shown}");
        assert_eq!(colour(&buffer, "payments").0, Color::Red);
        assert!(colour(&buffer, "default").1.contains(Modifier::REVERSED));
        // The shown one is in sight when not all are.
        picture.formation = "payments".to_owned();
        let narrow = text(&paint(&picture, &mut Scroll::default(), [36, 24]));
        assert!(narrow.starts_with("Formation  payments  x"), "{narrow}");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut picture = picture();
        picture.nodes.extend((3..50).map(|id| node(id, State::Secondary, State::Secondary)));
        picture.nodes[40].state.health = Health::Bad;
        let shown = text(&paint(&picture, &mut Scroll::default(), [80, 24]));
        assert!(
            shown.contains("\nand 35 more, 1 of them not answering: --group shows one group\n"),
            "{shown}"
        );
        assert!(shown.contains("New state of node 1"), "{shown}");
    }

    #[test]
    fn nothing_to_show() {
        let mut picture = picture();
        picture.nodes.clear();
        picture.events.clear();
        assert!(text(&paint(&picture, &mut Scroll::default(), [80, 24])).contains("\nno nodes yet\n"));
        picture.formation = "gone".to_owned();
        let shown = text(&paint(&picture, &mut Scroll::default(), [80, 24]));
        assert!(shown.contains("\nformation \"gone\" does not exist any more\n"), "{shown}");
    }

    #[test]
    fn older_events_are_above() {
        let (picture, mut scroll) = (picture(), Scroll::default());
        assert!(!text(&paint(&picture, &mut scroll, [80, 8])).contains("Setting goal"));
        scroll.go(Movement::Oldest);
        let shown = text(&paint(&picture, &mut scroll, [80, 8]));
        assert!(shown.contains("Setting goal") && shown.contains("Events, 1 line below"), "{shown}");
    }

    const EIGHTY: &str = "\
Formation  default                             number_sync_standbys 1   13:34:20

Name   Node      Lag  Connection    Reported State      Assigned State      Prio
node1     1           read-write    primary             primary               50
node2     2   134 kB  read-only     secondary           secondary             50

Events                                                         ↑↓ scroll  q quit
11-22 13:34:20  Setting goal state of node 1 \"node1\" (192.0.2.1:5432) to primary
                because it has a healthy secondary [primary_has_standby]
      13:34:11  New state of node 1
";

    const HUNDRED_AND_TWENTY: &str = "\
Formation  default                                                                     number_sync_standbys 1   13:34:20

Name   Node  Host:Port           TLI: LSN      Lag  Connection    Reported State       Assigned State       Prio  Quorum
node1     1  192.0.2.1:5432  1: 0/30419F0           read-write    primary              primary                50  yes
node2     2  192.0.2.2:5432  1: 0/3020000   134 kB  read-only     secondary            secondary              50  yes

Events                                                                                                 ↑↓ scroll  q quit
11-22 13:34:20  Setting goal state of node 1 \"node1\" (192.0.2.1:5432) to primary because it has a healthy secondary
                [primary_has_standby]
      13:34:11  New state of node 1
";

    const FORTY: &str = "\
Formation  default              13:34:20

Name   Reported State   Assigned State
node1  primary          primary
node2  secondary        secondary
Events                 ↑↓ scroll  q quit
                primary because it has a
                healthy secondary
                [primary_has_standby]
      13:34:11  New state of node 1
";
}
