//! Hostile text everywhere kage reads text from outside and shows it.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use rexpect::session::spawn_command;
use serde_json::{Value, json};

use crate::support::{CONFIG, Call, Sandbox, has_all, kage, wait_until};
use crate::tmux::Tmux;

/// A title, a cleared screen, C1 controls, reversed text, a zero-width space, backspaces, a new line; formats
/// of tmux, expansions of a shell and its prompt, HTML, a formula.
const ODD: &str = "=odd\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{9d}0;owned\u{9c}\u{202e}gpj\u{2066}\u{200b}\u{8}\u{8}\r\n\
                   #(touch pwned)#{pid}$(touch pwned)`touch pwned`%n<script>'\";x";

/// The output at a terminal: both streams, with color escapes.
fn at_a_terminal(call: Call) -> String {
    let mut session = spawn_command(call.env("TERM", "xterm-256color").command, Some(20_000)).unwrap();
    // Each character of this text is one byte of the output.
    let bytes = session.exp_eof().unwrap().chars().map(|byte| u8::try_from(byte).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

/// Text without color escapes, which are kage's own.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        clean += rest.strip_prefix('m').unwrap_or("\u{1b}");
    }
    clean
}

/// Fails if the text contains characters that control a terminal or change how text is displayed.
fn check_clean(what: &str, text: &str) {
    let clean = without_colors(text);
    let odd = |letter: &char| {
        letter.is_control()
            || matches!(letter, '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found = clean
        .replace("\r\r\n", "\n")
        .replace("\r\n", "\n")
        .chars()
        .filter(|&letter| letter != '\n')
        .find(odd);
    assert_eq!(found, None, "{what}: {clean:?}");
}

/// Checks the output of a command, at a terminal and in a pipe. Returns the output in the pipe.
fn check_clean_output(sandbox: &Sandbox, words: &[&str]) -> String {
    let what = words.join(" ");
    let ran = sandbox.kage(words).run();
    check_clean(&what, &ran.stderr());
    check_clean(&what, &ran.stdout());
    let shown = at_a_terminal(sandbox.kage(words));
    check_clean(&what, &shown);
    // A terminal of 80 columns may truncate a long name.
    let answers = [shown, ran.stdout()];
    assert!(answers.iter().any(|answer| answer.contains("odd")), "{what} does not show it: {answers:?}");
    ran.stdout()
}

/// A claude that writes a row to its transcript, prints a text, and fails.
const HOSTILE_AGENT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --session-id) session=$2 ;; esac
  shift
done
dir=$HOME/.claude/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g')
mkdir -p "$dir"
sed "s/NOW/$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)/" "$HOME/row" >"$dir/$session.jsonl"
if [ -t 1 ]; then
  echo '{"hook_event_name":"StopFailure","session_id":"SESSION","transcript_path":"RECORD"}' |
    sed "s|SESSION|$session|; s|RECORD|$dir/$session.jsonl|" | "$KAGE" hook
  read -r _
fi
cat "$HOME/said"
exit 1
"#;

/// A sandbox with an agent that writes this row and prints this text.
fn with_hostile_agent(row: &Value, said: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.program("claude", HOSTILE_AGENT);
    sandbox.write("home/row", &format!("{row}\n"));
    sandbox.write("home/said", said);
    sandbox
}

fn refusal() -> Value {
    let resets = (Timestamp::now() + SignedDuration::from_hours(1)).as_second();
    let quota = json!({ "status": "rejected", "rateLimitType": ODD, "resetsAt": resets });
    json!({
        "type": "assistant", "isSidechain": false, "timestamp": "NOW", "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached", "quotaLimits": quota,
        "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": ODD }] },
    })
}

#[test]
fn a_refusal_with_hostile_text_is_shown_without_control_characters() {
    let sandbox = with_hostile_agent(&refusal(), ODD);
    sandbox.config(&format!("{}\n[events]\ncommand = \"cat >>$HOME/event\"\n", sandbox.read(CONFIG)));
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    assert_eq!(ran.stdout(), ODD, "the agent's output is not changed");
    check_clean("exec", &ran.stderr());
    assert!(ran.stderr().contains("work hit its =odd"), "{}", ran.stderr());
    check_clean_output(&sandbox, &["subscription", "show", "work"]);
    let json = check_clean_output(&sandbox, &["subscription", "show", "work", "--json"]);
    assert!(serde_json::from_str::<Value>(&json).unwrap().to_string().contains("owned"));
    for words in [&["status"][..], &["status", "--json"], &["why"], &["subscription", "list"], &["doctor"]] {
        let ran = sandbox.kage(words).run();
        check_clean(&words.join(" "), &(ran.stdout() + &ran.stderr()));
        check_clean(&words.join(" "), &at_a_terminal(sandbox.kage(words)));
    }
    wait_until("the event is sent", || sandbox.read("home/event").contains("\"rate_limited\""));
    check_clean("an event", &sandbox.read("home/event"));
}

#[test]
fn a_hostile_window_name_is_harmless_in_the_status_line() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let reading = json!({ "value": 0.4, "resets_at": soon, "read_at": Timestamp::now() });
    let state = json!({ "subscriptions": { "work": { "utilization": { ODD: reading } } } });
    let file = json!({ "version": 1, "state": state }).to_string();
    sandbox.write("home/.local/state/kage/state.json", &file);
    let line = format!("'{}' statusline", kage().display());
    let shown = sandbox.kage(["exec", "--", "sh", "-c", &line]).run().success().stdout();
    check_clean("statusline", &shown);
    assert!(shown.starts_with("work · =odd") && shown.lines().count() == 1, "{shown}");
    check_clean_output(&sandbox, &["status"]);
    check_clean_output(&sandbox, &["usage", "--html", "-"]);
    check_clean_output(&sandbox, &["metrics"]);
}

#[test]
fn a_saved_output_with_hostile_text_is_shown_without_control_characters() {
    let sandbox = Sandbox::new();
    sandbox.write("work/saved", &format!("{}\n", refusal()).replace("NOW", &Timestamp::now().to_string()));
    check_clean_output(&sandbox, &["detect", "saved"]);
    check_clean_output(&sandbox, &["detect", "saved", "--json"]);
    check_clean_output(&sandbox, &["detect", &format!("no{ODD}").replace('/', "")]);
}

#[test]
fn a_hostile_model_name_is_harmless_in_every_report() {
    let message = json!({
        "id": "msg_1", "model": ODD, "content": [{ "type": "text", "text": "hi" }],
        "usage": { "input_tokens": 5, "output_tokens": 7 },
    });
    let row = json!({
        "type": "assistant", "isSidechain": false, "timestamp": "NOW", "requestId": "req_1",
        "message": message,
    });
    let sandbox = with_hostile_agent(&row, "hi\n");
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    check_clean_output(&sandbox, &["usage", "--by", "model"]);
    check_clean_output(&sandbox, &["usage", "--by", "model", "-m", ODD]);
    let json = check_clean_output(&sandbox, &["usage", "--by", "model", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["rows"][0]["model"], ODD);
    let page = check_clean_output(&sandbox, &["usage", "--html", "-"]);
    assert!(!page.contains("<script"), "{page}");
    let metrics = check_clean_output(&sandbox, &["metrics"]);
    let labels: Vec<_> = metrics.lines().filter(|line| line.contains("odd")).collect();
    assert!(!labels.is_empty() && labels.iter().all(|line| line.starts_with("kage_")), "{metrics}");
    let sheet = check_clean_output(&sandbox, &["usage", "--by", "model", "--csv"]);
    assert!(sheet.contains("\"'=odd"), "a formula: {sheet}");
}

#[test]
fn a_session_with_hostile_text_controls_neither_the_terminal_nor_tmux() {
    if !has_all(&["tmux"]) {
        return;
    }
    let sandbox = with_hostile_agent(&refusal(), "");
    sandbox.add("spare", &[]);
    sandbox.config(&format!("{}\n[subscriptions]\nstrategy = \"priority\"\n", sandbox.read(CONFIG)));
    sandbox.kage(["subscription", "disable", "spare"]).run().success();
    let server = Tmux::start(sandbox.kage([""; 0]), sandbox.path("tmux"));
    let pane = server.first();
    server.run(&["set-option", "-g", "pane-border-status", "top"]);
    server.run(&["set-option", "-g", "pane-border-format", "#{@kage_subscription} #{@kage_status}"]);
    let log = sandbox.path("work/bytes");
    server.run(&["pipe-pane", &format!("cat >'{}'", log.display())]);
    pane.enter(&format!("KAGE='{0}' '{0}' exec -- claude", kage().display()));
    pane.shows("work hit its =odd");
    assert_eq!(server.run(&["display-message", "-p", "#{pane_title}"]).trim(), host(&server));
    for option in ["@kage_subscription", "@kage_namespace", "@kage_status"] {
        check_clean(option, &pane.option(option));
    }
    pane.press("Enter");
    pane.is_at_the_prompt();
    let bytes = fs::read_to_string(log).unwrap();
    for odd in ["\u{1b}]0;owned", "\u{9b}", "\u{9d}", "\u{202e}", "\u{8}\u{8}"] {
        assert!(!bytes.contains(odd), "{odd:?} in {bytes:?}");
    }
    assert!(!sandbox.path("work/pwned").exists(), "something was run");
}

/// The default title of a pane.
fn host(server: &Tmux) -> String {
    server.run(&["display-message", "-p", "#{host}"]).trim().to_owned()
}

#[test]
fn hostile_names_are_harmless_in_messages_and_hints() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let name = ODD.replace('/', "");
    let project = format!("work/{name}");
    sandbox.write(&format!("{project}/.kage/config.toml"), &format!("namespace = {}\n", json!(ODD)));
    sandbox.write(&format!("{project}/tool"), "no program\n");
    fs::write(sandbox.path("work/untrue.toml"), format!("x = [\n# {ODD}\n= {ODD}\n")).unwrap();
    let in_project = |words: &[&str]| sandbox.kage(words).cwd(sandbox.path(&project));
    let tool = format!("./{name}/tool");
    let long = format!("{name}/usage");
    let calls: [&dyn Fn() -> Call; 12] = [
        &|| in_project(&["exec", "--", "true"]),
        &|| in_project(&["why"]),
        &|| in_project(&["prompt"]),
        &|| sandbox.kage(["exec", "--", &tool]),
        &|| sandbox.kage(["exec", "--", &format!("no{name}")]),
        &|| sandbox.kage(["exec", "-n", ODD, "--", "true"]),
        &|| sandbox.kage(["exec", "--", "true"]).env("KAGE_NAMESPACE", ODD),
        &|| sandbox.kage(["exec", "--", "true"]).env("KAGE_PRIORITY", ODD),
        &|| sandbox.kage(["status"]).env("KAGE_CONFIG", sandbox.path("work/untrue.toml")),
        &|| sandbox.kage(["status"]).env("KAGE_CONFIG", sandbox.path(&project)),
        &|| sandbox.kage(["usage", "--html", &long]),
        &|| sandbox.kage([ODD]),
    ];
    for (at, call) in calls.iter().enumerate() {
        let ran = call().run();
        check_clean(&format!("call {at}"), &ran.stderr());
        check_clean(&format!("call {at}"), &ran.stdout());
        check_clean(&format!("call {at}"), &at_a_terminal(call()));
        // In a hint the file is one quoted word of a command.
        let hint = ran.stderr().lines().find_map(|line| Some(line.strip_prefix("hint: ")?.to_owned()));
        if let Some(hint) = hint.filter(|hint| hint.contains("touch pwned")) {
            assert!(
                shlex::split(&hint).unwrap().iter().any(|word| word.contains("$(touch pwned)`touch")),
                "{hint}"
            );
            let words = hint.replace("kage ", ": ");
            let _ = sandbox.call("sh".as_ref(), ["-c", &words]).run();
            assert!(!sandbox.path("work/pwned").exists(), "the hint runs a command: {hint}");
        }
    }
    sandbox.config(&format!(
        "{}\n[subscriptions.pool.work2]\ndescription = {}\nagent = \"claude\"\n",
        sandbox.read(CONFIG),
        json!(ODD).to_string().replace('\u{9b}', "\\u009b")
    ));
    check_clean_output(&sandbox, &["subscription", "list"]);
    check_clean_output(&sandbox, &["subscription", "show", "work2"]);
}

#[test]
fn a_hostile_directory_name_is_harmless_in_lists() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let dir = format!("work/{}", ODD.replace('/', ""));
    sandbox.write(&format!("{dir}/file"), "");
    let list = format!("'{0}' ps; '{0}' ps --json; '{0}' status", kage().display());
    let ran = sandbox.kage(["exec", "--", "sh", "-c", &list]).cwd(sandbox.path(&dir));
    let shown = at_a_terminal(ran);
    check_clean("ps", &shown);
    assert!(shown.contains("odd") && shown.contains("\\u001b"), "{shown}");
    check_clean_output(&sandbox, &["usage", "--by", "project"]);
    check_clean_output(&sandbox, &["usage", "--by", "project", "--csv"]);
}
