//! What kage says while a session of the agent's fills the screen: a line at the top, and in tmux a message.
//!
//! Nothing is read from the terminal, and nothing scrolls: the cursor goes back to where the agent has it, so
//! that its screen is whole but for that line.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::tcgetwinsize;

use super::pane::Pane;

/// The place for one line at a time.
pub(super) struct Notice {
    on_screen: bool,
    shown: bool,
}

impl Notice {
    pub(super) fn new(quiet: bool) -> Self {
        Self { on_screen: !quiet && io::stderr().is_terminal(), shown: false }
    }

    pub(super) fn show(&mut self, text: &str, pane: Option<&mut Pane>) {
        if let Some(pane) = pane {
            pane.message(&format!("kage: {text}"));
        }
        if !self.on_screen {
            return;
        }
        let columns = tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col).max(20);
        let line: String = format!(" kage: {text} ").chars().take(usize::from(columns)).collect();
        write(&format!("\u{1b}[7m{line}\u{1b}[27m"));
        self.shown = true;
    }

    /// The line goes; what it hid comes back when the agent draws it anew.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            write("");
        }
    }
}

/// Puts a text into the first line. One write, so that nothing of the agent's comes between.
fn write(text: &str) {
    let _ = io::stderr().write_all(format!("\u{1b}7\u{1b}[1;1H\u{1b}[0m\u{1b}[2K{text}\u{1b}8").as_bytes());
}
