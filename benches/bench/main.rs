//! Measures kage: what it adds to a start, how it grows with the pool, what many at once do to each other, what it
//! relays, and what it costs while the agent sleeps. `bash tests/bench.sh` builds what is measured, and calls this.
//!
//! Answers are Markdown on standard output, and `bench.json`, `bench.md` and `bench.svg` in the directory of `--out`.

// A failed unwrap ends the measurement.
#![allow(clippy::unwrap_used)]

mod chart;
mod contention;
mod figures;
mod idle;
mod machine;
mod overhead;
mod peers;
mod readme;
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

/// What was asked for.
struct Wanted {
    quick: bool,
    rounds: Option<usize>,
    only: Vec<String>,
    beside: Vec<PathBuf>,
    out: PathBuf,
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(("contend", words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return contention::work(words);
    }
    let wanted = Wanted::read(words).unwrap_or_else(|| {
        eprintln!("usage: {USAGE}");
        std::process::exit(2);
    });
    fs::create_dir_all(&wanted.out).unwrap();
    let figures = measure(&wanted);
    let text = table::all(&figures);
    let part = readme::part(&figures);
    let json = serde_json::to_string_pretty(&figures).unwrap() + "\n";
    for (name, text) in [("bench.json", &json), ("bench.md", &part), ("bench.svg", &chart::draw(&figures))] {
        fs::write(wanted.out.join(name), text).unwrap();
    }
    print!("{text}");
}

impl Wanted {
    fn read(words: Vec<String>) -> Option<Self> {
        let out = env::temp_dir().join("kage-bench");
        let mut wanted = Self { quick: false, rounds: None, only: Vec::new(), beside: Vec::new(), out };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo says it to every benchmark.
                "--bench" => {}
                "--quick" => wanted.quick = true,
                "--rounds" => wanted.rounds = Some(words.next()?.parse().ok().filter(|rounds| *rounds > 0)?),
                "--only" => wanted.only = words.next()?.split(',').map(str::to_owned).collect(),
                "--beside" => wanted.beside.push(words.next()?.into()),
                "--out" => wanted.out = words.next()?.into(),
                _ => return None,
            }
        }
        let parts = ["overhead", "scale", "contention", "relay", "idle"];
        wanted.only.iter().all(|part| parts.contains(&part.as_str())).then_some(wanted)
    }

    fn has(&self, part: &str) -> bool {
        let has = self.only.is_empty() || self.only.iter().any(|only| only == part);
        if has {
            eprintln!("measuring {part}");
        }
        has
    }

    /// One of two, by how much time there is.
    fn of<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn measure(wanted: &Wanted) -> Figures {
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
    if wanted.has("overhead") {
        figures.rounds = wanted.rounds.unwrap_or(wanted.of(200, 20));
        let beside = wanted.beside.clone();
        let extent = Extent { rounds: figures.rounds, subscriptions: figures.subscriptions, beside };
        figures.overhead = overhead::measure(&extent);
    }
    if wanted.has("scale") {
        figures.scale = scale::measure(wanted.of(100, 15));
    }
    if wanted.has("contention") {
        figures.contention = contention::measure(
            wanted.of(seconds(3), Duration::from_millis(500)),
            wanted.of(512, 64),
            &wanted.out,
        );
    }
    if wanted.has("relay") {
        figures.relay = Some(relay::measure(wanted.of(500, 100), wanted.of(11, 3), wanted.of(1_000, 200)));
    }
    if wanted.has("idle") {
        figures.idle = idle::measure(wanted.of(seconds(10), seconds(2)));
    }
    figures
}
