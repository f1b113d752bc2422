//! A terminal session in tmux. The tests type and read as a user does. kage determines the verdict after the
//! session has ended.

use std::fs;
use std::os::unix::fs::symlink;

use crate::codex::scene::{ANSWER, ONE_ANSWER, Scene, key};
use crate::support::{CONFIG, has_all, kage, wait_until};
use crate::tmux::{Pane, Tmux};

const PROMPT: &str = "Continue where you left off.";
/// What the agent shows when it is ready for input.
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

/// Sends a prompt. The agent treats an Enter that follows the text immediately as part of a paste.
fn send(pane: &Pane<'_>, text: &str) {
    pane.types(text);
    pane.shows(&format!("› {text}"));
    pane.press("Enter");
}

/// Runs a session until its subscription hits its limit, and leaves it.
fn hit_the_limit(pane: &Pane<'_>) {
    pane.enter(&format!("{} exec -- codex", kage().display()));
    pane.shows(READY);
    send(pane, "hello there");
    pane.shows(ANSWER.trim());
    send(pane, "and again");
    pane.shows("usage limit");
    send(pane, "/quit");
}

fn session(scene: &Scene) -> Tmux {
    Tmux::start(scene.sandbox.kage(["ps"]), scene.sandbox.path("tmux"))
}

#[test]
fn the_user_is_asked_after_the_session_and_yes_continues() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_yes_continues, None) else { return };
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    let screen = pane.shows("Continue on spare? [Y/n]");
    assert!(screen.contains("kage: work hit its 5-hour limit (resets "), "{screen}");
    assert_eq!(scene.sandbox.status_of("work")["status"], "rate_limited");
    pane.press("Enter");
    pane.shows(PROMPT);
    wait_until("a request on the other subscription", || scene.keys().contains(&key("spare", "ok")));
    let requests = scene.provider.turns();
    let conversation = requests.last().unwrap().conversation();
    for text in ["hello there", ANSWER.trim(), "and again", PROMPT] {
        assert!(conversation.contains(text), "{text}: {conversation}");
    }
    send(&pane, "/quit");
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
fn with_interactive_off_the_command_is_shown() {
    let Some(scene) = scene(with_interactive_off_the_command_is_shown, Some("off")) else { return };
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    pane.is_at_the_prompt();
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    let named = format!("; to continue on spare: kage exec -s spare -- codex resume {session} '{PROMPT}'");
    assert!(pane.history().contains(&named), "{}", pane.history());
}

#[test]
fn a_login_without_the_conversation_is_reported() {
    let test = a_login_without_the_conversation_is_reported;
    let Some(scene) = scene(test, None) else { return };
    fs::remove_file(scene.sandbox.path("home/work/sessions")).unwrap();
    let tmux = session(&scene);
    let pane = tmux.first();
    hit_the_limit(&pane);
    pane.shows("; spare does not have the conversation in its login directory");
}

/// Starts a session. Under load the agent shows that it is ready long before the session begins.
fn start_session(scene: &Scene, pane: &Pane<'_>, login: &str, namespace: &str) {
    // The agent adds an entry here for each session that has begun.
    let entries = scene.sandbox.path(&format!("home/{login}/tui-thread-reference-capabilities"));
    let begun = || fs::read_dir(&entries).map_or(0, Iterator::count);
    let before = begun();
    pane.enter(&format!("{} exec -s {login} -n {namespace} -- codex", kage().display()));
    pane.shows(READY);
    wait_until("the session to begin", || begun() > before);
}

/// Two sessions in one directory on one login. Their numbers of tokens distinguish them: one sends one
/// prompt, the other two. The agent's server, which holds the transcripts of both, keeps running.
fn two_sessions(scene: &Scene, ends_first: usize) {
    scene.login("both", "ok");
    let tmux = session(scene);
    let panes = [tmux.first(), tmux.another()];
    for (pane, namespace) in panes.iter().zip(["once", "twice"]) {
        start_session(scene, pane, "both", namespace);
    }
    for text in ["hello there", "and again"] {
        // The later session sends a prompt first: neither the order of files nor of prompts identifies a
        // session.
        send(&panes[1], text);
        wait_until("the answer", || {
            panes[1].screen().matches(ANSWER.trim()).count() == 1 + usize::from(text != "hello there")
        });
    }
    send(&panes[0], "hello there");
    panes[0].shows(ANSWER.trim());
    for pane in [&panes[ends_first], &panes[1 - ends_first]] {
        send(pane, "/quit");
        pane.is_at_the_prompt();
    }
    assert_eq!(scene.tokens_of("once"), [ONE_ANSWER]);
    assert_eq!(scene.tokens_of("twice"), [2 * ONE_ANSWER]);
}

#[test]
fn two_sessions_in_a_directory_have_their_own_tokens_if_the_earlier_ends_first() {
    let test = two_sessions_in_a_directory_have_their_own_tokens_if_the_earlier_ends_first;
    let Some(scene) = scene(test, None) else { return };
    two_sessions(&scene, 0);
}

#[test]
fn two_sessions_in_a_directory_have_their_own_tokens_if_the_later_ends_first() {
    let test = two_sessions_in_a_directory_have_their_own_tokens_if_the_later_ends_first;
    let Some(scene) = scene(test, None) else { return };
    two_sessions(&scene, 1);
}

/// Two sessions in one directory, on these logins. The first gets no prompt, and ends first.
fn first_without_a_prompt(scene: &Scene, logins: [&str; 2]) {
    let tmux = session(scene);
    let panes = [tmux.first(), tmux.another()];
    for ((pane, namespace), login) in panes.iter().zip(["never", "once"]).zip(logins) {
        start_session(scene, pane, login, namespace);
    }
    send(&panes[1], "hello there");
    panes[1].shows(ANSWER.trim());
    for pane in &panes {
        send(pane, "/quit");
        pane.is_at_the_prompt();
    }
    assert_eq!(scene.tokens_of("never"), [0]);
    assert_eq!(scene.tokens_of("once"), [ONE_ANSWER]);
}

#[test]
fn a_session_without_a_prompt_has_no_tokens_of_a_parallel_session() {
    let test = a_session_without_a_prompt_has_no_tokens_of_a_parallel_session;
    let Some(scene) = scene(test, None) else { return };
    scene.login("both", "ok");
    first_without_a_prompt(&scene, ["both", "both"]);
}

#[test]
fn a_login_that_shares_its_conversations_has_no_tokens_of_the_other() {
    let test = a_login_that_shares_its_conversations_has_no_tokens_of_the_other;
    let Some(scene) = scene(test, None) else { return };
    first_without_a_prompt(&scene, ["work", "spare"]);
}
