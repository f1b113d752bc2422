//! Two versions of kage on one state at the same time, and a state with keys of a later version.

use std::thread;

use serde_json::{Map, Value, json};

use crate::audit::{Records, Run, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene};
use crate::stage::{STATUS, Stage};

const LANES: u64 = 4;
const ROUNDS: u64 = 8;
/// Commands that both versions have.
const WAYS: [&str; 2] = ["exec -- worker", "exec -- claude -p hi"];

pub fn run(trial: &Trial<'_>) {
    unknown_keys(trial);
    let Some(before) = &trial.plan.before else {
        return trial.note("SKIPPED: only tests/torture.sh builds the earlier version, from the history");
    };
    let mut number = 0;
    while trial.has_time() {
        let scene = Scene::new(trial.plan);
        let lane = |lane: u64| {
            let mut dice = trial.dice((number << 8) | lane);
            let round = |at: u64| {
                let (is_before, way) = (dice.below(2) == 0, WAYS[usize::try_from(dice.below(2)).unwrap()]);
                let kage = if is_before { before } else { &scene.kage };
                let tag = format!("{lane}-{at}");
                let mut command = scene.program(kage, way.split(' '));
                let ended = scene.run(command.env("TAG", &tag).env("STATUS", STATUS.to_string()));
                trial.tried(1);
                let version = if is_before { "earlier" } else { "present" };
                let of = format!("`kage {way}` of the {version} version");
                let mut lived = false;
                match ended {
                    // The older version refuses the newer state and starts nothing.
                    Ok(ended) if is_before && ended.code() == Some(125) => {
                        let fits = ended.err.contains("has version") && ended.wrong_output().is_none();
                        trial.check((!fits).then(|| format!("it printed {:?}", ended.err)), of);
                    }
                    Ok(ended) => {
                        lived = true;
                        let fits = ended.code() == Some(STATUS) && ended.err.is_empty();
                        let odd = || format!("it ended with {} and printed {:?}", ended.status, ended.err);
                        trial.check((!fits).then(odd), of);
                    }
                    Err(why) => trial.lost(format_args!("{of}: {why}")),
                }
                Run { tag, booked: (u64::from(lived), 1) }
            };
            (0..ROUNDS).map(round).collect::<Vec<_>>()
        };
        let lane = &lane;
        let runs: Vec<Run> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        trial.check(audit(&scene, &runs, Records::Complete), format_args!("after scene {number}"));
        number += 1;
    }
}

/// Each object of the state in turn gets keys that this version does not know.
fn unknown_keys(trial: &Trial<'_>) {
    let stage = Stage::new(trial);
    // A running agent, so that the state has a lease.
    let mut command = stage.scene.kage("exec -- claude -p hi");
    let living = stage.scene.start(command.env("TAG", "living").env("PAUSE", "600"));
    let is_there = || stage.scene.log().iter().any(|words| words[1] == "living");
    crate::support::wait_until("the lasting run is there", is_there);
    let known = stage.scene.sandbox.state();
    let mut pointers = Vec::new();
    objects(&known, "", &mut pointers);
    for pointer in &pointers {
        let mut state = known.clone();
        let object = state.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        object.extend(later_keys());
        stage.scene.put_state(&state);
        trial.tried(1);
        trial.check(
            ["status --json", "exec -- true"]
                .into_iter()
                .filter_map(|words| check_succeeds(&stage.scene, words)),
            format_args!("unknown keys in {pointer:?}"),
        );
        if stage.scene.sandbox.state()["leases"].as_array().map(Vec::len) != Some(1) {
            trial.lost(format_args!("unknown keys in {pointer:?}: the lease is gone"));
        }
    }
    for pid in stage.scene.living().into_iter().filter(|&pid| pid != living.id()) {
        crate::scene::kill(pid);
    }
    trial.check(living.end(PATIENCE).err(), "the lasting run");
    trial.check(audit(&stage.scene, &[], Records::Complete), "after unknown keys");
    trial.check(stage.missing_rows(), "after unknown keys");
}

fn later_keys() -> Map<String, Value> {
    let words = json!({ "later": { "a": [1, null, "x"] }, "of-a-later-kage": 1e30 });
    words.as_object().unwrap().clone()
}

/// Collects the JSON pointers of the objects with fixed keys, without those that map names to values.
fn objects(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let is_map = ["subscriptions", "namespaces", "utilization"].iter().any(|map| at.ends_with(map));
    if value.is_object() && !is_map {
        pointers.push(at.to_owned());
    }
    let inner: Vec<_> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(all) => all.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        objects(value, &format!("{at}/{key}"), pointers);
    }
}
