//! The answers of the stand-in for the Messages API: a table of refusals, a table of rate limit headers, and
//! messages, complete or streamed.

use std::fmt::Display;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Request;

/// The parts of an answer that are the same for every request.
pub(super) struct Service {
    pub five_hour_reset: i64,
    pub seven_day_reset: i64,
    /// The shell command of a tool call.
    tool_command: String,
    /// Whether each answer has different numbers of tokens.
    pub varies: AtomicBool,
}

impl Service {
    pub(super) fn new(tool_command: &str) -> Self {
        let hour = now() / 3600 * 3600;
        Self {
            five_hour_reset: hour + 3 * 3600,
            seven_day_reset: hour + 3 * 86_400,
            tool_command: tool_command.to_owned(),
            varies: AtomicBool::default(),
        }
    }

    pub(super) fn answer(&self, request: &Request) -> Answer {
        // One counter for all providers, because usage is counted once per message id.
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let number = SERIAL.fetch_add(1, Ordering::Relaxed);
        let serial = format!("fake{number:08x}");
        let behavior = request.behavior.as_str();
        let known = |row: &'static str| row.strip_prefix(behavior)?.strip_prefix(' ');
        let mut answer = match REFUSALS.lines().find_map(known) {
            _ if request.method == "HEAD" => Answer::json(200, ""),
            _ if request.path.starts_with("/v1/messages/count_tokens") => {
                Answer::json(200, json!({"input_tokens": 123}))
            }
            _ if !request.is_message() => Answer::error("404 not_found_error Not found"),
            Some(refusal) => Answer::error(refusal),
            None if PAGES.iter().any(|page| page.0 == behavior) => Answer::page(behavior),
            None if behavior == "hang" => Answer::json(0, ""),
            None if quota(behavior).is_some() => self.message(request, &serial, self.usage(number)),
            None => Answer::error("400 invalid_request_error unknown behavior"),
        };
        answer.put("request-id", format!("req_{serial}"));
        self.limit(&mut answer, behavior);
        answer
    }

    /// Adds the rate limit headers, except those for API keys, which no agent reads.
    fn limit(&self, answer: &mut Answer, behavior: &str) {
        let (five_hour, seven_day) = (self.five_hour_reset, self.seven_day_reset);
        for (name, value) in quota(behavior).into_iter().flatten() {
            let name = name.replace('*', "anthropic-ratelimit-unified-");
            match value {
                "-" => {}
                "5h" => answer.put(&name, five_hour),
                "7d" => answer.put(&name, seven_day),
                "to-5h" => answer.put(&name, five_hour - now()),
                "to-7d" => answer.put(&name, seven_day - now()),
                _ => answer.put(&name, value),
            }
        }
    }

    /// The usage of the answer with this serial number.
    fn usage(&self, number: u64) -> Value {
        if !self.varies.load(Ordering::SeqCst) {
            return json!({
                "input_tokens": 12, "cache_creation_input_tokens": 1000,
                "cache_read_input_tokens": 2000, "output_tokens": 34,
            });
        }
        let (short, long) = (300 + 5 * number, 700 + 7 * number);
        json!({
            "input_tokens": 12 + number, "cache_creation_input_tokens": short + long,
            "cache_read_input_tokens": 2000 + 17 * number, "output_tokens": 34 + 3 * number,
            "cache_creation": { "ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long },
        })
    }

    fn message(&self, request: &Request, serial: &str, usage: Value) -> Answer {
        let text = format!("Hello from the provider ({}).", request.behavior);
        let mut content = vec![json!({"type": "text", "text": text})];
        let mut stop = "end_turn";
        if request.behavior == "tool" {
            stop = "tool_use";
            let input = json!({"command": self.tool_command, "description": "Run a test command"});
            let id = format!("toolu_{serial}");
            content.push(json!({"type": "tool_use", "id": id, "name": "Bash", "input": input}));
        }
        if request.behavior == "agent" {
            stop = "tool_use";
            let input = json!({"description": "Look around", "prompt": "Say hello.",
                "subagent_type": "general-purpose", "run_in_background": false});
            let id = format!("toolu_{serial}");
            content.push(json!({"type": "tool_use", "id": id, "name": "Agent", "input": input}));
        }
        let mut message = json!({
            "id": format!("msg_{serial}"), "type": "message", "role": "assistant",
            "model": request.body["model"], "content": [],
            "stop_reason": stop, "stop_sequence": null, "usage": usage,
        });
        let answer = if request.body["stream"] == true {
            Answer::stream(message, content, &request.behavior)
        } else {
            message["content"] = content.into();
            Answer::json(200, message)
        };
        Answer { usage, ..answer }
    }
}

/// The behavior that `wish` selects after `earlier` message requests with the same credential.
pub(super) fn behavior(wish: &str, earlier: usize) -> &str {
    let first = ["tool+", "agent+"].into_iter().find_map(|kind| wish.strip_prefix(kind));
    match (first, wish.rsplit_once('+')) {
        (Some(_), _) if earlier == 0 => wish.split('+').next().unwrap_or_default(),
        (Some(later), _) => behavior(later, earlier - 1),
        (_, Some((_, count))) if count.parse().is_ok_and(|count: usize| earlier < count) => "ok",
        (_, Some((later, _))) => later,
        _ => wish,
    }
}

/// Behavior, HTTP status, error type, message.
const REFUSALS: &str = "\
429five    429 rate_limit_error This request would exceed your account's rate limit. Please try again later.
429seven   429 rate_limit_error This request would exceed your account's rate limit. Please try again later.
429opus    429 rate_limit_error This request would exceed your account's rate limit. Please try again later.
429over    429 rate_limit_error This request would exceed your account's rate limit. Please try again later.
429key     429 rate_limit_error This request would exceed the rate limit for your organization of 50 requests per minute.
429long    429 rate_limit_error This request would exceed the rate limit for your organization of 30,000 input tokens per minute.
429bare    429 rate_limit_error Error
529        529 overloaded_error Overloaded
500        500 api_error Internal server error
401key     401 authentication_error invalid x-api-key
401expired 401 authentication_error OAuth token has expired. Please obtain a new token or refresh your existing token.
401revoked 403 permission_error OAuth token has been revoked. Please obtain a new token.
403        403 permission_error Your account does not have permission to use this model.
403noauth  403 permission_error OAuth authentication is currently not allowed for this organization.
disabled   400 invalid_request_error This organization has been disabled.
identity   400 invalid_request_error Identity verification is required to continue.
terms      400 invalid_request_error We've updated our consumer terms. Please accept them at claude.ai to continue.
spendcap   400 invalid_request_error You have reached your specified API usage limits. You will regain access on 2999-01-01 at 00:00 UTC.
extra      400 invalid_request_error You're out of extra usage. Add more at claude.ai/settings/usage and keep going.
context    429 rate_limit_error Extra usage is required for long context requests.
credit     400 invalid_request_error Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";

/// What a network between the agent and the provider answers: behavior, HTTP status, content type, body.
const PAGES: [(&str, u16, &str, &str); 4] = [
    ("403net", 403, "application/json", r#"{"error":{"type":"forbidden","message":"Request not allowed"}}"#),
    (
        "403page",
        403,
        "text/html",
        "<html><title>Access Denied</title><body>Blocked by the filter</body></html>",
    ),
    ("407page", 407, "text/html", "<html><title>Proxy Authentication Required</title></html>"),
    ("captive", 200, "text/html", "<html><body>Welcome, please log in to use this network</body></html>"),
];

/// The header names and values in `QUOTAS` for a behavior.
fn quota(behavior: &str) -> Option<impl Iterator<Item = (&'static str, &'static str)>> {
    let behavior = match behavior {
        "tool" | "agent" | "midoverload" | "midlimit" | "midcut" => "ok",
        _ => behavior,
    };
    let mut rows = QUOTAS.lines().map(str::split_whitespace);
    let names = rows.next()?.skip(1);
    let row = rows.find_map(|mut row| (row.next() == Some(behavior)).then_some(row));
    Some(names.zip(row?))
}

/// Rate limit headers; `*` is `anthropic-ratelimit-unified-`. The value `-` means no header, `5h` and `7d`
/// the end of a window, `to-5h` and `to-7d` the seconds until then.
const QUOTAS: &str = "\
behavior *status         *representative-claim *5h-status      *5h-utilization *5h-surpassed-threshold *7d-status      *7d-utilization *7d-surpassed-threshold *overage-status *overage-disabled-reason *reset *5h-reset *7d-reset *overage-reset retry-after
ok        allowed         five_hour             allowed         0.42            -                       allowed         0.17            -                       rejected        org_level_disabled       5h     5h        7d        -              -
warn      allowed_warning five_hour             allowed_warning 0.92            0.9                     allowed         0.17            -                       rejected        org_level_disabled       5h     5h        7d        -              -
warn7     allowed_warning seven_day             allowed         0.42            -                       allowed_warning 0.81            0.75                    rejected        org_level_disabled       7d     5h        7d        -              -
overage   rejected        five_hour             rejected        1.0             -                       allowed         0.17            -                       allowed         -                        5h     5h        7d        7d             -
429five   rejected        five_hour             rejected        1.0             -                       allowed         0.17            -                       rejected        org_level_disabled       5h     5h        7d        -              to-5h
429over   rejected        five_hour             rejected        1.0             -                       allowed         0.17            -                       rejected        out_of_credits           5h     5h        7d        -              to-5h
429seven  rejected        seven_day             allowed         0.42            -                       rejected        1.0             -                       rejected        org_level_disabled       7d     5h        7d        -              to-7d
429opus   rejected        seven_day_opus        allowed         0.42            -                       allowed         0.6             -                       rejected        org_level_disabled       7d     5h        7d        -              to-7d
plain     -               -                     -               -               -                       -               -               -                       -               -                        -      -         -         -              -
429key    -               -                     -               -               -                       -               -               -                       -               -                        -      -         -         -              1
429long   -               -                     -               -               -                       -               -               -                       -               -                        -      -         -         -              3600";

pub(super) struct Answer {
    /// 0 means no answer.
    pub status: u16,
    headers: String,
    text: String,
    /// The usage of a message.
    pub usage: Value,
}

impl Answer {
    fn json(status: u16, body: impl Display) -> Self {
        let headers = "content-type: application/json\r\n".to_owned();
        Self { status, headers, text: body.to_string(), usage: Value::Null }
    }

    /// Parses HTTP status, error type and message from one line.
    fn error(refusal: &str) -> Self {
        let mut words = refusal.trim_start().splitn(3, ' ');
        let status = words.next().and_then(|status| status.parse().ok());
        let error = json!({"type": words.next(), "message": words.next()});
        let body = json!({"type": "error", "error": error});
        Answer::json(status.expect("a refusal starts with its status"), body)
    }

    fn page(behavior: &str) -> Self {
        let page = PAGES.iter().find(|page| page.0 == behavior);
        let (_, status, kind, text) = page.expect("the caller has looked it up");
        let headers = format!("content-type: {kind}\r\n");
        Self { status: *status, headers, text: (*text).to_owned(), usage: Value::Null }
    }

    /// Streams a message; a `mid*` behavior breaks off before the end of the text.
    fn stream(mut message: Value, content: Vec<Value>, behavior: &str) -> Self {
        let end = json!({"stop_reason": message["stop_reason"].take()});
        let usage = json!({"output_tokens": message["usage"]["output_tokens"].take()});
        message["usage"]["output_tokens"] = json!(1);
        let mut events = vec![json!({"type": "message_start", "message": message})];
        for (index, mut block) in content.into_iter().enumerate() {
            let delta = if block["type"] == "text" {
                let text = mem::replace(&mut block["text"], json!(""));
                json!({"type": "text_delta", "text": text})
            } else {
                let input = mem::replace(&mut block["input"], json!({})).to_string();
                json!({"type": "input_json_delta", "partial_json": input})
            };
            events.extend([
                json!({"type": "content_block_start", "index": index, "content_block": block}),
                json!({"type": "content_block_delta", "index": index, "delta": delta}),
                json!({"type": "content_block_stop", "index": index}),
            ]);
        }
        events.push(json!({"type": "message_delta", "delta": end, "usage": usage}));
        events.push(json!({"type": "message_stop"}));
        let error = match behavior {
            "midoverload" => json!({"type": "overloaded_error", "message": "Overloaded"}),
            "midlimit" => json!({"type": "rate_limit_error", "message": "Rate limited"}),
            _ => Value::Null,
        };
        if behavior.starts_with("mid") {
            events.truncate(3);
        }
        if !error.is_null() {
            events.push(json!({"type": "error", "error": error}));
        }
        let mut text = String::new();
        for event in events {
            let kind = event["type"].as_str().unwrap_or_default();
            text += &format!("event: {kind}\ndata: {event}\n\n");
        }
        let headers = "content-type: text/event-stream\r\n".to_owned();
        Self { status: 200, headers, text, usage: Value::Null }
    }

    fn put(&mut self, name: &str, value: impl Display) {
        self.headers += &format!("{name}: {value}\r\n");
    }

    pub(super) fn to_http(&self) -> String {
        let (status, headers, text) = (self.status, &self.headers, &self.text);
        let end = format!("connection: close\r\ncontent-length: {}\r\n", text.len());
        format!("HTTP/1.1 {status} \r\n{headers}{end}\r\n{text}")
    }
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    elapsed.as_secs().cast_signed()
}
