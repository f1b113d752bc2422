//! Problems with the state directory, its locks and the clock.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::fixture::Fixture;
use crate::support::{has_all, wait_until};

const DIR: &str = "home/.local/state/kage";
const STATE: &str = "home/.local/state/kage/state.json";
const LOG: &str = "home/.local/state/kage/state.log";

#[test]
fn a_file_at_the_path_of_the_state_directory_is_moved_away() {
    let fixture = Fixture::healthy();
    fs::remove_dir_all(fixture.sandbox.path(DIR)).unwrap();
    fixture.sandbox.write(DIR, "");
    fixture.finds("error", "state-not-writable").mentions("is not a directory").apply_fix();
}

#[test]
fn a_variable_with_an_impossible_state_directory_is_unset() {
    let fixture = Fixture::healthy().with("KAGE_STATE_DIR", "/etc/hostname/kage");
    fixture.finds("error", "state-not-writable").has_fix("unset KAGE_STATE_DIR").apply_fix();
}

#[test]
fn a_directory_at_the_path_of_the_state_or_its_lock_is_moved_away() {
    let paths = [
        ("state.json", "state-unreadable"),
        ("state.log", "state-unreadable"),
        ("state.lock", "state-locked"),
    ];
    for (inside, code) in paths {
        let fixture = Fixture::healthy();
        let path = fixture.sandbox.path(DIR).join(inside);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fixture.finds("error", code).apply_fix();
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_made_writable() {
    let fixture = Fixture::healthy().unprivileged();
    fixture.mode(DIR, 0o500);
    fixture.finds("error", "state-not-writable").mentions("is not writable").apply_fix();
}

#[test]
fn a_ledger_that_cannot_be_written_is_made_writable() {
    let fixture = Fixture::healthy().unprivileged();
    let usage = format!("{DIR}/usage");
    fixture.sandbox.kage(["exec", "-q", "--", "true"]).run().success();
    fixture.chown_to_user();
    fixture.mode(&usage, 0o500);
    fixture.finds("error", "ledger-not-writable").mentions("usage is not writable").apply_fix();
    let month = fs::read_dir(fixture.sandbox.path(&usage)).unwrap().flatten().map(|entry| entry.path());
    let month = month.into_iter().find(|file| file.extension().is_some_and(|is| is == "jsonl")).unwrap();
    fixture.mode(&format!("{usage}/{}", month.file_name().unwrap().display()), 0o400);
    fixture.finds("error", "ledger-not-writable").mentions(".jsonl").apply_fix();
}

/// The fix for a file or a directory that another user owns. `user` is the shell expression for the user.
fn chown_fix(fixture: &Fixture, inside: &str, user: &str) -> String {
    let path = fixture.sandbox.path(inside);
    let whole = if path.is_dir() { "-R " } else { "" };
    format!("sudo chown {whole}{user} {}", path.display())
}

#[test]
fn paths_that_root_has_created_are_given_to_the_user() {
    for (inside, code) in [
        (STATE, "state-unreadable"),
        (LOG, "state-unreadable"),
        ("home/.local/state/kage/state.lock", "state-locked"),
        ("home/.local/state/kage/config.lock", "ledger-not-writable"),
        (DIR, "state-not-writable"),
        ("home/.config/kage/config.toml", "config-unreadable"),
        ("home/.local/share/kage/credentials", "credentials-unreadable"),
        ("home/.config/kage/identity", "credentials-unreadable"),
    ] {
        let Some(fixture) = Fixture::healthy().unprivileged_except(inside) else { return };
        let problem = fixture.finds("error", code).has_fix(&chown_fix(&fixture, inside, "\"$(id -un)\""));
        problem.fix_manually(Fixture::chown_to_user);
    }
    if has_all(&["fish"]) {
        let Some(fixture) = Fixture::healthy().in_shell("fish").unprivileged_except(STATE) else { return };
        fixture.finds("error", "state-unreadable").has_fix(&chown_fix(&fixture, STATE, "(id -un)"));
    }
}

#[test]
fn a_damaged_state_is_moved_away() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(STATE, "{\"version\":1,");
    fixture.finds("warning", "state-damaged").apply_fix();
    assert!(fixture.sandbox.path(&format!("{STATE}.damaged")).exists());

    let fixture = Fixture::healthy();
    let log = fixture.sandbox.read(LOG);
    fixture.sandbox.write(LOG, &format!("{log}?\n"));
    fixture.finds("warning", "state-damaged").mentions("state.log").apply_fix();
    assert!(fixture.sandbox.path(&format!("{LOG}.damaged")).exists());
}

#[test]
fn a_state_of_a_newer_kage_is_not_overwritten() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(STATE, "{\"version\":99,\"state\":{}}");
    fixture.finds("error", "state-version").mentions("version 99").apply_fix();
    assert!(fixture.sandbox.read(STATE).contains("99"), "it was overwritten");
}

/// Starts a process that locks a file. It ends when it is killed, or when it is continued after a stop.
fn hold(file: &std::path::Path) -> Child {
    let script = "open my $file, '>>', $ARGV[0] or die; flock $file, 2; $SIG{CONT} = sub { exit };\n\
                  $| = 1; print \"held\\n\"; sleep while 1";
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(file).stdout(Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    holder
}

#[test]
fn a_lock_of_another_process_is_not_waited_for_and_its_holder_is_named() {
    for (lock, code) in [
        ("home/.local/state/kage/state.lock", "state-locked"),
        ("home/.local/share/kage/credentials.lock", "credentials-locked"),
    ] {
        let fixture = Fixture::healthy();
        let mut holder = hold(&fixture.sandbox.path(lock));
        fixture.finds("error", code).has_fix(&format!("kill {}", holder.id())).apply_fix();
        holder.wait().unwrap();
    }
}

#[test]
fn a_stopped_holder_of_the_lock_is_continued() {
    let fixture = Fixture::healthy();
    let mut holder = hold(&fixture.sandbox.path("home/.local/state/kage/state.lock"));
    kill_process(Pid::from_child(&holder), Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", holder.id());
    wait_until("the holder to stop", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    fixture.finds("error", "state-locked").has_fix(&format!("kill -CONT {}", holder.id())).apply_fix();
    holder.wait().unwrap();
}

#[test]
fn a_state_from_the_future_shows_that_the_clock_is_wrong() {
    let fixture = Fixture::healthy();
    let touch = |when: &str| {
        let file = fixture.sandbox.path(STATE);
        fixture.sandbox.call("touch".as_ref(), ["-d", when, file.to_str().unwrap()]).run().success();
    };
    touch("2099-01-01");
    let problem =
        fixture.finds("warning", "clock").mentions("2099-01-01").has_fix("sudo timedatectl set-ntp true");
    // A test must not set the clock of the machine.
    problem.fix_manually(|_| touch("2026-01-02"));
}

#[test]
fn problems_in_the_hooks_are_shown_for_a_day() {
    let fixture = Fixture::healthy();
    let log = |time: &str| {
        fixture.sandbox.write(&format!("{DIR}/hook.log"), &format!("{time} abc: gave up: twice\n"))
    };
    log("2026-01-01T00:00:00Z");
    fixture.assert_no_problems();
    log(&jiff::Timestamp::now().to_string());
    fixture
        .finds("warning", "hook-problems")
        .mentions("1 problem in the last 24 hours; latest: gave up: twice")
        .apply_fix();
}
