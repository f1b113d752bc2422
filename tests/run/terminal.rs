//! kage at a terminal and under signals: prompts, ^C and ^Z, and what reaches the agent.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use crate::support::{Call, Sandbox, has_all, token, wait_until};
use rexpect::session::{PtySession, spawn_command};
use rustix::process::{Pid, Signal, kill_process, setsid, test_kill_process};

/// In milliseconds, long enough for a loaded machine. A successful test never waits for it.
const PATIENCE: Option<u64> = Some(20_000);

fn at_a_terminal(call: Call) -> PtySession {
    spawn_command(call.command, PATIENCE).unwrap()
}

fn in_background(call: Call) -> Child {
    let mut command = call.command;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Like `in_background`, but `setup` runs between fork and exec, as if another parent had started kage.
#[allow(unsafe_code)]
fn in_background_after(mut call: Call, setup: fn()) -> Child {
    let prepare = move || {
        setup();
        Ok(())
    };
    // SAFETY: the functions of the tests only make system calls, which are allowed between fork and exec.
    unsafe { call.command.pre_exec(prepare) };
    in_background(call)
}

/// Waits for a child and returns its exit status.
fn end_of(child: &mut Child) -> Option<i32> {
    let mut ended = None;
    wait_until("kage ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.and_then(|status| status.code())
}

/// The process id that an agent wrote to `work/pid`.
fn written_pid(sandbox: &Sandbox) -> Pid {
    wait_until("a process id is written", || sandbox.read("work/pid").ends_with('\n'));
    Pid::from_raw(sandbox.read("work/pid").trim().parse().unwrap()).unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// An interactive bash without the user's own settings, with `kage` defined.
fn shell(sandbox: &Sandbox) -> PtySession {
    let mut bash = at_a_terminal(sandbox.call("/bin/bash".as_ref(), ["--norc", "--noediting", "-i"]));
    bash.send_line(&format!(
        "PS1='$ '; stty -echo; kage() {{ '{}' \"$@\"; }}; echo re''ady",
        crate::support::kage().display()
    ))
    .unwrap();
    bash.exp_string("ready\r\n$ ").unwrap();
    bash
}

/// Ends an interactive bash with `exit`, because it ignores SIGTERM.
fn leave(mut bash: PtySession) {
    bash.send_line("exit").unwrap();
    bash.exp_eof().unwrap();
}

#[test]
fn a_credential_typed_at_the_terminal_is_not_shown() {
    let sandbox = Sandbox::new();
    let mut add = at_a_terminal(sandbox.kage(["sub", "add", "work", "--credential", "file"]));
    let prompt = add.exp_string("Credential for work (not shown): ").unwrap();
    assert!(prompt.contains("claude setup-token"), "{prompt}");
    add.send_line(&token("typed")).unwrap();
    let shown = add.exp_eof().unwrap();
    assert!(shown.contains("added `work`") && !shown.contains("sk-ant"), "{shown}");
    let ran = sandbox.kage(["exec", "--", "env"]).run().success().stdout();
    assert!(ran.contains(&token("typed")), "{ran}");
}

#[test]
fn an_interrupt_at_the_credential_prompt_leaves_the_terminal_as_it_was() {
    let sandbox = Sandbox::new();
    // Not in an interactive shell, which would restore the terminal itself.
    let kage = crate::support::kage().display().to_string();
    let line = format!(
        "trap : INT; stty echo; '{kage}' sub add work --credential file; echo $? >status; stty -a >modes"
    );
    let mut script = at_a_terminal(sandbox.call("/bin/sh".as_ref(), ["-c", &line]));
    script.exp_string("(not shown): ").unwrap();
    script.send_control('c').unwrap();
    script.exp_eof().unwrap();
    let modes = sandbox.read("work/modes");
    assert!(modes.split_whitespace().any(|mode| mode == "echo"), "{modes}");
    assert_eq!(sandbox.read("work/status"), "130\n");
}

#[test]
fn a_signal_at_the_credential_prompt_leaves_the_terminal_as_it_was() {
    let sandbox = Sandbox::new();
    let kage = crate::support::kage().display().to_string();
    let line = format!("stty echo; '{kage}' sub add work --credential file; echo $? >status; stty -a >modes");
    let mut script = at_a_terminal(sandbox.call("/bin/sh".as_ref(), ["-c", &line]));
    script.exp_string("(not shown): ").unwrap();
    let kages = sandbox.call("/usr/bin/pgrep".as_ref(), ["-P", &script.process.child_pid.to_string()]);
    let pid = kages.run().success().stdout().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    script.exp_eof().unwrap();
    let modes = sandbox.read("work/modes");
    assert!(modes.split_whitespace().any(|mode| mode == "echo"), "{modes}");
    assert_eq!(sandbox.read("work/status"), "143\n");
}

#[test]
fn a_typed_credential_is_not_shown_if_stderr_goes_to_a_file() {
    let sandbox = Sandbox::new();
    let line = format!("'{}' sub add work --credential file 2>errors", crate::support::kage().display());
    let mut add = at_a_terminal(sandbox.call("/bin/sh".as_ref(), ["-c", &line]));
    add.exp_string("(not shown): ").unwrap();
    add.send_line(&token("typed")).unwrap();
    let shown = add.exp_eof().unwrap();
    assert!(!shown.contains("sk-ant"), "{shown}");
    assert!(sandbox.read("work/errors").contains("added `work`"));
}

#[test]
fn remove_asks_and_the_default_is_no() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    for (answer, removed) in [("", false), ("n", false), ("y", true)] {
        let mut remove = at_a_terminal(sandbox.kage(["sub", "remove", "work"]));
        remove.exp_string("Remove `work` and its secret? (y/N) ").unwrap();
        remove.send_line(answer).unwrap();
        let said = remove.exp_eof().unwrap();
        assert_eq!(said.contains("removed `work`"), removed, "{answer}: {said}");
        assert_eq!(sandbox.status()["subscriptions"].as_array().unwrap().is_empty(), removed);
    }
}

#[test]
fn color_is_used_only_on_terminals_that_want_it() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let shown = |call: Call| at_a_terminal(call).exp_eof().unwrap();
    let status = || sandbox.kage(["status"]).env("TERM", "xterm");
    assert!(shown(status()).contains("\u{1b}[32mactive\u{1b}[0m"));
    assert!(!shown(status().env("NO_COLOR", "1")).contains('\u{1b}'));
    assert!(!status().run().success().stdout().contains('\u{1b}'));
}

#[test]
fn one_interrupt_ends_a_loop_and_reaches_the_agent_once() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    // The agent logs the signal and then dies from it, as programs do by default.
    sandbox.program(
        "agent",
        "#!/bin/sh\ntrap 'echo interrupted >>signals; trap - INT; kill -INT $$' INT\necho started\nwhile :; do sleep 0.01; done\n",
    );
    let mut bash = shell(&sandbox);
    bash.send_line("for i in 1 2 3; do kage exec -- agent; done; echo not-reached").unwrap();
    bash.exp_string("started").unwrap();
    bash.send_control('c').unwrap();
    bash.exp_string("$ ").unwrap();
    bash.send_line("echo after").unwrap();
    let between = bash.exp_string("after").unwrap();
    assert!(!between.contains("not-reached") && !between.contains("started"), "{between}");
    assert_eq!(sandbox.read("work/signals"), "interrupted\n");
    leave(bash);
}

#[test]
fn an_agent_that_stops_itself_stops_kage_and_continues_with_fg() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    // With the script, kage is not the shell's own child.
    sandbox
        .program("script", &format!("#!/bin/sh\n'{}' \"$@\"\nexit $?\n", crate::support::kage().display()));
    let mut bash = shell(&sandbox);
    for (kage, stop) in [("kage", "kill -STOP $$"), ("kage", "kill -TSTP 0"), ("script", "kill -TSTP 0")] {
        bash.send_line(&format!(
            "{kage} exec -- sh -c 'trap : TSTP; trap - TSTP; {stop}; echo agent-continued; exit 7'"
        ))
        .unwrap();
        bash.exp_string("Stopped").unwrap();
        bash.send_line("fg; echo status=$?").unwrap();
        bash.exp_string("agent-continued").unwrap();
        bash.exp_string("status=7").unwrap();
    }
    leave(bash);
}

#[test]
fn a_signal_to_kage_reaches_the_agent_and_kage_ends_with_its_status() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    for (signal, name) in
        [(Signal::TERM, "TERM"), (Signal::HUP, "HUP"), (Signal::INT, "INT"), (Signal::USR1, "USR1")]
    {
        let agent = format!("trap 'exit 9' {name}; echo > ready; while :; do sleep 0.01; done");
        let mut child = in_background(sandbox.kage(["exec", "--", "sh", "-c", &agent]));
        wait_until("the agent is ready", || sandbox.path("work/ready").exists());
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(9), "{name}");
        std::fs::remove_file(sandbox.path("work/ready")).unwrap();
    }
}

#[test]
fn a_hangup_that_nohup_ignores_stays_ignored() {
    if !has_all(&["nohup"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let agent = "echo > ready; while ! [ -e go ]; do sleep 0.01; done; exit 6";
    let kage = crate::support::kage();
    let words = [kage.to_str().unwrap(), "exec", "--", "sh", "-c", agent];
    let mut child = in_background(sandbox.call("/usr/bin/nohup".as_ref(), words));
    wait_until("the agent is ready", || sandbox.path("work/ready").exists());
    send(&child, Signal::HUP);
    sandbox.write("work/go", "");
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[allow(unsafe_code)]
fn block_signals() {
    // SAFETY: the set is filled before it is used; the call changes this process's mask only.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

#[test]
fn signals_that_were_blocked_on_entry_still_reach_kage() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let mut quick = in_background_after(sandbox.kage(["exec", "--", "sh", "-c", "exit 7"]), block_signals);
    assert_eq!(end_of(&mut quick), Some(7));
}

/// Whether a signal is pending for the whole process.
fn pending(pid: Pid, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & (1 << (signal - 1)) != 0
}

/// The agent is not a shell, because some shells start with an empty signal mask.
#[test]
#[cfg(target_os = "linux")]
fn signals_that_were_blocked_on_entry_stay_blocked_for_the_agent_and_are_forwarded() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let term = 1_u64 << (libc::SIGTERM - 1);
    let mut child = in_background_after(sandbox.kage(["exec", "--", "sleep", "600"]), block_signals);
    let kage = child.id();
    let children = || std::fs::read_to_string(format!("/proc/{kage}/task/{kage}/children")).unwrap();
    let status = || std::fs::read_to_string(format!("/proc/{}/status", children().trim()));
    wait_until("the agent runs", || status().is_ok_and(|status| status.starts_with("Name:\tsleep")));
    let has_term = |set: &str| {
        let status = status().unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(set)).unwrap().trim();
        u64::from_str_radix(line, 16).unwrap() & term != 0
    };
    assert!(has_term("SigBlk:"));
    send(&child, Signal::TERM);
    wait_until("the signal was forwarded", || has_term("ShdPnd:"));
    kill_process(Pid::from_raw(children().trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(end_of(&mut child), Some(137));
}

#[test]
fn without_a_terminal_a_stopped_agent_does_not_stop_kage() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let agent = "trap : USR1 USR2; echo $$ >pid; kill -STOP $$; exit 7";
    let mut child = in_background_after(sandbox.kage(["exec", "--", "sh", "-c", agent]), || {
        let _ = setsid();
    });
    let agent = written_pid(&sandbox);
    if cfg!(target_os = "linux") {
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", agent.as_raw_nonzero())).unwrap();
        wait_until("the agent has stopped", || stat().contains(") T "));
        // Without a terminal kage does not continue the agent, because the process that stopped it can do
        // that. kage handles signals in order, so it has seen the stop when it has forwarded two later
        // signals.
        let pending = |signal: i32| pending(agent, signal);
        for signal in [Signal::USR1, Signal::USR2] {
            send(&child, signal);
            wait_until("the signal was forwarded", || pending(signal.as_raw()));
        }
        assert!(stat().contains(") T "), "{}", stat());
    }
    // On other systems the agent may not have stopped yet, so one SIGCONT may be too early.
    let mut ended = None;
    wait_until("kage ends", || {
        let _ = kill_process(agent, Signal::CONT);
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(7));
}

#[test]
fn at_a_terminal_without_a_shell_a_stopped_agent_continues() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    for stop in ["kill -STOP $$", "kill -TSTP $$"] {
        let agent = format!("{stop}; echo agent-continued");
        let mut leader = at_a_terminal(sandbox.kage(["exec", "--", "sh", "-c", &agent]));
        leader.exp_string("agent-continued").unwrap();
        leader.exp_eof().unwrap();
    }
}

/// A pool with one secret, which a shell command prints.
fn printed_by(line: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&format!("[subscriptions.pool.work]\ncredential = {{ command = '{line}' }}\n"));
    sandbox
}

#[test]
fn a_credential_command_can_prompt_at_the_terminal() {
    let sandbox = printed_by("printf password: >/dev/tty; read typed </dev/tty; echo $typed");
    let mut bash = shell(&sandbox);
    bash.send_line("kage exec -- printenv CLAUDE_CODE_OAUTH_TOKEN").unwrap();
    bash.exp_string("password:").unwrap();
    bash.send_line(&token("typed")).unwrap();
    bash.exp_string(&token("typed")).unwrap();
    bash.exp_string("$ ").unwrap();
    leave(bash);
}

#[test]
fn an_interrupt_ends_the_credential_command_too() {
    let sandbox = printed_by("echo $$ >pid; exec sleep 600");
    let mut bash = shell(&sandbox);
    bash.send_line("kage exec -- echo not-reached").unwrap();
    let command = written_pid(&sandbox);
    bash.send_control('c').unwrap();
    bash.exp_string("$ ").unwrap();
    wait_until("the command is gone", || test_kill_process(command).is_err());
    leave(bash);
}

#[allow(unsafe_code)]
fn ignore_children() {
    // SAFETY: ignoring a signal runs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

#[test]
fn a_credential_command_works_if_sigchld_was_ignored() {
    let sandbox = printed_by(&format!("echo {}", token("printed")));
    let call = sandbox.kage(["exec", "--", "sh", "-c", "exit 7"]);
    let child = in_background_after(call, ignore_children);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}
