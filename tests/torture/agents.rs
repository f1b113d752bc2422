//! Agents that misbehave: they close their streams, never read, leave a child that holds the pipe, write a
//! gigabyte, lines of 100 MB, NULs and what is no text, end in the middle of a line, and die by each signal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::audit::{Books, Run, audit};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene, peak_memory};

/// Of resident memory, in bytes, whatever the agent writes.
const MOST_MEMORY: u64 = 64 << 20;
/// For what the agent's own children still write kage waits so long; and a busy machine takes its time.
const GRACE: Duration = Duration::from_secs(2 + 8);
/// A gigabyte goes through a kage that was not optimised.
const LONG: Duration = Duration::from_secs(120);

/// The forms in which agents are run; the last word is the program.
const FORMS: [&str; 4] = [
    "exec -- claude -p hi",
    "exec -- claude -p --output-format json hi",
    "exec -- claude -p --output-format stream-json --verbose hi",
    "exec -- worker",
];

/// A script, and the status it ends with.
struct Odd {
    name: &'static str,
    script: &'static str,
    status: i32,
}

const ODD: [Odd; 13] = [
    Odd { name: "closes its streams", script: "exec >&- 2>&- <&-; sleep 0.05; exit 3", status: 3 },
    Odd { name: "closes its output and goes on", script: "exec >&-; sleep 0.1; exit 0", status: 0 },
    Odd { name: "never reads", script: "echo x; exit 3", status: 3 },
    Odd { name: "reads a little", script: "head -c 3 >/dev/null; echo x; exit 3", status: 3 },
    Odd { name: "leaves a child with its pipe", script: "sleep 7 & echo x; exit 3", status: 3 },
    Odd {
        name: "leaves a child that writes",
        script: "(while sleep 0.1; do echo y; done) & echo x; exit 3",
        status: 3,
    },
    Odd { name: "is no text", script: "printf '\\377\\376\\303(\\200\\n\\000\\000\\n'; exit 4", status: 4 },
    Odd { name: "writes NULs", script: "head -c 300000 /dev/zero; exit 0", status: 0 },
    Odd { name: "writes noise", script: "head -c 3000000 \"$HOME/noise\"; exit 0", status: 0 },
    Odd { name: "ends in a line", script: "printf '{\"type\":\"result\",\"is_err'; exit 5", status: 5 },
    Odd { name: "ends in a letter", script: "printf 'caf\\303'; exit 6", status: 6 },
    Odd { name: "writes nothing", script: "exit 0", status: 0 },
    Odd { name: "complains", script: "head -c 200000 \"$HOME/noise\" >&2; exit 9", status: 9 },
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

/// Notes its run, and goes on as the script says.
fn program(scene: &Scene, script: &str) {
    let begin = "echo \"begin $TAG $KAGE_RUN $$\" >>\"$HOME/log\"\n";
    for name in ["claude", "worker"] {
        scene.sandbox.program(name, &format!("#!/bin/sh\n{begin}{script}\n"));
    }
}

/// How a run went: its exit, how much it wrote, and the most memory that kage had.
struct Went {
    code: Option<i32>,
    signal: Option<i32>,
    out: Vec<u8>,
    length: u64,
    memory: u64,
}

/// Runs it with input that nobody may read. Of the output so much is kept, the rest is counted.
fn went(scene: &Scene, words: &str, tag: &str, kept: usize, patience: Duration) -> Result<Went, String> {
    let mut command = scene.kage(words);
    command.env("TAG", tag).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut kage = command.spawn().unwrap();
    let (mut input, mut output) = (kage.stdin.take().unwrap(), kage.stdout.take().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            // Whoever reads nothing closes it at the end.
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
        // A child of the agent's may hold the output of one that kage did not stand between.
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
        Ok(Went { code: ended.code(), signal, out, length, memory })
    })
}

/// Every odd agent in every form: the same bytes and the same status as without kage, in bounded time and memory.
fn odd(trial: &Trial<'_>) {
    let scene = scene(trial);
    let mut runs = Vec::new();
    for (at, one) in ODD.iter().enumerate() {
        program(&scene, one.script);
        // What the agent's own children write comes when it comes.
        let is_steady = !one.script.contains('&') || one.script.contains(">&");
        let expected = is_steady.then(|| plain(&scene));
        for words in FORMS {
            let tag = format!("odd-{at}-{}", runs.len());
            trial.tried(1);
            let of = format!("`kage {words}` of one that {}", one.name);
            match went(&scene, words, &tag, 4 << 20, GRACE) {
                Ok(went) => {
                    let same = expected.as_ref().is_none_or(|expected| *expected == went.out);
                    if went.code != Some(one.status) || !same || went.memory > MOST_MEMORY {
                        let (code, length, mib) = (went.code, went.length, went.memory >> 20);
                        let same = if same { "as expected" } else { "others than without kage" };
                        trial.lost(format_args!("{of}: status {code:?}, {length} bytes, {same}, {mib} MiB"));
                    }
                }
                Err(why) => trial.lost(format_args!("{of}: {why}")),
            }
            runs.push(Run { tag, booked: (1, 1) });
            // Those of the agent's children that were to stay.
            scene.living().into_iter().for_each(crate::scene::kill);
        }
    }
    trial.check(audit(&scene, &runs, Books::Whole), "after odd agents");
}

/// What the agent prints without kage.
fn plain(scene: &Scene) -> Vec<u8> {
    let mut command = scene.program(&scene.path("bin/claude"), [""; 0]);
    command.env("TAG", "plain").stderr(Stdio::null()).output().unwrap().stdout
}

/// An agent that dies by a signal: kage ends as a shell would tell it, or by the same signal where shells act
/// on it.
fn signals(trial: &Trial<'_>) {
    let scene = scene(trial);
    program(&scene, "echo partial; kill -$SIGNAL $$; sleep 5");
    let mut runs = Vec::new();
    // Not those that stop it, or do nothing.
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
    trial.check(audit(&scene, &runs, Books::Whole), "after signals");
}

/// Floods: a gigabyte, and lines without an end. kage's memory does not grow with them.
fn floods(trial: &Trial<'_>) {
    let scene = scene(trial);
    // A gigabyte takes its time, so only two of them are as long.
    let (gigabyte, size) = (if trial.is_whole() { 1 << 30 } else { 1 << 27 }, 1 << 27);
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
            if !trial.is_whole() && !trial.goes_on() {
                break;
            }
            let tag = format!("flood-{}", runs.len());
            trial.tried(1);
            match went(&scene, words, &tag, 0, LONG) {
                Ok(went) if went.code == Some(7) && went.length == expected && went.memory <= MOST_MEMORY => {
                }
                Ok(Went { code, signal, length, memory, .. }) => {
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
    trial.check(audit(&scene, &runs, Books::Whole), "after floods");
}
