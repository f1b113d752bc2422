//! `--wait`: sleeping until a subscription is ready again. A line says so; at a terminal it counts down.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Errand;
use crate::cli::Patience;
use crate::pool::{Lease, NotReady, Request, Selection, peek};
use crate::report;
use crate::run::{self, die_of};

/// How often the state is looked at: another kage may have made a place free, or a person.
const LOOK: Duration = Duration::from_secs(1);

/// How a wait ended without a place: by a signal, or because it took too long.
type Ended = Option<i32>;

impl Errand<'_> {
    /// A place for the run's first attempt, where none was ready: waited for, or refused.
    pub(super) fn wait_or_refuse(
        &self,
        request: &Request,
        not_ready: NotReady,
    ) -> Result<(Lease, Selection)> {
        let refusal = report::not_ready(&not_ready, request, &self.desk.later());
        if not_ready.may_pass() && request.only.is_none() {
            self.events.all_limited(&not_ready);
        }
        if self.args.wait.is_none() || !not_ready.may_pass() {
            return Err(refusal.into());
        }
        self.say(format_args!("{refusal}; waiting"));
        match self.wait(request)? {
            Ok(chosen) => Ok(chosen),
            Err(Some(signal)) => std::process::exit(die_of(signal)),
            Err(None) => Err(refusal.into()),
        }
    }

    /// Waits for a place, and takes it.
    pub(super) fn wait(&self, request: &Request) -> Result<Result<(Lease, Selection), Ended>> {
        let began = Timestamp::now();
        let Patience(most) = self.args.wait.unwrap_or(Patience(None));
        let bar = Bar::new(self.args.quiet);
        loop {
            let now = self.desk.later();
            match peek(&self.desk.config.pool, &self.desk.store.read()?, request, &(&now).into()) {
                Ok(_) => {
                    if let Ok(chosen) = self.reserve(request)? {
                        return Ok(Ok(chosen));
                    }
                }
                Err(not_ready) => bar.draw(not_ready.earliest(), began, &now),
            }
            if most.is_some_and(|most| now.timestamp().duration_since(began) >= most) {
                return Ok(Err(None));
            }
            if let Err(signal) = run::pause(LOOK) {
                return Ok(Err(Some(signal)));
            }
        }
    }
}

/// A line that is drawn anew each second, and gone at the end.
struct Bar {
    shown: bool,
}

impl Bar {
    const WIDTH: i64 = 20;

    fn new(quiet: bool) -> Self {
        Self { shown: !quiet && io::stderr().is_terminal() }
    }

    fn draw(&self, until: Option<Timestamp>, began: Timestamp, now: &Zoned) {
        if !self.shown {
            return;
        }
        let line = match until {
            None => "waiting for a free place".to_owned(),
            Some(at) => {
                let (whole, gone) = (at.duration_since(began), now.timestamp().duration_since(began));
                format!("waiting {} until {}", progress(gone, whole), report::until(at, now))
            }
        };
        let _ = write!(io::stderr(), "\r\u{1b}[2Kkage: {line}; ^C ends it");
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\u{1b}[2K");
        }
    }
}

/// `[#####...............]`
fn progress(gone: SignedDuration, whole: SignedDuration) -> String {
    let full = (gone.as_secs().max(0) * Bar::WIDTH / whole.as_secs().max(1)).min(Bar::WIDTH);
    let cells = |number: i64, cell: &str| cell.repeat(usize::try_from(number).unwrap_or(0));
    format!("[{}{}]", cells(full, "#"), cells(Bar::WIDTH - full, "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_never_overflows() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(progress(seconds(0), seconds(100)), "[....................]");
        assert_eq!(progress(seconds(50), seconds(100)), "[##########..........]");
        assert_eq!(progress(seconds(500), seconds(100)), "[####################]");
        assert_eq!(progress(seconds(5), seconds(-1)), "[####################]");
        assert_eq!(progress(seconds(-5), seconds(0)), "[....................]");
    }
}
