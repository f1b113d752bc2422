//! `--wait`: sleeping until a subscription is ready again. A line says so; at a terminal it counts down.

use std::time::Duration;

use anyhow::Result;

use super::choose::{Choice, Place};
use super::model::{Patience, Run};
use super::said::Said;
use crate::pool::{NotReady, Request};

/// How often the state is looked at: another kage may have released a place, or a person.
const LOOK: Duration = Duration::from_secs(1);

/// How a wait ended.
pub(super) enum WaitEnd {
    Place(Place),
    /// This signal came.
    Signal(i32),
    /// Why nothing was ready at the last look.
    TooLong(Option<NotReady>),
}

impl Run<'_> {
    /// Waits for a place, and takes it.
    pub(super) fn wait(&self, request: &Request) -> Result<WaitEnd> {
        let end = self.wait_and_draw(request);
        self.context.voice.erase();
        end
    }

    fn wait_and_draw(&self, request: &Request) -> Result<WaitEnd> {
        let began = self.context.now().timestamp();
        let mut last = None;
        let Patience(most) = self.args.wait.unwrap_or(Patience(None));
        loop {
            let now = self.context.now();
            match self.look(request)? {
                Choice::Ready(_) => {
                    if let Choice::Ready(place) = self.reserve(request)? {
                        return Ok(WaitEnd::Place(place));
                    }
                }
                Choice::NotReady(why) => {
                    self.context.voice.draw(&Said::WaitingSince { until: why.earliest(), began }, &now);
                    last = Some(why);
                }
            }
            if most.is_some_and(|most| now.timestamp().duration_since(began) >= most) {
                return Ok(WaitEnd::TooLong(last));
            }
            if let Err(signal) = self.host.pause(LOOK) {
                return Ok(WaitEnd::Signal(signal));
            }
        }
    }
}
