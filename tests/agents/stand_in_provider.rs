//! Tests of the stand-in for the Messages API, on which other suites depend.

use std::io::{self, Write as _};
use std::net::TcpStream;

use crate::provider::Provider;

fn ask(provider: &Provider, token: &str) -> String {
    let mut stream =
        TcpStream::connect(provider.url().trim_start_matches("http://")).expect("the provider listens");
    let request = format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n8\r\n{{\"stream\r\n8\r\n\": true}}\r\n0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the provider reads");
    io::read_to_string(stream).expect("the provider answers")
}

#[test]
fn ok_streams_a_whole_message_with_usage() {
    let answer = ask(&Provider::start(), "A");
    let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(end), "{answer}");
    assert!(answer.contains("unified-status: allowed\r\n"), "{answer}");
    assert!(answer.contains("\"usage\":{\"output_tokens\":34}"), "{answer}");
}

#[test]
fn a_five_hour_limit_contains_its_reset() {
    let provider = Provider::start();
    let answer = ask(&provider, "A--429five");
    let reset = format!("unified-reset: {}\r\n", provider.five_hour_reset());
    let claim = "unified-representative-claim: five_hour\r\n";
    for part in ["HTTP/1.1 429 ", "unified-status: rejected\r\n", claim, &reset, "retry-after"] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[test]
fn each_credential_counts_its_own_requests() {
    let provider = Provider::start();
    for token in ["429five+2", "429five+2", "tool+529", "429five+2", "tool+529"] {
        ask(&provider, &format!("A--{token}"));
    }
    let requests = provider.messages();
    let behaviors: Vec<&str> = requests.iter().map(|request| request.behavior.as_str()).collect();
    assert_eq!(behaviors, ["ok", "ok", "tool", "429five", "529"]);
}

#[test]
fn a_tool_call_contains_the_command() {
    let provider = Provider::start_with_tool("echo kage");
    let answer = ask(&provider, "A--tool+429five");
    assert!(answer.contains("echo kage") && answer.contains("\"tool_use\""), "{answer}");
    assert!(ask(&provider, "A--tool+429five").starts_with("HTTP/1.1 429 "));
}
