//! Asking at the terminal: for a secret without showing it, for yes or no, and what `kage setup` wants to know.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::thread;

use anyhow::{Context as _, Result};
use inquire::validator::{ErrorMessage, Validation};
use inquire::{Confirm, InquireError, Select, Text};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::error::{Failure, Status};
use crate::report;

/// Asks for a secret.
pub(super) fn hidden(question: &str) -> Result<Vec<u8>> {
    let typed = guarded(|| {
        let typed = rpassword::prompt_password(question);
        // A ^C comes as a character there; it has been made a signal, and the guard is about to die of it.
        let interrupted = typed.as_ref().is_err_and(|why| why.kind() == ErrorKind::Interrupted);
        (typed, interrupted)
    })?;
    Ok(typed.context("could not read from the terminal")?.into_bytes())
}

/// Does what changes the modes of the terminal. A signal meanwhile must not leave it like that: typed text would
/// not be shown. The second half of the answer is whether that signal is on its way.
fn guarded<T>(ask: impl FnOnce() -> (T, bool)) -> Result<T> {
    let terminal = File::open("/dev/tty").context("could not open the terminal")?;
    let shown = tcgetattr(&terminal).context("could not ask the terminal for its modes")?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let answered = signals.handle();
    let guard = thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = tcsetattr(&terminal, OptionalActions::Now, &shown);
            let _ = low_level::emulate_default_handler(signal);
        }
    });
    let (answer, dying) = ask();
    if !dying {
        answered.close();
    }
    let _ = guard.join();
    Ok(answer)
}

/// Lets the user decide, one way or the other.
pub(super) fn decides(question: &str, default: bool) -> Result<bool> {
    answered(|| Confirm::new(question).with_default(default).prompt())
}

/// Lets the user choose; the answer is the place of what was chosen.
pub(super) fn chooses(question: &str, choices: Vec<String>) -> Result<usize> {
    Ok(answered(|| Select::new(question, choices).raw_prompt())?.index)
}

/// Lets the user type something, until it is what it should be.
pub(super) fn types<T>(
    question: &str,
    default: &str,
    help: &str,
    parse: impl Fn(&str) -> Result<T, String> + Clone + 'static,
) -> Result<T> {
    let check = parse.clone();
    let validate = move |text: &str| {
        let refused = check(text.trim()).err();
        Ok(refused.map_or(Validation::Valid, |why| Validation::Invalid(ErrorMessage::Custom(why))))
    };
    let text = answered(|| {
        let ask = Text::new(question).with_help_message(help).with_validator(validate);
        if default.is_empty() { ask.prompt() } else { ask.with_default(default).prompt() }
    })?;
    parse(text.trim()).map_err(|why| Failure::usage(why).into())
}

/// The answer. A ^C ends kage as it ends any program; with Escape the user changes their mind.
fn answered<T>(ask: impl FnOnce() -> Result<T, InquireError>) -> Result<T> {
    match guarded(|| (ask(), false))? {
        Ok(answer) => Ok(answer),
        Err(InquireError::OperationInterrupted) => {
            let _ = low_level::emulate_default_handler(SIGINT);
            Err(Failure::new(Status::Failed, "interrupted").into())
        }
        Err(InquireError::OperationCanceled) => {
            Err(Failure::new(Status::Failed, "left there; what was done before stays")
                .hint("kage setup")
                .into())
        }
        Err(why) => Err(why).context("could not ask at the terminal"),
    }
}

/// Asks a yes-or-no question; no is the default, and the answer where nobody can be asked.
pub(super) fn confirms(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    Ok(matches!(line(&format!("{question} [y/N] "))?.as_deref(), Some("y" | "Y" | "yes")))
}

/// The same for a question whose default is yes. The end of input is a no.
pub(super) fn agrees(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    Ok(matches!(line(&format!("{question} [Y/n] "))?.as_deref(), Some("" | "y" | "Y" | "yes")))
}

/// The line that is typed, without the white space around it; `None` at the end of input.
fn line(question: &str) -> Result<Option<String>> {
    report::ask(question);
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer).context("could not read the answer")?;
    if read == 0 {
        report::end_question();
    }
    Ok((read > 0).then(|| answer.trim().to_owned()))
}
