//! Reads a saved output, transcript or hook input. Called by `kage detect`, which has only the bytes. An
//! answer that quotes records is not a record.

use jiff::Zoned;
use serde::Deserialize;

use super::{hook, printed, transcript};
use crate::agent::{Evidence, Work, records, said};

pub(super) fn examine(text: &[u8], now: &Zoned) -> Evidence {
    let Some(records) = records::of(text, is_whole_stream) else {
        return Evidence { said: said::sole_line(text).into_iter().collect(), ..Evidence::default() };
    };
    let recorded = transcript::examine(records.iter().copied(), now.time_zone());
    let printed = printed::read(records.iter().copied(), now).unwrap_or_default();
    let reported = hook::read(records.iter().copied(), now);
    let work = if printed.work == Work::Done { Work::Done } else { recorded.work };
    let errors = [recorded.errors, printed.errors, reported.into_iter().collect()];
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
