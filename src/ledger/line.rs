//! A line of the ledger: one attempt as a JSON object of less than 4 KiB.

mod cell;
mod shorten;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::cell::Cell;
use crate::pool::{Lease, Level, Name, PromptLength, Slice, TokenCount, UNKNOWN_MODEL, Usage};

/// A line and its newline are shorter than a page, so a full disk or a killed process can tear a line only
/// where it crosses a page boundary.
const LONGEST: usize = 4096;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A century in milliseconds.
const CENTURY: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

/// An attempt to append to the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The lease of the attempt. Its run and its start time identify the attempt.
    pub lease: &'a Lease,
    /// Counted from 1 within the run.
    pub number: u32,
    pub session: Option<&'a str>,
    pub verdict: &'a str,
    /// The agent's exit status, or 128 + the signal that ended it; `None` if no kage saw it end.
    pub exit: Option<i32>,
    pub duration_ms: u64,
    pub usage: &'a Usage,
}

#[derive(Serialize)]
struct Written<'a> {
    time: Timestamp,
    run: &'a str,
    attempt: u32,
    subscription: &'a Name,
    agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a Name>,
    level: Level,
    cwd: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    verdict: &'a str,
    exit: Option<i32>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<&'a str, TokenCount>,
    /// The tokens of `models` by hour and prompt length. Empty if all were used in the hour in which the
    /// attempt began, with short prompts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slices: Vec<Cell>,
}

impl Attempt<'_> {
    /// Returns the line without its newline. A line that would be too long has less detail, but all the
    /// tokens.
    pub(super) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut slices = self.usage.slices.clone();
        let (mut width, mut longest_cwd) = (HOUR, 1024);
        loop {
            let line = self.written(&slices, longest_cwd)?;
            if line.len() + 1 < LONGEST {
                return Ok(line);
            }
            let models = shorten::models(&slices);
            if shorten::hours(&slices) > 1 {
                width *= 2;
                slices = shorten::coarser(&slices, width);
            } else if models > 2 {
                slices = shorten::without_small_models(&slices, models / 2);
            } else if longest_cwd > 0 {
                longest_cwd /= 2;
            } else {
                return Ok(line); // the rest are names, whose length kage limits
            }
        }
    }

    fn written(
        &self,
        slices: &BTreeMap<Slice, TokenCount>,
        longest_cwd: usize,
    ) -> serde_json::Result<Vec<u8>> {
        let usage = Usage { slices: slices.clone(), ..Usage::default() };
        let models = usage.models();
        let is_plain =
            |slice: &Slice| slice.prompt == PromptLength::default() && contains(slice.hour, self.lease.since);
        let model = |slice: &Slice| models.keys().position(|model| *model == slice.model);
        let cells = slices.iter().filter_map(|(slice, &count)| Some(Cell::new(slice, model(slice)?, count)));
        let cells = if slices.keys().all(is_plain) { Vec::new() } else { cells.collect() };
        serde_json::to_vec(&Written {
            time: self.lease.since,
            run: &self.lease.id.0,
            attempt: self.number,
            subscription: &self.lease.subscription,
            agent: &self.lease.agent,
            namespace: self.lease.namespace.as_ref(),
            level: self.lease.level,
            cwd: shorten::cut(&self.lease.cwd, longest_cwd),
            session: self.session,
            verdict: self.verdict,
            exit: self.exit,
            duration_ms: self.duration_ms,
            models: models.clone(),
            slices: cells,
        })
    }
}

/// Whether a time is in the hour that begins at `hour`.
fn contains(hour: Timestamp, time: Timestamp) -> bool {
    hour <= time && time < hour + HOUR
}

/// A parsed line. Unknown keys, which a later kage may add, are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) time: Timestamp,
    #[serde(borrow, default)]
    pub(super) run: Cow<'a, str>,
    #[serde(default)]
    pub(super) attempt: u32,
    #[serde(borrow)]
    pub(super) subscription: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) agent: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) cwd: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) session: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) verdict: Cow<'a, str>,
    #[serde(default)]
    duration_ms: u64,
    #[serde(borrow, default)]
    models: BTreeMap<Cow<'a, str>, TokenCount>,
    #[serde(default)]
    slices: Vec<Cell>,
}

/// Tokens of a line, with their time, model and prompt length.
pub(super) struct Part<'a> {
    pub(super) at: Timestamp,
    pub(super) model: &'a str,
    pub(super) prompt: PromptLength,
    pub(super) count: TokenCount,
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Returns the duration, or 0 if the number is damaged: no agent runs for a century.
    pub(super) fn milliseconds(&self) -> u64 {
        Some(self.duration_ms).filter(|&lasted| lasted < CENTURY).unwrap_or(0)
    }

    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let names: Vec<&str> = self.models.keys().map(|model| named(model)).collect();
        let cells = self.slices.iter().filter_map(|cell| {
            let (at, model) = (cell.at()?, names.get(cell.model)?);
            Some(Part { at, model, prompt: cell.prompt, count: cell.count })
        });
        let mut parts: Vec<_> = cells.collect();
        if self.slices.is_empty() {
            parts.extend(names.iter().zip(self.models.values()).map(|(model, &count)| Part {
                at: self.time,
                model,
                prompt: PromptLength::default(),
                count,
            }));
        }
        parts
    }
}

/// Replaces an empty model name.
fn named(model: &str) -> &str {
    if model.is_empty() { UNKNOWN_MODEL } else { model }
}

#[cfg(test)]
mod tests;
