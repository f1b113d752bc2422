//! When kage is killed while the real agent runs, the next kage counts what the agent used.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::claude::live::{begin, scene, tmux};
use crate::claude::scene::{ONE_ANSWER, Scene};
use crate::support::wait_until;

/// Kills the kage that started the running agent.
fn kill_kage(scene: &Scene) {
    let running: Value =
        serde_json::from_str(&scene.kage(&["ps", "--json"]).run().success().stdout()).unwrap();
    let pid = i32::try_from(running["leases"][0]["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_session_whose_kage_is_killed_is_counted_once() {
    let Some(scene) = scene(a_session_whose_kage_is_killed_is_counted_once) else { return };
    scene.add("work", "work--ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, "");
    assert!(scene.ledger().is_empty());
    kill_kage(&scene);
    scene.kage(&["usage", "--json"]).run().success().says("");
    assert!(scene.ledger().is_empty(), "the agent has outlived its kage and may continue");
    drop(tmux);
    wait_until("the session to be counted", || {
        scene.kage(&["usage", "--json"]).run().success().says("");
        !scene.ledger().is_empty()
    });
    scene.kage(&["exec", "--", "true"]).run().success().says("");
    let lines = scene.ledger();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!((&lines[0]["verdict"], &lines[0]["exit"]), (&"interrupted".into(), &Value::Null));
    assert!(lines[0]["session"].is_string());
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
}
