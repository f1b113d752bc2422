//! 5,000 leases of processes that are gone, half of them of ids that another process has now, reaped in one go.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::{Books, audit, is_well};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene};

const LEASES: usize = 5_000;
/// For a kage that was not optimised, on a busy machine.
const BOUND: Duration = Duration::from_secs(10);
const STATUS: i32 = 7;

pub fn run(trial: &Trial<'_>) {
    let mut round = 0;
    while trial.goes_on() || round < 2 {
        // By turns of runs that nothing is known of, and of runs whose records are looked for.
        reaped(trial, round % 2 == 1);
        round += 1;
        if trial.has_had_enough() {
            return;
        }
    }
}

fn reaped(trial: &Trial<'_>, have_records: bool) {
    let scene = Scene::new(trial.plan);
    // A run that lives through all of it.
    let mut command = scene.kage("exec -- worker");
    let living = scene.start(command.env("TAG", "living").env("PAUSE", "600"));
    crate::support::wait_until("the lasting run is there", || !scene.log().is_empty());
    let mut state = scene.sandbox.state();
    let own = state["leases"][0].clone();
    let mut leases: Vec<Value> = (0..LEASES).map(|at| lease(&scene, &own, at, have_records)).collect();
    leases.insert(LEASES / 2, own.clone());
    state["leases"] = Value::Array(leases);
    scene.put_state(&state);
    trial.tried(LEASES as u64);
    let of = if have_records { "leases with records" } else { "leases" };
    for words in ["status --json", "exec -- worker", "status --json"] {
        let begun = Instant::now();
        let mut command = scene.kage(words);
        let ended =
            scene.start(command.env("TAG", "tried").env("STATUS", STATUS.to_string())).end(PATIENCE * 3);
        match ended {
            Ok(ended) => trial.check(ended.is_undocumented(&[0, STATUS]), of),
            Err(why) => trial.lost(format_args!("{of}: `kage {words}`: {why}")),
        }
        if begun.elapsed() > BOUND {
            trial.lost(format_args!("{of}: `kage {words}` took {:?}", begun.elapsed()));
        }
    }
    // It holds its place, and nobody else does.
    let held = scene.sandbox.state()["leases"].clone();
    if held != json!([own]) {
        let many = held.as_array().map_or(0, Vec::len);
        trial.lost(format_args!("{of}: {many} are held, and not by the run that lives alone"));
    }
    for pid in scene.living().into_iter().filter(|&pid| pid != living.id()) {
        crate::scene::kill(pid);
    }
    trial.check(living.end(PATIENCE).err(), of);
    // What one kage has no time for is there for the next.
    for _ in 0..20 {
        if scene.sandbox.state()["lost"] == Value::Null {
            break;
        }
        trial.check(is_well(&scene, "status --json"), of);
    }
    trial.check(audit(&scene, &[], Books::Whole), of);
}

/// A lease like another, of a process that is not there, or of this very one at another time.
fn lease(scene: &Scene, of: &Value, at: usize, has_record: bool) -> Value {
    let mut lease = of.clone();
    lease["id"] = json!(format!("{at:016x}"));
    lease["started"] = json!(1);
    // Beyond the highest process id there is, and one that lives: a reused id.
    lease["pid"] = if at.is_multiple_of(2) { json!(5_000_000 + at) } else { json!(std::process::id()) };
    if has_record {
        let session = format!("00000000-0000-4000-8000-{at:012x}");
        let dir = scene.path("home/.claude/projects");
        lease["record"] = json!({ "dir": dir, "session": session, "cwd": scene.path("work") });
    }
    lease
}
