//! Reads the input of Claude Code's status line. Measured on 2.1.332: `rate_limits` is present only with the
//! login of a subscription, from the first answer of a session on.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::refusal::{self, lenient};
use crate::agent::StatuslineReading;
use crate::pool::Reading;

#[derive(Deserialize)]
struct Input {
    session_id: String,
    #[serde(default, deserialize_with = "lenient")]
    rate_limits: BTreeMap<String, Value>,
}

pub(super) fn read(input: &[u8]) -> Option<StatuslineReading> {
    let input: Input = serde_json::from_slice(input).ok()?;
    let readings = input.rate_limits.iter().filter_map(|(window, limit)| reading(window, limit)).collect();
    Some(StatuslineReading { session: input.session_id, readings })
}

fn reading(window: &str, limit: &Value) -> Option<(String, Reading)> {
    let percentage = limit.get("used_percentage")?.as_f64()?;
    refusal::reading(window, percentage / 100.0, limit.get("resets_at").unwrap_or(&Value::Null))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn windows(limits: &Value) -> Vec<(String, f64, Option<i64>)> {
        let input = json!({ "session_id": "a", "model": { "id": "m" }, "rate_limits": limits });
        let statusline = read(input.to_string().as_bytes()).unwrap();
        let seconds = |reading: &Reading| reading.resets_at.map(Timestamp::as_second);
        statusline
            .readings
            .iter()
            .map(|(window, reading)| (window.clone(), reading.value, seconds(reading)))
            .collect()
    }

    #[test]
    fn percentages_become_fractions_and_epoch_seconds_become_times() {
        let limits = json!({
            "five_hour": { "used_percentage": 42, "resets_at": 1_795_352_400 },
            "seven_day": { "used_percentage": 17.5, "resets_at": null },
        });
        let expected = [("five_hour".into(), 0.42, Some(1_795_352_400)), ("seven_day".into(), 0.175, None)];
        assert_eq!(windows(&limits), expected);
    }

    #[test]
    fn malformed_windows_are_skipped() {
        let limits = json!({
            "five_hour": { "used_percentage": 42, "resets_at": 1_795_352_400 },
            "seven_day": null,
            "seven_day_opus": { "used_percentage": "17" },
            "below": { "used_percentage": -1 },
            "\u{1b}[31m": { "used_percentage": 1 },
        });
        assert_eq!(windows(&limits), [("five_hour".into(), 0.42, Some(1_795_352_400))]);
        assert_eq!(windows(&json!("soon")), []);
    }

    #[test]
    fn input_without_a_session_is_rejected() {
        for text in ["", "{}", "null", "[1]", "{\"session_id\":7}", "{\"session_id\":\"a\""] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
