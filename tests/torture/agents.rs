//! Agents that misbehave: they close their streams, never read, leave a child that holds the pipe, end in
//! the middle of a line, die from each signal, or write a gigabyte, lines of 100 MB, NULs or invalid UTF-8.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{Records, Run, audit};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene, peak_memory};

/// The limit of kage's resident memory, in bytes, independent of the agent's output.
const MOST_MEMORY: u64 = 64 << 20;
/// kage waits 2 s for the output of the agent's own children; the rest is for a busy machine.
const GRACE: Duration = Duration::from_secs(2 + 8);
/// Enough for a gigabyte through an unoptimized kage.
const LONG: Duration = Duration::from_secs(120);

/// The forms in which agents are run; the last word is the program.
const FORMS: [&str; 4] = [
    "exec -- claude -p hi",
    "exec -- claude -p --output-format json hi",
    "exec -- claude -p --output-format stream-json --verbose hi",
    "exec -- worker",
];

/// An agent's script and its exit status.
struct OddAgent {
    name: &'static str,
    script: &'static str,
    status: i32,
}

const ODD: [OddAgent; 13] = [
    OddAgent { name: "closes its streams", script: "exec >&- 2>&- <&-; sleep 0.05; exit 3", status: 3 },
    OddAgent { name: "closes its output and continues", script: "exec >&-; sleep 0.1; exit 0", status: 0 },
    OddAgent { name: "never reads", script: "echo x; exit 3", status: 3 },
    OddAgent { name: "reads a little", script: "head -c 3 >/dev/null; echo x; exit 3", status: 3 },
    OddAgent { name: "leaves a child with its pipe", script: "sleep 7 & echo x; exit 3", status: 3 },
    OddAgent {
        name: "leaves a child that writes",
        script: "(while sleep 0.1; do echo y; done) & echo x; exit 3",
        status: 3,
    },
    OddAgent {
        name: "writes invalid UTF-8",
        script: "printf '\\377\\376\\303(\\200\\n\\000\\000\\n'; exit 4",
        status: 4,
    },
    OddAgent { name: "writes NULs", script: "head -c 300000 /dev/zero; exit 0", status: 0 },
    OddAgent { name: "writes noise", script: "head -c 3000000 \"$HOME/noise\"; exit 0", status: 0 },
    OddAgent {
        name: "ends in the middle of a line",
        script: "printf '{\"type\":\"result\",\"is_err'; exit 5",
        status: 5,
    },
    OddAgent { name: "ends in the middle of a letter", script: "printf 'caf\\303'; exit 6", status: 6 },
    OddAgent { name: "writes nothing", script: "exit 0", status: 0 },
    OddAgent {
        name: "fills its standard error",
        script: "head -c 200000 \"$HOME/noise\" >&2; exit 9",
        status: 9,
    },
];

pub fn run(trial: &Trial<'_>) {
    thread::scope(|scope| {
        scope.spawn(|| odd(trial));
        scope.spawn(|| signals(trial));
    });
    floods(trial);
}

fn scene(trial: &Trial<'_>) -> Scene {
    let scene = Scene::new(trial.plan);
    let mut noise = vec![0; 3_000_000];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    std::fs::write(scene.path("home/noise"), noise).unwrap();
    scene
}

/// Installs agents that log their start and then run the script.
fn program(scene: &Scene, script: &str) {
    let begin = "echo \"begin $TAG $KAGE_RUN $$\" >>\"$HOME/log\"\n";
    for name in ["claude", "worker"] {
        scene.sandbox.program(name, &format!("#!/bin/sh\n{begin}{script}\n"));
    }
}

/// The result of a run: its exit, its output, and the peak memory of kage.
struct Measured {
    code: Option<i32>,
    signal: Option<i32>,
    out: Vec<u8>,
    length: u64,
    memory: u64,
}

/// Runs kage with input that the agent may not read. Keeps the first `kept` bytes of output and counts all.
fn measure(
    scene: &Scene,
    words: &str,
    tag: &str,
    kept: usize,
    patience: Duration,
) -> Result<Measured, String> {
    let mut command = scene.kage(words);
    command.env("TAG", tag).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut kage = command.spawn().unwrap();
    let (mut input, mut output) = (kage.stdin.take().unwrap(), kage.stdout.take().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            // If the agent reads nothing, the write fails when kage ends.
            let block = vec![b'i'; 65536];
            for _ in 0..32 {
                if input.write_all(&block).is_err() {
                    break;
                }
            }
        });
        let reader = scope.spawn(move || {
            let (mut out, mut length, mut block) = (Vec::new(), 0, vec![0; 1 << 20]);
            loop {
                match output.read(&mut block) {
                    Ok(0) | Err(_) => return (out, length),
                    Ok(some) => {
                        length += some as u64;
                        let more = some.min(kept.saturating_sub(out.len()));
                        out.extend_from_slice(&block[..more]);
                    }
                }
            }
        });
        let (begun, mut memory) = (Instant::now(), 0);
        let ended = loop {
            memory = memory.max(peak_memory(kage.id()));
            if let Some(ended) = kage.try_wait().unwrap() {
                break Some(ended);
            }
            if begun.elapsed() > patience {
                kage.kill().unwrap();
                kage.wait().unwrap();
                break None;
            }
            thread::sleep(Duration::from_millis(1));
        };
        // If kage did not relay the output, a child of the agent may hold it open.
        let until = Instant::now() + PATIENCE;
        while !reader.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        if !reader.is_finished() {
            scene.living().into_iter().for_each(crate::scene::kill);
        }
        let (out, length) = reader.join().unwrap();
        let ended = ended.ok_or_else(|| format!("it took longer than {} s", patience.as_secs()))?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
        Ok(Measured { code: ended.code(), signal, out, length, memory })
    })
}

/// Every odd agent in every form has the same output and status as without kage, in bounded time and memory.
fn odd(trial: &Trial<'_>) {
    let scene = scene(trial);
    let mut runs = Vec::new();
    for (at, one) in ODD.iter().enumerate() {
        program(&scene, one.script);
        // The output of the agent's own children has no fixed time.
        let is_steady = !one.script.contains('&') || one.script.contains(">&");
        let expected = is_steady.then(|| plain(&scene));
        for words in FORMS {
            let tag = format!("odd-{at}-{}", runs.len());
            trial.tried(1);
            let of = format!("`kage {words}` of an agent that {}", one.name);
            match measure(&scene, words, &tag, 4 << 20, GRACE) {
                Ok(measured) => {
                    let same = expected.as_ref().is_none_or(|expected| *expected == measured.out);
                    if measured.code != Some(one.status) || !same || measured.memory > MOST_MEMORY {
                        let (code, length, mib) = (measured.code, measured.length, measured.memory >> 20);
                        let same = if same { "as expected" } else { "not those without kage" };
                        trial.lost(format_args!("{of}: status {code:?}, {length} bytes, {same}, {mib} MiB"));
                    }
                }
                Err(why) => trial.lost(format_args!("{of}: {why}")),
            }
            runs.push(Run { tag, booked: (1, 1) });
            // The agent's children that are still running.
            scene.living().into_iter().for_each(crate::scene::kill);
        }
    }
    trial.check(audit(&scene, &runs, Records::Complete), "after odd agents");
}

/// The output of the agent without kage.
fn plain(scene: &Scene) -> Vec<u8> {
    let mut command = scene.program(&scene.path("bin/claude"), [""; 0]);
    command.env("TAG", "plain").stderr(Stdio::null()).output().unwrap().stdout
}

/// An agent that dies from a signal: kage dies from the same signal if shells react to it, otherwise it exits
/// with 128 plus the signal.
fn signals(trial: &Trial<'_>) {
    let scene = scene(trial);
    program(&scene, "echo partial; kill -$SIGNAL $$; sleep 5");
    let mut runs = Vec::new();
    // Without the signals that stop a process or are ignored by default.
    for signal in (1..=31).filter(|signal| ![17, 18, 19, 20, 21, 22, 23, 28].contains(signal)) {
        for words in FORMS {
            let tag = format!("signal-{signal}-{}", runs.len());
            let mut command = scene.kage(words);
            let ended = scene.run(command.env("TAG", &tag).env("SIGNAL", signal.to_string()));
            trial.tried(1);
            let by_signal = [1, 2, 13, 15].contains(&signal);
            match ended {
                Ok(ended) => {
                    let expected = if by_signal { (None, Some(signal)) } else { (Some(128 + signal), None) };
                    if (ended.code(), ended.signal()) != expected || !ended.err.is_empty() {
                        let (status, said) = (ended.status, ended.err);
                        trial.lost(format_args!("`kage {words}` by signal {signal}: {status} {said:?}"));
                    } else if ended.out != "partial\n" {
                        trial.lost(format_args!("`kage {words}` by signal {signal} printed {:?}", ended.out));
                    }
                }
                Err(why) => trial.lost(format_args!("`kage {words}` by signal {signal}: {why}")),
            }
            runs.push(Run { tag, booked: (1, 1) });
        }
    }
    trial.check(audit(&scene, &runs, Records::Complete), "after signals");
}

/// A gigabyte of output, and endless lines: kage's memory does not grow with them.
fn floods(trial: &Trial<'_>) {
    let scene = scene(trial);
    // A gigabyte takes a long time, so only two of the scripts write that much.
    let (gigabyte, size) = (if trial.is_full_run() { 1 << 30 } else { 1 << 27 }, 1 << 27);
    let line = 100_000_000;
    let lines = format!("yes '{{\"type\":\"assistant\",\"message\":\"{}\"}}'", "x".repeat(200));
    let all: [(String, u64, &[&str]); 6] = [
        (format!("{lines} | head -c {gigabyte}"), gigabyte, &FORMS[2..3]),
        (format!("head -c {gigabyte} /dev/zero"), gigabyte, &FORMS[..1]),
        (format!("{lines} | head -c {size}"), size, &FORMS),
        (format!("head -c {size} /dev/zero"), size, &FORMS),
        (
            format!("head -c {line} /dev/zero | tr '\\000' x; echo; head -c {line} /dev/zero | tr '\\000' y"),
            2 * line + 1,
            &FORMS,
        ),
        (format!("head -c {line} /dev/zero | tr '\\000' e >&2"), 0, &FORMS),
    ];
    let mut runs = Vec::new();
    for (script, expected, forms) in all {
        program(&scene, &format!("{script}\nexit 7"));
        for words in forms {
            if !trial.is_full_run() && !trial.has_time() {
                break;
            }
            let tag = format!("flood-{}", runs.len());
            trial.tried(1);
            match measure(&scene, words, &tag, 0, LONG) {
                Ok(measured)
                    if measured.code == Some(7)
                        && measured.length == expected
                        && measured.memory <= MOST_MEMORY => {}
                Ok(Measured { code, signal, length, memory, .. }) => {
                    let mib = memory >> 20;
                    trial.lost(format_args!(
                        "`kage {words}` of `{script:.60}`: {code:?} {signal:?}, {length} of {expected} bytes, {mib} MiB"
                    ));
                }
                Err(why) => trial.lost(format_args!("`kage {words}` of `{script:.60}`: {why}")),
            }
            runs.push(Run { tag, booked: (1, 1) });
        }
    }
    trial.check(audit(&scene, &runs, Records::Complete), "after floods");
}
