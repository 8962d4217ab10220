//! The terminal while the dashboard has it: taken, drawn on, and given back as it was.

use std::io;

use ratatui::{DefaultTerminal, Frame};

use crate::cli::log;

/// The terminal in raw mode, on its alternate screen. Dropping it gives the terminal back; a panic does so, too, before it
/// prints its message.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => {
                log::mute_on_terminal();
                Ok(Self { terminal })
            }
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws one frame; only what differs from the last one is sent.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(paint).map(|_| ())
    }

    /// Forgets what is there: the next frame is sent as a whole.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // Not `clear`: that asks the terminal for its cursor, and the answer would come in between the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Dropping the terminal shows the cursor again, which it may do on either screen.
        give_back();
        log::unmute();
    }
}

/// Nothing is left to do when this fails: the terminal is gone.
fn give_back() {
    let _ = ratatui::try_restore();
}
