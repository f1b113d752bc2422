//! Generates random pools, and random steps to apply to them.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::pool::{
    Budgets, Level, Name, Pool, Request, Route, Scope, Selector, Strategy as Choice, Verdict, Window,
};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const NAMESPACES: [&str; 2] = ["n", "m"];
const TAG: &str = "t";

/// The random parts of one request.
// The booleans are independent.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone)]
pub(super) struct RequestSpec {
    namespace: Option<usize>,
    level: Level,
    tagged: bool,
    opus: bool,
    over_budget: bool,
    prefer: Option<usize>,
    /// Whether this is another attempt of the previous run.
    pub(super) continues: bool,
}

impl RequestSpec {
    pub(super) fn request(&self, tried: &[Name]) -> Request {
        let name = |text: &str| text.parse::<Name>().unwrap();
        Request {
            agent: "claude".into(),
            namespace: self.namespace.map(|at| name(NAMESPACES[at])),
            level: self.level,
            tags: if self.tagged { vec![TAG.into()] } else { Vec::new() },
            model: self.opus.then(|| "opus".into()),
            prefer: self.prefer.map(|at| name(NAMES[at])),
            tried: tried.to_vec(),
            over_budget: self.over_budget,
            ..Request::default()
        }
    }
}

/// One step. Leases and subscriptions are identified by their index.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Choose(RequestSpec),
    Settle {
        lease: usize,
        kind: u8,
        tokens: u64,
    },
    Refuse {
        lease: usize,
        kind: u8,
    },
    /// The kage that holds this lease is killed.
    Die(usize),
    /// The agent of this lease never started.
    UndoReservation(usize),
    /// Moves the clock by this many seconds, sometimes backwards.
    Pass(i64),
    Reset(usize),
    Enable(usize, bool),
    /// Serializes the state and reads it again.
    Save,
}

/// The number of kinds that `verdict` knows.
const KINDS: u8 = 10;

pub(super) fn verdict(kind: u8, now: Timestamp) -> Verdict {
    let limit = |scope: Scope, name: &str, long: bool, resets_in: Option<i64>| Verdict::UsageLimit {
        scope,
        window: Window { name: name.into(), long },
        resets_at: resets_in.map(|seconds| now + SignedDuration::from_secs(seconds)),
    };
    match kind {
        0 => limit(Scope::All, "five_hour", false, Some(3600)),
        1 => limit(Scope::All, "seven_day", true, None),
        2 => limit(Scope::Model("opus".into()), "seven_day_opus", true, Some(90_000)),
        3 => limit(Scope::All, "five_hour", false, Some(-5)),
        4 => Verdict::Throttled { retry_after: None },
        5 => Verdict::Throttled { retry_after: Some(SignedDuration::from_secs(7)) },
        6 => Verdict::AuthRejected,
        7 => Verdict::AgentFailed,
        8 => Verdict::Overloaded,
        _ => Verdict::Succeeded,
    }
}

fn request_spec() -> impl Strategy<Value = RequestSpec> {
    let flag = || prop::bool::weighted(0.2);
    let parts = (
        prop::option::of(0..NAMESPACES.len()),
        prop::sample::select(&Level::ALL[..]),
        (flag(), flag(), flag(), flag()),
        prop::option::weighted(0.1, 0..NAMES.len()),
    );
    parts.prop_map(|(namespace, level, (tagged, opus, over_budget, continues), prefer)| RequestSpec {
        namespace,
        level,
        tagged,
        opus,
        over_budget,
        prefer,
        continues,
    })
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lease = || 0usize..8;
    let step = prop_oneof![
        10 => request_spec().prop_map(Step::Choose),
        6 => (lease(), 0..KINDS, 0u64..400).prop_map(|(lease, kind, tokens)| Step::Settle { lease, kind, tokens }),
        2 => (lease(), 0..KINDS).prop_map(|(lease, kind)| Step::Refuse { lease, kind }),
        1 => lease().prop_map(Step::Die),
        1 => lease().prop_map(Step::UndoReservation),
        3 => prop_oneof![-90i64..90, 0i64..8000, 0i64..100_000].prop_map(Step::Pass),
        1 => (0..NAMES.len()).prop_map(Step::Reset),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(at, enabled)| Step::Enable(at, enabled)),
        1 => Just(Step::Save),
    ];
    prop::collection::vec(step, 0..60)
}

fn selectors(members: usize) -> impl Strategy<Value = Vec<Selector>> {
    let one = prop_oneof![
        3 => (0..members).prop_map(|at| Selector::Name(NAMES[at].parse().unwrap())),
        1 => Just(Selector::Tag(TAG.into())),
    ];
    prop::collection::vec(one, 0..3)
}

fn routes(members: usize) -> impl Strategy<Value = Vec<(Name, Route)>> {
    let key = prop::sample::select(&["n", "m", "high", "batch"][..]);
    let route = (key, selectors(members), selectors(members));
    let route =
        route.prop_map(|(key, primary, fallback)| (key.parse().unwrap(), Route { primary, fallback }));
    prop::collection::vec(route, 0..3)
}

pub(super) fn pools() -> impl Strategy<Value = Pool> {
    let one = (
        any::<u8>(),
        any::<bool>(),
        prop::option::weighted(0.3, 1u32..3),
        prop::option::weighted(0.3, 1u64..900),
        prop::bool::weighted(0.1),
    );
    let members = prop::collection::vec(one, 1..=NAMES.len());
    let choice = prop::sample::select(&[Choice::RoundRobin, Choice::Priority, Choice::LeastUsed][..]);
    let namespace = prop::option::weighted(0.3, 100u64..2000);
    let parts = members.prop_flat_map(|members| (routes(members.len()), Just(members)));
    (parts, choice, namespace).prop_map(|((routes, members), strategy, tokens_per_day)| {
        let mut pool = Pool::of(&NAMES[..members.len()]);
        for (one, (priority, tagged, most, tokens, foreign)) in pool.subscriptions.values_mut().zip(members) {
            one.priority = priority;
            one.max_parallel = most;
            one.budgets.tokens_per_day = tokens;
            one.tags.extend(tagged.then(|| TAG.to_owned()));
            one.agent = if foreign { "codex".into() } else { one.agent.clone() };
        }
        let budgets = Budgets { tokens_per_day, ..Budgets::default() };
        pool.namespaces.insert(NAMESPACES[0].parse().unwrap(), budgets);
        pool.routes = routes.into_iter().collect();
        pool.strategy = strategy;
        pool
    })
}
