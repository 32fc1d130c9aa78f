//! A terminal that is taken over, and given back as it was, however this ends. It knows nothing of
//! what is drawn; a test in a real terminal has this file, too.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// The terminal in raw mode, with the alternate screen.
pub struct Taken(DefaultTerminal);

impl Taken {
    /// A panic gives the terminal back before its message is printed.
    pub fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Draws at the present size.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(render).map(drop)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // After a panic it is done, and a second time would move the cursor back over the message.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}
