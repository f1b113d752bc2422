//! Tests of the stand-in for the Gemini API, on which other suites depend.

use std::io::{self, Write as _};
use std::net::TcpStream;

use crate::generate::Generate;

fn ask(service: &Generate, key: &str, method: &str) -> String {
    let address = service.url();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).expect("the service listens");
    let request = format!(
        "POST /v1beta/models/gemini-3.8-flash:{method} HTTP/1.1\r\nx-goog-api-key: {key}\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).expect("the service reads");
    io::read_to_string(stream).expect("the service answers")
}

const STREAM: &str = "streamGenerateContent?alt=sse";

#[test]
fn ok_streams_an_answer_with_usage() {
    let service = Generate::start();
    let answer = ask(&service, "AIza", STREAM);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("}\r\n\r\n"), "{answer}");
    for part in ["the service (ok).", "\"finishReason\":\"STOP\"", "\"promptTokenCount\":100"] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
    assert_eq!(service.turns()[0].model(), "gemini-3.8-flash");
}

#[test]
fn a_daily_limit_names_its_quota() {
    let answer = ask(&Generate::start(), "AIza--day", STREAM);
    for part in ["HTTP/1.1 429 ", "RESOURCE_EXHAUSTED", "PerDayPerProject", "\"retryDelay\":\"34s\""] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[test]
fn a_tool_call_comes_first_and_choosing_a_model_is_not_a_turn() {
    let service = Generate::start_with_tool("echo kage");
    assert!(ask(&service, "AIza--tool+day", "generateContent").contains("complexity_score"));
    assert!(ask(&service, "AIza--tool+day", STREAM).contains("echo kage"));
    assert!(ask(&service, "AIza--tool+day", STREAM).starts_with("HTTP/1.1 429 "));
    let behaviors: Vec<_> = service.turns().into_iter().map(|request| request.behavior).collect();
    assert_eq!(behaviors, ["tool", "day"]);
}
