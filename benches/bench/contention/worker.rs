//! One of the concurrent processes: selects and settles with kage's own pool until its time is up.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use kage::pool::{
    Cooldowns, Costs, Lease, LeaseId, Moment, Outcome, Pool, Request, TokenCount, Usage, Verdict, take,
};
use kage::store;

use super::SUBSCRIPTIONS;
use super::keeping::{Method, name};

/// `contend METHOD SECONDS NOW DIR`. The time is fixed, so that no midnight falls into the measurement.
pub(crate) fn run(words: &[String]) {
    let [method, seconds, now, dir] = words else { panic!("invalid arguments of a worker: {words:?}") };
    let (method, dir) = (Method::of(method), Path::new(dir));
    let span = Duration::from_secs_f64(seconds.parse().unwrap());
    let now: Timestamp = now.parse().unwrap();
    let worker = Worker::new(now);
    println!("ready");
    io::stdout().flush().unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < span {
        let started = Instant::now();
        let lease = method.update(dir, |state| worker.select(state, times.len()));
        times.push(started.elapsed());
        let started = Instant::now();
        method.update(dir, |state| worker.settle(state, &lease));
        times.push(started.elapsed());
    }
    let lines: Vec<_> = times.iter().map(|time| time.as_micros().to_string()).collect();
    fs::write(dir.join(format!("{}.times", std::process::id())), lines.join("\n")).unwrap();
}

struct Worker {
    pool: Pool,
    request: Request,
    moment: Moment,
    pid: u32,
    started: u64,
    outcome: Outcome,
}

impl Worker {
    fn new(now: Timestamp) -> Self {
        let names: Vec<_> = (0..SUBSCRIPTIONS).map(|at| name(at).to_string()).collect();
        let pool = Pool::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let zoned = now.to_zoned(TimeZone::UTC);
        let pid = std::process::id();
        let mut usage = Usage { requests: 1, ..Usage::default() };
        // One token per run, so that the booked runs can be counted.
        usage.summed(&zoned, "sonnet", TokenCount { input_tokens: 1, ..TokenCount::default() });
        let verdict = Verdict::Succeeded;
        let (readings, rule) = (BTreeMap::new(), "exit".into());
        Self {
            pool,
            request: Request { agent: "claude".into(), ..Request::default() },
            moment: Moment::from(&zoned),
            pid,
            started: store::started(pid),
            outcome: Outcome { verdict, usage, readings, rule, evidence: None, act: None, also: Vec::new() },
        }
    }

    /// One transaction, as in `kage exec`.
    fn select(&self, state: &mut kage::pool::State, turn: usize) -> Lease {
        state.pass_deadlines(self.moment.now);
        let selection =
            take(&self.pool, state, &self.request, &self.moment).expect("no subscription is limited");
        let lease = Lease {
            id: LeaseId(format!("{}-{turn}", self.pid)),
            pid: self.pid,
            started: self.started,
            subscription: selection.name,
            since: self.moment.now,
            ..Lease::on("any")
        };
        state.leases.push(lease.clone());
        lease
    }

    fn settle(&self, state: &mut kage::pool::State, lease: &Lease) {
        let limits = Cooldowns::from(&self.pool);
        state.settle(lease, &self.outcome, &Costs::new(), limits, &self.moment);
    }
}
