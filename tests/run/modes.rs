//! The terminal's modes before and after an agent that changes them and is then killed by a signal.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::shell::{Shell, agent, at_a_terminal, pids, wait_until_stopped};
use crate::support::{Sandbox, has_all, kage};
use rustix::process::{Pid, Signal, kill_process};

/// Shows the cursor again: the start of kage's output after an agent that draws on the terminal.
const SHOW_CURSOR: &str = "\u{1b}[?25h";

/// What an agent does to the terminal: draw on it, or only hide typed text.
const DRAWS: &str = r#"system "stty raw -echo"; print "\e[?25l\e[?2004h"; idle"#;
const HIDES: &str = r#"system "stty -echo"; idle"#;

fn scene(does: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    agent(&sandbox, does);
    sandbox
}

/// Runs a line in a script, because an interactive shell would restore the terminal itself. Returns the
/// output, kage's status, and the modes before and after.
fn ended_by(sandbox: &Sandbox, line: &str, end: impl FnOnce(Pid, Pid)) -> (String, String, [String; 2]) {
    let line = line.replace("kage", &format!("'{}'", kage().display()));
    // rexpect's terminal starts without echo.
    let line = format!("stty echo; stty -g >before; {line}; echo $? >status; stty -g >after");
    let mut script = at_a_terminal(sandbox.call("/bin/sh".as_ref(), ["-c", &line]).env("TERM", "xterm"));
    let (agent, kage) = pids(sandbox);
    end(agent, kage);
    let shown = script.exp_eof().unwrap();
    (shown, sandbox.read("work/status"), ["work/before", "work/after"].map(|file| sandbox.read(file)))
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    if !has_all(&["perl"]) {
        return;
    }
    for (does, draws) in [(DRAWS, true), (HIDES, false)] {
        let sandbox = scene(does);
        for (signal, status) in [(Signal::TERM, "143\n"), (Signal::HUP, "129\n"), (Signal::KILL, "137\n")] {
            let to_the_agent = |agent, _| kill_process(agent, signal).unwrap();
            let (shown, got, [before, after]) = ended_by(&sandbox, "kage exec -- agent", to_the_agent);
            assert_eq!((got.as_str(), &after), (status, &before), "{signal:?} to the agent");
            assert_eq!(shown.contains(SHOW_CURSOR), draws, "{shown:?}");
        }
        for (signal, status) in [(Signal::TERM, "143\n"), (Signal::HUP, "129\n")] {
            let to_kage = |_, kage| kill_process(kage, signal).unwrap();
            let (_, got, [before, after]) = ended_by(&sandbox, "kage exec -- agent", to_kage);
            assert_eq!((got.as_str(), &after), (status, &before), "{signal:?} to kage");
        }
    }
}

#[test]
fn an_agent_that_exits_after_a_signal_leaves_the_terminal_as_it_was() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(&format!("$SIG{{TERM}} = sub {{ POSIX::_exit(3) }}; {DRAWS}"));
    let to_kage = |_, kage| kill_process(kage, Signal::TERM).unwrap();
    let (shown, status, [before, after]) = ended_by(&sandbox, "kage exec -- agent", to_kage);
    assert_eq!((status.as_str(), after), ("3\n", before));
    // The agent handled the signal itself, so kage leaves the screen alone.
    assert!(!shown.contains(SHOW_CURSOR), "{shown:?}");
}

#[test]
fn a_relayed_agent_leaves_the_terminal_as_it_was() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(DRAWS);
    std::fs::rename(sandbox.path("bin/agent"), sandbox.path("bin/claude")).unwrap();
    let to_the_agent = |agent, _| kill_process(agent, Signal::KILL).unwrap();
    let (shown, status, [before, after]) = ended_by(&sandbox, "kage exec -- claude -p hi >out", to_the_agent);
    assert_eq!((status.as_str(), after), ("137\n", before), "{shown}");
    assert!(!sandbox.read("work/out").contains(SHOW_CURSOR));
}

#[test]
fn in_a_pipeline_kage_leaves_the_modes_to_the_reader() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(HIDES);
    let to_the_agent = |agent, _| kill_process(agent, Signal::TERM).unwrap();
    let (_, _, [before, after]) = ended_by(&sandbox, "kage exec -- agent | cat", to_the_agent);
    assert_ne!(before, after);
}

#[test]
fn modes_that_an_agent_changes_on_purpose_stay_changed() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let kage = kage().display().to_string();
    let line = format!("stty echo; '{kage}' exec -- stty -echo; stty -a");
    let shown = at_a_terminal(sandbox.call("/bin/sh".as_ref(), ["-c", &line])).exp_eof().unwrap();
    assert!(shown.contains(" -echo "), "{shown}");
}

#[test]
fn in_the_background_kage_does_not_change_the_modes() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene("idle");
    for mut shell in Shell::each(&sandbox) {
        shell.run("kage exec -- agent &");
        let (agent, _) = pids(&sandbox);
        kill_process(agent, Signal::TERM).unwrap();
        // A background kage that changed them would be stopped, and `wait` would report that or never return.
        let shown = shell.run("wait $!; echo status=$?");
        assert!(shown.contains("status=143"), "{}: {shown}", shell.name);
        shell.leave();
    }
}

#[test]
fn a_stopped_and_killed_agent_does_not_change_the_shells_modes() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(DRAWS);
    for mut shell in Shell::each(&sandbox) {
        let before = shell.run("stty -g");
        shell.send("kage exec -- agent");
        let (agent, kage) = pids(&sandbox);
        kill_process(kage, Signal::TSTP).unwrap();
        wait_until_stopped(kage);
        kill_process(agent, Signal::KILL).unwrap();
        shell.prompt();
        let shown = shell.run("fg; echo status=$?");
        assert!(shown.contains("status=137"), "{}: {shown}", shell.name);
        assert_eq!(shell.run("stty -g"), before, "{}", shell.name);
        shell.leave();
    }
}
