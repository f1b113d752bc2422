//! 5,000 leases of processes that have ended, half of them with process ids that now belong to other
//! processes. One kage removes them all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::{Records, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene};

const LEASES: usize = 5_000;
/// For an unoptimized kage on a busy machine.
const BOUND: Duration = Duration::from_secs(10);
const STATUS: i32 = 7;

pub fn run(trial: &Trial<'_>) {
    let mut round = 0;
    while trial.has_time() || round < 2 {
        // Alternates between runs without a transcript and runs whose transcripts are searched for.
        remove_dead_leases(trial, round % 2 == 1);
        round += 1;
        if trial.has_failed_enough() {
            return;
        }
    }
}

fn remove_dead_leases(trial: &Trial<'_>, have_transcripts: bool) {
    let scene = Scene::new(trial.plan);
    // A run that lasts during the whole test.
    let mut command = scene.kage("exec -- worker");
    let living = scene.start(command.env("TAG", "living").env("PAUSE", "600"));
    crate::support::wait_until("the lasting run is there", || !scene.log().is_empty());
    let mut state = scene.sandbox.state();
    let own = state["leases"][0].clone();
    let mut leases: Vec<Value> = (0..LEASES).map(|at| lease(&scene, &own, at, have_transcripts)).collect();
    leases.insert(LEASES / 2, own.clone());
    state["leases"] = Value::Array(leases);
    scene.put_state(&state);
    trial.tried(LEASES as u64);
    let of = if have_transcripts { "leases with transcripts" } else { "leases" };
    for words in ["status --json", "exec -- worker", "status --json"] {
        let begun = Instant::now();
        let mut command = scene.kage(words);
        let ended =
            scene.start(command.env("TAG", "tried").env("STATUS", STATUS.to_string())).end(PATIENCE * 3);
        match ended {
            Ok(ended) => trial.check(ended.undocumented_end(&[0, STATUS]), of),
            Err(why) => trial.lost(format_args!("{of}: `kage {words}`: {why}")),
        }
        if begun.elapsed() > BOUND {
            trial.lost(format_args!("{of}: `kage {words}` took {:?}", begun.elapsed()));
        }
    }
    // Only the lasting run still has a lease.
    let held = scene.sandbox.state()["leases"].clone();
    if held != json!([own]) {
        let many = held.as_array().map_or(0, Vec::len);
        trial.lost(format_args!("{of}: {many} leases are left, not only that of the lasting run"));
    }
    for pid in scene.living().into_iter().filter(|&pid| pid != living.id()) {
        crate::scene::kill(pid);
    }
    trial.check(living.end(PATIENCE).err(), of);
    // One kage may not have time for all lost leases; the next ones finish them.
    for _ in 0..20 {
        if scene.sandbox.state()["lost"] == Value::Null {
            break;
        }
        trial.check(check_succeeds(&scene, "status --json"), of);
    }
    trial.check(audit(&scene, &[], Records::Complete), of);
}

/// A copy of a lease, held by a process that does not exist, or by this test's process id with another start
/// time.
fn lease(scene: &Scene, of: &Value, at: usize, has_transcript: bool) -> Value {
    let mut lease = of.clone();
    lease["id"] = json!(format!("{at:016x}"));
    lease["started"] = json!(1);
    // An id above the highest process id, or a live one, which looks reused.
    lease["pid"] = if at.is_multiple_of(2) { json!(5_000_000 + at) } else { json!(std::process::id()) };
    if has_transcript {
        let session = format!("00000000-0000-4000-8000-{at:012x}");
        let dir = scene.path("home/.claude/projects");
        lease["record"] = json!({ "dir": dir, "session": session, "cwd": scene.path("work") });
    }
    lease
}
