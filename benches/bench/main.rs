//! Measures kage: its overhead at start, growth with the size of the pool, contention, relay throughput, and
//! the cost while the agent sleeps. `bash tests/bench.sh` builds the programs and calls this.
//!
//! Prints Markdown on standard output and writes `bench.json`, `bench.md` and `bench.svg` to the directory of
//! `--out`.

// A failed unwrap ends the measurement.
#![allow(clippy::unwrap_used)]

mod chart;
mod contention;
mod figures;
mod idle;
mod machine;
mod overhead;
mod page;
mod peers;
mod relay;
mod rounds;
mod scale;
mod table;

#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "../../tests/support/secret_service.rs"]
mod secret_service;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use figures::{Figures, SCHEMA};
use overhead::Extent;

const USAGE: &str = "bash tests/bench.sh [--quick] [--rounds N] [--only overhead,scale,contention,relay,idle] \
                     [--beside /path/to/another/kage]...";

/// The command line.
struct Args {
    quick: bool,
    rounds: Option<usize>,
    only: Vec<String>,
    other_builds: Vec<PathBuf>,
    out: PathBuf,
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(("contend", words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return contention::work(words);
    }
    let args = Args::read(words).unwrap_or_else(|| {
        eprintln!("usage: {USAGE}");
        std::process::exit(2);
    });
    fs::create_dir_all(&args.out).unwrap();
    let figures = measure(&args);
    let text = table::all(&figures);
    let part = page::part(&figures);
    let json = serde_json::to_string_pretty(&figures).unwrap() + "\n";
    for (name, text) in [("bench.json", &json), ("bench.md", &part), ("bench.svg", &chart::draw(&figures))] {
        fs::write(args.out.join(name), text).unwrap();
    }
    print!("{text}");
}

impl Args {
    fn read(words: Vec<String>) -> Option<Self> {
        let out = env::temp_dir().join("kage-bench");
        let mut args = Self { quick: false, rounds: None, only: Vec::new(), other_builds: Vec::new(), out };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo passes this to every benchmark.
                "--bench" => {}
                "--quick" => args.quick = true,
                "--rounds" => args.rounds = Some(words.next()?.parse().ok().filter(|rounds| *rounds > 0)?),
                "--only" => args.only = words.next()?.split(',').map(str::to_owned).collect(),
                "--beside" => args.other_builds.push(words.next()?.into()),
                "--out" => args.out = words.next()?.into(),
                _ => return None,
            }
        }
        let parts = ["overhead", "scale", "contention", "relay", "idle"];
        args.only.iter().all(|part| parts.contains(&part.as_str())).then_some(args)
    }

    fn has(&self, part: &str) -> bool {
        let has = self.only.is_empty() || self.only.iter().any(|only| only == part);
        if has {
            eprintln!("measuring {part}");
        }
        has
    }

    /// The first value, or the second with `--quick`.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn measure(args: &Args) -> Figures {
    let mut figures = Figures {
        schema: SCHEMA,
        taken: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: machine::this(),
        rounds: 0,
        subscriptions: 20,
        overhead: Vec::new(),
        scale: Vec::new(),
        contention: Vec::new(),
        relay: None,
        idle: Vec::new(),
    };
    let seconds = Duration::from_secs;
    if args.has("overhead") {
        figures.rounds = args.rounds.unwrap_or(args.pick(200, 20));
        let other_builds = args.other_builds.clone();
        let extent = Extent { rounds: figures.rounds, subscriptions: figures.subscriptions, other_builds };
        figures.overhead = overhead::measure(&extent);
    }
    if args.has("scale") {
        figures.scale = scale::measure(args.pick(100, 15));
    }
    if args.has("contention") {
        figures.contention = contention::measure(
            args.pick(seconds(3), Duration::from_millis(500)),
            args.pick(512, 64),
            &args.out,
        );
    }
    if args.has("relay") {
        figures.relay = Some(relay::measure(args.pick(500, 100), args.pick(11, 3), args.pick(1_000, 200)));
    }
    if args.has("idle") {
        figures.idle = idle::measure(args.pick(seconds(10), seconds(2)));
    }
    figures
}
