//! Failover end to end with stand-in agents: which subscriptions are tried, how, and what the caller sees.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::support::{Ran, Sandbox};

/// Verdict, output format, whether work was done first; then the attempts, the exit status, and whose output
/// the caller gets. An attempt is a subscription's name, with `>` if it resumes the conversation. `a` behaves
/// as the row says, `b` answers.
const MATRIX: &str = "
five          text         -     a b     0    b
five          json         -     a b     0    b
five          stream-json  -     a b     0    b
five          text         work  a b>    0    b
five          json         work  a b>    0    b
five          stream-json  work  a b>    0    b
seven         text         -     a b     0    b
seven         json         work  a b>    0    b
seven         stream-json  -     a b     0    b
opus          text         -     a b     0    b
opus          json         -     a b     0    b
opus          stream-json  work  a b>    0    b
auth          text         -     a b     0    b
auth          json         work  a b>    0    b
auth          stream-json  -     a b     0    b
organisation  text         -     a b     0    b
organisation  json         -     a b     0    b
organisation  stream-json  work  a b>    0    b
billing       text         work  a b>    0    b
billing       json         -     a b     0    b
billing       stream-json  -     a b     0    b
throttled     text         -     a a b   0    b
throttled     json         work  a a> b> 0    b
throttled     stream-json  -     a a b   0    b
overloaded    text         -     a a     1    a
overloaded    json         -     a a     1    a
overloaded    stream-json  work  a a>    1    a
network       text         -     a a     1    a
network       json         work  a a>    1    a
network       stream-json  -     a a     1    a
timeout       text         work  a a>    1    a
timeout       json         -     a a     1    a
timeout       stream-json  -     a a     1    a
startup       text         -     a       1    a
startup       json         -     a       1    a
startup       stream-json  -     a       1    a
failed        text         -     a       1    a
failed        json         -     a       1    a
failed        stream-json  work  a       1    a
interrupted   text         -     a       term a
interrupted   stream-json  work  a       term a
ok            text         -     a       0    a
ok            json         work  a       0    a
ok            stream-json  -     a       0    a
";

/// A pool whose `a` is tried first.
fn pool(behavior: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions]\nstrategy = \"priority\"\n\n[failover]\nthrottle_wait = \"100ms\"\n");
    sandbox.program("claude", include_str!("../support/agent.sh"));
    sandbox.add_with("a", &format!("a--{behavior}"), &["--priority", "200"]);
    sandbox.add_with("b", "b--ok", &["--priority", "100"]);
    sandbox
}

/// The calls of the agent: the subscription, and `>` if it resumed a conversation.
fn attempts(sandbox: &Sandbox) -> Vec<String> {
    let calls = sandbox.read("home/calls");
    let attempt = |line: &str| {
        let name = line.split('|').next().unwrap();
        format!("{name}{}", if line.contains("|resumed=yes|") { ">" } else { "" })
    };
    calls.lines().map(attempt).collect()
}

/// The end of `kage exec`, in the notation of a row.
fn end(ran: &Ran) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (ran.output.status.code(), ran.output.status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(15)) => "term".to_owned(),
        other => format!("{other:?}"),
    }
}

fn check(row: &str) {
    let words: Vec<_> = row.split_whitespace().collect();
    let [verdict, format, work, expected @ .., exit, whose] = &words[..] else { panic!("{row}") };
    let behavior = if *work == "work" { format!("work+{verdict}") } else { (*verdict).to_owned() };
    let sandbox = pool(&behavior);
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "do it", "--output-format", format]).run();
    assert_eq!(attempts(&sandbox), expected, "{row}: {}", ran.stderr());
    assert_eq!(end(&ran), *exit, "{row}: {}{}", ran.stdout(), ran.stderr());
    check_one_output(&ran, format, whose, row);
    let lines = ran.stderr().lines().filter(|line| line.starts_with("kage: ")).count();
    let switches = expected.len() - 1;
    assert!(lines == switches || lines == switches + 1, "{row}: {}", ran.stderr());
    // `a` works once in each of its attempts, and `b` does not repeat the work.
    let worked = sandbox.read("home/work").lines().count();
    let own = expected.iter().filter(|attempt| attempt.starts_with('a')).count();
    assert_eq!(worked, if *work == "work" { own } else { 0 }, "{row}");
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null, "{row}: a lease was left");
    assert_eq!(sandbox.ledger().len(), expected.len(), "{row}: one row per attempt");
}

/// Checks that the caller sees the output of only one attempt.
fn check_one_output(ran: &Ran, format: &str, whose: &str, row: &str) {
    let out = ran.stdout();
    let said = |text: &str| assert!(out.contains(text), "{row}: no {text} in {out}");
    if whose == "b" || row.starts_with("ok") {
        said(&format!("Answer of {whose}."));
        assert!(!out.contains("hit your") && !out.contains("API Error"), "{row}: {out}");
    }
    let count = |word: &str| out.lines().filter(|line| line.contains(word)).count();
    match format {
        "stream-json" => {
            let ended = !row.contains("term") && !row.contains("startup") && !row.contains("failed");
            assert_eq!(count("\"type\":\"result\""), usize::from(ended), "{row}: {out}");
            let begun = !row.contains("startup");
            assert_eq!(count("\"subtype\":\"init\""), usize::from(begun), "{row}: {out}");
        }
        _ => assert!(out.lines().count() <= 1, "{row}: {out}"),
    }
}

#[test]
fn the_matrix_of_verdict_mode_and_work() {
    let rows: Vec<_> = MATRIX.lines().filter(|line| !line.is_empty()).collect();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    // Each row has its own home, so they can run concurrently.
    std::thread::scope(|scope| {
        for part in rows.chunks(rows.len().div_ceil(4)) {
            scope.spawn(|| part.iter().for_each(|row| check(row)));
        }
    });
}

/// A run of the agent in the pool with text output.
fn exec(sandbox: &Sandbox, flags: &[&str], args: &[&str]) -> crate::support::Call {
    sandbox.kage([&["exec"], flags, &["--", "claude", "-p", "do it"], args].concat())
}

#[test]
fn failover_can_be_turned_off() {
    let sandbox = pool("five");
    let refused = exec(&sandbox, &["--retries", "0"], &[]).run().status(1);
    assert!(refused.stdout().starts_with("You've hit your 5-hour limit"), "{}", refused.stdout());
    refused.mentions("kage: a hit its 5-hour limit; rate_limited until ");
    assert_eq!(attempts(&sandbox), ["a"]);
    let sandbox = pool("five");
    let config = sandbox.read(crate::support::CONFIG).replace("[failover]\n", "[failover]\nattempts = 0\n");
    sandbox.config(&config);
    exec(&sandbox, &[], &[]).run().status(1);
    assert_eq!(attempts(&sandbox), ["a"]);
    exec(&sandbox, &["-s", "a", "--retries", "1"], &[]).run().status(1);
    assert_eq!(attempts(&sandbox), ["a", "a"], "`-s` never switches");
}

#[test]
fn the_number_of_attempts_is_limited() {
    let sandbox = pool("five");
    for (name, priority) in [("c", "150"), ("d", "140"), ("e", "130"), ("f", "120")] {
        sandbox.add_with(name, &format!("{name}--five"), &["--priority", priority]);
    }
    exec(&sandbox, &[], &[]).run().status(1);
    assert_eq!(attempts(&sandbox), ["a", "c", "d", "e"], "the first attempt and three more");
    exec(&sandbox, &[], &[]).run().success().prints("Answer of b.\n");
}

#[test]
fn work_never_leaves_its_closed_set() {
    let sandbox = pool("five");
    let route = ["subscription", "route", "--namespace", "backend", "--subscriptions"];
    sandbox.kage([&route[..], &["a"]].concat()).run().success();
    let ran = exec(&sandbox, &["-n", "backend"], &[]).run().status(1);
    ran.mentions("kage: a hit its 5-hour limit (resets ")
        .mentions("; no subscription is ready for `backend` until ");
    assert_eq!(attempts(&sandbox), ["a"]);
    sandbox.kage([&route[..], &["a", "--fallback", "b"]].concat()).run().success();
    sandbox.kage(["subscription", "reset", "a"]).run().success();
    exec(&sandbox, &["-n", "backend"], &[]).run().success().prints("Answer of b.\n");
}

#[test]
fn work_without_a_transcript_is_not_continued() {
    let sandbox = pool("work+five");
    let args = ["--no-session-persistence", "--output-format", "json"];
    let ran = exec(&sandbox, &[], &args).run().status(1);
    assert!(ran.stdout().contains("5-hour limit"), "{}", ran.stdout());
    ran.mentions("; not retried: `--no-session-persistence` leaves nothing to resume\n");
    assert_eq!((attempts(&sandbox), sandbox.read("home/work")), (vec!["a".to_owned()], "a\n".to_owned()));
}

#[test]
fn a_run_whose_output_was_partly_written_is_not_retried() {
    let sandbox = pool("long");
    let ran = exec(&sandbox, &[], &[]).run().status(1);
    assert!(ran.stdout().len() > 1_200_000 && ran.stdout().contains("5-hour limit"));
    ran.mentions("; not retried: part of its output has already been printed\n");
    assert_eq!(attempts(&sandbox), ["a"]);
}

#[test]
fn a_subscription_whose_credential_cannot_be_read_is_skipped() {
    let sandbox = pool("five");
    let config = sandbox.read(crate::support::CONFIG);
    let broken = "\n[subscriptions.pool.c]\npriority = 150\ncredential = { command = \"false\" }\n";
    sandbox.config(&format!("{config}{broken}"));
    let ran = exec(&sandbox, &[], &[]).run().success().prints("Answer of b.\n");
    ran.mentions("kage: warning: the credential of `c` could not be read: ").mentions("; continuing on b\n");
    assert_eq!(attempts(&sandbox), ["a", "b"]);
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
}

#[test]
fn a_run_that_the_user_ends_is_not_retried() {
    let sandbox = pool("slow");
    let mut call = exec(&sandbox, &[], &[]);
    call.command.stdout(std::process::Stdio::piped()).stdin(std::process::Stdio::null());
    let mut kage = call.command.spawn().unwrap();
    crate::support::wait_until("the agent runs", || sandbox.path("home/slow").exists());
    std::process::Command::new("kill").arg(kage.id().to_string()).status().unwrap();
    // The agent reacts to the signal with a limit error and ends with 1.
    assert_eq!(kage.wait().unwrap().code(), Some(1));
    assert_eq!(attempts(&sandbox), ["a"]);
}

#[test]
fn a_signal_between_two_attempts_ends_the_run() {
    use std::os::unix::process::ExitStatusExt as _;
    let sandbox = pool("throttled");
    let config = sandbox.read(crate::support::CONFIG).replace("100ms", "1h");
    sandbox.config(&config);
    let mut call = exec(&sandbox, &[], &[]);
    call.command.stdout(std::process::Stdio::piped()).stdin(std::process::Stdio::null());
    let kage = call.command.spawn().unwrap();
    crate::support::wait_until("it waits", || sandbox.ledger().len() == 1);
    std::process::Command::new("kill").arg(kage.id().to_string()).status().unwrap();
    let ended = kage.wait_with_output().unwrap();
    assert_eq!(ended.status.signal(), Some(15));
    // The agent's last output is not lost.
    assert!(String::from_utf8_lossy(&ended.stdout).contains("Request rejected (429)"), "{ended:?}");
    assert_eq!(attempts(&sandbox), ["a"]);
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
}

#[test]
fn a_run_can_wait_for_the_first_subscription_that_is_ready() {
    let sandbox = pool("once.soon");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    let ran = exec(&sandbox, &["--wait"], &[]).run().success().prints("Answer of a.\n");
    ran.mentions("; no subscription is ready until ").mentions("; waiting\n");
    assert_eq!(attempts(&sandbox), ["a", "a"]);
    // The first attempt waits as well.
    let sandbox = pool("once.soon");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    exec(&sandbox, &["--retries", "0"], &[]).run().status(1);
    exec(&sandbox, &["--wait=1m"], &[]).run().success().prints("Answer of a.\n").mentions("; waiting\n");
}

#[test]
fn waiting_has_a_time_limit() {
    let sandbox = pool("five");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    let ran = exec(&sandbox, &["--wait=1s"], &[]).run().status(1);
    assert!(ran.stdout().starts_with("You've hit your 5-hour limit"), "{}", ran.stdout());
    exec(&sandbox, &["--wait=1s"], &[]).run().status(75).prints("");
    exec(&sandbox, &["--wait=soon"], &[]).run().status(2).is_one_line_and_a_hint();
    // kage does not wait for a subscription that cannot become eligible.
    sandbox.kage(["exec", "--wait", "-t", "gpu", "--", "claude", "-p", "hi"]).run().status(75);
}

#[test]
fn events_are_sent_and_no_run_waits_for_their_command() {
    let sandbox = pool("five");
    let config = sandbox.read(crate::support::CONFIG);
    sandbox.config(&format!("{config}\n[events]\ncommand = \"cat >> $HOME/events; sleep 60\"\n"));
    let begun = std::time::Instant::now();
    exec(&sandbox, &[], &[]).run().success().prints("Answer of b.\n");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    exec(&sandbox, &[], &[]).run().status(75);
    assert!(begun.elapsed().as_secs() < 30, "a run waited for the command");
    let sent = || -> Vec<serde_json::Value> {
        let lines = sandbox.read("home/events");
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    crate::support::wait_until("all events are sent", || sent().len() >= 3);
    let mut events: Vec<_> = sent().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    events.sort_unstable();
    assert_eq!(events, ["all_limited", "rate_limited", "switched"]);
    let switched = sent().into_iter().find(|event| event["event"] == "switched").unwrap();
    assert_eq!(
        (&switched["schema"], &switched["subscription"], &switched["to"]),
        (&1.into(), &"a".into(), &"b".into())
    );
}

#[test]
fn an_event_command_that_fails_is_a_warning() {
    let sandbox = pool("five");
    let config = sandbox.read(crate::support::CONFIG);
    sandbox.config(&format!("{config}\n[events]\ncommand = \"exit 3\"\n"));
    // The next event or the end of the run finds that the command has failed.
    crate::support::wait_until("the warning", || {
        sandbox.kage(["subscription", "reset", "a"]).run().success();
        let ran = exec(&sandbox, &[], &[]).run().success().prints("Answer of b.\n");
        ran.stderr().contains("kage: warning: the event command failed: exit status: 3\n")
    });
}

#[test]
fn a_recovered_subscription_is_reported_once() {
    let sandbox = pool("once.soon");
    let config = sandbox.read(crate::support::CONFIG);
    sandbox.config(&format!("{config}\n[events]\ncommand = \"cat >> $HOME/events\"\n"));
    exec(&sandbox, &[], &[]).run().success();
    let recovered = || sandbox.read("home/events").matches("\"recovered\"").count();
    crate::support::wait_until("`a` has recovered", || {
        exec(&sandbox, &[], &[]).run().success();
        recovered() > 0
    });
    exec(&sandbox, &[], &[]).run().success();
    assert_eq!(recovered(), 1);
}

#[test]
fn input_from_a_pipe_and_from_a_file_reaches_the_next_attempt() {
    let sandbox = pool("five");
    exec(&sandbox, &[], &[]).stdin("the whole question\n").run().success();
    let calls = sandbox.read("home/calls");
    let inputs: Vec<_> = calls.lines().map(|line| line.split("|input=").nth(1).unwrap()).collect();
    assert_eq!(inputs.len(), 2);
    assert_eq!(inputs[0].split('|').next(), inputs[1].split('|').next(), "{calls}");
    // A file is not copied; both attempts read it from the original offset.
    let file = sandbox.write("work/question", "skipped\nasked\n");
    sandbox.kage(["subscription", "reset", "a"]).run().success();
    let line = format!(
        "{{ read first; '{}' exec -- claude -p; }} < '{}'",
        crate::support::kage().display(),
        file.display()
    );
    sandbox.call("/bin/bash".as_ref(), ["-c", &line]).run().success();
    let calls = sandbox.read("home/calls");
    let inputs: Vec<_> = calls.lines().skip(2).map(|line| line.split("|input=").nth(1).unwrap()).collect();
    assert_eq!(inputs[0].split('|').next(), inputs[1].split('|').next(), "{calls}");
    assert!(inputs[0].contains(" 6|"), "`asked` and its newline: {calls}");
}

#[test]
fn a_hundred_megabytes_of_input_are_replayed_without_holding_them_in_memory() {
    let (small, large) = (peak_with_input(1), peak_with_input(100));
    if cfg!(target_os = "linux") {
        eprintln!("peak {small} kB with one megabyte, {large} kB with a hundred");
        assert!(small > 0 && large < small + 4_000, "{small} kB, {large} kB");
    }
}

/// The peak memory of kage in kB when two successive attempts read this many megabytes of input.
fn peak_with_input(megabytes: usize) -> u64 {
    use std::io::Write as _;
    use std::process::Stdio;
    let sandbox = pool("five");
    let mut call = exec(&sandbox, &[], &[]);
    call.command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut kage = call.command.spawn().unwrap();
    let mut pipe = kage.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let block: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        (0..megabytes).for_each(|_| pipe.write_all(&block).unwrap());
    });
    let status = format!("/proc/{}/status", kage.id());
    let mut peak = 0;
    while kage.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(kilobytes.and_then(|number| number.parse().ok()).unwrap_or(0));
    }
    writer.join().unwrap();
    assert!(kage.wait().unwrap().success());
    let calls = sandbox.read("home/calls");
    let inputs: Vec<_> = calls.lines().map(|line| line.split("|input=").nth(1).unwrap()).collect();
    assert!(inputs[0].contains(&format!(" {megabytes}000000|")), "{calls}");
    assert_eq!(inputs[0].split('|').next(), inputs[1].split('|').next(), "{calls}");
    peak
}

#[test]
fn a_conversation_that_stays_open_is_relayed_immediately() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;
    let sandbox = pool("slow");
    let args = ["--input-format", "stream-json", "--output-format", "stream-json"];
    let mut call = exec(&sandbox, &[], &args);
    call.command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut kage = call.command.spawn().unwrap();
    let mut lines = BufReader::new(kage.stdout.take().unwrap()).lines();
    // The line arrives while the agent is still running.
    assert!(lines.next().unwrap().unwrap().contains("\"init\""));
    crate::support::wait_until("the agent listens", || sandbox.path("home/slow").exists());
    std::process::Command::new("kill").arg(kage.id().to_string()).status().unwrap();
    assert_eq!(kage.wait().unwrap().code(), Some(1));
    assert_eq!(lines.count(), 3, "the refusal is relayed too");
    assert_eq!(attempts(&sandbox), ["a"]);
}

/// The value of a field in each call of the agent.
fn given(sandbox: &Sandbox, what: &str) -> Vec<String> {
    let calls = sandbox.read("home/calls");
    let key = format!("|{what}=");
    calls.lines().map(|line| line.split(&key).nth(1).unwrap().split('|').next().unwrap().to_owned()).collect()
}

#[test]
fn the_agents_own_retries_are_limited_only_if_another_attempt_can_follow() {
    let sandbox = pool("overloaded");
    exec(&sandbox, &[], &[]).run().status(1);
    assert_eq!(given(&sandbox, "retries"), ["2", "5"], "the retry after an overload has some seconds");
    let sandbox = pool("five");
    sandbox.add_with("c", "c--five", &["--priority", "150"]);
    exec(&sandbox, &["--retries", "1"], &[]).run().status(1);
    assert_eq!(given(&sandbox, "retries"), ["2", ""], "no attempt follows the last one");
    let sandbox = pool("five");
    exec(&sandbox, &[], &[]).env("CLAUDE_CODE_MAX_RETRIES", "7").run().success();
    assert_eq!(given(&sandbox, "retries"), ["7", "7"], "the user's value is kept");
    exec(&sandbox, &["--retries", "4294967295"], &[]).run().success();
}

#[test]
fn a_login_without_the_conversation_is_skipped() {
    let sandbox = pool("work+five");
    std::fs::create_dir(sandbox.path("home/other")).unwrap();
    let add = ["subscription", "add", "c", "--credential", "home:~/other", "--priority", "150"];
    sandbox.kage(add).run().success();
    let ran = exec(&sandbox, &[], &[]).run().success().prints("Answer of b.\n");
    ran.mentions("kage: c does not have the conversation in its login directory\n");
    assert_eq!(sandbox.status_of("c")["runs_today"], 0, "`c` has not run");
    assert_eq!(attempts(&sandbox), ["a", "b>"]);
}

#[test]
fn a_model_is_passed_if_the_kind_of_credential_changes() {
    let sandbox = pool("five");
    let key = "sk-ant-api03-invented-c--ok";
    let add = ["subscription", "add", "c", "--credential", "file", "--priority", "150"];
    sandbox.kage(add).stdin(key).run().success();
    // The stand-in reads only tokens, so this attempt fails; the test looks at its arguments.
    exec(&sandbox, &["--retries", "1"], &[]).run();
    assert_eq!(given(&sandbox, "model"), ["", "sonnet"]);
    let sandbox = pool("five");
    exec(&sandbox, &[], &[]).run().success();
    assert_eq!(given(&sandbox, "model"), ["", ""], "the same kind of credential needs no model");
}

#[test]
fn a_run_waits_for_limits_of_its_subscription_and_model() {
    // With `-s` the run waits for that subscription and does not start it again before.
    let sandbox = pool("five");
    exec(&sandbox, &["-s", "a", "--wait=1s"], &[]).run().status(1).mentions("; waiting\n");
    assert_eq!(attempts(&sandbox), ["a"]);
    // A limit of one model counts for the run that hit it.
    let sandbox = pool("opus");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    exec(&sandbox, &["--wait=1s"], &[]).run().status(1).mentions("; waiting\n");
    assert_eq!(attempts(&sandbox), ["a"]);
}

#[test]
fn an_error_before_the_next_attempt_loses_no_output() {
    let sandbox = pool("five");
    let program = sandbox.path("bin/claude");
    let script = sandbox.read("bin/claude");
    // The agent deletes itself when it runs.
    let vanishing = script.replacen("behavior=", &format!("rm '{}'\nbehavior=", program.display()), 1);
    sandbox.program("claude", &vanishing);
    let ran = exec(&sandbox, &[], &[]).run().status(1);
    assert!(ran.stdout().starts_with("You've hit your 5-hour limit"), "{}", ran.stdout());
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
    // The state becomes unreadable.
    let sandbox = pool("five");
    let state = sandbox.path("home/.local/state/kage/state.json");
    let odd = format!("behavior=\necho '{{\"version\":99}}' >'{}'\nbehavior=", state.display());
    sandbox.program("claude", &script.replacen("behavior=", &odd, 1));
    let ran = exec(&sandbox, &[], &[]).run().status(1);
    assert!(ran.stdout().starts_with("You've hit your 5-hour limit"), "{}", ran.stdout());
    ran.mentions("could not continue: ");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let sandbox = pool("ok");
    let line = format!("'{}' exec -- claude -p hi >/dev/full", crate::support::kage().display());
    sandbox
        .call("/bin/bash".as_ref(), ["-c", &line])
        .run()
        .status(1)
        .mentions("could not write the agent's output");
}

#[test]
fn a_signal_ends_kage_while_nothing_reads_its_output() {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;
    let sandbox = pool("ok");
    let big = "#!/bin/sh\nhead -c 600000 /dev/zero | tr '\\0' x\ntouch \"$HOME/said\"\n";
    sandbox.program("claude", big);
    let mut call = exec(&sandbox, &[], &[]);
    call.command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut kage = call.command.spawn().unwrap();
    crate::support::wait_until("the run is booked", || sandbox.ledger().len() == 1);
    crate::support::wait_until("kage ends", || {
        std::process::Command::new("kill").arg(kage.id().to_string()).status().unwrap();
        kage.try_wait().unwrap().is_some()
    });
    assert_eq!(kage.wait().unwrap().signal(), Some(15));
}

#[test]
fn without_retries_kage_reads_none_of_the_input() {
    let sandbox = pool("ok");
    sandbox.program("claude", "#!/bin/sh\nread line; echo \"$line\"\n");
    let line = format!(
        "printf 'one\\ntwo\\n' | {{ '{}' exec --retries 0 -- claude -p; cat; }}",
        crate::support::kage().display()
    );
    sandbox.call("/bin/bash".as_ref(), ["-c", &line]).run().success().prints("one\ntwo\n");
}
