//! The ledger has the tokens that the provider reported, each under the subscription that used them.

use std::collections::BTreeMap;

use crate::codex::scene::Scene;
use crate::counts::{self, Count, number, sums};

/// The usage in all answers of the provider, by subscription. Its input tokens include those from the cache.
fn reported(scene: &Scene) -> BTreeMap<String, Count> {
    sums(scene.provider.turns().into_iter().map(|request| {
        let name =
            request.bearer.strip_prefix("sk-invented-").unwrap().split("--").next().unwrap().to_owned();
        let number = |path| number(&request.usage, path);
        let cached = number("/input_tokens_details/cached_tokens");
        let reasoning = number("/output_tokens_details/reasoning_tokens");
        (name, [number("/input_tokens") - cached, number("/output_tokens"), cached, reasoning])
    }))
}

#[test]
fn each_subscription_has_its_own_tokens_after_any_number_of_turns() {
    let test = each_subscription_has_its_own_tokens_after_any_number_of_turns;
    let Some(scene) = Scene::of(test) else { return };
    scene.provider.vary_usage();
    scene.add("work", "tool+limit").add("spare", "tool+ok");
    scene.sandbox.kage(["subscription", "set", "spare", "--priority", "1"]).run().success();
    scene.exec(&["hi"]).run().success();
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_eq!(counts::booked(&scene.sandbox).len(), 2, "{:?}", counts::booked(&scene.sandbox));
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
    // The totals in the transcript grow from turn to turn.
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    for turn in [["resume", &session, "go on"], ["resume", "--last", "and on"]] {
        scene.exec(&turn).run().success();
        assert_eq!(counts::booked(&scene.sandbox), reported(&scene), "{turn:?}");
    }
    scene.exec(&["--json", "resume", &session, "once more"]).run().success();
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
}

#[test]
fn parallel_runs_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::of(parallel_runs_in_one_directory_have_their_own_tokens) else { return };
    scene.provider.vary_usage();
    scene.add("work", "ok").add("spare", "tool+ok");
    let runs = [0; 4].map(|_| scene.exec(&["hi"]).command.spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(scene.ran_on().len(), 4);
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
}
