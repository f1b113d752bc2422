//! Lookups in recent months: which subscription last ran a conversation, and whether an attempt was booked.

use std::path::Path;

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::line::Line;
use super::{Ledger, lines};
use crate::pool::{Lease, Name};

/// The maximum number of bytes of a month that are searched: about a hundred thousand attempts.
const LOOK_BACK: u64 = 64 * 1024 * 1024;

/// What the ledger contains about a run whose kage was killed, and about its conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trace {
    /// The number of attempts of the run.
    pub attempts: u32,
    /// Whether the lease's own attempt is among them.
    pub is_booked: bool,
    /// When the first later attempt in the conversation began.
    pub next: Option<Timestamp>,
}

/// A conversation, and one attempt in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub session: String,
    pub run: String,
    pub began: Timestamp,
}

impl Ledger {
    /// Returns the subscription that last ran a session.
    pub fn last_of_session(&self, session: &str) -> Option<Name> {
        self.last(session, |row| row.session.as_deref() == Some(session))
    }

    /// Returns the subscription that ran the last conversation in a directory.
    pub fn last_in(&self, cwd: &Path) -> Option<Name> {
        self.last("\"session\"", |row| row.session.is_some() && Path::new(row.cwd.as_ref()) == cwd)
    }

    /// Searches the two latest months of the ledger backward, and parses only lines that contain `word`.
    fn last(&self, word: &str, matches: impl Fn(&Line<'_>) -> bool) -> Option<Name> {
        let word = Finder::new(word);
        let name_in = |line: &[u8]| {
            word.find(line)?;
            Line::parse(line).filter(&matches)?.subscription.parse().ok()
        };
        let months = self.months().ok()?;
        months.iter().rev().take(2).find_map(|month| lines::backward(month, LOOK_BACK, name_in).ok()?)
    }

    /// Returns the conversations of an agent's attempts in the two latest months, newest first.
    pub fn conversations(&self, agent: &str) -> Vec<Conversation> {
        let word = format!("\"agent\":\"{agent}\"");
        let word = Finder::new(&word);
        let mut conversations = Vec::new();
        let mut visit = |line: &[u8]| -> Option<()> {
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
            let _ = lines::backward(month, LOOK_BACK, &mut visit);
        }
        conversations
    }

    /// Returns what the ledger contains about a lost lease.
    pub fn trace(&self, lost: &Lease) -> Trace {
        let sessions = lost.sessions();
        let words: Vec<_> = sessions.iter().copied().chain([lost.id.0.as_str()]).map(Finder::new).collect();
        let mut trace = Trace::default();
        let mut visit = |line: &[u8]| -> Option<()> {
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
            // A month that cannot be read is skipped; the next append reports the error.
            let _ = lines::backward(month, LOOK_BACK, &mut visit);
        }
        trace
    }
}
