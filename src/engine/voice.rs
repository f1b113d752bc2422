//! The one way in which kage speaks while it works. What there is to say are values; a function that comes from
//! outside turns them into sentences.
//!
//! stdout and the screen belong to the agent. While a session fills the screen, what is said is held back and printed
//! when it is free again.

mod banner;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::{SignedDuration, Timestamp, Zoned};

use super::model::NoSuccessor;
use crate::error::Notice;
use crate::pool::{Change, Exclusion, Name, NotReady, Outcome, Request};
use crate::text::one_line;

pub(super) use banner::Banner;

/// A subscription and what an attempt on it came to.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub subscription: Name,
    pub outcome: Outcome,
}

/// What the engine has to say.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// Something that a lower module reports.
    Notice(Notice),
    /// A namespace or tag that was probably mistyped.
    LikelyTypo(String),
    /// The user insisted on a subscription that would not have been chosen; the flag by which they did.
    Overruled {
        subscription: Name,
        exclusion: Exclusion,
        flag: &'static str,
    },
    /// Variables that the agent does not get, and keys of its settings that are switched off.
    Removed {
        variables: Vec<String>,
        settings: Vec<String>,
    },
    /// What the launch plan could not arrange.
    PlanWarning(String),
    /// Nothing is ready; the run waits.
    Waiting {
        why: NotReady,
        request: Box<Request>,
    },
    /// The run ends with what it changed about the subscription.
    Changed {
        refusal: Refusal,
        change: Change,
    },
    /// Another attempt should follow, and cannot.
    NotRetried {
        refusal: Refusal,
        why: &'static str,
    },
    Retrying {
        refusal: Refusal,
        pause: SignedDuration,
    },
    Switched {
        refusal: Refusal,
        to: Name,
    },
    /// The same subscription was announced, and another one was reserved.
    SwitchedTo(Name),
    NoSuccessor {
        refusal: Option<Refusal>,
        why: NoSuccessor,
        request: Box<Request>,
        waits: bool,
    },
    /// A ready subscription does not have the conversation.
    LacksConversation(Name),
    CredentialFailed {
        subscription: Name,
        why: String,
    },
    /// A session hit a limit: the question whether to continue follows.
    Refused(Refusal),
    /// How to continue a session by hand.
    Continue {
        refusal: Refusal,
        to: Name,
        request: Box<Request>,
        keep_env: Vec<String>,
        command: Vec<OsString>,
    },
    /// A session continues on another subscription in so many seconds.
    Countdown {
        refusal: Refusal,
        to: Name,
        seconds: u128,
    },
    /// A run waits, since `began`, for a subscription that is ready at `until`.
    WaitingSince {
        until: Option<Timestamp>,
        began: Timestamp,
    },
    /// The user stays with the conversation.
    Staying(Name),
    /// The agent did not end when it was told to.
    LeaveIt {
        agent: String,
    },
    CouldNotContinue(String),
    NotInLedger(String),
    NotInState(String),
    NotCounted(String),
    OutputLost(String),
}

impl Said {
    /// Whether it is also said with `--quiet`.
    fn is_warning(&self) -> bool {
        match self {
            Self::Notice(notice) => notice.is_warning,
            Self::CredentialFailed { .. }
            | Self::CouldNotContinue(_)
            | Self::NotInLedger(_)
            | Self::NotInState(_)
            | Self::NotCounted(_)
            | Self::OutputLost(_) => true,
            _ => false,
        }
    }
}

impl From<Notice> for Said {
    fn from(notice: Notice) -> Self {
        Self::Notice(notice)
    }
}

impl NoSuccessor {
    /// Why nothing is ready, unless one is that lacks the conversation.
    pub(crate) fn not_ready(&self) -> Option<&NotReady> {
        match self {
            Self::NotReady(why) => Some(why),
            Self::LacksConversation(_) => None,
        }
    }
}

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
            held.push((said, now.clone()));
            return;
        }
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
