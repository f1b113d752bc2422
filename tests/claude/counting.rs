//! The ledger's tokens are those that the provider handed out, to each subscription its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scene::{Scene, answer};
use crate::support::token;

/// Input, output, read from the cache, written to it for five minutes and for an hour.
type Count = [u64; 5];

fn numbers(value: &Value, paths: [&str; 5]) -> Count {
    paths.map(|path| value.pointer(path).and_then(Value::as_u64).unwrap_or(0))
}

fn sums(counts: impl Iterator<Item = (String, Count)>) -> BTreeMap<String, Count> {
    let mut sums = BTreeMap::<_, Count>::new();
    for (name, count) in counts.filter(|(_, count)| *count != Count::default()) {
        sums.entry(name).or_default().iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }
    sums
}

/// What the provider counted in all its answers, by the bearers that end like this.
fn handed_out(scene: &Scene, tails: &[(&str, &str)]) -> BTreeMap<String, Count> {
    const PATHS: [&str; 5] = [
        "/input_tokens",
        "/output_tokens",
        "/cache_read_input_tokens",
        "/cache_creation/ephemeral_5m_input_tokens",
        "/cache_creation/ephemeral_1h_input_tokens",
    ];
    sums(scene.provider.messages().into_iter().map(|request| {
        let bearer = request.authorization.unwrap_or_default();
        let (name, _) = tails.iter().find(|(_, tail)| bearer == format!("Bearer {}", token(tail))).unwrap();
        (format!("{name} {}", request.body["model"].as_str().unwrap()), numbers(&request.usage, PATHS))
    }))
}

/// What the ledger has, by subscription and model.
fn booked(scene: &Scene) -> BTreeMap<String, Count> {
    const PATHS: [&str; 5] = [
        "/input_tokens",
        "/output_tokens",
        "/cache_read_tokens",
        "/cache_write_5m_tokens",
        "/cache_write_1h_tokens",
    ];
    let ledger = scene.ledger();
    let models = |line: &Value| line["models"].as_object().cloned().unwrap_or_default();
    sums(ledger.iter().flat_map(|line| {
        let name = line["subscription"].as_str().unwrap();
        let booked = models(line).into_iter();
        booked.map(move |(model, count)| (format!("{name} {model}"), numbers(&count, PATHS)))
    }))
}

/// A pool whose `work` is tried first and behaves like this, and whose `spare` like that.
fn pool(scene: &Scene, work: &str, spare: &str) {
    scene.sandbox.config("[subscriptions]\nstrategy = \"priority\"\n");
    scene.add_first("work", &format!("work--{work}")).add("spare", &format!("spare--{spare}"));
    scene.provider.vary_usage();
}

fn agrees(scene: &Scene, work: &str, spare: &str) {
    let (work, spare) = (format!("work--{work}"), format!("spare--{spare}"));
    let handed_out = handed_out(scene, &[("work", &work), ("spare", &spare)]);
    assert_eq!(booked(scene), handed_out, "{:#?}", scene.ledger());
}

const TOOLS: &str = "--dangerously-skip-permissions";

#[test]
fn each_subscription_has_what_it_was_handed_out_where_one_goes_on_for_the_other() {
    let test = each_subscription_has_what_it_was_handed_out_where_one_goes_on_for_the_other;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    pool(&scene, "tool+429five", "tool+ok");
    scene.exec(&["-p", TOOLS, "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    let statuses: Vec<_> = scene.provider.messages().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 429, 200, 200]);
    agrees(&scene, "tool+429five", "tool+ok");
    // What the agent says of the session after that holds both.
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    for format in ["json", "stream-json", "text"] {
        let args = ["-p", "--verbose", "--output-format", format, "--resume", &session, "go on"];
        scene.exec(&args).run().success();
        agrees(&scene, "tool+429five", "tool+ok");
    }
    scene.exec(&["-p", "--fork-session", "--resume", &session, "and on"]).run().success();
    agrees(&scene, "tool+429five", "tool+ok");
}

#[test]
fn a_subagents_tokens_are_its_subscriptions() {
    let Some(scene) = Scene::of(a_subagents_tokens_are_its_subscriptions) else { return };
    pool(&scene, "agent+429five+1", "agent+ok");
    scene.exec(&["-p", TOOLS, "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    let statuses: Vec<_> = scene.provider.messages().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200], "an answer of a subagent on each");
    agrees(&scene, "agent+429five+1", "agent+ok");
}

#[test]
fn runs_at_once_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::with_tool("true", runs_at_once_in_one_directory_have_their_own_tokens) else {
        return;
    };
    scene.add("work", "work--tool+ok").add("spare", "spare--ok");
    scene.provider.vary_usage();
    let runs = [0; 4].map(|_| scene.exec(&["-p", TOOLS, "hi"]).command.spawn().unwrap());
    runs.into_iter().for_each(|mut run| assert!(run.wait().unwrap().success()));
    assert_eq!(scene.ledger().len(), 4);
    agrees(&scene, "tool+ok", "ok");
}

#[test]
fn without_a_record_the_result_tells_what_a_run_used() {
    let Some(scene) = Scene::with_tool("true", without_a_record_the_result_tells_what_a_run_used) else {
        return;
    };
    pool(&scene, "429five", "tool+ok");
    let forgets = ["-p", "--no-session-persistence", TOOLS, "hi", "--output-format"];
    for format in [&["json"][..], &["json", "--verbose"], &["stream-json", "--verbose"]] {
        let earlier = scene.ledger().len();
        scene.exec(&[&forgets[..], format].concat()).run().success();
        assert!(scene.ledger()[earlier..].iter().any(|line| line["models"] != json!(null)), "{format:?}");
        agrees(&scene, "429five", "tool+ok");
    }
    let session = "0a1b2c3d-0000-4000-8000-000000000001";
    scene.exec(&["-p", "--session-id", session, "hi"]).run().success();
    // What a session used before is not this run's.
    scene.exec(&[&forgets[..], &["json", "--resume", session]].concat()).run().success();
    agrees(&scene, "429five", "tool+ok");
    scene.exec(&[&forgets[..], &["text"]].concat()).run().success();
    assert_eq!(scene.ledger().last().unwrap()["models"], json!(null), "a text tells nothing");
}
