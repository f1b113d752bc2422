//! Hostile words, in all places where kage takes words from outside and shows them.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use rexpect::session::spawn_command;
use serde_json::{Value, json};

use crate::support::{CONFIG, Call, Sandbox, has_all, kage, wait_until};
use crate::tmux::Tmux;

/// A title, a cleared screen, C1, a text turned round, a blank that is none, backspaces, a line of its own; formats of
/// tmux, what a shell or its prompt expands, HTML, a formula.
const ODD: &str = "=odd\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{9d}0;owned\u{9c}\u{202e}gpj\u{2066}\u{200b}\u{8}\u{8}\r\n\
                   #(touch pwned)#{pid}$(touch pwned)`touch pwned`%n<script>'\";x";

/// What a person at a terminal gets: both streams, with the escapes of colours.
fn at_a_terminal(call: Call) -> String {
    let mut session = spawn_command(call.env("TERM", "xterm-256color").command, Some(20_000)).unwrap();
    // Each of its letters is a byte.
    let bytes = session.exp_eof().unwrap().chars().map(|byte| u8::try_from(byte).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

/// Text without what may steer a terminal; colours are kage's own.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        clean += rest.strip_prefix('m').unwrap_or("\u{1b}");
    }
    clean
}

/// Fails where a letter is left that does more than to be seen.
fn is_clean(what: &str, text: &str) {
    let clean = without_colours(text);
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

/// The same of an answer, at a terminal and in a pipe.
fn answers_cleanly(sandbox: &Sandbox, words: &[&str]) -> String {
    let what = words.join(" ");
    let ran = sandbox.kage(words).run();
    is_clean(&what, &ran.stderr());
    is_clean(&what, &ran.stdout());
    let shown = at_a_terminal(sandbox.kage(words));
    is_clean(&what, &shown);
    // A terminal of 80 columns may cut a long name before its end.
    let answers = [shown, ran.stdout()];
    assert!(answers.iter().any(|answer| answer.contains("odd")), "{what} shows nothing of it: {answers:?}");
    ran.stdout()
}

/// A claude that writes a row of its transcript, prints something, and fails.
const SPEAKING: &str = r#"#!/bin/sh
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

/// A sandbox whose agent speaks so.
fn speaking(row: &Value, said: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.program("claude", SPEAKING);
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
fn a_refusal_in_hostile_words_is_shown_as_words() {
    let sandbox = speaking(&refusal(), ODD);
    sandbox.config(&format!("{}\n[events]\ncommand = \"cat >>$HOME/event\"\n", sandbox.read(CONFIG)));
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    assert_eq!(ran.stdout(), ODD, "what the agent prints is the agent's");
    is_clean("exec", &ran.stderr());
    assert!(ran.stderr().contains("work hit its =odd"), "{}", ran.stderr());
    answers_cleanly(&sandbox, &["subscription", "show", "work"]);
    let json = answers_cleanly(&sandbox, &["subscription", "show", "work", "--json"]);
    assert!(serde_json::from_str::<Value>(&json).unwrap().to_string().contains("owned"));
    for words in [&["status"][..], &["status", "--json"], &["why"], &["subscription", "list"], &["doctor"]] {
        let ran = sandbox.kage(words).run();
        is_clean(&words.join(" "), &(ran.stdout() + &ran.stderr()));
        is_clean(&words.join(" "), &at_a_terminal(sandbox.kage(words)));
    }
    wait_until("the event is told", || sandbox.read("home/event").contains("\"rate_limited\""));
    is_clean("an event", &sandbox.read("home/event"));
}

#[test]
fn a_window_with_a_hostile_name_is_a_name_in_the_status_line() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let reading = json!({ "value": 0.4, "resets_at": soon, "read_at": Timestamp::now() });
    let state = json!({ "subscriptions": { "work": { "utilization": { ODD: reading } } } });
    let file = json!({ "version": 1, "state": state }).to_string();
    sandbox.write("home/.local/state/kage/state.json", &file);
    let line = format!("'{}' statusline", kage().display());
    let shown = sandbox.kage(["exec", "--", "sh", "-c", &line]).run().success().stdout();
    is_clean("statusline", &shown);
    assert!(shown.starts_with("work · =odd") && shown.lines().count() == 1, "{shown}");
    answers_cleanly(&sandbox, &["status"]);
    answers_cleanly(&sandbox, &["usage", "--html", "-"]);
    answers_cleanly(&sandbox, &["metrics"]);
}

#[test]
fn a_saved_output_in_hostile_words_is_judged_in_words() {
    let sandbox = Sandbox::new();
    sandbox.write("work/saved", &format!("{}\n", refusal()).replace("NOW", &Timestamp::now().to_string()));
    answers_cleanly(&sandbox, &["detect", "saved"]);
    answers_cleanly(&sandbox, &["detect", "saved", "--json"]);
    answers_cleanly(&sandbox, &["detect", &format!("no{ODD}").replace('/', "")]);
}

#[test]
fn a_model_with_a_hostile_name_is_a_name_in_every_report() {
    let message = json!({
        "id": "msg_1", "model": ODD, "content": [{ "type": "text", "text": "hi" }],
        "usage": { "input_tokens": 5, "output_tokens": 7 },
    });
    let row = json!({
        "type": "assistant", "isSidechain": false, "timestamp": "NOW", "requestId": "req_1",
        "message": message,
    });
    let sandbox = speaking(&row, "hi\n");
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    answers_cleanly(&sandbox, &["usage", "--by", "model"]);
    answers_cleanly(&sandbox, &["usage", "--by", "model", "-m", ODD]);
    let json = answers_cleanly(&sandbox, &["usage", "--by", "model", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["rows"][0]["model"], ODD);
    let page = answers_cleanly(&sandbox, &["usage", "--html", "-"]);
    assert!(!page.contains("<script"), "{page}");
    let metrics = answers_cleanly(&sandbox, &["metrics"]);
    let labels: Vec<_> = metrics.lines().filter(|line| line.contains("odd")).collect();
    assert!(!labels.is_empty() && labels.iter().all(|line| line.starts_with("kage_")), "{metrics}");
    let sheet = answers_cleanly(&sandbox, &["usage", "--by", "model", "--csv"]);
    assert!(sheet.contains("\"'=odd"), "a formula: {sheet}");
}

#[test]
fn a_session_in_hostile_words_steers_neither_the_terminal_nor_tmux() {
    if !has_all(&["tmux"]) {
        return;
    }
    let sandbox = speaking(&refusal(), "");
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
        is_clean(option, &pane.option(option));
    }
    pane.press("Enter");
    pane.is_at_the_prompt();
    let bytes = fs::read_to_string(log).unwrap();
    for odd in ["\u{1b}]0;owned", "\u{9b}", "\u{9d}", "\u{202e}", "\u{8}\u{8}"] {
        assert!(!bytes.contains(odd), "{odd:?} in {bytes:?}");
    }
    assert!(!sandbox.path("work/pwned").exists(), "something was run");
}

/// What a pane is called that nothing has given a title.
fn host(server: &Tmux) -> String {
    server.run(&["display-message", "-p", "#{host}"]).trim().to_owned()
}

#[test]
fn hostile_names_in_messages_and_hints_are_words() {
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
        is_clean(&format!("call {at}"), &ran.stderr());
        is_clean(&format!("call {at}"), &ran.stdout());
        is_clean(&format!("call {at}"), &at_a_terminal(call()));
        // A hint that names a file is a command with one word for it.
        let hint = ran.stderr().lines().find_map(|line| Some(line.strip_prefix("hint: ")?.to_owned()));
        if let Some(hint) = hint.filter(|hint| hint.contains("touch pwned")) {
            assert!(
                shlex::split(&hint).unwrap().iter().any(|word| word.contains("$(touch pwned)`touch")),
                "{hint}"
            );
            let words = hint.replace("kage ", ": ");
            let _ = sandbox.call("sh".as_ref(), ["-c", &words]).run();
            assert!(!sandbox.path("work/pwned").exists(), "a hint runs something: {hint}");
        }
    }
    sandbox.config(&format!(
        "{}\n[subscriptions.pool.work2]\ndescription = {}\nagent = \"claude\"\n",
        sandbox.read(CONFIG),
        json!(ODD).to_string().replace('\u{9b}', "\\u009b")
    ));
    answers_cleanly(&sandbox, &["subscription", "list"]);
    answers_cleanly(&sandbox, &["subscription", "show", "work2"]);
}

#[test]
fn a_run_in_a_hostile_directory_is_listed_in_words() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let place = format!("work/{}", ODD.replace('/', ""));
    sandbox.write(&format!("{place}/file"), "");
    let list = format!("'{0}' ps; '{0}' ps --json; '{0}' status", kage().display());
    let ran = sandbox.kage(["exec", "--", "sh", "-c", &list]).cwd(sandbox.path(&place));
    let shown = at_a_terminal(ran);
    is_clean("ps", &shown);
    assert!(shown.contains("odd") && shown.contains("\\u001b"), "{shown}");
    answers_cleanly(&sandbox, &["usage", "--by", "project"]);
    answers_cleanly(&sandbox, &["usage", "--by", "project", "--csv"]);
}
