//! `kage ps`.

use serde_json::{Value, json};

use crate::running::Running;
use crate::support::Sandbox;

#[test]
fn a_running_agent_is_listed_until_it_ends() {
    let running = Running::start();
    let table = running.sandbox.kage(["ps"]).run().success().says("").stdout();
    let row = table.lines().nth(3).unwrap();
    let cells: Vec<_> = row.split('│').map(str::trim).collect();
    let pid = running.child.id().to_string();
    assert_eq!(cells[1..6], [pid.as_str(), "work", "backend", "claude", "%7"], "{table}");
    assert!(cells[6].ends_with('s') && cells[7].ends_with("/work"), "{table}");

    let listed = running.sandbox.kage(["ps", "--json"]).run().success().stdout();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let lease = &listed["leases"][0];
    assert_eq!(
        json!({ "schema": 1, "leases": [{
            "id": lease["id"], "pid": running.child.id(), "subscription": "work", "agent": "claude",
            "namespace": "backend", "level": "normal", "session": null, "pane": "%7",
            "cwd": running.sandbox.path("work"), "since": lease["since"], "status": null,
        }] }),
        listed
    );
    assert!(lease["since"].as_str().unwrap().ends_with('Z') && lease["id"].is_string());

    let ended = running.end();
    ended.kage(["ps", "--json"]).run().success().prints("{\n  \"leases\": [],\n  \"schema\": 1\n}\n");
}

#[test]
fn with_no_running_agent_ps_says_so() {
    let nothing = "No agent is running. Start one: kage exec -- claude\n";
    Sandbox::new().kage(["ps"]).run().success().says("").prints(nothing);
}
