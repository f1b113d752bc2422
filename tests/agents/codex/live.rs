//! A session at the terminal, in tmux, as a person has it: it is judged when it has ended.

use std::fs;
use std::os::unix::fs::symlink;

use crate::codex::scene::{ANSWER, ONE_ANSWER, Scene, key};
use crate::support::{CONFIG, has_all, kage, wait_until};
use crate::tmux::{Pane, Tmux};

const PROMPT: &str = "Continue where you left off.";
/// What the agent shows when it reads.
const READY: &str = "? for shortcuts";

/// Two login directories with the same conversations: `work` answers once and then hits its limit.
fn scene(test: impl Fn(), interactive: Option<&str>) -> Option<Scene> {
    let scene = Scene::of(test)?;
    if !has_all(&["tmux", "bash"]) {
        return None;
    }
    scene.login("work", "ok+limit").login("spare", "ok");
    fs::create_dir(scene.sandbox.path("home/spare/sessions")).unwrap();
    symlink(scene.sandbox.path("home/spare/sessions"), scene.sandbox.path("home/work/sessions")).unwrap();
    scene.sandbox.kage(["subscription", "set", "work", "--priority", "200"]).run().success();
    let known = scene.sandbox.read(CONFIG);
    let failover =
        interactive.map_or(String::new(), |word| format!("\n[failover]\ninteractive = \"{word}\"\n"));
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n{failover}"));
    Some(scene)
}

/// Types into the session. An Enter that comes at once would be one of a pasted text.
fn says(pane: &Pane<'_>, text: &str) {
    pane.types(text);
    pane.shows(&format!("› {text}"));
    pane.press("Enter");
}

/// A session that ends after its subscription has hit its limit.
fn hit_the_limit(pane: &Pane<'_>) {
    pane.enter(&format!("{} exec -- codex", kage().display()));
    pane.shows(READY);
    says(pane, "hello there");
    pane.shows(ANSWER.trim());
    says(pane, "and again");
    pane.shows("usage limit");
    says(pane, "/quit");
}

fn session(scene: &Scene) -> Tmux {
    Tmux::start(scene.sandbox.kage(["ps"]), scene.sandbox.path("tmux"))
}

#[test]
fn the_user_is_asked_after_the_session_and_yes_goes_on() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_yes_goes_on, None) else { return };
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    let screen = pane.shows("Continue on spare? [Y/n]");
    assert!(screen.contains("kage: work hit its 5-hour limit (until "), "{screen}");
    assert_eq!(scene.sandbox.status_of("work")["status"], "rate_limited");
    pane.press("Enter");
    pane.shows(PROMPT);
    wait_until("the other subscription is asked", || scene.keys().contains(&key("spare", "ok")));
    let asked = scene.provider.asked();
    let conversation = asked.last().unwrap().conversation();
    for text in ["hello there", ANSWER.trim(), "and again", PROMPT] {
        assert!(conversation.contains(text), "{text}: {conversation}");
    }
    says(&pane, "/quit");
    pane.is_at_the_prompt();
    assert_eq!(scene.ran_on(), ["work", "spare"]);
}

#[test]
fn the_user_is_asked_after_the_session_and_no_ends_it() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_no_ends_it, Some("ask")) else { return };
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    pane.shows("Continue on spare? [Y/n]");
    pane.enter("n");
    assert_eq!(pane.prints("echo status $?").trim(), "status 0");
    assert_eq!(scene.ran_on(), ["work"]);
}

#[test]
fn without_going_on_the_command_is_named() {
    let Some(scene) = scene(without_going_on_the_command_is_named, Some("off")) else { return };
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    pane.is_at_the_prompt();
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    let named = format!("; to continue on spare: kage exec -s spare -- codex resume {session} '{PROMPT}'");
    assert!(pane.history().contains(&named), "{}", pane.history());
}

#[test]
fn a_login_without_the_conversation_is_named_as_what_it_is() {
    let test = a_login_without_the_conversation_is_named_as_what_it_is;
    let Some(scene) = scene(test, None) else { return };
    fs::remove_file(scene.sandbox.path("home/work/sessions")).unwrap();
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    pane.shows("; spare does not have the conversation in its login directory");
}

/// Starts a session. Under load the agent says that it is ready long before its session has begun.
fn begins(scene: &Scene, pane: &Pane<'_>, login: &str, namespace: &str) {
    // It leaves a mark here for each that has.
    let marks = scene.sandbox.path(&format!("home/{login}/tui-thread-reference-capabilities"));
    let begun = || fs::read_dir(&marks).map_or(0, Iterator::count);
    let before = begun();
    pane.enter(&format!("{} exec -s {login} -n {namespace} -- codex", kage().display()));
    pane.shows(READY);
    wait_until("the session has begun", || begun() > before);
}

/// Two sessions in one directory on one login, whose tokens tell them apart: one asks once, the other twice.
/// The server of the agent's that holds the records of both lives on.
fn two_sessions(scene: &Scene, ends_first: usize) {
    scene.login("both", "ok");
    let tmux = session(scene);
    let panes = [tmux.first(), tmux.another()];
    for (pane, namespace) in panes.iter().zip(["once", "twice"]) {
        begins(scene, pane, "both", namespace);
    }
    for text in ["hello there", "and again"] {
        // The later session asks first, so that neither the order of the files nor that of the words helps.
        says(&panes[1], text);
        wait_until("it is answered", || {
            panes[1].screen().matches(ANSWER.trim()).count() == 1 + usize::from(text != "hello there")
        });
    }
    says(&panes[0], "hello there");
    panes[0].shows(ANSWER.trim());
    for pane in [&panes[ends_first], &panes[1 - ends_first]] {
        says(pane, "/quit");
        pane.is_at_the_prompt();
    }
    assert_eq!(scene.tokens_of("once"), [ONE_ANSWER]);
    assert_eq!(scene.tokens_of("twice"), [2 * ONE_ANSWER]);
}

#[test]
fn of_two_sessions_in_a_directory_the_earlier_that_ends_first_has_its_own_tokens() {
    let test = of_two_sessions_in_a_directory_the_earlier_that_ends_first_has_its_own_tokens;
    let Some(scene) = scene(test, None) else { return };
    two_sessions(&scene, 0);
}

#[test]
fn of_two_sessions_in_a_directory_the_later_that_ends_first_has_its_own_tokens() {
    let test = of_two_sessions_in_a_directory_the_later_that_ends_first_has_its_own_tokens;
    let Some(scene) = scene(test, None) else { return };
    two_sessions(&scene, 1);
}

/// Of two sessions in one directory, each on a login, the first is asked nothing, and ends first.
fn never_asked(scene: &Scene, logins: [&str; 2]) {
    let tmux = session(scene);
    let panes = [tmux.first(), tmux.another()];
    for ((pane, namespace), login) in panes.iter().zip(["never", "once"]).zip(logins) {
        begins(scene, pane, login, namespace);
    }
    says(&panes[1], "hello there");
    panes[1].shows(ANSWER.trim());
    for pane in &panes {
        says(pane, "/quit");
        pane.is_at_the_prompt();
    }
    assert_eq!(scene.tokens_of("never"), [0]);
    assert_eq!(scene.tokens_of("once"), [ONE_ANSWER]);
}

#[test]
fn a_session_that_was_never_asked_has_no_tokens_of_the_one_beside_it() {
    let test = a_session_that_was_never_asked_has_no_tokens_of_the_one_beside_it;
    let Some(scene) = scene(test, None) else { return };
    scene.login("both", "ok");
    never_asked(&scene, ["both", "both"]);
}

#[test]
fn a_login_that_shares_its_conversations_has_no_tokens_of_the_other() {
    let test = a_login_that_shares_its_conversations_has_no_tokens_of_the_other;
    let Some(scene) = scene(test, None) else { return };
    never_asked(&scene, ["work", "spare"]);
}
