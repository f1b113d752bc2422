//! The ledger's tokens are those that the service handed out, to each subscription its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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

/// The conversation gets the name of one that began in an earlier minute, as it has on a machine that is busy enough.
fn began_earlier(scene: &Scene) {
    let entries = |dir: &Path| {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let projects = entries(&scene.sandbox.path("home/.gemini/tmp"));
    let chats: Vec<_> = projects.iter().flat_map(|project| entries(&project.join("chats"))).collect();
    // Where a minute has passed already there is a second, empty one.
    let file = chats.iter().min().expect("the agent keeps conversations");
    let (_, id) = file.to_str().unwrap().rsplit_once('-').unwrap();
    fs::rename(file, file.with_file_name(format!("session-2026-01-01T00-00-{id}"))).unwrap();
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
    began_earlier(&scene);
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
