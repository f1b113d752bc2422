//! Faults of the keychain, against a real gnome-keyring-daemon.

use std::time::{Duration, Instant};

use super::clinic::Clinic;
use crate::secret_service::{PROGRAMS, Session};
use crate::support::{CONFIG, has_all, token};

/// A clinic whose subscription is in the keychain; `None` where that cannot be.
fn clinic() -> Option<(Session, Clinic)> {
    if !has_all(&PROGRAMS) {
        return None;
    }
    let clinic = Clinic::healthy();
    let session = Session::unlocked(&clinic.sandbox.path("keyring"));
    let clinic =
        clinic.with("DBUS_SESSION_BUS_ADDRESS", &session.address).with("XDG_RUNTIME_DIR", "/nowhere");
    let credential = ["subscription", "credential", "work", "--credential", "keychain"];
    let moved = clinic.sandbox.kage(credential).env("DBUS_SESSION_BUS_ADDRESS", &session.address);
    moved.stdin(&token("work")).run().success();
    Some((session, clinic))
}

#[test]
fn a_keychain_in_use_is_tried_out_and_left_as_it_was() {
    let Some((session, clinic)) = clinic() else { return };
    clinic.is_well();
    assert_eq!(clinic.examine().message("keychain"), "keychain: 1 secret, writing and reading work");
    assert_eq!(session.lookup("work"), Some(token("work")));
    assert_eq!(session.lookup("-doctor"), None);
}

#[test]
fn a_keychain_that_never_answers_is_not_waited_for() {
    let Some((session, clinic)) = clinic() else { return };
    let stopped = session.stop();
    let begun = Instant::now();
    let fault = clinic.finds("error", "keychain-unreachable").saying("did not answer within 10 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(stopped);
    fault.fixed_by("kage subscription credential work --credential file").mended_with(&token("work"));
}

#[test]
fn a_secret_that_is_not_in_the_keychain_is_asked_for() {
    let Some((_session, clinic)) = clinic() else { return };
    clinic.config("[subscriptions.pool.second]\ncredential = { from = \"keychain\" }");
    let fault = clinic.finds("error", "secret-missing").saying("`second`");
    fault.fixed_by("kage subscription credential second").mended_with(&token("second"));
}

#[test]
fn a_secret_in_the_keychain_that_no_subscription_uses_is_taken_away() {
    let Some((session, clinic)) = clinic() else { return };
    let config = clinic.sandbox.read(CONFIG);
    clinic.sandbox.config(&config.replace("pool.work", "pool.other"));
    let found = clinic.examine();
    let codes: Vec<_> =
        found.faults().iter().map(|fault| fault["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["secret-orphan", "secret-missing"]);
    clinic
        .sandbox
        .config(&format!("{config}\n[subscriptions.pool.other]\ncredential = {{ from = \"keychain\" }}\n"));
    clinic.finds("error", "secret-missing").mended_with(&token("other"));
    clinic.sandbox.config(&config);
    clinic
        .finds("warning", "secret-orphan")
        .fixed_by("secret-tool clear service kage username other")
        .mended();
    assert_eq!((session.lookup("other"), session.lookup("work")), (None, Some(token("work"))));
}

#[test]
fn a_keychain_that_is_locked_or_gone_is_left_for_the_file() {
    let Some((session, clinic)) = clinic() else { return };
    session.lock();
    let fix = "kage subscription credential work --credential file";
    let fault = clinic.finds("error", "keychain-unreachable").saying("the keychain is locked");
    fault.fixed_by(fix);
    drop(session);
    let fault = clinic.finds("error", "keychain-unreachable").saying("there is no session bus");
    fault.fixed_by(fix).mended_with(&token("work"));
}
