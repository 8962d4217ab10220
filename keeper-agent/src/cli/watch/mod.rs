//! `watch`: a dashboard of a formation that takes the whole terminal.
//!
//! `feed` looks at the monitor and makes a `Picture` of it, `frame` draws a picture and does nothing else, `screen` and
//! `input` are the terminal. What is here joins them: it draws again when there is a new picture, a key or a new second.

mod feed;
mod picture;

mod frame;
mod header;
mod history;
mod nodes;
mod text;

mod input;
mod screen;

use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio::sync::watch;

use super::error::{CliError, CliResult};
use super::local_time::LocalTime;
use super::options::{FormationGroup, MonitorOrPgdata};
use super::target::Target;
use crate::exit::Exit;
use feed::Feed;
use history::Scroll;
use input::{Action, Input};
use picture::{Direction, Picture};
use screen::Screen;

/// The time of day is shown with seconds.
const TICK: Duration = Duration::from_secs(1);
/// How many events can be scrolled through, unless more are asked for.
const EVENT_COUNT: i32 = 100;

/// Shows it until somebody quits. `event_count` is how many events are wanted.
pub(super) async fn run(
    options: &MonitorOrPgdata,
    group: &FormationGroup,
    event_count: Option<i32>,
) -> CliResult {
    if !is_possible() {
        return Err(CliError::bad_arguments(
            "the dashboard needs a terminal, and standard output is none: \"pg_autoctl show state\" and \
             \"pg_autoctl show events\" print",
        ));
    }
    let target = Target::of(options)?;
    let count = event_count.map_or(EVENT_COUNT, |count| count.max(EVENT_COUNT));
    let mut feed = Feed::open(target.monitor.clone(), group.group(), count).await?;
    let mut formation = target.formation(&group.formation);
    let mut picture = feed.look(&formation).await?;
    if picture.formation_index().is_none() {
        let other =
            picture.neighbour(&formation, Direction::Next).filter(|_| group.formation.formation.is_none());
        formation = other.ok_or_else(|| no_formation(&formation, &picture))?;
        picture = feed.look(&formation).await?;
    }
    let (pictures, shown) = watch::channel(picture);
    let (wanted, wanted_formation) = watch::channel(formation);
    tokio::spawn(feed.run(wanted_formation, pictures));

    let failed = |error: io::Error| {
        CliError::new(Exit::Internal, format!("the terminal cannot be used for a dashboard: {error}"))
    };
    let input = Input::listen().map_err(failed)?;
    let screen = Screen::open().map_err(failed)?;
    // The screen is given back before an error is printed.
    follow(screen, input, shown, wanted).await.map_err(failed)
}

fn no_formation(name: &str, picture: &Picture) -> CliError {
    let there_are = picture.formation_list();
    CliError::new(Exit::Monitor, format!("formation \"{name}\" does not exist: the monitor has {there_are}"))
}

/// Standard output can show it.
pub(super) fn is_possible() -> bool {
    io::stdout().is_terminal()
}

/// Draws and obeys, until it is time to end.
async fn follow(
    mut screen: Screen,
    mut input: Input,
    mut pictures: watch::Receiver<Picture>,
    wanted: watch::Sender<String>,
) -> io::Result<()> {
    let mut scroll = Scroll::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let picture = pictures.borrow_and_update().clone();
        screen.draw(|frame| frame::draw(frame, &picture, LocalTime::now(), &mut scroll))?;
        let action = tokio::select! {
            action = input.next() => action?,
            changed = pictures.changed() => {
                changed.map_err(|_| io::Error::other("nobody looks at the monitor any more"))?;
                continue;
            }
            _ = tick.tick() => continue,
        };
        match action {
            Action::Quit => return Ok(()),
            Action::Redraw => screen.forget()?,
            Action::Scroll(movement) => scroll.go(movement),
            Action::Formation(step) => {
                let next = picture.neighbour(&wanted.borrow(), step);
                if let Some(next) = next {
                    scroll = Scroll::default();
                    wanted.send_replace(next);
                }
            }
        }
    }
}
