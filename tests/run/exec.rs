//! `kage exec` as a caller sees it: the program, its environment, and its end.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use crate::support::{Sandbox, kage};

fn pool_of_one() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox
}

#[test]
fn any_program_gets_the_credential_and_kages_variables() {
    let sandbox = pool_of_one();
    let ran = sandbox.kage(["exec", "-n", "backend", "--", "env"]).run().success().says("");
    let environment = ran.stdout();
    for line in [
        "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-invented-work--ok",
        "KAGE_SUBSCRIPTION=work",
        "KAGE_NAMESPACE=backend",
        "KAGE_DEPTH=1",
    ] {
        assert!(environment.lines().any(|known| known == line), "no {line} in {environment}");
    }
    assert!(environment.contains("KAGE_RUN="), "{environment}");
}

#[test]
fn competing_variables_are_removed_and_named_once() {
    let sandbox = pool_of_one();
    let call = || {
        sandbox
            .kage(["exec", "--keep-env", "ANTHROPIC_MODEL", "--", "env"])
            .env("ANTHROPIC_API_KEY", "sk-ant-api03-other")
            .env("ANTHROPIC_BASE_URL", "http://elsewhere.invalid")
            .env("ANTHROPIC_AUTH_TOKEN", "")
            .env("CLAUDE_CODE_USE_BEDROCK", "1")
            .env("CLAUDE_CODE_RETRY_WATCHDOG_MS", "1")
    };
    let ran = call().run().success();
    let environment = ran.stdout();
    for gone in ["ANTHROPIC_API_KEY=", "ANTHROPIC_BASE_URL=", "CLAUDE_CODE_USE_BEDROCK=", "RETRY_WATCHDOG"] {
        assert!(!environment.contains(gone), "{gone} in {environment}");
    }
    let said = ran.stderr();
    assert_eq!(said.lines().count(), 1, "{said}");
    for named in ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK"] {
        assert!(said.contains(named), "{said}");
    }
    assert!(!said.contains("ANTHROPIC_AUTH_TOKEN"), "an empty variable is not set: {said}");
    sandbox
        .kage(["exec", "--quiet", "--keep-env", "ANTHROPIC_API_KEY", "--", "env"])
        .env("ANTHROPIC_API_KEY", "kept")
        .run()
        .success()
        .says("")
        .stdout()
        .lines()
        .find(|line| *line == "ANTHROPIC_API_KEY=kept")
        .expect("`--keep-env` keeps the variable");
}

#[test]
fn the_exit_status_is_that_of_the_agent() {
    let sandbox = pool_of_one();
    for status in [0, 1, 7, 126, 127, 255] {
        let script = format!("exit {status}");
        sandbox.kage(["exec", "--", "sh", "-c", &script]).run().status(status).says("");
    }
    for signal in [1, 2, 13, 15] {
        let script = format!("kill -{signal} $$");
        let ran = sandbox.kage(["exec", "--", "sh", "-c", &script]).run();
        assert_eq!(ran.output.status.signal(), Some(signal), "{}", ran.stderr());
    }
    sandbox.kage(["exec", "--", "sh", "-c", "kill -9 $$"]).run().status(137);
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null, "a lease was left");
}

#[test]
fn the_agent_has_the_streams_of_the_caller() {
    let sandbox = pool_of_one();
    let script = "cat; echo to-stderr >&2";
    sandbox
        .kage(["exec", "--", "sh", "-c", script])
        .stdin("one\ntwo")
        .run()
        .success()
        .prints("one\ntwo")
        .says("to-stderr\n");
}

#[test]
fn arguments_are_passed_on_unchanged() {
    let sandbox = pool_of_one();
    let odd = ["", " ", "a b", "*", "'", "\"", "$HOME", "\n", "ä", "--", "-n", "--help"];
    let args = ["exec", "--", "printf", "[%s]"].iter().chain(&odd);
    sandbox.kage(args).run().success().prints(&odd.map(|arg| format!("[{arg}]")).concat());
}

#[test]
fn a_directory_whose_name_is_not_utf_8_works_like_any_other() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = pool_of_one();
    let odd = sandbox.path("work").join(std::ffi::OsStr::from_bytes(b"a\xff"));
    std::fs::create_dir(&odd).unwrap();
    sandbox.kage(["exec", "--", "true"]).cwd(&odd).run().success().says("");
}

#[test]
fn a_limit_is_booked_even_if_the_ledger_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.stand_in_claude().add_with("work", "work--429five", &[]);
    sandbox.write("home/.local/state/kage/usage", "a file where a directory should be");
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    ran.mentions("hit its 5-hour limit").mentions("could not record this run in the ledger");
    assert_eq!(sandbox.status_of("work")["status"], "rate_limited");
    assert_eq!(sandbox.status_of("work")["running"], 0);
}

#[test]
fn settings_of_the_agent_that_kage_disables_are_named() {
    let sandbox = Sandbox::new();
    sandbox.stand_in_claude().add("work", &[]);
    sandbox.write(
        "home/.claude/settings.json",
        r#"{"env":{"ANTHROPIC_BASE_URL":"http://mine"},"apiKeyHelper":"x"}"#,
    );
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    ran.says("kage: disabled in the agent's settings for this run: ANTHROPIC_BASE_URL, apiKeyHelper\n");
    sandbox.kage(["exec", "-q", "--", "claude", "-p", "hi"]).run().success().says("");
}

#[test]
fn a_secret_on_a_pipe_does_not_reach_a_run_on_another_subscription() {
    let sandbox = pool_of_one();
    sandbox.add("other", &[]).config(
        "[subscriptions.pool.work]\ncredential = { from = \"file\" }\n\
        [subscriptions.pool.other]\ncredential = { from = \"file\", deliver = \"fd\" }\n",
    );
    let inner = "[ -z \"$CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR\" ] && ! [ -e /dev/fd/$pipe ]";
    let outer = "pipe=$CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR; export pipe; [ -p /dev/fd/$pipe ] || exit 9\n\
        \"$0\" exec --quiet -s work -- sh -c \"$1\"";
    let kage = crate::support::kage();
    let words = ["exec", "-s", "other", "--", "sh", "-c", outer, kage.to_str().unwrap(), inner];
    sandbox.kage(words).run().success().says("");
}

#[test]
fn a_relative_state_directory_stays_the_same_in_every_directory() {
    let sandbox = crate::support::pool();
    let script = "cd / && printf %s \"$KAGE_STATE_DIR\"";
    let call = sandbox
        .kage(["exec", "--agent", "claude", "--", "sh", "-c", script])
        .env("KAGE_STATE_DIR", "../state");
    let printed = call.run().success().stdout();
    let state = sandbox.path("state").canonicalize().unwrap();
    assert_eq!(std::path::Path::new(&printed).canonicalize().unwrap(), state, "{printed}");
}

#[test]
fn a_closed_stream_never_becomes_a_file_of_kage() {
    let sandbox = pool_of_one();
    let open = "known=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$known\" > streams";
    for (flags, expected) in [("<&-", 1), (">&- 2>&-", 2), ("<&- >&- 2>&-", 3)] {
        for mode in ["", " --replace"] {
            let line = format!("exec \"$0\" exec{mode} -- sh -c '{open}' {flags}");
            sandbox.call(Path::new("/bin/sh"), ["-c", &line, kage().to_str().unwrap()]).run().success();
            let streams = sandbox.read("work/streams");
            // It may be a pipe if kage relays the output, but never a file of kage.
            let odd = streams.lines().find(|stream| *stream != "/dev/null" && !stream.starts_with("pipe:"));
            assert_eq!((streams.lines().count(), odd), (3, None), "{flags}{mode}: {streams}");
            let null = streams.lines().filter(|stream| *stream == "/dev/null").count();
            assert!(mode.is_empty() || null == expected, "{flags}{mode}: {streams}");
        }
    }
}

#[test]
fn a_broken_pipe_does_not_kill_kage_but_kills_an_agent_as_without_kage() {
    let sandbox = pool_of_one();
    let line = "{ \"$0\" exec --help; echo \"status $?\" >&2; } | :";
    let ran = sandbox.call(Path::new("/bin/bash"), ["-c", line, kage().to_str().unwrap()]).run().success();
    let said = ran.stderr();
    assert!(said.ends_with("status 0\n") || said.ends_with("status 1\n"), "{said}");
    for mode in [&["exec"][..], &["exec", "--replace"]] {
        let ask = ["--", "grep", "SigIgn", "/proc/self/status"];
        let ignored = sandbox.kage([mode, &ask].concat()).run().success().stdout();
        let mask = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
        assert_eq!(mask & 1 << 12, 0, "the agent ignores SIGPIPE: {ignored}");
    }
}
