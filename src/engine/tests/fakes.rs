//! Fakes of everything that a run needs: an agent that follows a script, a host that starts no process, a
//! clock that advances only by the duration of each attempt, and a store in memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::memory::Memory;
use crate::agent::{
    Agent, Captured, Case, Evidence, Exit, Form, Intent, Job, Kind, LaunchPlan, Marker, Opening, Patience,
    ProviderError, SecretKind, Work,
};
use crate::config::project::Location;
use crate::config::{Config, Interactive};
use crate::engine::context::Context;
use crate::engine::events::Events;
use crate::engine::host::{Host, Launch};
use crate::engine::model::{Arguments, Run};
use crate::engine::run::{Beginning, RunEnd};
use crate::engine::said::Said;
use crate::error::Failure;
use crate::paths::Paths;
use crate::pool::{LeaseId, Level, Limit, LimitKind, Name, Pool, Request, Scope, Source, State, Verdict};
use crate::run::{Answer, ChildExit, Launched, Output, Program, Relay, Response, Streams};
use crate::secret::Secret;

/// One scripted attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub verdict: Verdict,
    pub work: Work,
    /// The exit status.
    pub code: i32,
    pub interrupted: bool,
    pub takes: SignedDuration,
    /// Whether a hook wakes the session's observer once.
    pub wakes: bool,
}

impl Attempt {
    pub(super) fn of(verdict: Verdict, work: Work) -> Self {
        let code = i32::from(verdict != Verdict::Succeeded);
        let takes = SignedDuration::from_secs(1);
        Self { verdict, work, code, interrupted: false, takes, wakes: false }
    }
}

/// The scripted run.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    form: Form,
    subscriptions: usize,
    pub attempts: Vec<Attempt>,
    pub retries: Option<u32>,
    pub mode: Interactive,
    pub answer: Option<&'static str>,
    pub signal_in_pause: Option<i32>,
    /// A subscription that is limited at the start, and for how long.
    pub limited_for: Option<(&'static str, SignedDuration)>,
}

impl Scene {
    /// A run on a pool of `subscriptions` subscriptions: `a`, `b` and so on, chosen in this order.
    pub(super) fn new(form: Form, subscriptions: usize) -> Self {
        Self {
            form,
            subscriptions,
            attempts: Vec::new(),
            retries: None,
            mode: Interactive::Auto,
            answer: None,
            signal_in_pause: None,
            limited_for: None,
        }
    }
}

/// One start of the agent.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub subscription: String,
    pub resumes: bool,
    pub takes_over: bool,
}

/// The result of a scripted run.
pub(super) struct Outcome {
    pub end: RunEnd,
    pub launches: Vec<Start>,
    pub pauses: Vec<Duration>,
    pub questions: usize,
    /// The responses of the session's observer when it was woken.
    pub responses: Vec<Response>,
    pub said: Vec<Said>,
    pub state: State,
    /// The verdicts in the ledger.
    pub ledger: Vec<String>,
    pub pool: Pool,
    pub now: Timestamp,
}

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
    static CURRENT: RefCell<Option<Attempt>> = const { RefCell::new(None) };
}

struct FakeAgent;

static KIND: SecretKind =
    SecretKind { prefix: "", variable: "PRETEND_TOKEN", descriptor: None, model: None, lifetime_days: None };

impl Agent for FakeAgent {
    fn name(&self) -> &'static str {
        "pretend"
    }

    fn kind_of(&self, _secret: &Secret) -> Option<&'static SecretKind> {
        Some(&KIND)
    }

    fn default_kind(&self) -> &'static SecretKind {
        &KIND
    }

    fn secret_formats(&self) -> &'static str {
        "anything"
    }

    fn how_to_get(&self) -> &'static str {
        "pretend"
    }

    fn login_hint(&self, _home: &Path) -> Option<String> {
        None
    }

    fn competes(&self, _variable: &str) -> bool {
        false
    }

    fn read(&self, _: &[OsString], _: &dyn Fn(&str) -> Option<OsString>, _: bool) -> Intent {
        Intent::default()
    }

    fn prepare(&self, job: &Job<'_>) -> LaunchPlan {
        let resumes = matches!(job.opening, Opening::Resuming { .. }).then(|| OsString::from("--resume"));
        let takes_over = (job.patience != Patience::Own).then(|| OsString::from("--impatient"));
        LaunchPlan { args: resumes.into_iter().chain(takes_over).collect(), ..LaunchPlan::default() }
    }

    fn resume_args(&self, args: &[OsString], _session: &str, _prompt: &str) -> Option<Vec<OsString>> {
        Some(args.to_vec())
    }

    fn can_resume(&self, _session: &str, _job: &Job<'_>) -> bool {
        true
    }

    fn collect(&self, _plan: &LaunchPlan, _captured: &Captured, now: &Zoned) -> Evidence {
        CURRENT.with_borrow(|attempt| {
            let attempt = attempt.as_ref().expect("an attempt was started");
            let refused = attempt.verdict != Verdict::Succeeded;
            let error = ProviderError {
                at: Some(now.timestamp()),
                ..ProviderError::new(Kind::UsageLimit, "refused", "pretend")
            };
            Evidence {
                work: attempt.work,
                session: Some("session".into()),
                errors: refused.then_some(error).into_iter().collect(),
                ..Evidence::default()
            }
        })
    }

    fn examine(&self, _text: &[u8], _now: &Zoned) -> Evidence {
        Evidence::default()
    }

    fn markers(&self) -> &'static [Marker] {
        &[]
    }

    fn judge(&self, case: &Case<'_>) -> crate::pool::Outcome {
        let verdict =
            CURRENT.with_borrow(|attempt| attempt.as_ref().expect("an attempt was started").verdict.clone());
        crate::pool::Outcome {
            verdict,
            usage: case.evidence.usage.clone(),
            readings: case.evidence.readings.clone(),
            rule: "pretend".into(),
            evidence: None,
            act: None,
            also: Vec::new(),
        }
    }
}

#[derive(Default)]
struct FakeHost {
    script: RefCell<VecDeque<Attempt>>,
    launches: RefCell<Vec<Start>>,
    pauses: RefCell<Vec<Duration>>,
    responses: RefCell<Vec<Response>>,
    questions: Cell<usize>,
    answer: Option<&'static str>,
    signal_in_pause: Option<i32>,
}

impl Host for FakeHost {
    fn run(&self, launch: Launch<'_>, streams: Streams<'_>) -> Result<Launched, Failure> {
        let attempt = self.script.borrow_mut().pop_front().expect("the script has one more attempt");
        let has = |word: &str| launch.plan.args.iter().any(|arg| arg == word);
        let subscription = launch.marks.iter().find(|(name, _)| *name == "KAGE_SUBSCRIPTION");
        let subscription = subscription.and_then(|(_, name)| name.to_str()).expect("the mark is set");
        self.launches.borrow_mut().push(Start {
            subscription: subscription.to_owned(),
            resumes: has("--resume"),
            takes_over: has("--impatient"),
        });
        CURRENT.set(Some(attempt.clone()));
        if let Streams::Inherited(Some(observer)) = streams {
            observer.started();
            if attempt.wakes {
                self.responses.borrow_mut().push(observer.look(true));
            }
        }
        NOW.set(NOW.get() + attempt.takes);
        let (exit, captured) = (Exit::Code(attempt.code), Captured::default());
        Ok(Launched::Ended(ChildExit { exit, interrupted: attempt.interrupted, captured }))
    }

    fn pause(&self, duration: Duration) -> Result<(), i32> {
        self.pauses.borrow_mut().push(duration);
        self.signal_in_pause.map_or(Ok(()), Err)
    }

    fn ask(&self, _question: &str) -> Answer {
        self.questions.set(self.questions.get() + 1);
        self.answer.map_or(Answer::NoAnswer, |answer| Answer::Line(answer.to_owned()))
    }
}

/// Returns a config with the scene's subscriptions. Each has a login directory, so that no secret is needed.
fn config(scene: &Scene, dir: &Path) -> Config {
    // Static, so that the table of prices is parsed only once.
    static EMPTY: LazyLock<Config> = LazyLock::new(|| {
        Config::parse("", Path::new("/config.toml"), Path::new("/")).expect("an empty config is valid")
    });
    let mut config = EMPTY.clone();
    let names: Vec<_> = ["a", "b", "c", "d", "e"][..scene.subscriptions].to_vec();
    config.pool = Pool::of(&names);
    for (at, subscription) in config.pool.subscriptions.values_mut().enumerate() {
        subscription.agent = FakeAgent.name().to_owned();
        subscription.credential.source = Source::Home(dir.to_owned());
        subscription.priority = 200 - u8::try_from(at).expect("there are at most five subscriptions");
    }
    config.pool.strategy = crate::pool::Strategy::Priority;
    config.failover.interactive = scene.mode;
    config.failover.attempts = scene.retries.unwrap_or(4);
    config
}

/// Runs a scene.
pub(super) fn run(scene: &Scene) -> Outcome {
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let dir = dir.path();
    let start: Timestamp = "2026-11-22T10:00:00Z".parse().expect("the literal is a valid time");
    NOW.set(start);
    let paths = Paths {
        home: dir.to_owned(),
        config: dir.join("config.toml"),
        state: dir.join("state"),
        credentials: dir.join("credentials"),
        identity: dir.join("identity"),
        shims: dir.join("shims"),
    };
    let store: &'static Memory = Box::leak(Box::new(Memory::default()));
    if let Some((name, duration)) = scene.limited_for {
        let name: Name = name.parse().expect("the scene has valid names");
        let window = "five_hour".to_owned();
        let limit = Limit {
            scope: Scope::All,
            kind: LimitKind::RateLimited,
            window,
            since: start,
            until: start + duration,
        };
        store.state.borrow_mut().subscriptions.entry(name).or_default().limits.push(limit);
    }
    let context = Context::from_parts(paths, config(scene, dir), Box::new(store), || NOW.get());
    let host = FakeHost {
        script: RefCell::new(scene.attempts.iter().cloned().collect()),
        answer: scene.answer,
        signal_in_pause: scene.signal_in_pause,
        ..FakeHost::default()
    };
    let run = scripted(scene, &context, &host, dir);
    let Ok(Beginning::Ready(mut state)) = run.begin() else { panic!("the first subscription is not ready") };
    let mut relay = relay(&run);
    let exit = run.run_attempts(&mut state, relay.as_mut(), None).expect("no attempt fails to start");
    let end = match exit {
        Exit::Code(code) => RunEnd::Code(code),
        Exit::Signal(signal) => RunEnd::Signal(signal),
    };
    drop(run);
    Outcome {
        end,
        launches: host.launches.take(),
        pauses: host.pauses.take(),
        questions: host.questions.get(),
        responses: host.responses.take(),
        said: context.voice.said(),
        state: store.state.borrow().clone(),
        ledger: verdicts_in(&dir.join("state/usage")),
        pool: context.config.pool.clone(),
        now: NOW.get(),
    }
}

fn scripted<'a>(scene: &Scene, context: &'a Context, host: &'a FakeHost, dir: &Path) -> Run<'a> {
    Run {
        args: Arguments { retries: scene.retries, command: vec!["pretend".into()], ..Arguments::default() },
        context,
        host,
        depth: 0,
        id: LeaseId("run".into()),
        agent: &FakeAgent,
        is_agent: true,
        intent: Intent { form: scene.form, repeatable: true, ..Intent::default() },
        program: Program { name: "pretend".into(), path: "/nowhere/pretend".into() },
        kage_path: None,
        request: Request { agent: FakeAgent.name().to_owned(), ..Request::default() },
        location: Location { namespace: None, level: Level::default(), cwd: dir.to_owned() },
        events: Events::new(&context.config),
        has_recovered: Cell::new(false),
    }
}

/// Returns a relay that carries no output: it only reports whether output was delivered and input can be
/// replayed.
fn relay(run: &Run<'_>) -> Option<Relay> {
    let output = match run.intent.form {
        Form::Whole => Output::Whole,
        Form::Lines => Output::Lines(run.agent.classifier()),
        Form::Interactive | Form::Other => return None,
    };
    let mut relay = Relay::new(output, false);
    relay.set_hold(true);
    Some(relay)
}

fn verdicts_in(usage: &Path) -> Vec<String> {
    let files = std::fs::read_dir(usage).into_iter().flatten().flatten().map(|entry| entry.path());
    let months = files.filter(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    let lines: String =
        months.map(|file| std::fs::read_to_string(file).expect("the ledger is text")).collect();
    let verdict = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).expect("each line is a row");
        row["verdict"].as_str().expect("each row has a verdict").to_owned()
    };
    lines.lines().map(verdict).collect()
}
