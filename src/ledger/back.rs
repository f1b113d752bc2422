//! Looking back: which subscription ran a conversation last, and whether an attempt is written down.

use std::path::Path;

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::line::Line;
use super::{Ledger, lines};
use crate::pool::{Lease, Name};

/// How much of a month is looked through: a hundred thousand attempts.
const LOOK_BACK: u64 = 64 * 1024 * 1024;

/// What is written of a run whose kage was killed, and of its conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trace {
    /// Attempts of the run.
    pub attempts: u32,
    /// Whether the lease's own attempt is among them.
    pub is_booked: bool,
    /// When another attempt went on with the conversation.
    pub next: Option<Timestamp>,
}

/// A conversation, and the attempt that was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub session: String,
    pub run: String,
    pub began: Timestamp,
}

impl Ledger {
    /// The subscription that ran a session last.
    pub fn last_of_session(&self, session: &str) -> Option<Name> {
        self.last(session, |row| row.session.as_deref() == Some(session))
    }

    /// The subscription that ran the last conversation in a directory.
    pub fn last_in(&self, cwd: &Path) -> Option<Name> {
        self.last("\"session\"", |row| row.session.is_some() && Path::new(row.cwd.as_ref()) == cwd)
    }

    /// Looks back through this month and the one before it, parsing only lines that hold `word`.
    fn last(&self, word: &str, is_it: impl Fn(&Line<'_>) -> bool) -> Option<Name> {
        let word = Finder::new(word);
        let of_row = |line: &[u8]| {
            word.find(line)?;
            Line::parse(line).filter(&is_it)?.subscription.parse().ok()
        };
        let months = self.months().ok()?;
        months.iter().rev().take(2).find_map(|month| lines::backward(month, LOOK_BACK, of_row).ok()?)
    }

    /// The conversations of an agent's latest attempts.
    pub fn conversations(&self, agent: &str) -> Vec<Conversation> {
        let word = format!("\"agent\":\"{agent}\"");
        let word = Finder::new(&word);
        let mut conversations = Vec::new();
        let mut look = |line: &[u8]| -> Option<()> {
            word.find(line)?;
            let line = Line::parse(line)?;
            let (run, began) = (line.run.into_owned(), line.time);
            conversations.extend(line.session.map(|session| Conversation {
                session: session.into_owned(),
                run,
                began,
            }));
            None
        };
        for month in self.months().unwrap_or_default().iter().rev().take(2) {
            let _ = lines::backward(month, LOOK_BACK, &mut look);
        }
        conversations
    }

    /// What is written of a lost lease.
    pub fn trace(&self, lost: &Lease) -> Trace {
        let sessions = lost.sessions();
        let words: Vec<_> = sessions.iter().copied().chain([lost.id.0.as_str()]).map(Finder::new).collect();
        let mut trace = Trace::default();
        let mut look = |line: &[u8]| -> Option<()> {
            words.iter().find(|word| word.find(line).is_some())?;
            let line = Line::parse(line)?;
            let session = line.session.as_deref().unwrap_or_default();
            if line.run == lost.id.0.as_str() {
                trace.attempts += 1;
                trace.is_booked |= line.time == lost.since;
            }
            if line.time > lost.since && sessions.contains(&session) {
                trace.next = Some(trace.next.map_or(line.time, |next| next.min(line.time)));
            }
            None
        };
        let first = self.month(lost.since);
        for month in self.months().unwrap_or_default().iter().filter(|month| **month >= first) {
            // Of a month that cannot be read nothing is known; the next append says so.
            let _ = lines::backward(month, LOOK_BACK, &mut look);
        }
        trace
    }
}
