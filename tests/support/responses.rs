//! A loopback stand-in for `OpenAI`'s Responses API, for tests that run Codex under kage. As with the other
//! providers, only the credential selects the answer. It knows HTTP and the API, and nothing about kage.

// Each suite uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// A running provider.
///
/// The text after the last `--` of the bearer token selects the behavior:
///
/// - answered: `ok` (the default), with the utilization of the plan's windows;
/// - refused: `limit` and `limit7` (the five-hour or weekly window is full), `429` (too many requests),
///   `quota` (no credit), `401`, `500`, `503` (at capacity);
/// - in sequence: `tool+X` calls a shell command once and then does X, `ok+X` answers once and then does X.
pub struct Responses {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    five_hour_reset: i64,
    seven_day_reset: i64,
    /// The shell command of a tool call.
    tool_command: String,
    /// Factor by which the numbers of tokens grow from answer to answer; 0 keeps them constant.
    growth: AtomicU64,
    received: Mutex<Vec<Request>>,
}

/// One request as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// The token without `Bearer `.
    pub bearer: String,
    /// In order of arrival, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Null if there was no body or it was not JSON.
    pub body: Value,
    /// The behavior selected for a turn (`tool+X` becomes `tool` or X, `ok+X` likewise); else empty.
    pub behavior: String,
    /// The usage of the answer; null if there was none.
    pub usage: Value,
}

impl Responses {
    /// Starts a provider whose tool calls run this shell command.
    pub fn start(tool_command: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has one");
        let hour = now() / 3600 * 3600;
        let shared = Arc::new(Shared {
            // Not at a full minute, so that only records with seconds can contain it.
            five_hour_reset: hour + 3 * 3600 + 17,
            seven_day_reset: hour + 3 * 86_400 + 29,
            tool_command: tool_command.to_owned(),
            growth: AtomicU64::new(0),
            received: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // An error means that the client hung up, which is no failure of the test.
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, shared }
    }

    /// From now on every answer has different numbers of tokens, in each kind.
    pub fn vary_usage(&self) {
        self.shared.growth.store(1, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The turns, in order: the requests for an answer of the model.
    pub fn turns(&self) -> Vec<Request> {
        self.shared.received().iter().filter(|request| request.is_turn()).cloned().collect()
    }

    /// When the five-hour window ends, in epoch seconds.
    pub fn five_hour_reset(&self) -> i64 {
        self.shared.five_hour_reset
    }

    /// When the weekly window ends, in epoch seconds.
    pub fn seven_day_reset(&self) -> i64 {
        self.shared.seven_day_reset
    }
}

/// A status, its headers and a body.
type Answer = (u16, Vec<(&'static str, String)>, String);

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Request>> {
        self.received.lock().expect("no thread panics while it holds the list")
    }

    /// Serves one request and adds it to the list before the client sees the answer.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut request = Request::read(stream)?;
        let mut received = self.received();
        if request.is_turn() {
            let same = |past: &&Request| past.is_turn() && past.bearer == request.bearer;
            let before = received.iter().filter(same).count();
            behavior(&request.bearer, before).clone_into(&mut request.behavior);
        }
        let number = u64::try_from(received.len()).expect("a test sends fewer requests");
        let usage = usage(self.growth.load(Ordering::SeqCst) * number);
        let (status, headers, body) = self.answer(&request, &usage);
        if status == 200 {
            request.usage = usage;
        }
        received.push(request);
        drop(received);
        let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
        let length = ("content-length", body.len().to_string());
        for (name, value) in headers.into_iter().chain([length, ("connection", "close".into())]) {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes())
    }

    fn answer(&self, request: &Request, usage: &Value) -> Answer {
        if !request.is_turn() {
            // The agent tries a web socket first; status 426 makes it use plain HTTP.
            let status = if request.path.ends_with("/responses") { 426 } else { 404 };
            return (status, Vec::new(), "{}".into());
        }
        let refusal = |status, kind: &str, message: &str| {
            let error = json!({ "error": { "type": kind, "code": kind, "message": message } });
            (status, vec![("content-type", "application/json".into())], error.to_string())
        };
        match request.behavior.as_str() {
            "ok" => self.streamed(&text("Hello from the provider (ok)."), usage),
            "tool" => self.streamed(&self.tool_call(), usage),
            "limit" => self.limit(100, 12, self.five_hour_reset),
            "limit7" => self.limit(38, 100, self.seven_day_reset),
            "429" => refusal(429, "rate_limit_exceeded", "Rate limit reached for requests per min."),
            "quota" => refusal(429, "insufficient_quota", "You exceeded your current quota."),
            "401" => refusal(401, "invalid_api_key", "Incorrect API key provided"),
            "503" => refusal(503, "server_is_overloaded", "Out of capacity."),
            "500" => refusal(500, "server_error", "The server had an error."),
            unknown => refusal(400, "unknown_behavior", unknown),
        }
    }

    /// The answer to a request over the plan's limit.
    fn limit(&self, five_hour: u8, seven_day: u8, resets_at: i64) -> Answer {
        let error = json!({ "error": { "type": "usage_limit_reached", "message": "The usage limit has been reached",
            "plan_type": "plus", "resets_at": resets_at, "resets_in_seconds": resets_at - now() } });
        let mut headers = self.windows(five_hour, seven_day);
        headers.push(("content-type", "application/json".into()));
        (429, headers, error.to_string())
    }

    /// The headers with the utilization of the plan's windows, in percent.
    fn windows(&self, five_hour: u8, seven_day: u8) -> Vec<(&'static str, String)> {
        vec![
            ("x-codex-primary-used-percent", five_hour.to_string()),
            ("x-codex-primary-window-minutes", "300".into()),
            ("x-codex-primary-reset-at", self.five_hour_reset.to_string()),
            ("x-codex-secondary-used-percent", seven_day.to_string()),
            ("x-codex-secondary-window-minutes", "10080".into()),
            ("x-codex-secondary-reset-at", self.seven_day_reset.to_string()),
        ]
    }

    fn tool_call(&self) -> Value {
        let arguments = json!({ "cmd": self.tool_command }).to_string();
        json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "exec_command",
            "arguments": arguments })
    }

    /// A streamed answer with one item.
    fn streamed(&self, item: &Value, usage: &Value) -> Answer {
        let body = [
            json!({ "type": "response.created", "response": { "id": "resp_1" } }),
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
            json!({ "type": "response.completed", "response": { "id": "resp_1", "usage": usage } }),
        ];
        let event =
            |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or(""));
        let mut headers = self.windows(38, 12);
        headers.push(("content-type", "text/event-stream".into()));
        (200, headers, body.iter().map(event).collect())
    }
}

/// 100 tokens in, 40 of them cached, 20 out; more of each with `more`.
fn usage(more: u64) -> Value {
    let (input, cached, output, reasoning) = (100 + 11 * more, 40 + 3 * more, 20 + 7 * more, 5 + 2 * more);
    json!({ "input_tokens": input, "input_tokens_details": { "cached_tokens": cached }, "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": reasoning }, "total_tokens": input + output })
}

fn text(text: &str) -> Value {
    json!({ "type": "message", "id": "m1", "role": "assistant",
        "content": [{ "type": "output_text", "text": text }] })
}

/// The behavior that the end of a token selects after `before` earlier turns with it.
fn behavior(bearer: &str, before: usize) -> &str {
    let wish = bearer.rsplit_once("--").map_or("ok", |(_, wish)| wish);
    match wish.split_once('+') {
        Some((first @ ("tool" | "ok"), _)) if before == 0 => first,
        Some(("tool" | "ok", later)) => later,
        _ => wish,
    }
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines();
        let start = lines.next().ok_or(ErrorKind::UnexpectedEof)??;
        let mut headers = Vec::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let header =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let mut words = start.split(' ').map(str::to_owned);
        Ok(Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            bearer: bearer.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            behavior: String::new(),
            usage: Value::Null,
            headers,
        })
    }

    /// Whether this asks for an answer of the model.
    fn is_turn(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/responses")
    }

    /// The input of the model, as JSON.
    pub fn conversation(&self) -> String {
        self.body["input"].to_string()
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is before the year 292 billion")
}
