//! Stopping and continuing: no matter which process stops first, the shell reports one stop, and one `fg`
//! continues all.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::shell::{Shell, agent, at_a_terminal, pids, state_of, wait_until_stopped};
use crate::support::{Call, Sandbox, has_all, kage, missing_is_failure, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// Ends the agent with its own status when it is continued.
const CONTINUES: &str = r#"$SIG{CONT} = sub { print "agent-continued\n"; POSIX::_exit(7) };"#;
/// What a program that draws does on ^Z: it restores the terminal and then stops itself with SIGSTOP.
const DRAWS: &str =
    r#"system "stty -icanon"; $SIG{TSTP} = sub { system "stty icanon"; kill STOP => $$ }; idle"#;

fn scene(does: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    agent(&sandbox, &format!("{CONTINUES} {does}"));
    // A script, so that kage is not the shell's own child.
    sandbox.program("script", "#!/bin/sh\nkage \"$@\"\nexit $?\n");
    sandbox
}

/// Stops the run once the agent is ready.
type Stop = fn(&mut Shell, kage: Pid);

fn on_its_own(_: &mut Shell, _: Pid) {}

fn by_key(shell: &mut Shell, _: Pid) {
    shell.control('z');
}

fn by_signal_to_kage(_: &mut Shell, kage: Pid) {
    kill_process(kage, Signal::TSTP).unwrap();
}

/// How often a shell reports that a job has stopped.
fn reports(shown: &str) -> usize {
    shown.matches("Stopped").count() + shown.matches("suspended").count()
}

fn check_stops_once_and_continues(does: &str, callers: &[&str], stop: Stop) {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(does);
    for mut shell in Shell::each(&sandbox) {
        for caller in callers {
            let what = format!("{} under {}, {does}", caller, shell.name);
            shell.send(&format!("{caller} exec -- agent"));
            let (agent, kage) = pids(&sandbox);
            stop(&mut shell, kage);
            let mut shown = shell.prompt();
            // With a script in between, the shell knows only the script.
            wait_until_stopped(agent);
            wait_until_stopped(kage);
            shell.send("fg; echo status=$?");
            shown += &shell.until("status=");
            let status = shell.prompt();
            assert_eq!(status.trim(), "7", "{what}: {shown}");
            assert!(shown.contains("agent-continued"), "{what}: {shown}");
            assert_eq!(reports(&shown), 1, "{what}: {shown}");
            assert_eq!(shell.run("jobs").trim(), "", "{what}");
        }
        shell.leave();
    }
}

#[test]
fn an_agent_can_stop_itself() {
    check_stops_once_and_continues("ready(); kill STOP => $$; sleep 600", &["kage"], on_its_own);
}

#[test]
fn an_agent_can_stop_its_group() {
    let callers = ["kage", "script"];
    check_stops_once_and_continues("ready(); kill TSTP => 0; sleep 600", &callers, on_its_own);
    check_stops_once_and_continues("ready(); kill STOP => 0; sleep 600", &callers, on_its_own);
}

#[test]
fn a_key_stops_kage_and_the_agent() {
    check_stops_once_and_continues("idle", &["kage", "script"], by_key);
}

#[test]
fn a_key_stops_an_agent_that_restores_the_terminal_first() {
    check_stops_once_and_continues(DRAWS, &["kage", "script"], by_key);
}

#[test]
fn a_signal_to_kage_stops_the_agent_with_it() {
    check_stops_once_and_continues("idle", &["kage"], by_signal_to_kage);
    check_stops_once_and_continues(DRAWS, &["kage"], by_signal_to_kage);
}

#[test]
fn an_agent_can_be_stopped_again_and_continue_in_the_background() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(
        r#"$SIG{CONT} = sub { print "agent-continued\n" }; $SIG{USR1} = sub { POSIX::_exit(5) }; idle"#,
    );
    for mut shell in Shell::each(&sandbox) {
        shell.send("kage exec -- agent");
        let (agent, kage) = pids(&sandbox);
        for _ in 0..3 {
            shell.control('z');
            assert_eq!(reports(&shell.prompt()), 1, "{}", shell.name);
            wait_until_stopped(agent);
            shell.send("fg");
            shell.until("agent-continued");
            wait_until("kage continues", || state_of(kage) == Some('S'));
        }
        shell.control('z');
        shell.prompt();
        wait_until_stopped(agent);
        shell.run("bg");
        wait_until("the agent continues", || state_of(agent) == Some('S'));
        wait_until("kage continues", || state_of(kage) == Some('S'));
        kill_process(kage, Signal::USR1).unwrap();
        let shown = shell.run("wait %1; echo status=$?");
        // A zsh that has already reported the end no longer knows the job.
        assert!(shown.contains("status=5") || shown.contains("exit 5"), "{}: {shown}", shell.name);
        shell.leave();
    }
}

/// As in `docker run -it`: no process could continue a stopped one.
#[test]
fn without_a_shell_nothing_freezes() {
    if !has_all(&["perl"]) {
        return;
    }
    for (does, key) in [("ready(); kill STOP => $$; sleep 600", false), (DRAWS, true)] {
        let sandbox = scene(does);
        let mut leader = at_a_terminal(sandbox.kage(["exec", "--", "agent"]));
        let _ = pids(&sandbox);
        if key {
            leader.send_control('z').unwrap();
        }
        leader.exp_string("agent-continued").unwrap();
        leader.exp_eof().unwrap();
    }
    // The group of a session leader is orphaned: there a ^Z stops only programs that handle the signal.
    let sandbox = scene("$SIG{INT} = sub { POSIX::_exit(3) }; idle");
    let mut leader = at_a_terminal(sandbox.kage(["exec", "--", "agent"]));
    let _ = pids(&sandbox);
    leader.send_control('z').unwrap();
    leader.send_control('c').unwrap();
    leader.exp_eof().unwrap();
}

/// kage as the second process of a PID namespace, with its session and its group outside.
fn in_a_container(sandbox: &Sandbox) -> Option<Call> {
    let script = "\"$@\"; echo status=$?";
    let kage = kage();
    let words =
        ["-pf", "--mount-proc", "sh", "-c", script, "sh", kage.to_str().unwrap(), "exec", "--", "agent"];
    let probe = sandbox.call("unshare".as_ref(), ["-pf", "--mount-proc", "true"]).run();
    if !probe.output.status.success() {
        missing_is_failure("could not create a PID namespace");
        return None;
    }
    Some(sandbox.call("unshare".as_ref(), words))
}

#[test]
fn in_a_container_nothing_freezes_and_a_signal_from_outside_reaches_the_agent() {
    if !has_all(&["perl", "unshare"]) {
        return;
    }
    let sandbox = scene("$SIG{TERM} = sub { POSIX::_exit(4) }; ready(); kill STOP => $$; sleep 600");
    let Some(call) = in_a_container(&sandbox) else { return };
    let mut leader = at_a_terminal(call);
    leader.exp_string("agent-continued").unwrap();
    leader.exp_string("status=7").unwrap();
    leader.exp_eof().unwrap();

    let sandbox = scene("$SIG{TERM} = sub { POSIX::_exit(4) }; idle");
    let Some(call) = in_a_container(&sandbox) else { return };
    let mut leader = at_a_terminal(call);
    let _ = pids(&sandbox);
    kill_process(kage_seen_from_outside(&sandbox), Signal::TERM).unwrap();
    leader.exp_string("status=4").unwrap();
    leader.exp_eof().unwrap();
}

/// Finds kage by its home, because the process ids inside are different.
fn kage_seen_from_outside(sandbox: &Sandbox) -> Pid {
    let home = format!("HOME={}\0", sandbox.path("home").display());
    let is_ours = |dir: &std::path::Path| {
        let environment = std::fs::read_to_string(dir.join("environ")).unwrap_or_default();
        let program = std::fs::read_link(dir.join("exe")).unwrap_or_default();
        environment.contains(&home) && program == kage()
    };
    let dirs = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let found = dirs.into_iter().find(|dir| is_ours(dir)).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap()
}
