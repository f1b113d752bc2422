//! Two versions of kage at once on one state, and a state with words of a later one.

use std::thread;

use serde_json::{Map, Value, json};

use crate::audit::{Books, Run, audit, is_well};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene};
use crate::stage::{STATUS, Stage};

const LANES: u64 = 4;
const ROUNDS: u64 = 8;
/// What both know.
const WAYS: [&str; 2] = ["exec -- worker", "exec -- claude -p hi"];

pub fn run(trial: &Trial<'_>) {
    unknown_words(trial);
    let Some(before) = &trial.plan.before else {
        return trial.note("SKIPPED: the version before is built by tests/torture.sh, from the history");
    };
    let mut number = 0;
    while trial.goes_on() {
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
                let of = format!("`kage {way}` of the version {}", if is_before { "before" } else { "now" });
                let mut lived = false;
                match ended {
                    // The older one says that it does not know the state, and starts nothing.
                    Ok(ended) if is_before && ended.code() == Some(125) => {
                        let told = ended.err.contains("has version") && ended.misspeaks().is_none();
                        trial.check((!told).then(|| format!("it said {:?}", ended.err)), of);
                    }
                    Ok(ended) => {
                        lived = true;
                        let fits = ended.code() == Some(STATUS) && ended.err.is_empty();
                        let odd = || format!("it ended with {} and said {:?}", ended.status, ended.err);
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
        trial.check(audit(&scene, &runs, Books::Whole), format_args!("after scene {number}"));
        number += 1;
    }
}

/// Each object of the state, one after the other, has words that this version does not know.
fn unknown_words(trial: &Trial<'_>) {
    let stage = Stage::new(trial);
    // With a lease in it.
    let mut command = stage.scene.kage("exec -- claude -p hi");
    let living = stage.scene.start(command.env("TAG", "living").env("PAUSE", "600"));
    let is_there = || stage.scene.log().iter().any(|words| words[1] == "living");
    crate::support::wait_until("the lasting run is there", is_there);
    let known = stage.scene.sandbox.state();
    let mut places = Vec::new();
    objects(&known, "", &mut places);
    for place in &places {
        let mut state = known.clone();
        let object = state.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
        object.extend(later());
        stage.scene.put_state(&state);
        trial.tried(1);
        trial.check(
            ["status --json", "exec -- true"].into_iter().filter_map(|words| is_well(&stage.scene, words)),
            format_args!("unknown words in {place:?}"),
        );
        if stage.scene.sandbox.state()["leases"].as_array().map(Vec::len) != Some(1) {
            trial.lost(format_args!("unknown words in {place:?}: the lease is gone"));
        }
    }
    for pid in stage.scene.living().into_iter().filter(|&pid| pid != living.id()) {
        crate::scene::kill(pid);
    }
    trial.check(living.end(PATIENCE).err(), "the lasting run");
    trial.check(audit(&stage.scene, &[], Books::Whole), "after unknown words");
    trial.check(stage.gone(), "after unknown words");
}

fn later() -> Map<String, Value> {
    let words = json!({ "later": { "a": [1, null, "x"] }, "of-a-later-kage": 1e30 });
    words.as_object().unwrap().clone()
}

/// Where the objects with fixed keys are: what maps names to values has only names.
fn objects(value: &Value, at: &str, places: &mut Vec<String>) {
    let is_map = ["subscriptions", "namespaces", "utilization"].iter().any(|map| at.ends_with(map));
    if value.is_object() && !is_map {
        places.push(at.to_owned());
    }
    let inner: Vec<_> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(all) => all.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        objects(value, &format!("{at}/{key}"), places);
    }
}
