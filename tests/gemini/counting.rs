//! The ledger's tokens are those that the service handed out, to each subscription its own.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::Scene;

/// Input without the cache, output, read from the cache, and what of the output is thoughts.
type Count = [u64; 4];

fn sums(counts: impl Iterator<Item = (String, Count)>) -> BTreeMap<String, Count> {
    let mut sums = BTreeMap::<_, Count>::new();
    for (name, count) in counts.filter(|(_, count)| *count != Count::default()) {
        sums.entry(name).or_default().iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }
    sums
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// What the service counted in all its answers. The prompt includes what came from the cache, the answer does
/// not include the thoughts.
fn handed_out(scene: &Scene) -> BTreeMap<String, Count> {
    sums(scene.service.asked().into_iter().map(|asked| {
        let name = asked.key.strip_prefix("AIzaInvented-").unwrap().split("--").next().unwrap().to_owned();
        let number = |key| number(&asked.usage, key);
        let (cached, thoughts) = (number("cachedContentTokenCount"), number("thoughtsTokenCount"));
        let output = number("candidatesTokenCount") + thoughts;
        (name, [number("promptTokenCount") - cached, output, cached, thoughts])
    }))
}

fn booked(scene: &Scene) -> BTreeMap<String, Count> {
    const KEYS: [&str; 4] = ["input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"];
    let ledger = scene.sandbox.ledger();
    sums(ledger.iter().flat_map(|line| {
        let name = line["subscription"].as_str().unwrap();
        let counts = line["models"].as_object().into_iter().flat_map(|models| models.values());
        counts.map(|count| (name.to_owned(), KEYS.map(|key| number(count, key))))
    }))
}

#[test]
fn each_subscription_has_what_it_was_handed_out_after_any_number_of_turns() {
    let test = each_subscription_has_what_it_was_handed_out_after_any_number_of_turns;
    let Some(scene) = Scene::with_tool("echo once >> ran", test) else { return };
    scene.service.vary_usage();
    scene.add("spent", "spent--tool+day").add("spare", "spare--tool+ok");
    scene.sandbox.kage(["subscription", "set", "spent", "--priority", "200"]).run().success();
    scene.exec(&["--yolo", "-p", "run it"]).run().success();
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
    assert_eq!(booked(&scene).len(), 2, "{:?}", booked(&scene));
    assert_eq!(booked(&scene), handed_out(&scene));
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    for turn in [["-p", "go on", "--resume", &session], ["-p", "and on", "-o", "json"]] {
        scene.exec(&turn).run().success();
        assert_eq!(booked(&scene), handed_out(&scene), "{turn:?}");
    }
    scene.exec(&["-p", "once more", "-o", "stream-json", "--resume", &session]).run().success();
    assert_eq!(booked(&scene), handed_out(&scene));
}

#[test]
fn runs_at_once_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::with_tool("true", runs_at_once_in_one_directory_have_their_own_tokens) else {
        return;
    };
    scene.service.vary_usage();
    scene.add("work", "work--ok").add("spare", "spare--tool+ok");
    let runs = [0; 3].map(|_| scene.exec(&["--yolo", "-p", "hi"]).command.spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(scene.ran_on().len(), 3);
    assert_eq!(booked(&scene), handed_out(&scene));
}
