//! The ledger has the tokens that the service reported, each under the subscription that used them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::counts::{self, Count, number, sums};
use crate::gemini::scene::Scene;

/// The usage in all answers of the service, by subscription. Its prompt tokens include those from the cache,
/// and its candidate tokens exclude the thoughts.
fn reported(scene: &Scene) -> BTreeMap<String, Count> {
    sums(scene.service.turns().into_iter().map(|request| {
        let name = request.key.strip_prefix("AIzaInvented-").unwrap().split("--").next().unwrap().to_owned();
        let number = |path| number(&request.usage, path);
        let (cached, thoughts) = (number("/cachedContentTokenCount"), number("/thoughtsTokenCount"));
        let output = number("/candidatesTokenCount") + thoughts;
        (name, [number("/promptTokenCount") - cached, output, cached, thoughts])
    }))
}

/// Renames the conversation's file as if the conversation had begun in an earlier minute, as on a busy
/// machine.
fn backdate(scene: &Scene) {
    let entries = |dir: &Path| {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let projects = entries(&scene.sandbox.path("home/.gemini/tmp"));
    let chats: Vec<_> = projects.iter().flat_map(|project| entries(&project.join("chats"))).collect();
    // If a minute has passed already, there is a second, empty file.
    let file = chats.iter().min().expect("the agent saves conversations");
    let (_, id) = file.to_str().unwrap().rsplit_once('-').unwrap();
    fs::rename(file, file.with_file_name(format!("session-2026-01-01T00-00-{id}"))).unwrap();
}

#[test]
fn each_subscription_has_its_own_tokens_after_any_number_of_turns() {
    let test = each_subscription_has_its_own_tokens_after_any_number_of_turns;
    let Some(scene) = Scene::with_tool("echo once >> ran", test) else { return };
    scene.service.vary_usage();
    scene.add("spent", "spent--tool+day").add("spare", "spare--tool+ok");
    scene.sandbox.kage(["subscription", "set", "spent", "--priority", "200"]).run().success();
    scene.exec(&["--yolo", "-p", "run it"]).run().success();
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
    assert_eq!(counts::booked(&scene.sandbox).len(), 2, "{:?}", counts::booked(&scene.sandbox));
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
    let session = scene.sandbox.ledger()[0]["session"].as_str().unwrap().to_owned();
    backdate(&scene);
    for turn in [["-p", "go on", "--resume", &session], ["-p", "and on", "-o", "json"]] {
        scene.exec(&turn).run().success();
        assert_eq!(counts::booked(&scene.sandbox), reported(&scene), "{turn:?}");
    }
    scene.exec(&["-p", "once more", "-o", "stream-json", "--resume", &session]).run().success();
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
}

#[test]
fn the_request_that_chooses_the_model_counts_in_each_format() {
    for format in ["text", "json", "stream-json"] {
        let test = the_request_that_chooses_the_model_counts_in_each_format;
        let Some(scene) = Scene::of(test) else { return };
        scene.service.vary_usage();
        scene.add("work", "work--ok");
        scene.kage_exec(&["gemini", "-o", format, "-p", "hi"]).run().success();
        let all = scene.service.all();
        assert_eq!((all.len(), scene.service.turns().len()), (2, 1), "{format}");
        let sum = |path: &str| all.iter().map(|request| number(&request.usage, path)).sum::<u64>();
        let (cached, thoughts) = (sum("/cachedContentTokenCount"), sum("/thoughtsTokenCount"));
        let output = sum("/candidatesTokenCount") + thoughts;
        let expected = [sum("/promptTokenCount") - cached, output, cached];
        let booked = counts::booked(&scene.sandbox)["work"];
        assert_eq!(booked[..3], expected, "{format}");
        let left = fs::read_dir(scene.sandbox.path("home/.local/state/kage/settings"));
        assert_eq!(left.into_iter().flatten().count(), 0, "{format}: the file of the run is removed");
    }
}

#[test]
fn telemetry_of_the_user_is_left_alone() {
    let Some(scene) = Scene::of(telemetry_of_the_user_is_left_alone) else { return };
    scene.add("work", "work--ok");
    let file = scene.sandbox.path("telemetry");
    let call = scene.kage_exec(&["gemini", "-p", "hi"]).env("GEMINI_TELEMETRY_ENABLED", "true");
    let call = call.env("GEMINI_TELEMETRY_TARGET", "local").env("GEMINI_TELEMETRY_OUTFILE", &file);
    call.run().success();
    assert!(fs::read_to_string(&file).unwrap().contains("gemini_cli.api_response"));
}

#[test]
fn parallel_runs_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::with_tool("true", parallel_runs_in_one_directory_have_their_own_tokens) else {
        return;
    };
    scene.service.vary_usage();
    scene.add("work", "work--ok").add("spare", "spare--tool+ok");
    let runs = [0; 3].map(|_| scene.exec(&["--yolo", "-p", "hi"]).command.spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(scene.ran_on().len(), 3);
    assert_eq!(counts::booked(&scene.sandbox), reported(&scene));
}
