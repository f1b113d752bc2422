//! Tests of refusals that users reported, in every form of Claude Code. The cases are in
//! `tests/refusals/claude.toml`.

use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Agents, Exit, Saved};
use crate::pool::{Outcome, Scope, Verdict};

const CASES: &str = include_str!("../../tests/refusals/claude.toml");
const NOW: &str = "2026-11-22T10:50:00[UTC]";
/// The records bear the time in this form.
const AT: &str = "2026-11-22T10:50:00.000Z";

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    text: String,
    class: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    r#type: Option<String>,
    info: Option<Value>,
    /// The word of the verdict.
    want: String,
    scope: Option<String>,
    window: Option<String>,
    resets_at: Option<Timestamp>,
    /// Whether a person must act before the account is tried again.
    #[serde(default)]
    act: bool,
    /// The forms that contain enough; all if missing.
    only: Option<Vec<String>>,
}

fn cases() -> Vec<Case> {
    toml::from_str::<File>(CASES).unwrap().case
}

fn judge(text: &str, exit: i32) -> Outcome {
    let now: Zoned = NOW.parse().unwrap();
    let agents = Agents::default();
    let saved = Saved { text: text.as_bytes(), exit: Exit::Code(exit), at: &now };
    agents.detect(agents.find("claude"), saved).outcome
}

impl Case {
    /// Returns what the agent prints or records, by the name of the form.
    fn forms(&self) -> Vec<(&'static str, String)> {
        let result = json!({ "type": "result", "subtype": "success", "is_error": true, "num_turns": 1,
            "stop_reason": "stop_sequence", "terminal_reason": "api_error", "result": self.text,
            "api_error_status": self.status, "api_error": self.code, "api_error_type": self.r#type,
            "usage": { "input_tokens": 0, "output_tokens": 0 }, "session_id": "s" });
        let class = self.class.as_deref().unwrap_or("unknown");
        let message = json!({ "id": "m", "model": "<synthetic>", "role": "assistant", "usage": {},
            "content": [{ "type": "text", "text": self.text }] });
        let params = self.info.as_ref().map(|info| json!({ "rate_limit_info": info }));
        let line = json!({ "type": "assistant", "message": message, "parent_tool_use_id": null,
            "error": class, "is_api_error_message": true, "api_error_status": self.status,
            "api_error": self.code, "api_error_type": self.r#type, "api_error_params": params });
        let row = json!({ "type": "assistant", "isSidechain": false, "timestamp": AT, "message": message,
            "error": class, "isApiErrorMessage": true, "apiErrorStatus": self.status,
            "apiError": self.code, "apiErrorType": self.r#type, "apiErrorParams": params,
            "quotaLimits": self.info, "sessionId": "s" });
        let opening = json!({ "type": "system", "subtype": "init", "model": "claude-sonnet-5-5" });
        let event =
            self.info.as_ref().map(|info| json!({ "type": "rate_limit_event", "rate_limit_info": info }));
        let lines = [Some(opening), event, Some(line), Some(result.clone())];
        let stream: Vec<_> = lines.into_iter().flatten().map(|line| line.to_string()).collect();
        vec![
            ("text", format!("{}\n", self.text)),
            ("json", result.to_string()),
            ("stream", stream.join("\n")),
            ("transcript", row.to_string()),
        ]
    }

    /// Returns how an outcome differs from what is expected.
    fn difference(&self, outcome: &Outcome) -> Option<String> {
        let (scope, window, resets_at) = match &outcome.verdict {
            Verdict::UsageLimit { scope, window, resets_at } => {
                (Some(scope.to_string()), Some(window.name.clone()), *resets_at)
            }
            _ => (None, None, None),
        };
        let limited = self.want == "usage_limit";
        let expected_scope = self.scope.clone().or_else(|| limited.then(|| Scope::All.to_string()));
        let got = (outcome.verdict.word(), &scope, &window, resets_at, outcome.act.is_some());
        let expected = (self.want.as_str(), &expected_scope, &self.window, self.resets_at, self.act);
        (got != expected).then(|| format!("expected {expected:?}\n     got {got:?} by {}", outcome.rule))
    }
}

#[test]
fn every_refusal_has_its_verdict_in_every_form() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (form, text) in case.forms() {
            if case.only.as_ref().is_some_and(|only| !only.iter().any(|name| name == form)) {
                continue;
            }
            if let Some(why) = case.difference(&judge(&text, 1)) {
                wrong.push(format!("{form}: {}\n{why}", case.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A successful run that prints the same text did not meet the refusal.
#[test]
fn a_successful_answer_that_quotes_a_refusal_is_none() {
    for case in cases() {
        let outcome = judge(&format!("{}\n", case.text), 0);
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{}", case.text);
        let quoted = judge(&format!("It printed:\n{}\nWhat does it mean?\n", case.text), 1);
        assert_eq!(quoted.verdict, Verdict::AgentFailed, "{}", case.text);
    }
}

/// What the agent prints around a message does not change its meaning.
#[test]
fn text_around_a_message_does_not_hide_it() {
    let message = "You've hit your session limit · resets 1pm (UTC)";
    let warning = "Warning: no stdin data received in 3s, proceeding without it.";
    for text in [
        format!("  ⎿  {message}\n     /upgrade to increase your usage limit.\n"),
        format!("{message}\n/usage-credits to adjust your monthly spend limit.\n"),
        format!("{warning}\n{message}\n"),
        format!("{warning}\n\n{message}\n\n"),
        format!("\n\n{message}   \n\n"),
        format!("\u{1b}[31m⎿ {message}\u{1b}[0m\r\n"),
    ] {
        let Verdict::UsageLimit { window, resets_at, .. } = judge(&text, 1).verdict else { panic!("{text}") };
        assert_eq!(
            (window.name.as_str(), resets_at.unwrap().to_string().as_str()),
            ("five_hour", "2026-11-22T13:00:00Z")
        );
    }
    for prose in [
        format!("{message}\nThat is what it printed.\n"),
        format!("{message}\n/upgrade to increase your usage limit.\nAnd then?\n"),
        format!("Note: it waits\n{message}\n"),
    ] {
        assert_eq!(judge(&prose, 1).verdict, Verdict::AgentFailed, "{prose}");
    }
}
