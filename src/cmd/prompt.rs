//! Asking at the terminal: for a secret without showing it, and yes or no.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// Asks for a secret. A ^C at this point, where the terminal shows nothing, must not leave it like that.
pub(super) fn hidden(question: &str) -> Result<Vec<u8>> {
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
    let typed = rpassword::prompt_password(question);
    // A ^C comes as a character there; it has been made a signal, and the guard is about to die of it.
    if !typed.as_ref().is_err_and(|why| why.kind() == ErrorKind::Interrupted) {
        answered.close();
    }
    let _ = guard.join();
    Ok(typed.context("could not read from the terminal")?.into_bytes())
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
    eprint!("{question}");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer).context("could not read the answer")?;
    if read == 0 {
        eprintln!();
    }
    Ok((read > 0).then(|| answer.trim().to_owned()))
}
