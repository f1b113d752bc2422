//! `kage status --format tmux`, the segment.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{Sandbox, pool};

const STATE: &str = "home/.local/state/kage/state.json";

#[test]
fn the_segment_alone_never_fails() {
    let sandbox = Sandbox::new();
    let segment = || sandbox.kage(["status", "--format", "tmux"]);
    let trouble = "#[push-default]#[fg=white,bg=red]kage: !#[default]#[pop-default]\n";
    segment().run().success().prints("").says("");
    segment().env("KAGE_CONFIG", "/nowhere/config.toml").run().success().prints("").says("");
    assert!(!sandbox.path("home/.local/state/kage").exists(), "it makes no directory");
    sandbox.config("[");
    segment().run().success().prints(trouble).says("");
    // A keychain that is not there is not asked for.
    sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    segment().run().success().prints("1/1\n").says("");
    sandbox.write(STATE, "{");
    segment().run().success().prints(trouble).says("");
    assert_eq!(sandbox.read(STATE), "{");
}

#[test]
fn the_other_forms_of_the_status_are_what_they_were() {
    let sandbox = pool();
    let text = |args: &[&str]| sandbox.kage([&["status"], args].concat()).run().success().stdout();
    assert_eq!(text(&["--format", "text"]), text(&[]));
    let json = |args: &[&str]| {
        let mut value: Value = serde_json::from_str(&text(args)).unwrap();
        value["now"].take();
        value
    };
    assert_eq!(json(&["--format", "json"]), json(&["--json"]));
    sandbox.kage(["status", "--format", "tmux", "--json"]).run().status(2).is_one_line_and_a_hint();
    sandbox.kage(["status", "--format", "tmux", "--watch"]).run().status(2).is_one_line_and_a_hint();
}
