//! The ledger's tokens are those that the service handed out, to each subscription its own.

use std::collections::BTreeMap;

use crate::counts::{self, Count, number, sums};
use crate::gemini::scene::Scene;

/// What the service counted in all its answers. The prompt includes what came from the cache, the answer does
/// not include the thoughts.
fn handed_out(scene: &Scene) -> BTreeMap<String, Count> {
    sums(scene.service.asked().into_iter().map(|asked| {
        let name = asked.key.strip_prefix("AIzaInvented-").unwrap().split("--").next().unwrap().to_owned();
        let number = |path| number(&asked.usage, path);
        let (cached, thoughts) = (number("/cachedContentTokenCount"), number("/thoughtsTokenCount"));
        let output = number("/candidatesTokenCount") + thoughts;
        (name, [number("/promptTokenCount") - cached, output, cached, thoughts])
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
    assert_eq!(counts::booked(&scene.sandbox).len(), 2, "{:?}", counts::booked(&scene.sandbox));
    assert_eq!(counts::booked(&scene.sandbox), handed_out(&scene));
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    for turn in [["-p", "go on", "--resume", &session], ["-p", "and on", "-o", "json"]] {
        scene.exec(&turn).run().success();
        assert_eq!(counts::booked(&scene.sandbox), handed_out(&scene), "{turn:?}");
    }
    scene.exec(&["-p", "once more", "-o", "stream-json", "--resume", &session]).run().success();
    assert_eq!(counts::booked(&scene.sandbox), handed_out(&scene));
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
    assert_eq!(counts::booked(&scene.sandbox), handed_out(&scene));
}
