//! A loopback stand-in for the Anthropic Messages API, for tests that run an agent under kage. Only the
//! credential selects the answer, so one provider serves a pool of subscriptions that behave differently. It
//! knows HTTP and the API, and nothing about kage.

// Each suite uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

// The path is explicit because the suites include this file with `#[path]`.
#[path = "provider/answer.rs"]
mod answer;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use self::answer::{Service, behavior};

/// A running provider. Dropping it closes the port and releases every client that is left hanging.
///
/// The text after the last `--` of the bearer token, or else of the API key, selects the behavior:
///
/// - answered: `ok` (the default), `plain` (no quota headers, as for an API key), `warn` and `warn7`
///   (near the five-hour or weekly limit), `overage` (over the limit, paid as overage);
/// - rate limited: `429five`, `429seven`, `429opus`, `429over` (no credit for overage either) as a
///   subscription, `429key` and `429long` (retry after 1 or 3600 s) as an API key, `429bare`;
/// - refused: `401key`, `401expired`, `401revoked`, `403`, `403noauth`, `credit`, `500`, `529`;
/// - broken: `hang`, and `midoverload`, `midlimit`, `midcut` in the middle of a streamed answer;
/// - in sequence: `tool+X` calls the Bash tool and then does X, `agent+X` starts a subagent and then does X,
///   `X+N` does X after N times `ok`.
pub struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    service: Service,
    received: Mutex<Vec<Request>>,
    closing: AtomicBool,
}

/// One request as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Includes the query.
    pub path: String,
    /// The whole header, including `Bearer `.
    pub authorization: Option<String>,
    pub api_key: Option<String>,
    /// The agent's session id.
    pub session: Option<String>,
    pub beta: Option<String>,
    /// In order of arrival, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Null if there was no body or it was not JSON.
    pub body: Value,
    /// The behavior selected for a message request (`X+N` becomes `ok` or X); empty for other requests.
    pub behavior: String,
    /// 0 if the request was left hanging.
    pub status: u16,
    /// The final usage of the answer; null if there was no answer.
    pub usage: Value,
}

impl Provider {
    pub fn start() -> Self {
        Self::start_with_tool("echo tool-ran")
    }

    /// Starts a provider whose tool calls run this shell command.
    pub fn start_with_tool(command: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has one");
        let shared = Arc::new(Shared {
            service: Service::new(command),
            received: Mutex::default(),
            closing: AtomicBool::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serving.accept(&listener));
        Self { address, shared }
    }

    /// From now on every answer has different numbers of tokens, in each kind.
    pub fn vary_usage(&self) {
        self.shared.service.varies.store(true, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests received until now, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.received().clone()
    }

    /// The requests for an answer of the model, in order.
    pub fn messages(&self) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(Request::is_message);
        requests
    }

    /// When the five-hour window ends, in epoch seconds: a full hour, two to three hours ahead.
    pub fn five_hour_reset(&self) -> i64 {
        self.shared.service.five_hour_reset
    }

    /// When the weekly window ends, in epoch seconds: a full hour, about three days ahead.
    pub fn seven_day_reset(&self) -> i64 {
        self.shared.service.seven_day_reset
    }
}

impl Drop for Provider {
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

    fn received(&self) -> MutexGuard<'_, Vec<Request>> {
        let list = self.received.lock();
        list.expect("no thread panics while it holds the list")
    }

    /// Serves one request and adds it to the list before the client sees the answer.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut request = Request::read(stream)?;
        let mut received = self.received();
        if request.is_message() {
            let credential = request.credential();
            let same = |past: &&Request| past.is_message() && past.credential() == credential;
            let wish = credential.rsplit_once("--").map_or("ok", |(_, wish)| wish);
            request.behavior = behavior(wish, received.iter().filter(same).count()).into();
        }
        let answer = self.service.answer(&request);
        request.status = answer.status;
        request.usage.clone_from(&answer.usage);
        received.push(request);
        drop(received);
        if answer.status != 0 {
            return stream.write_all(answer.to_http().as_bytes());
        }
        // The connection stays open even after the client has left; the test ends soon.
        while !self.closing.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Request {
    pub fn read(mut stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines();
        let start = lines.next().ok_or(ErrorKind::UnexpectedEof)??;
        let mut words = start.split(' ').map(str::to_owned);
        let mut headers = Vec::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        if header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let chunked = header("transfer-encoding").is_some();
        let length = header("content-length").and_then(|length| length.parse().ok());
        let body = read_body(&mut reader, (!chunked).then_some(length.unwrap_or(0)))?;
        Ok(Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            authorization: header("authorization"),
            api_key: header("x-api-key"),
            session: header("x-claude-code-session-id"),
            beta: header("anthropic-beta"),
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            behavior: String::new(),
            status: 0,
            usage: Value::Null,
        })
    }

    fn is_message(&self) -> bool {
        self.method == "POST" && self.path.split('?').next() == Some("/v1/messages")
    }

    fn credential(&self) -> &str {
        let bearer = self.authorization.as_deref();
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        bearer.or(self.api_key.as_deref()).unwrap_or_default()
    }
}

/// Reads a body of this length, or else one in chunks.
fn read_body(reader: &mut impl BufRead, length: Option<u64>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = length {
        reader.take(length).read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        reader.take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}
