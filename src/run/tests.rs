//! Tests of signals. A signal affects the whole process, so each test runs itself again in its own process.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::sync::Arc;
use std::{env, io};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::*;

const ALONE: &str = "KAGE_TEST_ALONE";

/// Whether this is the process that the test started for itself.
fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Starts the test in its own process, which leads a process group. `setup` runs in the shell that starts it.
fn alone(test: &str, setup: &str) -> Child {
    let script = format!("{setup} exec \"$0\" --exact run::tests::{test} --nocapture");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).arg(env::current_exe().unwrap()).env(ALONE, "1").process_group(0);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(word: &str, stream: &mut impl Read) {
    let found = BufReader::with_capacity(1, stream).lines().any(|line| line.unwrap().contains(word));
    assert!(found, "the process ended without printing `{word}`");
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

fn pause_until_signal() {
    Signals::catch().unwrap().keep();
    println!("ready");
    exit(pause(Duration::from_secs(60)).err().unwrap_or(0));
}

/// Sends the signals to a pausing process and returns how it ends.
fn paused(test: &str, setup: &str, signals: &[Signal]) -> ExitStatus {
    let mut child = alone(test, setup);
    wait_for("ready", child.stdout.as_mut().unwrap());
    for &signal in signals {
        kill_process(pid(&child), signal).unwrap();
        if signal == Signal::TSTP {
            let (_, status) = waitpid(Some(pid(&child)), WaitOptions::UNTRACED).unwrap().unwrap();
            assert!(status.stopped());
        }
    }
    child.wait().unwrap()
}

#[test]
fn a_pause_ends_with_a_fatal_signal() {
    if is_alone() {
        return pause_until_signal();
    }
    let ended = paused("a_pause_ends_with_a_fatal_signal", "", &[Signal::USR1, Signal::TERM]);
    assert_eq!(ended.code(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_pause_can_be_stopped_and_continued() {
    if is_alone() {
        return pause_until_signal();
    }
    // Not INT, which is ignored when the suite runs in the background.
    let signals = [Signal::TSTP, Signal::CONT, Signal::TERM];
    let ended = paused("a_pause_can_be_stopped_and_continued", "", &signals);
    assert_eq!(ended.code(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_pause_ignores_a_signal_that_was_ignored_on_entry() {
    if is_alone() {
        return pause_until_signal();
    }
    let signals = [Signal::HUP, Signal::TERM];
    let ended = paused("a_pause_ignores_a_signal_that_was_ignored_on_entry", "trap '' HUP;", &signals);
    assert_eq!(ended.code(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_pause_ends_after_its_time() {
    if is_alone() {
        exit(pause(Duration::from_millis(10)).err().unwrap_or(42));
    }
    assert_eq!(alone("a_pause_ends_after_its_time", "").wait().unwrap().code(), Some(42));
}

fn sh(relay: &mut Relay, input: Input, script: &str) -> ChildExit {
    match launch_sh(relay, input, script) {
        Launched::Ended(child) => child,
        Launched::Signal(signal) => panic!("signal {signal} came before the agent was started"),
    }
}

fn launch_sh(relay: &mut Relay, input: Input, script: &str) -> Launched {
    let program = Program { name: OsString::from("sh"), path: PathBuf::from("/bin/sh") };
    let plan = LaunchPlan { args: vec!["-c".into(), script.into()], ..LaunchPlan::default() };
    let ended = run(&program, &plan, None, &[], Streams::Relayed(relay, input));
    ended.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_signal_between_two_attempts_prevents_the_second() {
    if is_alone() {
        let mut relay = Relay::new(Output::Whole, false);
        assert_eq!(sh(&mut relay, Input::Nothing, "exit 3").exit, Exit::Code(3));
        // Raised in this thread, so that it is delivered before the next line.
        signal_hook::low_level::raise(Signal::TERM.as_raw()).unwrap();
        let launched = launch_sh(&mut relay, Input::Nothing, "exit 4");
        assert!(matches!(launched, Launched::Signal(signal) if signal == Signal::TERM.as_raw()));
        exit(42);
    }
    let test = "a_signal_between_two_attempts_prevents_the_second";
    assert_eq!(alone(test, "").wait().unwrap().code(), Some(42));
}

#[test]
fn signals_reach_the_agent_and_kage_even_if_the_reader_reads_nothing() {
    if is_alone() {
        let (_reader, writer) = io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let streams: [relay::Stream; 3] = [Arc::new(null), Arc::new(writer), Arc::new(io::stderr())];
        let mut relay = Relay::with_streams(streams, Output::Whole, true);
        let script =
            "trap 'echo agent got it >&2; exit 9' TERM; yes & echo ready >&2; while :; do wait; done";
        let ended = sh(&mut relay, Input::Nothing, script);
        assert!(matches!(crate::run::release(&mut relay), Released::Written));
        assert!(ended.interrupted && relay.is_committed());
        assert_eq!(ended.exit, Exit::Signal(Signal::TERM.as_raw()));
        exit(42);
    }
    let mut child = alone("signals_reach_the_agent_and_kage_even_if_the_reader_reads_nothing", "");
    let mut stderr = child.stderr.take().unwrap();
    wait_for("ready", &mut stderr);
    kill_process(pid(&child), Signal::TERM).unwrap();
    wait_for("agent got it", &mut stderr);
    // The agent may still be about to end, so the signal is sent until kage ends.
    while child.try_wait().unwrap().is_none() {
        let _ = kill_process(pid(&child), Signal::TERM);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

#[test]
fn a_spool_beyond_the_file_limit_prevents_a_replay_but_does_not_end_the_run() {
    if is_alone() {
        let (reader, mut writer) = io::pipe().unwrap();
        thread::spawn(move || writer.write_all(&vec![0; 3_000_000]));
        let out: relay::Stream = Arc::new(io::stderr());
        let mut relay = Relay::with_streams([Arc::new(reader), Arc::clone(&out), out], Output::Whole, true);
        let ended = sh(&mut relay, Input::FromStart, "head -c 3000000 | wc -c | tr -d ' '");
        assert_eq!(ended.captured.whole.as_deref(), Some(&b"3000000\n"[..]));
        assert!(!relay.can_replay());
        exit(42);
    }
    let test = "a_spool_beyond_the_file_limit_prevents_a_replay_but_does_not_end_the_run";
    assert_eq!(alone(test, "ulimit -f 100;").wait().unwrap().code(), Some(42));
}
