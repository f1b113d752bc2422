//! The ledger's tokens are those that the provider handed out, to each subscription its own.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::Scene;

/// Input without the cache, output, read from the cache, and what of the output is reasoning.
type Count = [u64; 4];

fn sums(counts: impl Iterator<Item = (String, Count)>) -> BTreeMap<String, Count> {
    let mut sums = BTreeMap::<_, Count>::new();
    for (name, count) in counts.filter(|(_, count)| *count != Count::default()) {
        sums.entry(name).or_default().iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }
    sums
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// What the provider counted in all its answers. The input it tells of includes what came from the cache.
fn handed_out(scene: &Scene) -> BTreeMap<String, Count> {
    sums(scene.provider.asked().into_iter().map(|request| {
        let name =
            request.bearer.strip_prefix("sk-invented-").unwrap().split("--").next().unwrap().to_owned();
        let number = |path| number(&request.usage, path);
        let cached = number("/input_tokens_details/cached_tokens");
        let reasoning = number("/output_tokens_details/reasoning_tokens");
        (name, [number("/input_tokens") - cached, number("/output_tokens"), cached, reasoning])
    }))
}

fn booked(scene: &Scene) -> BTreeMap<String, Count> {
    const PATHS: [&str; 4] = ["/input_tokens", "/output_tokens", "/cache_read_tokens", "/reasoning_tokens"];
    let ledger = scene.sandbox.ledger();
    sums(ledger.iter().flat_map(|line| {
        let name = line["subscription"].as_str().unwrap();
        let counts = line["models"].as_object().into_iter().flat_map(|models| models.values());
        counts.map(|count| (name.to_owned(), PATHS.map(|path| number(count, path))))
    }))
}

#[test]
fn each_subscription_has_what_it_was_handed_out_after_any_number_of_turns() {
    let test = each_subscription_has_what_it_was_handed_out_after_any_number_of_turns;
    let Some(scene) = Scene::of(test) else { return };
    scene.provider.vary_usage();
    scene.add("work", "tool+limit").add("spare", "tool+ok");
    scene.sandbox.kage(["subscription", "set", "spare", "--priority", "1"]).run().success();
    scene.exec(&["hi"]).run().success();
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_eq!(booked(&scene).len(), 2, "{:?}", booked(&scene));
    assert_eq!(booked(&scene), handed_out(&scene));
    // The record's totals go on from turn to turn.
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    for turn in [["resume", &session, "go on"], ["resume", "--last", "and on"]] {
        scene.exec(&turn).run().success();
        assert_eq!(booked(&scene), handed_out(&scene), "{turn:?}");
    }
    scene.exec(&["--json", "resume", &session, "once more"]).run().success();
    assert_eq!(booked(&scene), handed_out(&scene));
}

#[test]
fn runs_at_once_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::of(runs_at_once_in_one_directory_have_their_own_tokens) else { return };
    scene.provider.vary_usage();
    scene.add("work", "ok").add("spare", "tool+ok");
    let runs = [0; 4].map(|_| scene.exec(&["hi"]).command.spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(scene.ran_on().len(), 4);
    assert_eq!(booked(&scene), handed_out(&scene));
}
