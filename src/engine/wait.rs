//! `--wait`: sleeps until a subscription is ready. At a terminal one line shows the progress.

use std::time::Duration;

use anyhow::Result;

use super::choose::{Choice, Place};
use super::model::{Run, WaitLimit};
use super::said::Said;
use crate::pool::{NotReady, Request};

/// How often the state is read: another kage may have released a place, or the user may have reset a limit.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How a wait ended.
pub(super) enum WaitEnd {
    Place(Place),
    /// A signal with this number arrived.
    Signal(i32),
    /// The time limit has passed. Holds why nothing was ready when the state was last read.
    TooLong(Option<NotReady>),
}

impl Run<'_> {
    /// Waits for a free place and reserves it.
    pub(super) fn wait(&self, request: &Request) -> Result<WaitEnd> {
        let end = self.wait_and_draw(request);
        self.context.voice.erase();
        end
    }

    fn wait_and_draw(&self, request: &Request) -> Result<WaitEnd> {
        let began = self.context.now().timestamp();
        let mut last = None;
        let WaitLimit(limit) = self.args.wait.unwrap_or(WaitLimit(None));
        loop {
            let now = self.context.now();
            match self.peek(request)? {
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
            if limit.is_some_and(|limit| now.timestamp().duration_since(began) >= limit) {
                return Ok(WaitEnd::TooLong(last));
            }
            if let Err(signal) = self.host.pause(POLL_INTERVAL) {
                return Ok(WaitEnd::Signal(signal));
            }
        }
    }
}
