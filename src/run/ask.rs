//! Asks the user at the terminal whether a session continues, between two attempts. Called by the engine.
//!
//! It does not use the library that asks kage's other questions: a signal must end the run properly, with its
//! events and its tmux pane, and ^Z must stop kage with its job while it waits.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::termios::{QueueSelector, tcflush};

use super::signals::{Signals, Unblocked};

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Line(String),
    /// There is no terminal, or its input has ended.
    NoAnswer,
    /// A signal with this number arrived; it ends kage.
    Signal(i32),
}

/// Asks a question. Input that was typed before the question is discarded.
pub fn ask(question: &str) -> Answer {
    let (Ok(mut terminal), Ok(mut signals)) =
        (File::options().read(true).write(true).open("/dev/tty"), Signals::catch())
    else {
        return Answer::NoAnswer;
    };
    let _unblocked = Unblocked::all();
    let _ = tcflush(&terminal, QueueSelector::IFlush);
    let asked = terminal.write_all(question.as_bytes());
    let is_answered = asked.map_or(Ok(false), |()| signals.sleep(Some(terminal.as_fd()), None));
    signals.keep();
    match is_answered {
        Ok(true) => line(&mut terminal).ok().flatten().map_or(Answer::NoAnswer, Answer::Line),
        Ok(false) => Answer::NoAnswer,
        Err(signal) => {
            let _ = terminal.write_all(b"\n");
            Answer::Signal(signal)
        }
    }
}

/// Reads one line; `None` at the end of the input. The terminal delivers whole lines.
fn line(terminal: &mut File) -> io::Result<Option<String>> {
    let mut bytes = [0; 256];
    let length = terminal.read(&mut bytes)?;
    Ok((length > 0).then(|| String::from_utf8_lossy(&bytes[..length]).trim().to_owned()))
}
