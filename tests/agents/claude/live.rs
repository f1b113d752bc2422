//! A session at the terminal, in tmux, as a person has it: what its subscription's limit does to it.

use std::fs;
use std::path::Path;
use std::time::Instant;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::claude::scene::{ONE_ANSWER, Scene, answer, hook, run_on, time};
use crate::provider::Request;
use crate::support::{CONFIG, has_all, kage, token, wait_until};
use crate::tmux::{Pane, Tmux};

/// What kage says while the session fills the screen.
const ANNOUNCED: &str = "kage: work hit its 5-hour limit (until ";
const GOING_ON: &str = "s, a prompt keeps you here";
pub(crate) const PROMPT: &str = "Continue where you left off.";
/// As long as the user has to stay where they are.
const MOMENT: SignedDuration = SignedDuration::from_secs(3);

/// `work` answers once and then hits its limit; `spare` and `third` answer.
fn pool(scene: &Scene, interactive: Option<&str>) {
    scene.add_first("work", "work--429five+1").add("spare", "spare--ok");
    let known = scene.sandbox.read(CONFIG);
    let failover =
        interactive.map_or(String::new(), |word| format!("\n[failover]\ninteractive = \"{word}\"\n"));
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n{failover}"));
}

/// The scene of a test, with a home in which the agent has nothing to ask at its start.
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

/// Begins a session in a pane, and asks something that is answered.
pub(crate) fn begin(pane: &Pane<'_>, flags: &str) {
    begin_with(&kage(), pane, flags);
}

fn begin_with(kage: &Path, pane: &Pane<'_>, flags: &str) {
    pane.enter(&format!("{} exec -- claude {flags}", kage.display()));
    pane.shows("auto mode on");
    pane.enter("hello there");
    pane.shows(answer("ok").trim());
}

/// Asks what is refused.
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

/// The texts of a request's conversation.
fn texts(request: &Request) -> String {
    request.body["messages"].to_string()
}

/// Leaves the session; the status is the agent's.
pub(crate) fn leave(pane: &Pane<'_>) {
    pane.enter("/exit");
    assert_eq!(pane.prints("echo status $?").trim(), "status 0");
}

fn status_of(scene: &Scene, name: &str) -> Value {
    scene.sandbox.status_of(name)["status"].clone()
}

#[test]
fn a_session_goes_on_where_its_subscription_hits_a_limit() {
    let scene = Scene::alone(a_session_goes_on_where_its_subscription_hits_a_limit).and_then(begun);
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
    assert!(screen.contains("continuing on spare in ") && screen.contains(GOING_ON), "{screen}");
    // Every other run avoids its subscription from now on.
    assert_eq!(status_of(&scene, "work"), "rate_limited");
    scene.exec(&["-p", "meanwhile"]).run().success().prints(&answer("ok")).says("");
    let screen = pane.shows(&format!("❯ {PROMPT}"));
    let shown = begun.elapsed();
    assert!(screen.contains("hello there") && screen.contains("and again"), "{screen}");
    let goes_on = || requests_of(&scene, "spare--ok").into_iter().find(|asked| texts(asked).contains(PROMPT));
    wait_until("the other subscription is asked", || goes_on().is_some());
    println!("from the refusal to the conversation on another subscription: {shown:?}");
    let asked = goes_on().unwrap();
    for text in ["hello there", answer("ok").trim(), "and again", PROMPT] {
        assert!(texts(&asked).contains(text), "{text}: {}", asked.body);
    }
    assert!(asked.body["system"].to_string().contains("marked"), "the user's own flags stay");
    assert_eq!(requests_of(&scene, "work--429five+1").last().unwrap().status, 429);
    leave(&pane);
    assert_eq!(pane.prints("stty -g"), modes);
    let ledger = scene.ledger();
    let [one, other] = &run_on(&ledger, "work")[..] else { panic!("{ledger:?}") };
    assert_eq!((&one["verdict"], &other["verdict"]), (&json!("usage_limit"), &json!("succeeded")));
    assert_eq!((&one["session"], &other["subscription"]), (&other["session"], &json!("spare")));
    let meanwhile: Vec<_> = ledger.iter().filter(|row| row["run"] != one["run"]).collect();
    assert_eq!((meanwhile.len(), &meanwhile[0]["subscription"]), (1, &json!("spare")));
    // kage takes the other place after the user's moment: what the agent needs to end and to begin is its own.
    let took = time(other, "time").duration_since(scene.refusals()[0]);
    assert!(took >= MOMENT && took < SignedDuration::from_secs(5), "{took:?}");
    assert_eq!(
        (scene.tokens_of("work"), scene.tokens_of("spare")),
        (ONE_ANSWER.into(), (2 * ONE_ANSWER).into())
    );
    assert_eq!(scene.sandbox.state()["leases"], Value::Null);
    scene.has_no_leftover();
}

#[test]
fn a_prompt_in_the_users_moment_keeps_the_session() {
    let Some(scene) = scene(a_prompt_in_the_users_moment_keeps_the_session) else { return };
    pool(&scene, None);
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    pane.shows(GOING_ON);
    let asked = requests_of(&scene, "work--429five+1").len();
    pane.enter("I stay here");
    // It is refused as well, and from then on the moment begins anew.
    wait_until("the prompt is sent", || requests_of(&scene, "work--429five+1").len() > asked);
    pane.shows("Usage limit reached again");
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--ok").is_empty());
    assert!(texts(&requests_of(&scene, "spare--ok")[0]).contains("I stay here"));
    leave(&pane);
    let refusals = scene.refusals();
    let moment = time(&scene.ledger()[1], "time").duration_since(refusals[1]);
    assert!(refusals.len() == 2 && moment >= MOMENT, "{moment:?} since the last of {refusals:?}");
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
    fs::write(&go_on, "").unwrap(); // it is tried when it is added
    scene.kage(&["subscription", "add", "spare", "--env", &address, "--credential", &fetch]).run().success();
    fs::remove_file(&asked).unwrap();
    fs::remove_file(&go_on).unwrap();
    scene.add_first("work", "work--429five+1");
    let known = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the moment is over", || asked.exists());
    let leases = || scene.sandbox.state()["leases"].as_array().cloned().unwrap_or_default();
    pane.enter("I stay here");
    pane.shows("Usage limit reached again");
    // kage hears nothing just now, and a hook may have had no time to book it.
    wait_until("the second refusal is recorded", || scene.refusals().len() == 2);
    assert_eq!(leases().len(), 2);
    fs::write(go_on, "").unwrap();
    // It has a moment of its own.
    let mut left = Vec::new();
    wait_until("the place on the other one is given back", || {
        left = leases();
        left.len() == 1
    });
    assert_eq!(left[0]["subscription"], "work");
    assert!(requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn leaving_in_the_users_moment_ends_it_and_the_command_is_named() {
    let Some(scene) = scene(leaving_in_the_users_moment_ends_it_and_the_command_is_named) else { return };
    pool(&scene, None);
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "--model sonnet");
    pane.shows(GOING_ON);
    leave(&pane);
    assert!(requests_of(&scene, "spare--ok").is_empty());
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    let named = format!("kage exec -s spare -- claude --resume {session} '{PROMPT}' --model sonnet");
    assert!(pane.history().contains(&format!("; to continue on spare: {named}")), "{}", pane.history());
}

#[test]
fn the_user_is_asked_after_the_session_and_yes_goes_on() {
    let Some(scene) = scene(the_user_is_asked_after_the_session_and_yes_goes_on) else { return };
    pool(&scene, Some("ask"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal is booked", || status_of(&scene, "work") == "rate_limited");
    pane.enter("/exit");
    let screen = pane.shows("Continue on spare? [Y/n]");
    assert!(screen.contains(ANNOUNCED) && !screen.contains(GOING_ON), "{screen}");
    pane.press("Enter");
    let screen = pane.shows(&format!("❯ {PROMPT}"));
    assert!(screen.contains("and again"), "{screen}");
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--ok").is_empty());
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
fn a_conversation_that_was_left_for_another_is_not_gone_on_with() {
    let Some(scene) = scene(a_conversation_that_was_left_for_another_is_not_gone_on_with) else { return };
    pool(&scene, Some("ask"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal is booked", || status_of(&scene, "work") == "rate_limited");
    let session = || {
        let running = scene.kage(&["ps", "--json"]).run().success().stdout();
        serde_json::from_str::<Value>(&running).unwrap()["leases"][0]["session"].clone()
    };
    let first = session();
    pane.enter("/clear");
    wait_until("another conversation begins", || session().is_string() && session() != first);
    let is_ready = |screen: &str| !screen.contains("hello there") && screen.contains("auto mode on");
    wait_until("the screen is cleared", || is_ready(&pane.screen()));
    leave(&pane);
    assert!(!pane.history().contains("kage: "), "{}", pane.history());
    assert_eq!(scene.ledger()[0]["verdict"], "usage_limit");
}

#[test]
fn without_going_on_the_command_is_named() {
    let Some(scene) = scene(without_going_on_the_command_is_named) else { return };
    pool(&scene, Some("off"));
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    wait_until("the refusal is booked", || status_of(&scene, "work") == "rate_limited");
    let screen = pane.screen();
    assert!(!screen.contains("kage:"), "{screen}");
    leave(&pane);
    let history = pane.history();
    let (_, named) = history.split_once("to continue on spare: kage ").expect("the command is named");
    // It does what it says.
    let named = named.lines().next().unwrap();
    pane.enter(&format!("{} {named}", kage().display()));
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn with_nothing_to_go_on_with_the_session_is_left_alone() {
    let Some(scene) = scene(with_nothing_to_go_on_with_the_session_is_left_alone) else { return };
    scene.add("work", "work--429five+1");
    let tmux = tmux(&scene);
    let pane = at_the_limit(&tmux, "");
    let screen = pane.shows(ANNOUNCED);
    assert!(screen.contains("no subscription is ready before"), "{screen}");
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
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
}

#[test]
fn the_model_stays_where_a_session_goes_on_with_an_api_key() {
    let Some(scene) = scene(the_model_stays_where_a_session_goes_on_with_an_api_key) else { return };
    scene.add_first("work", "work--429five+1");
    let key = "sk-ant-api03-invented-key--plain";
    // The agent asks once whether a key may be used, and knows it by its end.
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
    wait_until("the key is used", || with_key().iter().any(|asked| texts(asked).contains(PROMPT)));
    let before = &requests_of(&scene, "work--429five+1")[0].body["model"];
    let asked = with_key();
    let asked = asked.iter().find(|asked| texts(asked).contains(PROMPT)).unwrap();
    assert_eq!(&asked.body["model"], before);
    leave(&pane);
}

#[test]
fn the_probe_at_the_start_is_no_conversation() {
    let Some(scene) = scene(the_probe_at_the_start_is_no_conversation) else { return };
    scene.add_first("work", "work--429five").add("spare", "spare--ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    pane.enter(&format!(
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC= {} exec -s work -- claude",
        kage().display()
    ));
    wait_until("the probe is refused", || {
        requests_of(&scene, "work--429five")
            .iter()
            .any(|asked| asked.body["max_tokens"] == 1 && asked.status == 429)
    });
    pane.shows("auto mode on");
    // Were it booked, the hook would have done so before the session can be left.
    leave(&pane);
    assert!(!pane.history().contains("kage:"), "{}", pane.history());
    assert_eq!(status_of(&scene, "work"), "active");
    assert_eq!(scene.ledger()[0]["verdict"], "succeeded");
}

#[test]
fn a_kage_that_is_replaced_meanwhile_goes_on_and_on() {
    let Some(scene) = scene(a_kage_that_is_replaced_meanwhile_goes_on_and_on) else { return };
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
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--429five+1").is_empty());
    pane.enter("once more");
    pane.shows("continuing on third in ");
    wait_until("the third subscription is asked", || !requests_of(&scene, "third--ok").is_empty());
    leave(&pane);
}

#[test]
fn the_users_own_settings_hooks_and_status_line_keep_working() {
    let Some(scene) = scene(the_users_own_settings_hooks_and_status_line_keep_working) else { return };
    pool(&scene, None);
    let told = |file: &str| format!("echo x >> {}", scene.sandbox.path(file).display());
    scene.settings(
        "home/.claude/settings.json",
        &json!({ "hooks": hook("StopFailure", &told("users")), "statusLine": { "type": "command", "command": "echo my status line" } }),
    );
    let settings = json!({ "hooks": hook("UserPromptSubmit", &told("given")) });
    let given = scene.settings("given.json", &settings);
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, &format!("--settings {}", given.display()));
    pane.shows("my status line");
    hit_the_limit(&pane);
    pane.shows(&format!("❯ {PROMPT}"));
    pane.shows("my status line");
    wait_until("the other subscription is asked", || !requests_of(&scene, "spare--ok").is_empty());
    leave(&pane);
    // Two prompts of the user's and the one to go on with; one failure.
    assert_eq!(
        (scene.sandbox.read("given").as_str(), scene.sandbox.read("users").as_str()),
        ("x\nx\nx\n", "x\n")
    );
    assert_eq!(fs::read_to_string(given).unwrap(), settings.to_string());
    scene.has_no_leftover();
}

#[test]
fn tokens_of_every_conversation_of_a_session_are_counted() {
    let Some(scene) = scene(tokens_of_every_conversation_of_a_session_are_counted) else { return };
    scene.add("work", "work--ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, "");
    pane.enter("/clear");
    wait_until("the screen is cleared", || !pane.screen().contains("hello there"));
    pane.enter("something else");
    pane.shows(answer("ok").trim());
    leave(&pane);
    assert_eq!(scene.tokens_of("work"), 2 * ONE_ANSWER);
    let asked = requests_of(&scene, "work--ok");
    assert_ne!(asked[0].session, asked[1].session);
    assert_eq!(scene.ledger()[0]["session"].as_str(), asked[1].session.as_deref());
}
