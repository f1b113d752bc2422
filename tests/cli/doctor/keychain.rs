//! Problems with the keychain, tested with a real gnome-keyring-daemon.

use std::time::{Duration, Instant};

use super::fixture::Fixture;
use crate::secret_service::{PROGRAMS, Session};
use crate::support::{CONFIG, has_all, token};

/// A fixture whose secret is in the keychain. `None` if the programs for that are not installed.
fn fixture() -> Option<(Session, Fixture)> {
    if !has_all(&PROGRAMS) {
        return None;
    }
    let fixture = Fixture::healthy();
    let session = Session::unlocked(&fixture.sandbox.path("keyring"));
    let fixture =
        fixture.with("DBUS_SESSION_BUS_ADDRESS", &session.address).with("XDG_RUNTIME_DIR", "/nowhere");
    let credential = ["subscription", "credential", "work", "--credential", "keychain"];
    let moved = fixture.sandbox.kage(credential).env("DBUS_SESSION_BUS_ADDRESS", &session.address);
    moved.stdin(&token("work")).run().success();
    Some((session, fixture))
}

#[test]
fn a_keychain_in_use_is_tested_and_not_changed() {
    let Some((session, fixture)) = fixture() else { return };
    fixture.assert_no_problems();
    assert_eq!(fixture.findings().message("keychain"), "keychain: 1 secret, readable and writable");
    assert_eq!(session.lookup("work"), Some(token("work")));
    assert_eq!(session.lookup("-doctor"), None);
}

#[test]
fn a_keychain_that_never_answers_is_not_waited_for() {
    let Some((session, fixture)) = fixture() else { return };
    let stopped = session.stop();
    let begun = Instant::now();
    let problem = fixture.finds("error", "keychain-unreachable").mentions("did not answer within 10 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(stopped);
    problem.has_fix("kage subscription credential work --credential file").apply_fix_with(&token("work"));
}

#[test]
fn a_secret_that_is_not_in_the_keychain_is_asked_for() {
    let Some((_session, fixture)) = fixture() else { return };
    fixture.config("[subscriptions.pool.second]\ncredential = { from = \"keychain\" }");
    let problem = fixture.finds("error", "secret-missing").mentions("`second`");
    problem.has_fix("kage subscription credential second").apply_fix_with(&token("second"));
}

#[test]
fn a_secret_in_the_keychain_that_no_subscription_uses_is_removed() {
    let Some((session, fixture)) = fixture() else { return };
    let config = fixture.sandbox.read(CONFIG);
    fixture.sandbox.config(&config.replace("pool.work", "pool.other"));
    let found = fixture.findings();
    let codes: Vec<_> =
        found.problems().iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["secret-orphan", "secret-missing"]);
    fixture
        .sandbox
        .config(&format!("{config}\n[subscriptions.pool.other]\ncredential = {{ from = \"keychain\" }}\n"));
    fixture.finds("error", "secret-missing").apply_fix_with(&token("other"));
    fixture.sandbox.config(&config);
    fixture
        .finds("warning", "secret-orphan")
        .has_fix("secret-tool clear service kage username other")
        .apply_fix();
    assert_eq!((session.lookup("other"), session.lookup("work")), (None, Some(token("work"))));
}

#[test]
fn a_locked_or_missing_keychain_is_replaced_by_the_file() {
    let Some((session, fixture)) = fixture() else { return };
    session.lock();
    let fix = "kage subscription credential work --credential file";
    let problem = fixture.finds("error", "keychain-unreachable").mentions("the keychain is locked");
    problem.has_fix(fix);
    drop(session);
    let problem = fixture.finds("error", "keychain-unreachable").mentions("there is no session bus");
    problem.has_fix(fix).apply_fix_with(&token("work"));
}
