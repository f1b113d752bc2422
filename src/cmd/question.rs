//! Questions at the terminal: for a secret without echo, for yes or no, and the questions of `kage setup`.

use std::fs::File;
use std::io::ErrorKind;
use std::thread;

use anyhow::{Context as _, Result};
use inquire::validator::{ErrorMessage, Validation};
use inquire::{Confirm, InquireError, Select, Text};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::error::{Failure, Status};

/// Asks for a secret, without echo.
pub(super) fn secret(question: &str) -> Result<Vec<u8>> {
    let typed = guarded(|| {
        let typed = rpassword::prompt_password(question);
        // rpassword reads ^C as a character and raises SIGINT for it; the guard thread is about to end the
        // process.
        let interrupted = typed.as_ref().is_err_and(|why| why.kind() == ErrorKind::Interrupted);
        (typed, interrupted)
    })?;
    Ok(typed.context("could not read from the terminal")?.into_bytes())
}

/// Runs a function that changes the terminal modes, and restores the modes if a signal ends kage meanwhile.
/// Otherwise the shell would not echo typed text. The second value that the function returns is whether a
/// signal is pending.
fn guarded<T>(ask: impl FnOnce() -> (T, bool)) -> Result<T> {
    let terminal = File::open("/dev/tty").context("could not open the terminal")?;
    let modes = tcgetattr(&terminal).context("could not read the modes of the terminal")?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let answered = signals.handle();
    let guard = thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
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

/// Asks whether to do something. Escape is a no.
pub(super) fn confirm(question: &str, default: bool) -> Result<bool> {
    Ok(answered(|| Confirm::new(question).with_default(default).prompt_skippable())?.unwrap_or(false))
}

/// Asks a yes-or-no question of the setup. Escape cancels the setup.
pub(super) fn yes_or_no(question: &str, default: bool) -> Result<bool> {
    answered(|| Confirm::new(question).with_default(default).prompt())
}

/// Lets the user choose one of several items. Returns the index of the choice.
pub(super) fn select(question: &str, choices: Vec<String>) -> Result<usize> {
    Ok(answered(|| Select::new(question, choices).raw_prompt())?.index)
}

/// Asks for a text until it parses.
pub(super) fn text<T>(
    question: &str,
    default: &str,
    help: &str,
    parse: impl Fn(&str) -> Result<T, String> + Clone + 'static,
) -> Result<T> {
    let check = parse.clone();
    let validate = move |text: &str| {
        let error = check(text.trim()).err();
        Ok(error.map_or(Validation::Valid, |why| Validation::Invalid(ErrorMessage::Custom(why))))
    };
    let text = answered(|| {
        let ask = Text::new(question).with_help_message(help).with_validator(validate);
        if default.is_empty() { ask.prompt() } else { ask.with_default(default).prompt() }
    })?;
    parse(text.trim()).map_err(|why| Failure::usage(why).into())
}

/// Returns the answer. ^C ends kage as it ends any program.
fn answered<T>(ask: impl FnOnce() -> Result<T, InquireError>) -> Result<T> {
    match guarded(|| (ask(), false))? {
        Ok(answer) => Ok(answer),
        Err(InquireError::OperationInterrupted) => {
            let _ = low_level::emulate_default_handler(SIGINT);
            Err(Failure::new(Status::Failed, "interrupted").into())
        }
        Err(InquireError::OperationCanceled) => {
            Err(Failure::new(Status::Failed, "canceled; the completed steps are kept")
                .hint("kage setup")
                .into())
        }
        Err(why) => Err(why).context("could not prompt at the terminal"),
    }
}
