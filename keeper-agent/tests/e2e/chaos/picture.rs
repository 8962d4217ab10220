//! The time line of a run as a picture: what was done to whom, who accepted writes, and when clients had to wait.

use std::time::Duration;

use super::canvas::{Canvas, Style};
use super::history::{Life, Played};
use super::kind::{Kind, Part, Reach};
use super::schedule::Fault;
use super::settings::Settings;

/// One strip of the picture shows so much of the time.
const STRIP: Duration = Duration::from_secs(120);
const LEFT: f64 = 90.0;
const WIDTH: f64 = 1500.0;
const ROW: f64 = 13.0;
/// Rows of labels within a lane: faults may overlap.
const ROWS: usize = 3;
const LANE: f64 = ROW * ROWS as f64 + 12.0;
/// What a letter of the labels takes.
const LETTER: f64 = 5.4;
const HEAD: f64 = 78.0;
const AXIS: f64 = 20.0;
const GAP: f64 = 26.0;
/// Shorter ones are no pauses.
const PAUSE: Duration = Duration::from_millis(300);
/// Two acknowledgements of the same server that are farther apart than this are two intervals.
const SERVICE_GAP: Duration = Duration::from_millis(300);

const COLOURS: [(Part, &str, &str); 5] = [
    (Part::Processes, "#e07b39", "processes"),
    (Part::Network, "#4a7fb5", "network"),
    (Part::Disk, "#8d6e4b", "disk"),
    (Part::Clock, "#8c62ab", "clock"),
    (Part::Settings, "#7a8288", "commands"),
];
const SERVED: &str = "#3a9a5b";
const PAUSED: &str = "#c0392b";
const TROUBLED: &str = "#fdf3dc";

/// A bar in a lane; times are since the beginning of the life.
struct Bar {
    lane: usize,
    from: Duration,
    to: Duration,
    part: Part,
    label: String,
    is_refused: bool,
}

/// The picture of all clusters, one below the other.
pub(super) fn draw(settings: &Settings, system: &str, lives: &[Life]) -> String {
    let mut canvas = Canvas::default();
    let title = Style { size: 15.0, is_bold: true, ..Style::PLAIN };
    canvas.text((16.0, 26.0), title, &format!("{system}: {}", settings.command()));
    draw_legend(&mut canvas);
    let mut y = HEAD;
    for life in lives {
        y = draw_life(&mut canvas, life, y);
    }
    canvas.finish(LEFT + WIDTH + 30.0, y)
}

fn draw_legend(canvas: &mut Canvas) {
    let parts = COLOURS.iter().map(|(_, colour, name)| (*colour, *name));
    let others = [
        (SERVED, "acknowledges writes"),
        (PAUSED, "a client that looks for the primary waits"),
        (TROUBLED, "from the first fault until the group is whole"),
    ];
    let mut x = 16.0;
    for (colour, name) in parts.chain(others) {
        canvas.rect((x - 0.5, 41.5), (15.0, 11.0), "#999", 1.0);
        canvas.rect((x, 42.0), (14.0, 10.0), colour, 1.0);
        canvas.text((x + 19.0, 51.0), Style { size: 11.0, ..Style::PLAIN }, name);
        x += 40.0 + name.len() as f64 * 6.4;
    }
}

fn draw_life(canvas: &mut Canvas, life: &Life, top: f64) -> f64 {
    let bars = bars(life);
    let lanes = lanes(life);
    let service = service(life);
    let length = life.since(life.ended);
    let mut y = top;
    let mut from = Duration::ZERO;
    while from < length {
        let strip = Strip { from, top: y, lanes: lanes.len() };
        strip.draw_frame(canvas, life, &lanes);
        strip.draw_bars(canvas, &bars);
        strip.draw_service(canvas, life, &service);
        strip.draw_pauses(canvas, life);
        strip.draw_anomalies(canvas, life);
        y = strip.bottom() + GAP;
        from += STRIP;
    }
    y
}

/// Commands first, then the hosts.
fn lanes(life: &Life) -> Vec<String> {
    let hosts = life.hosts.iter().map(|(_, name)| name.clone());
    std::iter::once("commands".to_owned()).chain(hosts).chain(["clients".to_owned()]).collect()
}

fn lane_of(life: &Life, name: &str) -> usize {
    life.hosts.iter().position(|(_, host)| host == name).map_or(0, |index| index + 1)
}

fn bars(life: &Life) -> Vec<Bar> {
    let mut bars = Vec::new();
    for played in &life.rounds {
        for struck in &played.struck {
            for (lane, label) in labels(life, played, &played.round.faults[struck.index]) {
                bars.push(Bar {
                    lane,
                    from: life.since(struck.from),
                    to: life.since(struck.to),
                    part: played.round.faults[struck.index].kind.part(),
                    label: if struck.refused.is_some() { format!("{label} (refused)") } else { label },
                    is_refused: struck.refused.is_some(),
                });
            }
        }
    }
    bars.sort_by_key(|bar| bar.from);
    bars
}

/// The lanes in which a fault is shown, and what stands there. A link is shown at both of its ends.
fn labels(life: &Life, played: &Played, fault: &Fault) -> Vec<(usize, String)> {
    let kind = fault.kind;
    let victim = played.cast.name(fault.place);
    match (kind.reach(), fault.other.map(|other| played.cast.name(other))) {
        (Reach::Group, _) => vec![(0, fault.what())],
        _ if fault.is_command() => vec![(0, format!("{} {victim}", fault.what()))],
        (_, None) => vec![(lane_of(life, victim), fault.what())],
        (_, Some(other)) => {
            let arrows = if kind == Kind::OneWayCut { ["\u{2192}", "\u{2190}"] } else { ["\u{2194}"; 2] };
            let label = |arrow: &str, end: &str| format!("{} {arrow} {end}", kind.name());
            vec![
                (lane_of(life, victim), label(arrows[0], other)),
                (lane_of(life, other), label(arrows[1], victim)),
            ]
        }
    }
}

/// A part of the time, all lanes one below the other.
struct Strip {
    from: Duration,
    top: f64,
    lanes: usize,
}

impl Strip {
    fn bottom(&self) -> f64 {
        self.lane_top(self.lanes)
    }

    fn lane_top(&self, lane: usize) -> f64 {
        self.top + AXIS + LANE * lane as f64
    }

    fn x(&self, at: Duration) -> f64 {
        let from = self.from.as_secs_f64();
        LEFT + ((at.as_secs_f64() - from) / STRIP.as_secs_f64()).clamp(0.0, 1.0) * WIDTH
    }

    fn shows(&self, from: Duration, to: Duration) -> bool {
        to >= self.from && from < self.from + STRIP
    }

    fn draw_frame(&self, canvas: &mut Canvas, life: &Life, lanes: &[String]) {
        let (top, bottom) = (self.top + AXIS, self.bottom());
        for played in &life.rounds {
            let until = played.whole.unwrap_or(life.ended);
            let times = (life.since(played.began), life.since(until));
            self.draw_span(canvas, times, (top, bottom - top), TROUBLED);
            self.draw_number(canvas, life, played);
        }
        let small = Style { colour: "#555", anchor: "middle", ..Style::PLAIN };
        for second in (0..=STRIP.as_secs()).step_by(10) {
            let at = self.from + Duration::from_secs(second);
            let x = self.x(at);
            canvas.line((x, top), (x, bottom), "#ddd", 0.6);
            canvas.text((x, bottom + 11.0), small, &at.as_secs().to_string());
        }
        for (index, name) in lanes.iter().enumerate() {
            let y = self.lane_top(index);
            canvas.line((10.0, y), (LEFT + WIDTH, y), "#bbb", 0.7);
            canvas.text((12.0, y + LANE / 2.0 + 4.0), Style { size: 12.0, ..Style::PLAIN }, name);
        }
    }

    fn draw_number(&self, canvas: &mut Canvas, life: &Life, played: &Played) {
        let at = life.since(played.began);
        if self.shows(at, at) {
            let style = Style { colour: "#8a6d1a", is_bold: true, ..Style::PLAIN };
            canvas.text((self.x(at), self.top + AXIS - 4.0), style, &played.round.number.to_string());
        }
    }

    fn draw_bars(&self, canvas: &mut Canvas, bars: &[Bar]) {
        // Where the last label of each row ends.
        let mut taken = vec![[f64::MIN; ROWS]; self.lanes];
        for bar in bars.iter().filter(|bar| self.shows(bar.from, bar.to)) {
            let x = self.x(bar.from);
            let width = (self.x(bar.to) - x).max(2.5);
            let row = (0..ROWS).find(|row| taken[bar.lane][*row] <= x).unwrap_or(ROWS - 1);
            taken[bar.lane][row] = x + width.max(4.0 + bar.label.chars().count() as f64 * LETTER) + 4.0;
            let y = self.lane_top(bar.lane) + 2.0 + ROW * row as f64;
            let colour =
                COLOURS.iter().find(|(part, ..)| *part == bar.part).map_or("#000", |(_, colour, _)| colour);
            canvas.rect((x, y), (width, ROW - 2.0), colour, if bar.is_refused { 0.25 } else { 0.75 });
            // What begins at the end of a strip has its label in the next one.
            if x < LEFT + WIDTH - 40.0 || bar.to < self.from + STRIP {
                canvas.text((x + 3.0, y + 8.6), Style::PLAIN, &bar.label);
            }
        }
    }

    /// Who acknowledged writes, at the foot of its lane.
    fn draw_service(&self, canvas: &mut Canvas, life: &Life, service: &[Service]) {
        for (server, from, to) in service {
            let y = self.lane_top(lane_of(life, life.name_of(server)) + 1) - 8.0;
            self.draw_span(canvas, (*from, *to), (y, 6.0), SERVED);
        }
    }

    fn draw_pauses(&self, canvas: &mut Canvas, life: &Life) {
        for (index, ledger) in life.ledgers.iter().take(life.followers).enumerate() {
            let y = self.lane_top(self.lanes - 1) + 4.0 + 16.0 * index as f64;
            let mut label_ends = f64::MIN;
            for pair in ledger.acks.windows(2).filter(|pair| pair[1].acked - pair[0].acked > PAUSE) {
                let times = (life.since(pair[0].acked), life.since(pair[1].acked));
                self.draw_span(canvas, times, (y, 12.0), PAUSED);
                let (x, end) = (self.x(times.0), self.x(times.1));
                if times.0 < self.from || !self.shows(times.0, times.1) || x < label_ends {
                    continue;
                }
                let label = format!("{:.1} s", (times.1 - times.0).as_secs_f64());
                // In the bar where it is wide enough, else to its right.
                let (at, colour) = if end - x > 30.0 { (x + 3.0, "white") } else { (end + 2.0, PAUSED) };
                canvas.text((at, y + 9.5), Style { colour, ..Style::PLAIN }, &label);
                label_ends = at + 30.0;
            }
        }
    }

    fn draw_anomalies(&self, canvas: &mut Canvas, life: &Life) {
        let style = Style { colour: "#d00", is_bold: true, anchor: "end", ..Style::PLAIN };
        for anomaly in &life.anomalies {
            let at = life.since(anomaly.at);
            if self.shows(at, at) {
                let x = self.x(at);
                canvas.line((x, self.top + 8.0), (x, self.bottom()), "#d00", 2.0);
                canvas.text((x, self.top + 8.0), style, &format!("not so: {}", anomaly.check.description()));
            }
        }
    }

    /// A rectangle over a time.
    fn draw_span(
        &self,
        canvas: &mut Canvas,
        (from, to): (Duration, Duration),
        (y, height): (f64, f64),
        colour: &str,
    ) {
        if self.shows(from, to) {
            let x = self.x(from);
            canvas.rect((x, y), ((self.x(to) - x).max(0.8), height), colour, 1.0);
        }
    }
}

/// A server, and a time in which it acknowledged writes all along.
type Service = (String, Duration, Duration);

/// All of them, by their beginnings.
fn service(life: &Life) -> Vec<Service> {
    let mut acks: Vec<_> = life.ledgers.iter().flat_map(|ledger| &ledger.acks).collect();
    acks.sort_by_key(|ack| ack.acked);
    let mut found: Vec<Service> = Vec::new();
    for ack in acks {
        let at = life.since(ack.acked);
        match found.last_mut() {
            Some((server, _, to)) if *server == ack.server && at - *to < SERVICE_GAP => *to = at,
            _ => found.push((ack.server.clone(), at, at)),
        }
    }
    found
}
