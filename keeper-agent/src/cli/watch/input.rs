//! What the person at the terminal wants, and what the system does.

use std::io;
use std::thread;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::history::Movement;
use super::picture::Direction;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// End.
    Quit,
    /// Draw everything anew.
    Redraw,
    /// Show older or newer events.
    Scroll(Movement),
    /// Show another formation.
    Formation(Direction),
}

/// Keys, changes of the terminal's size, and signals.
pub(super) struct Input {
    events: UnboundedReceiver<io::Result<Event>>,
    signals: [Signal; 4],
}

impl Input {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn listen() -> io::Result<Self> {
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::hangup())?,
        ];
        let (sender, events) = unbounded_channel();
        // Reading cannot be interrupted: the thread ends with the process.
        thread::Builder::new().name("keys".to_owned()).spawn(move || read(&sender))?;
        Ok(Self { events, signals })
    }

    /// Waits for the next thing that asks for something.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) async fn next(&mut self) -> io::Result<Action> {
        loop {
            let [interrupt, terminate, quit, hangup] = &mut self.signals;
            let event = tokio::select! {
                event = self.events.recv() => event,
                _ = interrupt.recv() => return Ok(Action::Quit),
                _ = terminate.recv() => return Ok(Action::Quit),
                _ = quit.recv() => return Ok(Action::Quit),
                _ = hangup.recv() => return Ok(Action::Quit),
            };
            let event = event.ok_or_else(|| io::Error::other("nobody reads the keys any more"))??;
            if let Some(action) = meaning(&event) {
                return Ok(action);
            }
        }
    }
}

/// Passes events on until there are no more, or nobody wants them.
fn read(events: &UnboundedSender<io::Result<Event>>) {
    loop {
        let event = event::read();
        let is_last = event.is_err();
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Action> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => meaning_of_key(*key),
        Event::Resize(..) => Some(Action::Redraw),
        _ => None,
    }
}

fn meaning_of_key(key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('l') => Some(Action::Redraw),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Char('q' | 'Q') | KeyCode::Esc | KeyCode::F(1) => Some(Action::Quit),
        KeyCode::Up | KeyCode::Char('k') => Some(Action::Scroll(Movement::LineUp)),
        KeyCode::Down | KeyCode::Char('j') => Some(Action::Scroll(Movement::LineDown)),
        KeyCode::PageUp => Some(Action::Scroll(Movement::PageUp)),
        KeyCode::PageDown => Some(Action::Scroll(Movement::PageDown)),
        KeyCode::Home => Some(Action::Scroll(Movement::Oldest)),
        KeyCode::End => Some(Action::Scroll(Movement::Newest)),
        KeyCode::Right | KeyCode::Tab => Some(Action::Formation(Direction::Next)),
        KeyCode::Left | KeyCode::BackTab => Some(Action::Formation(Direction::Previous)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: KeyEvent, expected: Option<Action>) {
        assert_eq!(meaning(&Event::Key(key)), expected, "{key:?}");
    }

    #[test]
    fn keys_have_meanings() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        for quits in [plain(KeyCode::Char('q')), plain(KeyCode::Esc), plain(KeyCode::F(1)), control('c')] {
            check(quits, Some(Action::Quit));
        }
        check(control('l'), Some(Action::Redraw));
        check(plain(KeyCode::PageUp), Some(Action::Scroll(Movement::PageUp)));
        check(plain(KeyCode::Tab), Some(Action::Formation(Direction::Next)));
        check(
            KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT),
            Some(Action::Formation(Direction::Previous)),
        );
        check(plain(KeyCode::Char('x')), None);
        check(control('q'), None);
        let mut released = plain(KeyCode::Char('q'));
        released.kind = KeyEventKind::Release;
        check(released, None);
    }
}
