//! Refused runs of Claude Code, in every form in which a refusal is printed or recorded.

#![allow(unreachable_pub)]

use serde_json::{Value, json};

/// When the rows were written.
const WRITTEN: &str = "2026-11-22T10:10:00Z";

/// A refused run: what the agent prints, and the other values in its records.
pub struct Refused {
    pub text: &'static str,
    class: &'static str,
    status: u16,
    /// For a limit: the window, its scope, and its reset in epoch seconds.
    pub window: Option<(&'static str, &'static str, i64)>,
    /// The `verdict` and the `class` that kage prints.
    pub verdict: (&'static str, &'static str),
    /// kage's exit status.
    pub exit: i32,
}

pub const SOON: i64 = 1_795_352_400;
pub const IN_DAYS: i64 = 1_795_600_800;

/// One of each kind.
pub const ALL: &[Refused] = &[
    limit("You've hit your 5-hour limit · resets 1pm (UTC)", ("five_hour", "all", SOON)),
    limit("You've hit your weekly limit · resets Nov 25, 10am (UTC)", ("seven_day", "all", IN_DAYS)),
    limit(
        "You've hit your Opus limit · resets Nov 25, 10am (UTC)",
        ("seven_day_opus", "model:opus", IN_DAYS),
    ),
    throttled("API Error: Server is temporarily limiting requests (not your usage limit) · Error"),
    throttled("API Error: Request rejected (429) · This request would exceed your account's rate limit."),
    overloaded(529, "API Error: 529 Overloaded. This is a server-side issue, usually temporary."),
    overloaded(529, "API Error: Repeated 529 Overloaded errors. The API is at capacity."),
    overloaded(500, "API Error: 500 Internal server error. This is a server-side issue."),
    auth(401, "Not logged in · Please run /login"),
    auth(401, "Invalid API key · Fix external API key"),
    auth(401, "Failed to authenticate. API Error: 401 OAuth token has expired. Please obtain a new token."),
    auth(403, "Failed to authenticate: OAuth token revoked. Please log in again."),
    auth(403, "Failed to authenticate. API Error: 403 Your account does not have permission."),
    Refused {
        class: "oauth_org_not_allowed",
        verdict: ("auth", "organisation_refused"),
        ..auth(
            403,
            "Your organization has disabled Claude subscription access for Claude Code · Use an API key",
        )
    },
    Refused {
        class: "billing_error",
        verdict: ("billing", "billing_rejected"),
        ..auth(400, "Credit balance is too low")
    },
];

/// The refusal by the five-hour limit.
pub fn five_hour() -> &'static Refused {
    &ALL[0]
}

const fn limit(text: &'static str, window: (&'static str, &'static str, i64)) -> Refused {
    Refused { window: Some(window), verdict: ("usage_limit", "usage_limit"), exit: 10, ..throttled(text) }
}

const fn throttled(text: &'static str) -> Refused {
    let verdict = ("throttled", "throttled");
    Refused { text, class: "rate_limit", status: 429, window: None, verdict, exit: 11 }
}

const fn overloaded(status: u16, text: &'static str) -> Refused {
    let verdict = ("overloaded", "overloaded");
    Refused { text, class: "server_error", status, window: None, verdict, exit: 12 }
}

const fn auth(status: u16, text: &'static str) -> Refused {
    let verdict = ("auth", "auth_rejected");
    Refused { text, class: "authentication_failed", status, window: None, verdict, exit: 13 }
}

impl Refused {
    fn info(&self) -> Value {
        let Some((name, _, resets_at)) = self.window else {
            return json!({ "status": "rejected", "isUsingOverage": false });
        };
        json!({ "status": "rejected", "resetsAt": resets_at, "rateLimitType": name, "isUsingOverage": false,
            "overageStatus": "rejected", "overageDisabledReason": "org_level_disabled" })
    }

    fn code(&self) -> Value {
        if self.window.is_some() { json!("usage_limit_reached") } else { Value::Null }
    }

    fn result(&self) -> Value {
        json!({ "type": "result", "subtype": "success", "is_error": true, "num_turns": 1, "result": self.text,
            "api_error_status": self.status, "api_error": self.code(), "terminal_reason": "api_error",
            "usage": { "output_tokens": 0 }, "session_id": "s" })
    }

    fn stream(&self) -> Vec<Value> {
        let mut events = vec![json!({ "type": "system", "subtype": "init", "session_id": "s" })];
        if self.class == "rate_limit" {
            events.push(json!({ "type": "rate_limit_event", "rate_limit_info": self.info() }));
        }
        events.push(json!({ "type": "assistant", "is_api_error_message": true, "error": self.class,
            "api_error_status": self.status, "api_error": self.code(), "timestamp": WRITTEN,
            "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": self.text }] } }));
        events.push(self.result());
        events
    }

    pub fn row(&self) -> Value {
        let mut row = json!({ "type": "assistant", "timestamp": WRITTEN, "isSidechain": false,
            "isApiErrorMessage": true, "error": self.class, "apiErrorStatus": self.status,
            "message": { "id": "x", "model": "<synthetic>", "usage": { "input_tokens": 0 },
                "content": [{ "type": "text", "text": self.text }] } });
        if self.window.is_some() {
            row["apiError"] = self.code();
            row["quotaLimits"] = self.info();
        }
        row
    }

    fn failure(&self) -> Value {
        json!({ "hook_event_name": "StopFailure", "session_id": "s", "error": self.class,
            "last_assistant_message": self.text })
    }

    /// Every form in which the refusal is saved, with the rule that detects it.
    pub fn forms(&self) -> Vec<(String, &'static str)> {
        let lines = |events: &[Value]| events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        vec![
            (format!("{}\n", self.text), "marker"),
            (self.text.replace('\'', "\u{2019}"), "marker"),
            (format!("{}\n", self.result()), "result"),
            (format!("{:#}\n", self.result()), "result"),
            (Value::Array(self.stream()).to_string(), "assistant error"),
            (lines(&self.stream()), "assistant error"),
            (lines(&[json!({ "type": "user", "message": { "content": "hi" } }), self.row()]), "transcript"),
            (format!("{:#}", self.row()), "transcript"),
            (self.failure().to_string(), "StopFailure hook"),
        ]
    }
}
