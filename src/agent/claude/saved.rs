//! Reads a saved output, transcript or hook input. Called by `kage detect`, which has only the bytes. An
//! answer that quotes records is not a record.

use jiff::Zoned;
use serde::Deserialize;

use super::{hook, message, printed, transcript};
use crate::agent::{Evidence, Work, records};

pub(super) fn examine(text: &[u8], now: &Zoned) -> Evidence {
    let Some(records) = records::of(text, is_whole_stream) else {
        let said = message::sole_message(text).map(message::forms).unwrap_or_default();
        return Evidence { said, ..Evidence::default() };
    };
    let recorded = transcript::examine(records.iter().copied(), now.time_zone());
    let printed = printed::read(records.iter().copied(), now).unwrap_or_default();
    let reported = hook::read(records.iter().copied(), now);
    let work = if printed.work == Work::Done { Work::Done } else { recorded.work };
    // A file of a subagent contains nothing else. For its reader, its limit is the verdict.
    let of_subagent =
        if recorded.usage.requests == 0 { recorded.met_by_subagents.clone() } else { Vec::new() };
    let errors = [recorded.errors, printed.errors, reported.into_iter().collect(), of_subagent];
    Evidence {
        errors: errors.into_iter().find(|errors| !errors.is_empty()).unwrap_or_default(),
        readings: printed.readings,
        model: recorded.model.or(printed.model),
        work,
        ..recorded
    }
}

fn is_whole_stream(first: &[u8], last: &[u8]) -> bool {
    kind(first) == ("system".into(), "init".into()) && kind(last).0 == "result"
}

/// Returns the type and subtype of an event.
fn kind(line: &[u8]) -> (String, String) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Event {
        r#type: String,
        subtype: String,
    }
    let event: Event = serde_json::from_slice(line).unwrap_or_default();
    (event.r#type, event.subtype)
}

#[cfg(test)]
mod tests;
