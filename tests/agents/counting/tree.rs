//! A directory of transcripts that grows with runs under kage.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::counting::counts::Counts;
use crate::counting::plan::{MAIN, Plan, Shapes, old_row};
use crate::counting::random::Random;
use crate::support::{Sandbox, token};

const SUBSCRIPTIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A session from before kage was installed.
const OLD: &str = "0a1b2c3d-0000-4000-8000-00000000001d";

pub(crate) struct Tree {
    pub sandbox: Sandbox,
    seed: u64,
    random: Random,
    shapes: Shapes,
    serial: u64,
    sessions: Vec<String>,
    /// The subscription and the tokens of each attempt, by run and number of the attempt.
    written: BTreeMap<(String, u64), (String, Counts)>,
}

/// How a run gets its session.
#[derive(Debug, Clone)]
enum Begin {
    New,
    Resume(String),
    Continue,
    Fork(String),
}

/// A run in progress.
struct Run {
    child: Child,
    plan: PathBuf,
    counts: Vec<Counts>,
}

impl Tree {
    pub(crate) fn new(seed: u64, shapes: Shapes) -> Self {
        let sandbox = Sandbox::new();
        let credential = |name: &str| format!("credential = {{ command = \"echo {}\" }}\n", token(name));
        let pool = SUBSCRIPTIONS.map(|name| format!("[subscriptions.pool.{name}]\n{}", credential(name)));
        sandbox.config(&pool.concat());
        sandbox.program("claude", include_str!("agent.pl"));
        fs::create_dir(sandbox.path("plans")).unwrap();
        let (random, sessions) = (Random::new(seed), vec![OLD.to_owned()]);
        let tree = Self { sandbox, seed, random, shapes, serial: 0, sessions, written: BTreeMap::new() };
        fs::create_dir_all(tree.records()).unwrap();
        fs::write(tree.file_of(OLD), format!("{}\n", old_row())).unwrap();
        tree
    }

    pub(crate) fn name(&self) -> String {
        format!("tree {} ({:?})", self.seed, self.shapes)
    }

    fn records(&self) -> PathBuf {
        let work = self.sandbox.path("work").display().to_string();
        let slug = work.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        self.sandbox.path("home/.claude/projects").join(slug)
    }

    fn file_of(&self, session: &str) -> PathBuf {
        self.records().join(format!("{session}.jsonl"))
    }

    pub(crate) fn length_of(&self, session: &str) -> u64 {
        fs::metadata(self.file_of(session)).unwrap().len()
    }

    /// Makes runs of every kind, first one after another, then in parallel.
    pub(crate) fn run_every_kind(&mut self) {
        self.run_alone(&Begin::New);
        for _ in 0..3 {
            let begin = match self.random.below(5) {
                0 => Begin::New,
                1 => Begin::Continue,
                2 => Begin::Fork(self.some_session()),
                _ => Begin::Resume(self.some_session()),
            };
            self.run_alone(&begin);
        }
        self.run_in_parallel();
    }

    fn some_session(&mut self) -> String {
        let count = u64::try_from(self.sessions.len()).unwrap();
        self.sessions[usize::try_from(self.random.below(count)).unwrap()].clone()
    }

    fn run_alone(&mut self, begin: &Begin) {
        let run = self.start(begin, None);
        self.finish(run);
    }

    /// Three parallel runs in one directory. One resumes a session while another forks it.
    fn run_in_parallel(&mut self) {
        let session = self.some_session();
        let barrier = format!("barrier-{}", self.serial);
        let begins = [Begin::New, Begin::Resume(session.clone()), Begin::Fork(session)];
        let runs: Vec<_> = begins.iter().map(|begin| self.start(begin, Some(&barrier))).collect();
        for run in runs {
            self.finish(run);
        }
    }

    pub(crate) fn run_again(&mut self, session: &str) {
        self.run_alone(&Begin::Resume(session.to_owned()));
    }

    /// A session of about `length` bytes that switches to another subscription halfway.
    pub(crate) fn run_long(&mut self, length: usize) -> String {
        let mut plans = Vec::new();
        for half in 0..2 {
            let mut plan = self.plan();
            plan.prompt();
            for chunk in 0..length / 200_000 {
                plan.turn();
                let row = if chunk % 50 == 0 { "1000000" } else { "90000" };
                plan.step('>', MAIN);
                plan.step('#', row);
            }
            if half == 0 {
                plan.limited();
            }
            plans.push((plan.text, plan.counts));
        }
        let run = self.launch(&Begin::New, plans);
        self.finish(run);
        self.sessions.last().unwrap().clone()
    }

    fn plan(&mut self) -> Plan<'_> {
        self.serial += 1;
        Plan::new(&mut self.random, self.shapes, self.serial)
    }

    fn start(&mut self, begin: &Begin, mut barrier: Option<&str>) -> Run {
        let (refused, worked) = (self.random.one_in(3), !self.random.one_in(3));
        let mut plans = Vec::new();
        if refused {
            let mut plan = self.opening(begin, &mut barrier);
            if worked {
                plan.turn();
            }
            wait_at_barrier(&mut plan, &mut barrier);
            plan.limited();
            plans.push((plan.text, plan.counts));
        }
        let is_cut = self.random.one_in(4);
        // If no work was done, kage runs the original command again, which forks again.
        let again = if refused && worked { &Begin::Continue } else { begin };
        let mut plan = self.opening(again, &mut barrier);
        plan.turn();
        wait_at_barrier(&mut plan, &mut barrier);
        plan.turn();
        if is_cut {
            plan.cut();
        }
        plans.push((plan.text, plan.counts));
        self.launch(begin, plans)
    }

    /// The start of an attempt. A fork among parallel runs copies what the others have just written.
    fn opening(&mut self, begin: &Begin, barrier: &mut Option<&str>) -> Plan<'_> {
        let mut plan = self.plan();
        if let Begin::Fork(session) = begin {
            wait_at_barrier(&mut plan, barrier);
            plan.step('>', MAIN);
            plan.step('<', &format!("{session}.jsonl"));
        }
        plan.prompt();
        plan
    }

    fn launch(&mut self, begin: &Begin, plans: Vec<(String, Counts)>) -> Run {
        let plan = self.sandbox.path("plans").join(format!("run-{}", self.serial));
        for (at, (text, _)) in plans.iter().enumerate() {
            fs::write(format!("{}.{}", plan.display(), at + 1), text).unwrap();
        }
        let typed: Vec<&str> = match begin {
            Begin::New => vec![],
            Begin::Resume(session) => vec!["--resume", session],
            Begin::Continue => vec!["--continue"],
            Begin::Fork(session) => vec!["--fork-session", "--resume", session],
        };
        let args = [&["exec", "--", "claude", "-p", "hi"], &typed[..]].concat();
        let mut command = self.sandbox.kage(args).env("PLAN", &plan).env("RECORDS", self.records()).command;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Run {
            child: command.spawn().unwrap(),
            plan,
            counts: plans.into_iter().map(|(_, counts)| counts).collect(),
        }
    }

    fn finish(&mut self, run: Run) {
        let ended = run.child.wait_with_output().unwrap();
        let said = [&ended.stdout[..], &ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(ended.status.success() && ended.stdout == b"done\n", "{}: {said}", self.name());
        let ran = fs::read_to_string(format!("{}.ran", run.plan.display())).unwrap();
        assert_eq!(ran.lines().count(), run.counts.len(), "{}: {ran}{said}", self.name());
        let last = ran.lines().count() - 1;
        for (at, (line, counts)) in ran.lines().zip(run.counts).enumerate() {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let [id, number, subscription, session] = &words[..] else { panic!("{line}") };
            if at < last {
                self.sandbox.kage(["subscription", "reset", subscription]).run().success();
            } else if !self.sessions.contains(session) {
                self.sessions.push(session.clone());
            }
            let attempt = (id.clone(), number.parse().unwrap());
            self.written.insert(attempt, (subscription.clone(), counts));
        }
    }

    /// Checks that each line of the ledger has what the stand-in wrote in that attempt, on that subscription.
    pub(crate) fn assert_every_attempt(&self) {
        let booked = self.sandbox.ledger().into_iter().map(|line| {
            let attempt = (line["run"].as_str().unwrap().to_owned(), line["attempt"].as_u64().unwrap());
            (attempt, (line["subscription"].as_str().unwrap().to_owned(), Counts::of_line(&line)))
        });
        assert_eq!(booked.collect::<BTreeMap<_, _>>(), self.written, "{}", self.name());
    }

    /// How often a run switched to another subscription.
    pub(crate) fn switches(&self) -> usize {
        self.written.keys().filter(|(_, attempt)| *attempt > 1).count()
    }

    /// All tokens in the ledger.
    pub(crate) fn total(&self) -> Counts {
        self.sandbox.ledger().iter().fold(Counts::default(), |mut sum, line| {
            sum.add_all(&Counts::of_line(line));
            sum
        })
    }
}

/// Waits until all three runs have reached the barrier. A run waits only once.
fn wait_at_barrier(plan: &mut Plan<'_>, barrier: &mut Option<&str>) {
    if let Some(barrier) = barrier.take() {
        plan.step('@', &format!("{barrier} 3"));
    }
}
