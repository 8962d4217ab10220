//! A terminal that a test looks at and types on.

use std::fmt;
use std::io::Read as _;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Parser, Screen};

use crate::bed::Bed;

/// Whatever is waited for has happened after this long.
const LIMIT: Duration = Duration::from_secs(20);

/// `pg_autoctl` in a terminal.
pub(crate) struct Terminal {
    child: Child,
    /// The side of the person.
    master: OwnedFd,
    /// How the terminal was set before.
    modes: Termios,
    display: Arc<Display>,
}

/// What the terminal shows.
struct Display {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: Parser,
    /// Nobody can write to the terminal any more.
    is_closed: bool,
}

/// How it was left.
pub(crate) struct Left {
    pub(crate) code: Option<i32>,
    /// What is on the screen.
    pub(crate) text: String,
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has cells")
}

fn winsize([columns, rows]: [u16; 2]) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// Runs it with these arguments, in so many columns and rows.
    pub(crate) fn run(bed: &Bed, arguments: impl fmt::Display, size: [u16; 2]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        tcsetwinsize(&master, winsize(size)).expect("sized");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let slave = std::fs::File::options().read(true).write(true).open(name).expect("opened");
        let modes = tcgetattr(&slave).expect("modes");
        let stdio = || slave.try_clone().expect("another handle");
        let mut command = bed.command_in_terminal(arguments);
        let child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("it runs");
        let state = State { parser: Parser::new(cells(size[1]), cells(size[0]), 0), is_closed: false };
        let display = Arc::new(Display { state: Mutex::new(state), changed: Condvar::new() });
        let (reader, seen) = (master.try_clone().expect("another handle"), display.clone());
        std::thread::spawn(move || seen.follow(reader));
        Self { child, master, modes, display }
    }

    /// Waits until the screen fulfils the condition, and gives its text.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_met: impl Fn(&Screen) -> bool) -> String {
        let state = self.display.state.lock().expect("no reader has panicked");
        let (state, waited) = self
            .display
            .changed
            .wait_timeout_while(state, LIMIT, |state| !is_met(state.parser.screen()) && !state.is_closed)
            .expect("no reader has panicked");
        let text = state.parser.screen().contents();
        assert!(!waited.timed_out() && is_met(state.parser.screen()), "waited for {what}; there is:\n{text}");
        text
    }

    /// Waits until these words are on the screen, and gives its text.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) -> String {
        self.wait_until(words, |screen| screen.contents().contains(words))
    }

    /// Waits until these words are not there any more.
    #[track_caller]
    pub(crate) fn wait_without(&self, words: &str) -> String {
        self.wait_until(&format!("no {words}"), |screen| !screen.contents().contains(words))
    }

    /// Types.
    pub(crate) fn press(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).expect("typed");
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("sent");
    }

    /// Makes it so many columns and rows large.
    pub(crate) fn resize(&self, size: [u16; 2]) {
        let mut state = self.display.state.lock().expect("no reader has panicked");
        state.parser.screen_mut().set_size(cells(size[1]), cells(size[0]));
        drop(state);
        tcsetwinsize(&self.master, winsize(size)).expect("sized");
    }

    /// Waits for the end, and makes sure that the terminal is as it was.
    #[track_caller]
    pub(crate) fn end(mut self) -> Left {
        let state = self.display.state.lock().expect("no reader has panicked");
        let (state, waited) = self
            .display
            .changed
            .wait_timeout_while(state, LIMIT, |state| !state.is_closed)
            .expect("no reader has panicked");
        let text = state.parser.screen().contents();
        assert!(!waited.timed_out(), "it goes on:\n{text}");
        assert!(!state.parser.screen().alternate_screen(), "the other screen is still there");
        assert!(!state.parser.screen().hide_cursor(), "there is no cursor");
        drop(state);
        let modes = tcgetattr(&self.master).expect("modes");
        assert_eq!(modes.local_modes, self.modes.local_modes);
        assert_eq!(modes.input_modes, self.modes.input_modes);
        assert_eq!(modes.output_modes, self.modes.output_modes);
        Left { code: self.child.wait().expect("ended").code(), text }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Display {
    /// Reads until there is nobody who writes.
    fn follow(&self, master: OwnedFd) {
        let mut master = std::fs::File::from(master);
        let mut bytes = [0; 4096];
        loop {
            // A terminal whose other side is closed gives an error.
            let count = master.read(&mut bytes).unwrap_or(0);
            let Ok(mut state) = self.state.lock() else {
                // The test has failed.
                return;
            };
            state.parser.process(&bytes[..count]);
            state.is_closed = count == 0;
            self.changed.notify_all();
            if count == 0 {
                return;
            }
        }
    }
}
