//! A directory of projects that grows by runs under kage.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::counting::counts::Counts;
use crate::counting::plan::{MAIN, Plan, Shapes, of_long_ago};
use crate::counting::random::Random;
use crate::support::{Sandbox, token};

const SUBSCRIPTIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A session that stood there before kage did.
const OLD: &str = "0a1b2c3d-0000-4000-8000-00000000001d";

pub(crate) struct Tree {
    pub sandbox: Sandbox,
    seed: u64,
    random: Random,
    shapes: Shapes,
    serial: u64,
    sessions: Vec<String>,
    /// By run and number of the attempt: whose tokens, and which.
    written: BTreeMap<(String, u64), (String, Counts)>,
}

/// How a run comes by its session.
#[derive(Debug, Clone)]
enum Begin {
    Anew,
    Resume(String),
    Continue,
    Fork(String),
}

/// A run that is under way.
struct Run {
    child: Child,
    plan: PathBuf,
    counts: Vec<Counts>,
}

impl Tree {
    pub(crate) fn plant(seed: u64, shapes: Shapes) -> Self {
        let sandbox = Sandbox::new();
        let credential = |name: &str| format!("credential = {{ command = \"echo {}\" }}\n", token(name));
        let pool = SUBSCRIPTIONS.map(|name| format!("[subscriptions.pool.{name}]\n{}", credential(name)));
        sandbox.config(&pool.concat());
        sandbox.program("claude", include_str!("agent.pl"));
        fs::create_dir(sandbox.path("plans")).unwrap();
        let (random, sessions) = (Random::new(seed), vec![OLD.to_owned()]);
        let tree = Self { sandbox, seed, random, shapes, serial: 0, sessions, written: BTreeMap::new() };
        fs::create_dir_all(tree.records()).unwrap();
        fs::write(tree.file_of(OLD), format!("{}\n", of_long_ago())).unwrap();
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

    /// Runs of every kind, one after the other and at once.
    pub(crate) fn grow(&mut self) {
        self.run_alone(&Begin::Anew);
        for _ in 0..3 {
            let begin = match self.random.below(5) {
                0 => Begin::Anew,
                1 => Begin::Continue,
                2 => Begin::Fork(self.some_session()),
                _ => Begin::Resume(self.some_session()),
            };
            self.run_alone(&begin);
        }
        self.run_at_once();
    }

    fn some_session(&mut self) -> String {
        let count = u64::try_from(self.sessions.len()).unwrap();
        self.sessions[usize::try_from(self.random.below(count)).unwrap()].clone()
    }

    fn run_alone(&mut self, begin: &Begin) {
        let run = self.start(begin, None);
        self.finish(run);
    }

    /// Runs in one directory that write by turns. Two go on with a session and fork it meanwhile.
    fn run_at_once(&mut self) {
        let session = self.some_session();
        let meeting = format!("meeting-{}", self.serial);
        let begins = [Begin::Anew, Begin::Resume(session.clone()), Begin::Fork(session)];
        let runs: Vec<_> = begins.iter().map(|begin| self.start(begin, Some(&meeting))).collect();
        for run in runs {
            self.finish(run);
        }
    }

    pub(crate) fn run_again(&mut self, session: &str) {
        self.run_alone(&Begin::Resume(session.to_owned()));
    }

    /// One session of so many bytes, in the middle of which it goes on on another subscription.
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
        let run = self.launch(&Begin::Anew, plans);
        self.finish(run);
        self.sessions.last().unwrap().clone()
    }

    fn plan(&mut self) -> Plan<'_> {
        self.serial += 1;
        Plan::new(&mut self.random, self.shapes, self.serial)
    }

    fn start(&mut self, begin: &Begin, mut meeting: Option<&str>) -> Run {
        let (refused, worked) = (self.random.one_in(3), !self.random.one_in(3));
        let mut plans = Vec::new();
        if refused {
            let mut plan = self.opening(begin, &mut meeting);
            if worked {
                plan.turn();
            }
            meet(&mut plan, &mut meeting);
            plan.limited();
            plans.push((plan.text, plan.counts));
        }
        let is_cut = self.random.one_in(4);
        // Without work the command runs again as it was typed, and forks again.
        let again = if refused && worked { &Begin::Continue } else { begin };
        let mut plan = self.opening(again, &mut meeting);
        plan.turn();
        meet(&mut plan, &mut meeting);
        plan.turn();
        if is_cut {
            plan.cut();
        }
        plans.push((plan.text, plan.counts));
        self.launch(begin, plans)
    }

    /// A fork in company copies what the others have just written.
    fn opening(&mut self, begin: &Begin, meeting: &mut Option<&str>) -> Plan<'_> {
        let mut plan = self.plan();
        if let Begin::Fork(session) = begin {
            meet(&mut plan, meeting);
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
            Begin::Anew => vec![],
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

    /// Each line of the ledger has what the stand-in wrote in that attempt, on that subscription.
    pub(crate) fn agrees_on_every_attempt(&self) {
        let booked = self.sandbox.ledger().into_iter().map(|line| {
            let attempt = (line["run"].as_str().unwrap().to_owned(), line["attempt"].as_u64().unwrap());
            (attempt, (line["subscription"].as_str().unwrap().to_owned(), Counts::of_line(&line)))
        });
        assert_eq!(booked.collect::<BTreeMap<_, _>>(), self.written, "{}", self.name());
    }

    /// How often a run went on on another subscription.
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

/// Waits, once, until all runs are there.
fn meet(plan: &mut Plan<'_>, meeting: &mut Option<&str>) {
    if let Some(meeting) = meeting.take() {
        plan.step('@', &format!("{meeting} 3"));
    }
}
