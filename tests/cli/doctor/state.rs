//! Faults of the state directory, its lock, its clock.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::clinic::Clinic;
use crate::support::{has_all, wait_until};

const DIR: &str = "home/.local/state/kage";
const STATE: &str = "home/.local/state/kage/state.json";
const LOG: &str = "home/.local/state/kage/state.log";

#[test]
fn a_file_in_the_place_of_the_state_directory_is_moved_away() {
    let clinic = Clinic::healthy();
    fs::remove_dir_all(clinic.sandbox.path(DIR)).unwrap();
    clinic.sandbox.write(DIR, "");
    clinic.finds("error", "state-not-writable").saying("is no directory").mended();
}

#[test]
fn a_variable_that_names_no_possible_state_directory_is_unset() {
    let clinic = Clinic::healthy().with("KAGE_STATE_DIR", "/etc/hostname/kage");
    clinic.finds("error", "state-not-writable").fixed_by("unset KAGE_STATE_DIR").mended();
}

#[test]
fn a_directory_in_the_place_of_the_state_or_its_lock_is_moved_away() {
    let places = [
        ("state.json", "state-unreadable"),
        ("state.log", "state-unreadable"),
        ("state.lock", "state-locked"),
    ];
    for (inside, code) in places {
        let clinic = Clinic::healthy();
        let path = clinic.sandbox.path(DIR).join(inside);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        clinic.finds("error", code).mended();
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_made_writable() {
    let clinic = Clinic::healthy().of_somebody();
    clinic.mode(DIR, 0o500);
    clinic.finds("error", "state-not-writable").saying("cannot be written").mended();
}

#[test]
fn a_ledger_that_cannot_be_written_is_made_writable() {
    let clinic = Clinic::healthy().of_somebody();
    let usage = format!("{DIR}/usage");
    clinic.sandbox.kage(["exec", "-q", "--", "true"]).run().success();
    clinic.chown_to_somebody();
    clinic.mode(&usage, 0o500);
    clinic.finds("error", "ledger-not-writable").saying("usage cannot be written").mended();
    let month = fs::read_dir(clinic.sandbox.path(&usage)).unwrap().flatten().map(|entry| entry.path());
    let month = month.into_iter().find(|file| file.extension().is_some_and(|is| is == "jsonl")).unwrap();
    clinic.mode(&format!("{usage}/{}", month.file_name().unwrap().display()), 0o400);
    clinic.finds("error", "ledger-not-writable").saying(".jsonl").mended();
}

/// The mend of a file and of a directory that is another's, in a shell.
fn given_back(clinic: &Clinic, inside: &str, user: &str) -> String {
    let path = clinic.sandbox.path(inside);
    let whole = if path.is_dir() { "-R " } else { "" };
    format!("sudo chown {whole}{user} {}", path.display())
}

#[test]
fn what_root_has_made_is_given_back() {
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
        let Some(clinic) = Clinic::healthy().of_somebody_but(inside) else { return };
        let fault = clinic.finds("error", code).fixed_by(&given_back(&clinic, inside, "\"$(id -un)\""));
        fault.mended_by_hand(Clinic::chown_to_somebody);
    }
    if has_all(&["fish"]) {
        let Some(clinic) = Clinic::healthy().in_shell("fish").of_somebody_but(STATE) else { return };
        clinic.finds("error", "state-unreadable").fixed_by(&given_back(&clinic, STATE, "(id -un)"));
    }
}

#[test]
fn a_damaged_state_is_moved_away() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(STATE, "{\"version\":1,");
    clinic.finds("warning", "state-damaged").mended();
    assert!(clinic.sandbox.path(&format!("{STATE}.damaged")).exists());

    let clinic = Clinic::healthy();
    let log = clinic.sandbox.read(LOG);
    clinic.sandbox.write(LOG, &format!("{log}?\n"));
    clinic.finds("warning", "state-damaged").saying("state.log").mended();
    assert!(clinic.sandbox.path(&format!("{LOG}.damaged")).exists());
}

#[test]
fn a_state_of_a_newer_kage_is_left_to_that_one() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(STATE, "{\"version\":99,\"state\":{}}");
    clinic.finds("error", "state-version").saying("version 99").mended();
    assert!(clinic.sandbox.read(STATE).contains("99"), "it was overwritten");
}

/// Holds the lock on a file until it is ended, or goes on after it was stopped.
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
fn a_lock_that_another_process_holds_is_not_waited_for_and_its_holder_is_named() {
    for (lock, code) in [
        ("home/.local/state/kage/state.lock", "state-locked"),
        ("home/.local/share/kage/credentials.lock", "credentials-locked"),
    ] {
        let clinic = Clinic::healthy();
        let mut holder = hold(&clinic.sandbox.path(lock));
        clinic.finds("error", code).fixed_by(&format!("kill {}", holder.id())).mended();
        holder.wait().unwrap();
    }
}

#[test]
fn a_stopped_holder_of_the_lock_goes_on() {
    let clinic = Clinic::healthy();
    let mut holder = hold(&clinic.sandbox.path("home/.local/state/kage/state.lock"));
    kill_process(Pid::from_child(&holder), Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", holder.id());
    wait_until("the holder is stopped", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    clinic.finds("error", "state-locked").fixed_by(&format!("kill -CONT {}", holder.id())).mended();
    holder.wait().unwrap();
}

#[test]
fn a_state_from_the_future_tells_of_the_clock() {
    let clinic = Clinic::healthy();
    let touch = |when: &str| {
        let file = clinic.sandbox.path(STATE);
        clinic.sandbox.call("touch".as_ref(), ["-d", when, file.to_str().unwrap()]).run().success();
    };
    touch("2099-01-01");
    let fault =
        clinic.finds("warning", "clock").saying("2099-01-01").fixed_by("sudo timedatectl set-ntp true");
    // The clock of the machine is not the test's to set.
    fault.mended_by_hand(|_| touch("2026-01-02"));
}

#[test]
fn what_went_wrong_in_the_hooks_of_a_day_is_shown_and_older_things_are_not() {
    let clinic = Clinic::healthy();
    let log = |time: &str| {
        clinic.sandbox.write(&format!("{DIR}/hook.log"), &format!("{time} abc: gave up: twice\n"))
    };
    log("2026-01-01T00:00:00Z");
    clinic.is_well();
    log(&jiff::Timestamp::now().to_string());
    clinic
        .finds("warning", "hook-problems")
        .saying("1 problem in a day, the latest: gave up: twice")
        .mended();
}
