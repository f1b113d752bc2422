//! What kage adds to the start of an agent: `kage exec -- true` beside `env true`, and beside `mise exec`
//! where mise is installed (on PATH, or `MISE=/path/to/mise`).
//!
//! `cargo bench` measures the kage it was built with, or `KAGE=/path/to/kage`. Arguments are paths of other
//! kages to measure in the same run, which is how to compare two builds: `cargo bench -- /path/to/before`.

// A failed unwrap ends the measurement.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::Sandbox;

const ROUNDS: usize = 400;
const WARM_UP: usize = 20;
const SUBSCRIPTIONS: usize = 20;
/// Of the median to that of `env true`.
const TARGET: f64 = 2.3;

struct Contender {
    name: String,
    command: Command,
    times: Vec<Duration>,
}

impl Contender {
    fn new(sandbox: &Sandbox, name: impl Into<String>, program: &str, args: &[&str]) -> Self {
        let mut command = sandbox.call(program.as_ref(), args).command;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { name: name.into(), command, times: Vec::with_capacity(ROUNDS) }
    }

    /// From before the spawn until the end has been seen.
    fn run(&mut self) -> Duration {
        let begun = Instant::now();
        let mut child = self.command.spawn().unwrap();
        let ended = child.wait().unwrap();
        let took = begun.elapsed();
        assert!(ended.success(), "{}: {:?}", self.name, child.wait_with_output());
        took
    }

    fn at(&self, share: usize) -> Duration {
        self.times[(self.times.len() * share / 100).min(self.times.len() - 1)]
    }
}

fn main() {
    let sandbox = pool();
    let mut contenders = vec![Contender::new(&sandbox, "env true", "/usr/bin/env", &["true"])];
    let kage = std::env::var("KAGE").unwrap_or_else(|_| support::kage().display().to_string());
    contenders.push(Contender::new(&sandbox, "kage exec -- true", &kage, &["exec", "--", "true"]));
    for other in std::env::args().skip(1).filter(|arg| !arg.starts_with('-')) {
        contenders.push(Contender::new(&sandbox, other.clone(), &other, &["exec", "--", "true"]));
    }
    match mise() {
        Some(mise) => {
            let mise = mise.display().to_string();
            contenders.push(Contender::new(&sandbox, "mise exec -- true", &mise, &["exec", "--", "true"]));
        }
        None => println!("mise is not installed; npm install @jdxcode/mise, then MISE=/path/to/mise"),
    }
    measure(&mut contenders);
    show(&contenders);
}

/// A pool as somebody has it who needs one: a config of 5 KB, secrets in the encrypted file, some history.
fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    for at in 0..SUBSCRIPTIONS {
        let name = format!("subscription-{at:02}");
        let priority = (50 + at * 5).to_string();
        let described = format!(
            "account {at} of the team, paid for by the department, renewed every month by card of the lead"
        );
        let flags =
            ["--priority", &priority, "--tags", "team,backend,large,eu", "--description", described.as_str()];
        sandbox.add(&name, &flags);
    }
    let config = sandbox.read("home/.config/kage/config.toml");
    println!("{SUBSCRIPTIONS} subscriptions, a config of {} bytes, {ROUNDS} rounds", config.len());
    sandbox
}

/// One of each in turn, beginning with another one each time, so that what else the machine does hits all.
fn measure(contenders: &mut [Contender]) {
    let count = contenders.len();
    for round in 0..WARM_UP + ROUNDS {
        for at in 0..count {
            let contender = &mut contenders[(round + at) % count];
            let took = contender.run();
            if round >= WARM_UP {
                contender.times.push(took);
            }
        }
    }
    for contender in contenders {
        contender.times.sort_unstable();
    }
}

fn show(contenders: &[Contender]) {
    let base = contenders[0].at(50).as_secs_f64();
    let width = contenders.iter().map(|contender| contender.name.len()).max().unwrap_or(0);
    println!("{:width$}  median ms  p90 ms  ratio", "");
    for contender in contenders {
        let (median, p90) = (contender.at(50).as_secs_f64(), contender.at(90).as_secs_f64());
        let name = &contender.name;
        let ratio = median / base;
        let verdict = match name.contains("kage") {
            true if ratio <= TARGET => format!("  at most {TARGET}: met"),
            true => format!("  at most {TARGET}: missed"),
            false => String::new(),
        };
        println!("{name:width$}  {:9.3}  {:6.3}  {ratio:5.2}{verdict}", median * 1e3, p90 * 1e3);
    }
}

fn mise() -> Option<PathBuf> {
    let named = std::env::var_os("MISE").map(PathBuf::from);
    named.or_else(|| which::which("mise").ok())
}
