//! `kage detect` on samples of everything that Claude Code prints or records.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod refused;

use crate::support::{Ran, Sandbox};
use refused::{Refused, five_hour};
use serde_json::{Value, json};

const AT: &str = "2026-11-22T10:10:00Z";
const SOON: &str = "2026-11-22T13:00:00Z";
const IN_DAYS: &str = "2026-11-25T10:00:00Z";
const FIVE: &str = "You've hit your 5-hour limit · resets 1pm (UTC)";
const USAGE: i32 = 10;
const THROTTLED: i32 = 11;
const ACCOUNT: i32 = 13;

fn detect(sandbox: &Sandbox, flags: &[&str], text: &str) -> Ran {
    sandbox.kage(["detect", "--at", AT].iter().chain(flags)).stdin(text).run()
}

fn json_of(sandbox: &Sandbox, flags: &[&str], text: &str, status: i32) -> Value {
    let flags: Vec<_> = ["--json"].iter().chain(flags).copied().collect();
    serde_json::from_str(&detect(sandbox, &flags, text).status(status).says("").stdout()).unwrap()
}

#[test]
fn every_refusal_is_detected_in_each_form() {
    let sandbox = Sandbox::new();
    for expected in refused::ALL {
        let Refused { window, text: line, .. } = expected;
        for (form, rule) in expected.forms() {
            let answer = json_of(&sandbox, &[], &form, expected.exit);
            let text = |key: &str| answer[key].as_str().unwrap_or_default();
            assert_eq!((text("verdict"), text("class")), expected.verdict, "{form}");
            let (name, scope, resets_at) = window.map_or(("", "", ""), |(name, scope, end)| {
                (name, scope, if end == refused::SOON { SOON } else { IN_DAYS })
            });
            assert_eq!(
                (text("window"), text("scope"), text("resets_at")),
                (name, scope, resets_at),
                "{form}"
            );
            assert_eq!((text("agent"), text("evidence")), ("claude", *line), "{form}");
            assert!(text("rule").starts_with(rule), "{rule}: {answer}");
        }
    }
}

#[test]
fn output_without_a_refusal_has_status_0() {
    let sandbox = Sandbox::new();
    let overage = r#"{"type":"system","subtype":"init"}
{"type":"assistant","message":{"model":"claude-sonnet-5-5","content":[{"type":"text","text":"Hello"}]}}
{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour","isUsingOverage":true}}
{"type":"result","subtype":"success","is_error":false,"result":"Hello"}
"#;
    let refused = five_hour();
    let row = |at: &str, id: &str| {
        json!({ "type": "assistant", "timestamp": at, "requestId": id, "message": { "id": id,
            "model": "claude-sonnet-5-5", "content": [], "usage": { "output_tokens": 3 } } })
    };
    let answered_later =
        format!("{}\n{}\n{}\n", row(AT, "a"), refused.row(), row("2026-11-22T10:11:00Z", "b"));
    for (text, class) in [
        ("", "agent_failed"),
        ("Hello\n", "agent_failed"),
        ("Error: Reached max turns (3)\n", "agent_failed"),
        (&format!("Here it is:\n{FIVE}\n"), "agent_failed"),
        (overage, "agent_failed"),
        (&answered_later, "agent_failed"),
        ("Request timed out.\n", "timed_out"),
        ("API Error: Connection refused (ECONNREFUSED)\n", "unreachable"),
        ("No conversation found with session ID: 99999999-2222-4333-8444-555555555555\n", "not_started"),
    ] {
        let answer = json_of(&sandbox, &[], text, 0);
        assert_eq!((&answer["verdict"], &answer["class"]), (&json!("none"), &json!(class)), "{text}");
    }
}

#[test]
fn the_output_is_a_few_aligned_lines() {
    let sandbox = Sandbox::new();
    let expected = format!(
        "verdict   usage limit\nagent     claude\nwindow    five_hour\nscope     all\n\
         resets at 2026-11-22 13:00 (2h 50m)\nrule      marker limit of a window\nline      {FIVE}\n"
    );
    detect(&sandbox, &[], FIVE).status(USAGE).prints(&expected).says("");
    let berlin = sandbox.kage(["detect", "--at", AT]).stdin(FIVE).env("TZ", "Europe/Berlin").run();
    assert!(berlin.status(USAGE).stdout().contains("\nresets at 2026-11-22 14:00 (2h 50m)\n"));
    let over = detect(&sandbox, &[], "Claude AI usage limit reached|1795300000").status(USAGE).stdout();
    assert!(over.contains("resets at 2026-11-21 22:26 (past)\n"), "{over}");
    let unknown = detect(&sandbox, &[], "You've hit your limit").status(USAGE).stdout();
    assert!(unknown.contains("\nresets at unknown\n"), "{unknown}");
    let expected = "verdict   billing problem\nagent     claude\nrule      marker credit\n\
                    line      Credit balance is too low\n";
    detect(&sandbox, &[], "\u{1b}[31mCredit balance is too low\u{1b}[0m\n").status(ACCOUNT).prints(expected);
    let nothing = "no limit: no agent error message was found\n";
    detect(&sandbox, &[], "Hello\n").status(0).prints(nothing);
    let interrupted = detect(&sandbox, &["--exit", "130"], "Hello\n").status(0).stdout();
    assert!(interrupted.starts_with("no limit: the run was interrupted"), "{interrupted}");
    let succeeded = "no limit: the run succeeded, and no record reports an error\n";
    detect(&sandbox, &["--exit", "0"], FIVE).status(0).prints(succeeded);
}

#[test]
fn unknown_values_are_null() {
    let sandbox = Sandbox::new();
    let none = json!({ "schema": 1, "verdict": "none", "class": "agent_failed", "agent": null, "scope": null,
        "window": null, "resets_at": null, "retry_after_seconds": null, "rule": "exit", "evidence": null });
    assert_eq!(json_of(&sandbox, &[], "Hello\n", 0), none);
    let named = json_of(&sandbox, &["--agent", "claude", "--exit", "0"], "Hello\n", 0);
    assert_eq!((&named["class"], &named["agent"]), (&json!("succeeded"), &json!("claude")));
    let limit = json_of(&sandbox, &[], "You've hit your limit", USAGE);
    assert_eq!((&limit["window"], &limit["resets_at"]), (&json!("usage"), &Value::Null));
}

#[test]
fn the_text_comes_from_a_file_or_from_standard_input() {
    let sandbox = Sandbox::new();
    sandbox.write("work/out.txt", FIVE);
    for file in ["out.txt", "./out.txt"] {
        sandbox.kage(["detect", file]).run().status(USAGE).says("");
    }
    sandbox.kage(["detect", "-"]).stdin(FIVE).run().status(USAGE);
    sandbox.kage(["detect"]).stdin(FIVE).run().status(USAGE);
    for (words, part) in [
        (vec!["detect", "absent.txt"], "could not read absent.txt: No such file or directory"),
        (vec!["detect", "."], "could not read .: Is a directory"),
        (vec!["detect", "--agent", "clod", "out.txt"], "clod"),
        (vec!["detect", "--at", "noon", "out.txt"], "noon"),
        (vec!["detect", "--exit", "bad", "out.txt"], "bad"),
    ] {
        sandbox.kage(words).run().status(2).is_one_line_and_a_hint().mentions(part).prints("");
    }
}

#[test]
fn detect_writes_nothing_and_needs_no_config() {
    let sandbox = Sandbox::new();
    detect(&sandbox, &[], FIVE).status(USAGE);
    assert_eq!(std::fs::read_dir(sandbox.path("home")).unwrap().count(), 0, "it wrote something");
}

#[test]
fn the_agents_and_markers_of_the_config_are_tried_too() {
    let sandbox = Sandbox::new();
    sandbox.config(
        "[agents.mine]\ncredential_env = \"MINE_KEY\"\n\
         [[agents.mine.markers]]\nname = \"out\"\nkind = \"usage_limit\"\npattern = \"No quota left\"\n\
         reset = \"until (.+)$\"\nmodel = \"big\"\n\
         [[agents.mine.markers]]\nkind = \"throttled\"\npattern = \"Slow down\"\nreset = \"45s\"\n\
         [[agents.claude.markers]]\nkind = \"billing\"\npattern = \"Le solde est insuffisant\"\n",
    );
    let limit = json_of(&sandbox, &[], "working\n\nNo quota left until 3pm (UTC)\n", USAGE);
    assert_eq!((&limit["agent"], &limit["rule"]), (&json!("mine"), &json!("marker out")));
    assert_eq!((&limit["scope"], &limit["resets_at"]), (&json!("model:big"), &json!("2026-11-22T15:00:00Z")));
    let slow = json_of(&sandbox, &[], "Slow down\n", THROTTLED);
    assert_eq!((&slow["retry_after_seconds"], &slow["verdict"]), (&json!(45), &json!("throttled")));
    let text = detect(&sandbox, &[], "Slow down\n").status(THROTTLED).stdout();
    assert!(text.contains("\nretry in  45s\n"), "{text}");
    let billing = json_of(&sandbox, &[], "Le solde est insuffisant\n", ACCOUNT);
    assert_eq!((&billing["agent"], &billing["verdict"]), (&json!("claude"), &json!("billing")));
    let other = json_of(&sandbox, &["--agent", "claude"], "No quota left until 3pm (UTC)\n", 0);
    assert_eq!(other["agent"], "claude");
    detect(&sandbox, &["--agent", "mine"], FIVE).status(0);
    // A record of one agent does not rule out a marker of another agent.
    let stream = "{\"type\":\"system\",\"subtype\":\"init\",\"model\":\"x\"}\n";
    detect(&sandbox, &[], &format!("{stream}No quota left\n{stream}")).status(USAGE);
    detect(&sandbox, &[], stream).status(0);
}

#[test]
fn any_input_is_accepted() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("work/blob");
    let noise: Vec<u8> =
        (0..1_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    std::fs::write(&path, noise).unwrap();
    sandbox.kage(["detect", "blob"]).run().status(0).says("");
    for text in ["\0\0\0", "{", "[", "}\n{", "[[[[[[", "\u{feff}", "\n\n\n", "\r\r", "{}", "[]", "null"] {
        detect(&sandbox, &[], text).status(0).says("");
    }
    let deep = "[".repeat(100_000);
    detect(&sandbox, &[], &deep).status(0);
}

#[test]
fn a_message_within_other_lines_is_an_answer_and_the_user_learns_why() {
    let sandbox = Sandbox::new();
    let why = "kage: several lines count as an answer of the agent; paste only the line of the error\n";
    for text in [format!("It printed:\n{FIVE}\n"), format!("{FIVE}\nand stopped.\n")] {
        detect(&sandbox, &[], &text).status(0).says(why);
    }
    detect(&sandbox, &[], "Nothing here\nis an error.\n").status(0).says("");
}

#[test]
fn only_the_end_of_a_very_long_file_is_read() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("work/long.jsonl");
    let refused = five_hour();
    // A row that begins with a hole of 100 MiB, which uses no disk space.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, format!("\"}}\n{}\n", refused.row()).as_bytes()).unwrap();
    let warning = "kage: warning: long.jsonl is too long; only its last 64 MiB were read\n";
    sandbox.kage(["detect", "--at", AT, "long.jsonl"]).run().status(USAGE).says(warning);
    let mut file = std::fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    std::io::Write::write_all(&mut file, format!("\n{FIVE}\n").as_bytes()).unwrap();
    sandbox.kage(["detect", "--at", AT, "long.jsonl"]).run().status(0).says(warning);
}

#[test]
fn the_help_documents_what_a_script_needs() {
    let help = Sandbox::new().kage(["detect", "--help"]).run().success().stdout();
    for part in ["10 usage limit", "13 authentication", "--exit", "assumed to be 1", "kage detect --json"] {
        assert!(help.contains(part), "no `{part}` in {help}");
    }
}
