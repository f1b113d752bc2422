//! A question at the terminal, between two attempts.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::termios::{QueueSelector, tcflush};

use super::signals::{Signals, Unblocked};

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Line(String),
    /// There is no terminal, or its input has ended.
    Nobody,
    /// This signal ends kage.
    Signal(i32),
}

/// Asks a question. What was typed before it was not meant for it.
pub fn ask(question: &str) -> Answer {
    let (Ok(mut terminal), Ok(mut signals)) =
        (File::options().read(true).write(true).open("/dev/tty"), Signals::catch())
    else {
        return Answer::Nobody;
    };
    let _unblocked = Unblocked::all();
    let _ = tcflush(&terminal, QueueSelector::IFlush);
    let asked = terminal.write_all(question.as_bytes());
    let rested = asked.map_or(Ok(false), |()| signals.rest(Some(terminal.as_fd()), None));
    signals.keep();
    match rested {
        Ok(true) => line(&mut terminal).ok().flatten().map_or(Answer::Nobody, Answer::Line),
        Ok(false) => Answer::Nobody,
        Err(signal) => {
            let _ = terminal.write_all(b"\n");
            Answer::Signal(signal)
        }
    }
}

/// The terminal gives a line at a time, whole.
fn line(terminal: &mut File) -> io::Result<Option<String>> {
    let mut bytes = [0; 256];
    let length = terminal.read(&mut bytes)?;
    Ok((length > 0).then(|| String::from_utf8_lossy(&bytes[..length]).trim().to_owned()))
}
