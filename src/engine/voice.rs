//! The one way in which kage speaks while it works. What there is to say are values; a function that comes from
//! outside turns them into sentences.
//!
//! stdout and the screen belong to the agent. While a session fills the screen, what is said is held back and printed
//! when it is free again.

mod banner;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::Zoned;

use super::said::Said;
use crate::text::one_line;

pub(super) use banner::Banner;

/// Makes the lines for something that is said; the first gets `kage: ` in front.
pub(crate) type Sentence = fn(&Said, &Zoned) -> Vec<String>;

/// Where what is said goes.
enum Output {
    Terminal(Sentence),
    /// Nobody listens: an agent calls kage, or what there is to say is in the answer.
    Nobody,
    #[cfg(test)]
    Recorded(RefCell<Vec<Said>>),
}

/// Speaks to the user.
pub(crate) struct Voice {
    output: Output,
    quiet: bool,
    /// What is held back while the agent owns the screen.
    held: RefCell<Option<Vec<(Said, Zoned)>>>,
    /// Whether a line is drawn that is not ended yet.
    drawn: Cell<bool>,
}

impl Voice {
    /// Speaks on stderr.
    pub(crate) fn terminal(sentence: Sentence) -> Self {
        Self::with(Output::Terminal(sentence))
    }

    /// Says nothing.
    pub(crate) fn silent() -> Self {
        Self::with(Output::Nobody)
    }

    /// Keeps what is said, for a test.
    #[cfg(test)]
    pub(super) fn recorded() -> Self {
        Self::with(Output::Recorded(RefCell::default()))
    }

    fn with(output: Output) -> Self {
        Self { output, quiet: false, held: RefCell::new(None), drawn: Cell::new(false) }
    }

    /// From now on only warnings are said.
    pub(crate) fn hush(&mut self) {
        self.quiet = true;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether something can be shown on the screen.
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
                return; // a damaged file is seen at each look
            }
            held.push((said, now.clone()));
            return;
        }
        self.erase();
        match &self.output {
            Output::Terminal(sentence) => print_lines(sentence(&said, now)),
            Output::Nobody => {}
            #[cfg(test)]
            Output::Recorded(all) => all.borrow_mut().push(said),
        }
    }

    /// The first line of something said, for the screen of a session.
    pub(super) fn text(&self, said: &Said, now: &Zoned) -> String {
        match &self.output {
            Output::Terminal(sentence) => sentence(said, now).into_iter().next().unwrap_or_default(),
            Output::Nobody => String::new(),
            #[cfg(test)]
            Output::Recorded(_) => String::new(),
        }
    }

    /// Puts a line in the place of the last one that was drawn, where a person sees it.
    pub(super) fn draw(&self, said: &Said, now: &Zoned) {
        if self.draws() && io::stderr().is_terminal() {
            self.drawn.set(true);
            let _ = write!(io::stderr(), "\r\u{1b}[2Kkage: {}", one_line(&self.text(said, now)));
        }
    }

    /// Takes the drawn line away.
    pub(super) fn erase(&self) {
        if self.drawn.take() {
            let _ = write!(io::stderr(), "\r\u{1b}[2K");
        }
    }

    /// The agent owns the screen from now on.
    pub(super) fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default();
    }

    /// The screen is free again: what was held back is said.
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
            Output::Terminal(_) | Output::Nobody => Vec::new(),
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

/// One line on stderr, with `kage: ` in front. A closed stderr is not kage's concern.
pub(crate) fn print_line(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "kage: {}", one_line(&message.to_string()));
}

/// The command to type next.
pub(crate) fn print_hint(hint: &str) {
    let _ = writeln!(io::stderr(), "hint: {}", one_line(hint));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Notice;

    fn said(voice: &Voice) -> Vec<String> {
        let word = |said: Said| match said {
            Said::LikelyTypo(text) => text,
            Said::Notice(notice) => notice.message,
            other => format!("{other:?}"),
        };
        voice.said().into_iter().map(word).collect()
    }

    #[test]
    fn what_is_said_while_the_agent_owns_the_screen_is_said_when_it_is_free_again() {
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
    fn a_quiet_voice_only_warns() {
        let (mut voice, now) = (Voice::recorded(), Zoned::default());
        voice.hush();
        voice.say(Said::LikelyTypo("a".into()), &now);
        voice.say(Notice::news("b"), &now);
        voice.say(Notice::new("c"), &now);
        assert_eq!(said(&voice), ["c"]);
    }
}
