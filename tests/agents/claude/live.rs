//! A terminal session in tmux whose subscription hits a limit. The tests type and read as a user does.

use std::fs;
use std::path::Path;
use std::time::Instant;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::claude::scene::{ONE_ANSWER, Scene, answer, hook, run_on, time};
use crate::provider::Request;
use crate::support::{CONFIG, has_all, kage, token, wait_until};
use crate::tmux::{Pane, Tmux};

/// What kage reports on the screen of the session.
const ANNOUNCED: &str = "kage: work hit its 5-hour limit (resets ";
const COUNTDOWN_HINT: &str = "s (enter a prompt to stay)";
pub(crate) const PROMPT: &str = "Continue where you left off.";
/// How long the user can choose to stay before kage switches.
const COUNTDOWN: SignedDuration = SignedDuration::from_secs(3);

/// `work` answers once and then hits its limit; `spare` and `third` answer.
fn pool(scene: &Scene, interactive: Option<&str>) {
    scene.add_first("work", "work--429five+1").add("spare", "spare--ok");
    let known = scene.sandbox.read(CONFIG);
    let failover =
        interactive.map_or(String::new(), |word| format!("\n[failover]\ninteractive = \"{word}\"\n"));
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n{failover}"));
}

/// The scene of a test, with a home in which the agent asks no questions at its start.
pub(crate) fn scene(test: impl Fn()) -> Option<Scene> {
    Scene::of(test).and_then(begun)
}

pub(crate) fn begun(scene: Scene) -> Option<Scene> {
    if !has_all(&["tmux", "bash"]) {
        return None;
    }
    let trusted = json!({ scene.sandbox.path("work").to_str()?: { "hasTrustDialogAccepted": true } });
    let begun = json!({ "hasCompletedOnboarding": true, "theme": "dark", "projects": trusted });
    scene.sandbox.write("home/.claude.json", &begun.to_string());
    Some(scene)
}

pub(crate) fn tmux(scene: &Scene) -> Tmux {
    Tmux::start(scene.kage(&[]), scene.sandbox.path("tmux"))
}

/// Starts a session in a pane and sends a prompt that is answered.
pub(crate) fn begin(pane: &Pane<'_>, flags: &str) {
    begin_with(&kage(), pane, flags);
}

fn begin_with(kage: &Path, pane: &Pane<'_>, flags: &str) {
    pane.enter(&format!("{} exec -- claude {flags}", kage.display()));
    pane.shows("auto mode on");
    pane.enter("hello there");
    pane.shows(answer("ok").trim());
}

/// Sends a prompt that is refused.
pub(crate) fn hit_the_limit(pane: &Pane<'_>) {
    pane.enter("and again");
    pane.shows("You've hit your 5-hour limit");
}

/// A pane whose session has hit its limit.
fn at_the_limit<'a>(tmux: &'a Tmux, flags: &str) -> Pane<'a> {
    let pane = tmux.first();
    begin(&pane, flags);
    hit_the_limit(&pane);
    pane
}

fn requests_of(scene: &Scene, tail: &str) -> Vec<Request> {
    let bearer = format!("Bearer {}", token(tail));
    let mut requests = scene.provider.messages();
    requests.retain(|request| request.authorization.as_deref() == Some(&bearer));
    requests
}

/// The conversation in a request.
fn texts(request: &Request) -> String {
    request.body["messages"].to_string()
}

/// Leaves the session, and checks that the exit status is the agent's.
pub(crate) fn leave(pane: &Pane<'_>) {
    pane.enter("/exit");
    assert_eq!(pane.prints("echo status $?").trim(), "status 0");
}

fn status_of(scene: &Scene, name: &str) -> Value {
    scene.sandbox.status_of(name)["status"].clone()
}

#[test]
fn a_session_continues_on_another_subscription_after_a_limit() {
    let scene = Scene::alone(a_session_continues_on_another_subscription_after_a_limit).and_then(begun);
    let Some(scene) = scene else { return };
    pool(&scene, None);
    let tmux = tmux(&scene);
    let pane = tmux.first();
    let modes = pane.prints("stty -g");
    begin(&pane, "--append-system-prompt marked");
    assert_eq!(status_of(&scene, "work"), "active");
    let begun = Instant::now();
    hit_the_limit(&pane);
    let screen = pane.shows(ANNOUNCED);
    assert!(screen.contains("continuing on spare in ") && screen.contains(COUNTDOWN_HINT), "{screen}");
    // From now on every other run avoids this subscription.
    assert_eq!(status_of(&scene, "work"), "rate_limited");
    scene.exec(&["-p", "meanwhile"]).run().success().prints(&answer("ok")).says("");
    let screen = pane.shows(&format!("❯ {PROMPT}"));
    let shown = begun.elapsed();
    assert!(screen.contains("hello there") && screen.contains("and again"), "{screen}");
    let continuing = || requests_of(&scene, "spare--ok").into_iter().find(|one| texts(one).contains(PROMPT));
    wait_until("a request on the other subscription", || continuing().is_some());
    println!("from the refusal to the conversation on another subscription: {shown:?}");
    let request = continuing().unwrap();
    for text in ["hello there", answer("ok").trim(), "and again", PROMPT] {
        assert!(texts(&request).contains(text), "{text}: {}", request.body);
    }
    assert!(request.body["system"].to_string().contains("marked"), "the user's own flags stay");
    assert_eq!(requests_of(&scene, "work--429five+1").last().unwrap().status, 429);
    leave(&pane);
    assert_eq!(pane.prints("stty -g"), modes);
    let ledger = scene.ledger();
    let [one, other] = &run_on(&ledger, "work")[..] else { panic!("{ledger:?}") };
    assert_eq!((&one["verdict"], &other["verdict"]), (&json!("usage_limit"), &json!("succeeded")));
    assert_eq!((&one["session"], &other["subscription"]), (&other["session"], &json!("spare")));
    let meanwhile: Vec<_> = ledger.iter().filter(|row| row["run"] != one["run"]).collect();
    assert_eq!((meanwhile.len(), &meanwhile[0]["subscription"]), (1, &json!("spare")));
    // `time` is when kage takes the lease, right after the countdown. The agent's exit and start come later.
    let took = time(other, "time").duration_since(scene.refusals()[0]);
    assert!(took >= COUNTDOWN && took < SignedDuration::from_secs(5), "{took:?}");
    assert_eq!(
        (scene.tokens_of("work"), scene.tokens_of("spare")),
        (ONE_ANSWER.into(), (2 * ONE_ANSWER).into())
    );
    assert_eq!(scene.sandbox.state()["leases"], Value::Null);
    scene.assert_no_leftover();
}

#[test]
fn a_prompt_during_the_countdown_keeps_the_session() {
    let Some(scene) = scene(a_prompt_during_the_countdown_keeps_the_session) else { return };
    pool(&scene, None);
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    pane.shows(COUNTDOWN_HINT);
    let before = requests_of(&scene, "work--429five+1").len();
    pane.enter("I stay here");
    // It is refused as well, and the countdown starts again.
    wait_until("the prompt to be sent", || requests_of(&scene, "work--429five+1").len() > before);
    pane.shows("Usage limit reached again");
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--ok").is_empty());
    assert!(texts(&requests_of(&scene, "spare--ok")[0]).contains("I stay here"));
    leave(&pane);
    let refusals = scene.refusals();
    let waited = time(&scene.ledger()[1], "time").duration_since(refusals[1]);
    assert!(refusals.len() == 2 && waited >= COUNTDOWN, "{waited:?} since the last of {refusals:?}");
}

#[test]
fn a_prompt_while_the_other_credential_is_fetched_keeps_the_session() {
    let Some(scene) = scene(a_prompt_while_the_other_credential_is_fetched_keeps_the_session) else { return };
    let (asked, go_on) = (scene.sandbox.path("asked"), scene.sandbox.path("go-on"));
    let fetch = format!(
        "command:touch {}; until [ -e {} ]; do sleep 0.05; done; echo {}",
        asked.display(),
        go_on.display(),
        token("spare--ok")
    );
    let address = scene.address();
    fs::write(&go_on, "").unwrap(); // `subscription add` runs the command once
    scene.kage(&["subscription", "add", "spare", "--env", &address, "--credential", &fetch]).run().success();
    fs::remove_file(&asked).unwrap();
    fs::remove_file(&go_on).unwrap();
    scene.add_first("work", "work--429five+1");
    let known = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the end of the countdown", || asked.exists());
    let leases = || scene.sandbox.state()["leases"].as_array().cloned().unwrap_or_default();
    pane.enter("I stay here");
    pane.shows("Usage limit reached again");
    // kage is waiting for the credential, and the hook may not have booked the second refusal yet.
    wait_until("the second refusal to be recorded", || scene.refusals().len() == 2);
    assert_eq!(leases().len(), 2);
    fs::write(go_on, "").unwrap();
    // The second refusal starts its own countdown.
    let mut left = Vec::new();
    wait_until("the lease on the other subscription to be released", || {
        left = leases();
        left.len() == 1
    });
    assert_eq!(left[0]["subscription"], "work");
    assert!(requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn leaving_during_the_countdown_ends_the_run_and_shows_the_command() {
    let Some(scene) = scene(leaving_during_the_countdown_ends_the_run_and_shows_the_command) else { return };
    pool(&scene, None);
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "--model sonnet");
    pane.shows(COUNTDOWN_HINT);
    leave(&pane);
    assert!(requests_of(&scene, "spare--ok").is_empty());
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    let named = format!("kage exec -s spare -- claude --resume {session} '{PROMPT}' --model sonnet");
    assert!(pane.history().contains(&format!("; to continue on spare: {named}")), "{}", pane.history());
}

#[test]
fn the_user_is_asked_after_the_session_and_yes_continues() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_yes_continues) else { return };
    pool(&scene, Some("ask"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal to be booked", || status_of(&scene, "work") == "rate_limited");
    pane.enter("/exit");
    let screen = pane.shows("Continue on spare? [Y/n]");
    assert!(screen.contains(ANNOUNCED) && !screen.contains(COUNTDOWN_HINT), "{screen}");
    pane.press("Enter");
    let screen = pane.shows(&format!("❯ {PROMPT}"));
    assert!(screen.contains("and again"), "{screen}");
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn the_user_is_asked_after_the_session_and_no_ends_it() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_no_ends_it) else { return };
    pool(&scene, Some("ask"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    pane.enter("/exit");
    pane.shows("Continue on spare? [Y/n]");
    pane.enter("n");
    assert_eq!(pane.prints("echo status $?").trim(), "status 0");
    assert!(requests_of(&scene, "spare--ok").is_empty());
}

#[test]
fn a_conversation_that_the_user_cleared_does_not_continue() {
    let Some(scene) = scene(a_conversation_that_the_user_cleared_does_not_continue) else { return };
    pool(&scene, Some("ask"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal to be booked", || status_of(&scene, "work") == "rate_limited");
    let session = || {
        let running = scene.kage(&["ps", "--json"]).run().success().stdout();
        serde_json::from_str::<Value>(&running).unwrap()["leases"][0]["session"].clone()
    };
    let first = session();
    pane.enter("/clear");
    wait_until("another conversation", || session().is_string() && session() != first);
    let is_ready = |screen: &str| !screen.contains("hello there") && screen.contains("auto mode on");
    wait_until("a cleared screen", || is_ready(&pane.screen()));
    leave(&pane);
    assert!(!pane.history().contains("kage: "), "{}", pane.history());
    assert_eq!(scene.ledger()[0]["verdict"], "usage_limit");
}

#[test]
fn with_interactive_off_the_command_is_shown() {
    let Some(scene) = scene(with_interactive_off_the_command_is_shown) else { return };
    pool(&scene, Some("off"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal to be booked", || status_of(&scene, "work") == "rate_limited");
    let screen = pane.screen();
    assert!(!screen.contains("kage:"), "{screen}");
    leave(&pane);
    let history = pane.history();
    let (_, named) = history.split_once("to continue on spare: kage ").expect("the command is shown");
    // The command works.
    let named = named.lines().next().unwrap();
    pane.enter(&format!("{} {named}", kage().display()));
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn without_another_subscription_the_session_is_left_alone() {
    let Some(scene) = scene(without_another_subscription_the_session_is_left_alone) else { return };
    scene.add("work", "work--429five+1");
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    let screen = pane.shows(ANNOUNCED);
    assert!(screen.contains("no subscription is ready until"), "{screen}");
    pane.shows("Continuing automatically at");
    leave(&pane);
    assert_eq!(scene.ledger().len(), 1);
}

#[test]
fn without_hooks_the_user_is_asked_after_the_session() {
    let Some(scene) = scene(without_hooks_the_user_is_asked_after_the_session) else { return };
    pool(&scene, None);
    scene.settings("home/.claude/settings.json", &json!({ "disableAllHooks": true }));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    pane.enter("/exit");
    pane.shows("Continue on spare? [Y/n]");
    assert_eq!(status_of(&scene, "work"), "rate_limited");
    pane.enter("y");
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn the_model_stays_when_a_session_continues_with_an_api_key() {
    let Some(scene) = scene(the_model_stays_when_a_session_continues_with_an_api_key) else { return };
    scene.add_first("work", "work--429five+1");
    let key = "sk-ant-api03-invented-key--plain";
    // The agent asks once whether it may use a key, and recognizes the key by its last 20 characters.
    let mut begun: Value = serde_json::from_str(&scene.sandbox.read("home/.claude.json")).unwrap();
    begun["customApiKeyResponses"] = json!({ "approved": [key[key.len() - 20..]], "rejected": [] });
    scene.sandbox.write("home/.claude.json", &begun.to_string());
    let add = ["subscription", "add", "key", "--credential", "file", "--env", &scene.address()];
    scene.sandbox.kage(add).stdin(key).run().success();
    let known = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    let with_key = || {
        let mut requests = scene.provider.messages();
        requests.retain(|request| request.api_key.as_deref() == Some(key));
        requests
    };
    wait_until("a request with the key", || with_key().iter().any(|one| texts(one).contains(PROMPT)));
    let before = &requests_of(&scene, "work--429five+1")[0].body["model"];
    let requests = with_key();
    let request = requests.iter().find(|one| texts(one).contains(PROMPT)).unwrap();
    assert_eq!(&request.body["model"], before);
    leave(&pane);
}

#[test]
fn a_refused_probe_at_the_start_is_not_a_limit() {
    let Some(scene) = scene(a_refused_probe_at_the_start_is_not_a_limit) else { return };
    scene.add_first("work", "work--429five").add("spare", "spare--ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    pane.enter(&format!(
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC= {} exec -s work -- claude",
        kage().display()
    ));
    wait_until("the refused probe", || {
        requests_of(&scene, "work--429five")
            .iter()
            .any(|request| request.body["max_tokens"] == 1 && request.status == 429)
    });
    pane.shows("auto mode on");
    // A hook that booked the refusal would do so before the session can be left.
    leave(&pane);
    assert!(!pane.history().contains("kage:"), "{}", pane.history());
    assert_eq!(status_of(&scene, "work"), "active");
    assert_eq!(scene.ledger()[0]["verdict"], "succeeded");
}

#[test]
fn a_session_continues_twice_after_kages_binary_is_replaced() {
    let Some(scene) = scene(a_session_continues_twice_after_kages_binary_is_replaced) else { return };
    scene.add_first("work", "work--429five+1").add("spare", "spare--429five+1").add("third", "third--ok");
    let known = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    let (own, newer) = (scene.sandbox.path("bin/kage"), scene.sandbox.path("newer"));
    fs::copy(kage(), &own).unwrap();
    fs::copy(kage(), &newer).unwrap();
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin_with(&own, &pane, "");
    fs::rename(newer, own).unwrap();
    hit_the_limit(&pane);
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--429five+1").is_empty());
    pane.enter("once more");
    pane.shows("continuing on third in ");
    wait_until("a request on the third subscription", || !requests_of(&scene, "third--ok").is_empty());
    leave(&pane);
}

#[test]
fn the_users_own_settings_hooks_and_status_line_keep_working() {
    let Some(scene) = scene(the_users_own_settings_hooks_and_status_line_keep_working) else { return };
    pool(&scene, None);
    let mark = |file: &str| format!("echo x >> {}", scene.sandbox.path(file).display());
    scene.settings(
        "home/.claude/settings.json",
        &json!({ "hooks": hook("StopFailure", &mark("users")), "statusLine": { "type": "command", "command": "echo my status line" } }),
    );
    let settings = json!({ "hooks": hook("UserPromptSubmit", &mark("given")) });
    let given = scene.settings("given.json", &settings);
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, &format!("--settings {}", given.display()));
    pane.shows("my status line");
    hit_the_limit(&pane);
    pane.shows(&format!("❯ {PROMPT}"));
    pane.shows("my status line");
    wait_until("a request on the other subscription", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
    // Two prompts of the user and the continuation prompt; one failure.
    assert_eq!(
        (scene.sandbox.read("given").as_str(), scene.sandbox.read("users").as_str()),
        ("x\nx\nx\n", "x\n")
    );
    assert_eq!(fs::read_to_string(given).unwrap(), settings.to_string());
    scene.assert_no_leftover();
}

#[test]
fn tokens_of_every_conversation_of_a_session_are_counted() {
    let Some(scene) = scene(tokens_of_every_conversation_of_a_session_are_counted) else { return };
    scene.add("work", "work--ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, "");
    pane.enter("/clear");
    wait_until("a cleared screen", || !pane.screen().contains("hello there"));
    pane.enter("something else");
    pane.shows(answer("ok").trim());
    leave(&pane);
    assert_eq!(scene.tokens_of("work"), 2 * ONE_ANSWER);
    let requests = requests_of(&scene, "work--ok");
    assert_ne!(requests[0].session, requests[1].session);
    assert_eq!(scene.ledger()[0]["session"].as_str(), requests[1].session.as_deref());
}
