//! Reads Codex's record of a conversation: one JSON row per line. The format is undocumented; unknown rows
//! are skipped. Only this record contains the class of an error and the utilization of the subscription's
//! windows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::refusal;
use super::sessions;
use crate::agent::{Evidence, ProviderError, Watch, Work, appended};
use crate::pool::{Reading, TokenCount, Usage};

/// Reads the rows that an attempt appended; `None` if it has no record.
pub(super) fn read(watch: &Watch, session: Option<&str>, zone: &TimeZone) -> Option<Evidence> {
    let session = session.or(watch.session.as_deref());
    let mut rows = Rows::new(zone);
    let files = sessions::files(watch, session);
    for (at, file) in files.iter().enumerate() {
        let from = sessions::length_before(&watch.lengths, file);
        rows.read(file, from, at == 0, &watch.span());
    }
    let known = session.map(str::to_owned).or_else(|| sessions::id_of(files.first()?));
    (!files.is_empty()).then(|| Evidence { session: known, ..rows.evidence() })
}

/// Rows that contain one of these words matter even if an earlier attempt wrote them.
const CARRIED_OVER: [&[u8]; 2] = [b"\"turn_context\"", b"\"total_token_usage\""];

/// Reads saved rows.
pub(super) fn examine(text: &[u8], zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    for line in text.split(|&byte| byte == b'\n') {
        rows.add(line, true, &(Timestamp::MIN..Timestamp::MAX));
    }
    rows.evidence()
}

#[derive(Deserialize)]
struct Row {
    timestamp: Timestamp,
    r#type: String,
    payload: Payload,
}

/// The fields of all types of rows. Not typed, so that an unexpected value does not hide the row.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    r#type: Value,
    role: Value,
    model: Value,
    usage: Value,
    info: Value,
    rate_limits: Value,
    error: Value,
}

/// The result of all rows read so far.
struct Rows<'a> {
    /// Counted from the record of each answer.
    records: Usage,
    /// Counted from running totals, for versions that write no record of each answer.
    totals: Usage,
    last_total: Value,
    readings: BTreeMap<String, Reading>,
    errors: Vec<ProviderError>,
    work: Work,
    /// The current model of the file: a turn names it before the first answer.
    model: String,
    main_model: Option<String>,
    /// The user's time zone.
    zone: &'a TimeZone,
}

impl<'a> Rows<'a> {
    fn new(zone: &'a TimeZone) -> Self {
        Self {
            records: Usage::default(),
            totals: Usage::default(),
            last_total: Value::Null,
            readings: BTreeMap::new(),
            errors: Vec::new(),
            work: Work::None,
            model: String::new(),
            main_model: None,
            zone,
        }
    }

    fn read(&mut self, path: &Path, from: u64, is_main: bool, during: &Range<Timestamp>) {
        let mut at = 0;
        appended::each_line(path, 0, |line| {
            if at >= from {
                self.add(line, is_main, during);
            } else if CARRIED_OVER.iter().any(|word| memmem::find(line, word).is_some()) {
                self.add_earlier(line);
            }
            at += line.len() as u64;
        });
    }

    fn add(&mut self, line: &[u8], is_main: bool, during: &Range<Timestamp>) {
        let Ok(row) = serde_json::from_slice::<Row>(line) else { return };
        let payload = &row.payload;
        if !during.contains(&row.timestamp) {
            return self.carry_over(payload); // belongs to an earlier or a later attempt
        }
        match (row.r#type.as_str(), payload.r#type.as_str().unwrap_or_default()) {
            ("turn_context", _) => self.add_turn(payload, is_main),
            ("token_usage_record", _) => self.add_answer(&payload.usage, is_main, row.timestamp),
            ("event_msg", "token_count") => self.add_total(payload, row.timestamp),
            ("event_msg", "task_complete") if is_main => self.add_end(&payload.error, row.timestamp),
            ("response_item", kind) if is_answer(kind, payload.role.as_str()) => self.work = Work::Done,
            _ => {}
        }
    }

    fn add_earlier(&mut self, line: &[u8]) {
        if let Ok(row) = serde_json::from_slice::<Row>(line) {
            self.carry_over(&row.payload);
        }
    }

    /// Keeps the model and the running total of a row of another attempt: the next rows continue from them.
    fn carry_over(&mut self, payload: &Payload) {
        if let Some(model) = payload.model.as_str() {
            model.clone_into(&mut self.model);
        }
        if let Some(total) = payload.info.get("total_token_usage") {
            self.last_total.clone_from(total);
        }
    }

    fn add_turn(&mut self, payload: &Payload, is_main: bool) {
        payload.model.as_str().unwrap_or_default().clone_into(&mut self.model);
        if is_main {
            self.main_model = Some(self.model.clone()).filter(|model| !model.is_empty());
        }
    }

    fn add_answer(&mut self, usage: &Value, is_main: bool, at: Timestamp) {
        self.work = Work::Done;
        self.records.answered(&at.to_zoned(self.zone.clone()), &self.model, count(usage));
        if is_main {
            for error in &mut self.errors {
                error.answered_since = true;
            }
        }
    }

    /// Adds a row with the windows and the running total. The agent repeats the row at each change of the
    /// windows; only a new total means a new answer.
    fn add_total(&mut self, payload: &Payload, at: Timestamp) {
        self.readings.extend(readings(&payload.rate_limits));
        let total = payload.info.get("total_token_usage").cloned().unwrap_or_default();
        let last = count(payload.info.get("last_token_usage").unwrap_or(&Value::Null));
        if total != self.last_total && !last.is_none() {
            self.totals.answered(&at.to_zoned(self.zone.clone()), &self.model, last);
            self.last_total = total;
        }
    }

    fn add_end(&mut self, error: &Value, at: Timestamp) {
        let Some(text) = error.get("message").and_then(Value::as_str) else { return };
        let info = error.get("codex_error_info").unwrap_or(&Value::Null);
        let at = at.to_zoned(self.zone.clone());
        self.errors.push(refusal(info, text, &self.readings, &at, "rollout"));
    }

    fn evidence(self) -> Evidence {
        let usage = if self.records.requests > 0 { self.records } else { self.totals };
        let work = if usage.slices.is_empty() { self.work } else { Work::Done };
        Evidence {
            usage,
            work,
            model: self.main_model,
            readings: self.readings,
            errors: self.errors,
            ..Evidence::default()
        }
    }
}

/// Whether an item comes from the model. A tool may run before the answer that requests it is complete.
fn is_answer(kind: &str, role: Option<&str>) -> bool {
    role == Some("assistant") || kind == "reasoning" || kind.ends_with("_call")
}

/// Returns the counts of an answer. The agent's input includes the tokens read from and written to the cache.
fn count(usage: &Value) -> TokenCount {
    let number = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (read, written) = (number("cached_input_tokens"), number("cache_write_input_tokens"));
    TokenCount {
        input_tokens: number("input_tokens").saturating_sub(read).saturating_sub(written),
        output_tokens: number("output_tokens"),
        cache_read_tokens: read,
        cache_write_5m_tokens: written,
        reasoning_tokens: number("reasoning_output_tokens"),
        ..TokenCount::default()
    }
}

/// Returns the utilization of each window of the plan. Limits of a single model have another id.
fn readings(limits: &Value) -> BTreeMap<String, Reading> {
    let is_plan_limit = matches!(limits.get("limit_id"), None | Some(Value::Null))
        || limits.get("limit_id").and_then(Value::as_str) == Some("codex");
    let windows = ["primary", "secondary"].into_iter().filter(|_| is_plan_limit);
    let known = windows.filter_map(|slot| {
        let window = limits.get(slot)?;
        let value = window.get("used_percent")?.as_f64()? / 100.0;
        let resets_at = window.get("resets_at").and_then(Value::as_i64);
        let resets_at = resets_at.and_then(|at| Timestamp::from_second(at).ok());
        Some((name(window.get("window_minutes")?.as_u64()?), Reading { value, resets_at }))
    });
    known.collect()
}

/// Returns kage's name for a window of this many minutes.
fn name(minutes: u64) -> String {
    match minutes {
        300 => "five_hour".into(),
        10_080 => "seven_day".into(),
        _ => format!("{minutes}_minutes"),
    }
}

#[cfg(test)]
mod tests;
