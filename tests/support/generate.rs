//! A loopback stand-in for the Gemini API, for tests that run Gemini CLI under kage. Only the key selects the
//! answer, so one service serves a whole pool. It knows HTTP and the API, and nothing about kage.

// Each suite uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::provider::Request;

/// A running service. Dropping it closes the port and releases every client that is left hanging.
///
/// The text after the last `--` of the key selects the behavior:
///
/// - answered: `ok` (the default);
/// - out of quota: `day`, `hour` (retry after 3600 s), `minute` (after 2 s), `bare429` (no details),
///   `zero` (the account has no quota for the model), `prepay` (no prepaid credits left), `capacity`;
/// - refused: `key`, `suspended`, `500`, `503`;
/// - broken: `hang`;
/// - in sequence: `tool+X` calls the shell and then does X.
pub struct Generate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// The shell command of a tool call.
    tool_command: String,
    /// Factor by which the numbers of tokens grow from answer to answer; 0 keeps them constant.
    growth: AtomicU64,
    received: Mutex<Vec<GenerateRequest>>,
    closing: AtomicBool,
}

/// One request as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    pub path: String,
    pub key: String,
    /// The whole header of the alternative authentication.
    pub authorization: Option<String>,
    pub body: Value,
    /// `tool+X` is resolved to `tool` or X.
    pub behavior: String,
    /// The usage of the answer; null if there was none.
    pub usage: Value,
}

impl Generate {
    pub fn start() -> Self {
        Self::start_with_tool("echo tool-ran")
    }

    /// Starts a service whose tool calls run this shell command.
    pub fn start_with_tool(command: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has one");
        let shared = Arc::new(Shared {
            tool_command: command.to_owned(),
            growth: AtomicU64::new(0),
            received: Mutex::default(),
            closing: AtomicBool::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serving.accept(&listener));
        Self { address, shared }
    }

    /// From now on every answer has different numbers of tokens, in each kind.
    pub fn vary_usage(&self) {
        self.shared.growth.store(1, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests, in order.
    pub fn all(&self) -> Vec<GenerateRequest> {
        self.shared.received().clone()
    }

    /// The turns of the conversation, in order, without the requests that pick a model.
    pub fn turns(&self) -> Vec<GenerateRequest> {
        let mut turns = self.shared.received().clone();
        turns.retain(GenerateRequest::is_turn);
        turns
    }
}

impl Drop for Generate {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Nothing interrupts `accept`: one more connection makes it look at the flag.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(self);
            // An error means that the client hung up, which is no failure of the test.
            thread::spawn(move || shared.serve(&stream));
        }
    }

    fn received(&self) -> MutexGuard<'_, Vec<GenerateRequest>> {
        self.received.lock().expect("no thread panics while it holds the list")
    }

    /// Serves one request and adds it to the list before the client sees the answer.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut request = GenerateRequest::from(Request::read(stream)?);
        let mut received = self.received();
        let same = |past: &&GenerateRequest| past.is_turn() && past.key == request.key;
        request.behavior = behavior(&request, received.iter().filter(same).count());
        let number = u64::try_from(received.len()).expect("a test sends fewer requests");
        let usage = usage(self.growth.load(Ordering::SeqCst) * number);
        let answer = self.answer(&request, &usage);
        if answer.as_ref().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            request.usage = usage;
        }
        received.push(request);
        drop(received);
        if let Some(answer) = answer {
            return stream.write_all(answer.as_bytes());
        }
        while !self.closing.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The whole response; `None` leaves the request hanging.
    fn answer(&self, request: &GenerateRequest, usage: &Value) -> Option<String> {
        let path = request.path.split('?').next().unwrap_or_default();
        let method = path.rsplit(':').next().unwrap_or_default();
        let behavior = request.behavior.as_str();
        if behavior == "hang" {
            return None;
        }
        if let Some(refusal) = refusal(behavior) {
            return Some(http(
                refusal["error"]["code"].as_u64().unwrap_or(500),
                "application/json",
                &refusal,
            ));
        }
        let parts = match (method, behavior) {
            ("countTokens", _) => return Some(http(200, "application/json", &json!({"totalTokens": 5}))),
            ("generateContent", _) => vec![json!({"text": CHOICE})],
            (_, "tool") => vec![json!({"text": "I will run it."}), self.call()],
            _ => vec![json!({"text": "Hello from "}), json!({"text": format!("the service ({behavior}).")})],
        };
        let model = request.model();
        Some(if method == "generateContent" {
            http(200, "application/json", &chunk(model, &parts[0], usage, true))
        } else {
            let last = parts.len() - 1;
            let events = parts.iter().enumerate().map(|(at, part)| chunk(model, part, usage, at == last));
            let text = events.fold(String::new(), |text, event| text + &format!("data: {event}\r\n\r\n"));
            http(200, "text/event-stream", &text)
        })
    }

    fn call(&self) -> Value {
        let args = json!({"command": self.tool_command, "description": "Run a test command"});
        json!({"functionCall": {"name": "run_shell_command", "args": args}})
    }
}

impl GenerateRequest {
    fn from(request: Request) -> Self {
        let header = |name: &str| {
            request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        Self {
            key: header("x-goog-api-key").unwrap_or_default(),
            authorization: request.authorization.clone(),
            path: request.path,
            body: request.body,
            behavior: String::new(),
            usage: Value::Null,
        }
    }

    /// Whether this is a turn of the conversation. The agent streams only those.
    fn is_turn(&self) -> bool {
        self.path.contains(":streamGenerateContent")
    }

    pub fn model(&self) -> &str {
        let name = self.path.split("/models/").nth(1).unwrap_or_default();
        name.split(':').next().unwrap_or_default()
    }

    /// All content of the user, the model and the tools until now, as JSON.
    pub fn conversation(&self) -> String {
        self.body["contents"].to_string()
    }
}

/// The behavior that the key selects after `earlier` turns with it.
fn behavior(request: &GenerateRequest, earlier: usize) -> String {
    let wish = request.key.rsplit_once("--").map_or("ok", |(_, wish)| wish);
    let now = match wish.strip_prefix("tool+") {
        Some(_) if !request.is_turn() => "ok",
        Some(_) if earlier == 0 => "tool",
        Some(later) => later,
        None => wish,
    };
    now.to_owned()
}

/// The answer of the model that picks a model.
const CHOICE: &str = r#"{"complexity_reasoning": "simple", "complexity_score": 10}"#;

/// 100 tokens in, 60 of them cached, 25 out; more of each with `more`.
fn usage(more: u64) -> Value {
    let (prompt, cached, answer, thoughts) = (100 + 11 * more, 60 + 3 * more, 20 + 7 * more, 5 + 2 * more);
    json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": cached, "candidatesTokenCount": answer,
        "thoughtsTokenCount": thoughts, "totalTokenCount": prompt + answer + thoughts,
    })
}

/// A part of an answer. Every part carries the usage.
fn chunk(model: &str, part: &Value, usage: &Value, last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({
        "candidates": [candidate],
        "modelVersion": model,
        "usageMetadata": usage,
    })
}

/// Behavior, HTTP code, status, quota or reason of the details (`-` is none), retry delay, message.
const REFUSALS: &str = "\
day       429 RESOURCE_EXHAUSTED  GenerateRequestsPerDayPerProjectPerModel-FreeTier    34s   You exceeded your current quota, please check your plan and billing details.
hour      429 RESOURCE_EXHAUSTED  GenerateRequestsPerHourPerProjectPerModel            3600s You exceeded your current quota, please check your plan and billing details.
minute    429 RESOURCE_EXHAUSTED  GenerateRequestsPerMinutePerProjectPerModel-FreeTier 2s    You exceeded your current quota, please check your plan and billing details.
bare429   429 RESOURCE_EXHAUSTED  -                        -     Resource has been exhausted (e.g. check quota).
zero      429 RESOURCE_EXHAUSTED  -                        -     You exceeded your current quota. Quota exceeded for metric: generate_requests, limit: 0
prepay    429 RESOURCE_EXHAUSTED  -                        -     Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing.
capacity  429 RESOURCE_EXHAUSTED  MODEL_CAPACITY_EXHAUSTED -     No capacity available for the model.
key       400 INVALID_ARGUMENT    API_KEY_INVALID          -     API key not valid. Please pass a valid API key.
suspended 403 PERMISSION_DENIED   CONSUMER_SUSPENDED       -     Permission denied: the consumer has been suspended.
500       500 INTERNAL            -                        -     An internal error has occurred.
503       503 UNAVAILABLE         -                        -     The model is overloaded. Please try again later.";

fn refusal(behavior: &str) -> Option<Value> {
    let row = REFUSALS.lines().find(|row| row.split_whitespace().next() == Some(behavior))?;
    let (words, message): (Vec<&str>, Vec<&str>) =
        (row.split_whitespace().take(5).collect(), row.split_whitespace().skip(5).collect());
    let mut details = Vec::new();
    match words[3] {
        "-" => {}
        quota if quota.contains("Per") => {
            let violation = json!({"quotaMetric": "generate_requests", "quotaId": quota});
            details.push(json!({"@type": format!("{TYPE}QuotaFailure"), "violations": [violation]}));
        }
        reason => details
            .push(json!({"@type": format!("{TYPE}ErrorInfo"), "reason": reason, "domain": "googleapis.com"})),
    }
    if words[4] != "-" {
        details.push(json!({"@type": format!("{TYPE}RetryInfo"), "retryDelay": words[4]}));
    }
    let code: u64 = words[1].parse().expect("a refusal has a numeric code");
    let message = message.join(" ");
    Some(json!({"error": {"code": code, "message": message, "status": words[2], "details": details}}))
}

const TYPE: &str = "type.googleapis.com/google.rpc.";

fn http(status: u64, kind: &str, body: &impl ToString) -> String {
    let text = body.to_string();
    let length = text.len();
    format!(
        "HTTP/1.1 {status} \r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
    )
}
