//! The only output of the engine. Messages are `Said` values; a function that the caller passes in turns them
//! into sentences.
//!
//! stdout and the screen belong to the agent. While a session fills the screen, messages are held back and
//! printed when the screen is free again.

mod banner;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::Zoned;

use super::said::Said;
use crate::text::one_line;

pub(super) use banner::Banner;

/// Turns a message into lines. The first line is printed with the prefix `kage: `.
pub(crate) type Sentence = fn(&Said, &Zoned) -> Vec<String>;

/// Where messages go.
enum Output {
    Terminal(Sentence),
    /// Nothing is printed: an agent calls kage, or the output of the verb already contains the message.
    Silent,
    #[cfg(test)]
    Recorded(RefCell<Vec<Said>>),
}

/// Prints the engine's messages.
pub(crate) struct Voice {
    output: Output,
    quiet: bool,
    /// Messages held back while the agent owns the screen.
    held: RefCell<Option<Vec<(Said, Zoned)>>>,
    /// Whether a drawn line is on the screen, without a newline after it.
    drawn: Cell<bool>,
}

impl Voice {
    /// Prints on stderr.
    pub(crate) fn terminal(sentence: Sentence) -> Self {
        Self::with(Output::Terminal(sentence))
    }

    /// Prints nothing.
    pub(crate) fn silent() -> Self {
        Self::with(Output::Silent)
    }

    /// Records messages, for a test.
    #[cfg(test)]
    pub(super) fn recorded() -> Self {
        Self::with(Output::Recorded(RefCell::default()))
    }

    fn with(output: Output) -> Self {
        Self { output, quiet: false, held: RefCell::new(None), drawn: Cell::new(false) }
    }

    /// Prints only warnings from now on.
    pub(crate) fn set_quiet(&mut self) {
        self.quiet = true;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether this voice draws on the screen.
    pub(super) fn draws(&self) -> bool {
        !self.quiet && matches!(self.output, Output::Terminal(_))
    }

    pub(crate) fn say(&self, said: impl Into<Said>, now: &Zoned) {
        let said = said.into();
        if self.quiet && !said.is_warning() {
            return;
        }
        if let Some(held) = self.held.borrow_mut().as_mut() {
            if let Said::Notice(notice) = &said
                && held.iter().any(|(other, _)| matches!(other, Said::Notice(known) if known == notice))
            {
                return; // each read of a damaged file repeats the notice
            }
            held.push((said, now.clone()));
            return;
        }
        self.erase();
        match &self.output {
            Output::Terminal(sentence) => print_lines(sentence(&said, now)),
            Output::Silent => {}
            #[cfg(test)]
            Output::Recorded(all) => all.borrow_mut().push(said),
        }
    }

    /// Returns the first line of a message, for the screen of a session.
    pub(super) fn text(&self, said: &Said, now: &Zoned) -> String {
        match &self.output {
            Output::Terminal(sentence) => sentence(said, now).into_iter().next().unwrap_or_default(),
            Output::Silent => String::new(),
            #[cfg(test)]
            Output::Recorded(_) => String::new(),
        }
    }

    /// Draws a line over the last drawn one, if stderr is a terminal.
    pub(super) fn draw(&self, said: &Said, now: &Zoned) {
        if self.draws() && io::stderr().is_terminal() {
            self.drawn.set(true);
            let _ = write!(io::stderr(), "\r\u{1b}[2Kkage: {}", one_line(&self.text(said, now)));
        }
    }

    /// Erases the drawn line.
    pub(super) fn erase(&self) {
        if self.drawn.take() {
            let _ = write!(io::stderr(), "\r\u{1b}[2K");
        }
    }

    /// Holds messages back: the agent owns the screen from now on.
    pub(super) fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default();
    }

    /// Prints the messages that were held back: the screen is free again.
    pub(super) fn resume(&self) {
        let held = self.held.borrow_mut().take();
        for (said, now) in held.into_iter().flatten() {
            self.say(said, &now);
        }
    }

    #[cfg(test)]
    pub(super) fn said(&self) -> Vec<Said> {
        match &self.output {
            Output::Recorded(all) => all.take(),
            Output::Terminal(_) | Output::Silent => Vec::new(),
        }
    }
}

fn print_lines(lines: Vec<String>) {
    for (at, line) in lines.iter().enumerate() {
        match line.strip_prefix("hint: ") {
            Some(hint) if at > 0 => print_hint(hint),
            _ => print_line(line),
        }
    }
}

/// Prints one line on stderr with the prefix `kage: `. A closed stderr is ignored.
pub(crate) fn print_line(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "kage: {}", one_line(&message.to_string()));
}

/// Prints a hint, which is the next command to type.
pub(crate) fn print_hint(hint: &str) {
    let _ = writeln!(io::stderr(), "hint: {}", one_line(hint));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Notice;

    fn said(voice: &Voice) -> Vec<String> {
        let text = |said: Said| match said {
            Said::LikelyTypo(text) => text,
            Said::Notice(notice) => notice.message,
            other => format!("{other:?}"),
        };
        voice.said().into_iter().map(text).collect()
    }

    #[test]
    fn messages_are_held_back_while_the_agent_owns_the_screen() {
        let (voice, now) = (Voice::recorded(), Zoned::default());
        voice.hold();
        voice.say(Notice::new("the event command failed"), &now);
        voice.say(Said::LikelyTypo("b".into()), &now);
        assert_eq!(said(&voice), [""; 0]);
        voice.resume();
        assert_eq!(said(&voice), ["the event command failed", "b"]);
        voice.say(Said::LikelyTypo("c".into()), &now);
        assert_eq!(said(&voice), ["c"]);
    }

    #[test]
    fn a_quiet_voice_prints_only_warnings() {
        let (mut voice, now) = (Voice::recorded(), Zoned::default());
        voice.set_quiet();
        voice.say(Said::LikelyTypo("a".into()), &now);
        voice.say(Notice::news("b"), &now);
        voice.say(Notice::new("c"), &now);
        assert_eq!(said(&voice), ["c"]);
    }
}
