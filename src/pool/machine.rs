//! Tests the whole pool as a state machine: a random pool, with random runs that start, overlap, are refused
//! and are killed while the clock moves, is checked against a simple model. `PROPTEST_CASES` sets the number
//! of cases.

mod model;
mod plan;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use self::model::Model;
use self::plan::{RequestSpec, Step, pools, steps, verdict};
use super::{
    Candidate, Cooldowns, Lease, LeaseId, Moment, Name, Outcome, Pool, Ranking, Request, State, TokenCount,
    Usage, Verdict, explain, take,
};

/// A Sunday late in a month, so that the steps can cross days, weeks and the month.
const BEGINNING: i64 = 1_795_341_600;

/// The pool, its state, and the model that both must agree with.
struct Machine {
    pool: Pool,
    state: State,
    model: Model,
    now: Timestamp,
    started: u64,
    /// The subscriptions that the current run has tried.
    tried: Vec<Name>,
}

fn moment(now: Timestamp) -> Moment {
    Moment::from(&now.to_zoned(TimeZone::UTC))
}

impl Machine {
    fn new(pool: Pool) -> Self {
        let now = Timestamp::from_second(BEGINNING).unwrap();
        let (state, model) = (State::default(), Model::default());
        Self { pool, state, model, now, started: 0, tried: Vec::new() }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let before = self.state.clone();
        let mut recovered = None;
        match step {
            Step::Choose(spec) => self.choose(spec)?,
            Step::Settle { lease, kind, tokens } => recovered = self.settle(*lease, *kind, *tokens)?,
            Step::Refuse { lease, kind } => self.refuse(*lease, *kind)?,
            Step::Die(lease) => self.die(*lease),
            Step::UndoReservation(lease) => self.undo_reservation(*lease)?,
            Step::Pass(seconds) => self.now = Timestamp::from_second(self.now.as_second() + seconds).unwrap(),
            Step::Reset(at) => {
                let name = self.name(*at);
                self.state.reset(&name, "reset", self.now);
                prop_assert!(!self.state.of(&name).limits.iter().any(|limit| limit.until > self.now));
                recovered = Some(name);
            }
            Step::Enable(at, enabled) => {
                let name = self.name(*at);
                self.pool.subscriptions.get_mut(&name).unwrap().enabled = *enabled;
            }
            Step::Save => self.save()?,
        }
        self.no_deadline_is_shorter(&before, recovered.as_ref())?;
        self.model.agrees(&self.state, &moment(self.now))
    }

    fn name(&self, at: usize) -> Name {
        self.pool.subscriptions.keys().nth(at % self.pool.subscriptions.len()).unwrap().clone()
    }

    fn held(&self, at: usize) -> Option<Lease> {
        let held = self.state.leases.len();
        (held > 0).then(|| self.state.leases[at % held].clone())
    }

    /// Checks that the choice is the first candidate of `explain`, and that the model allows it.
    fn choose(&mut self, spec: &RequestSpec) -> Result<(), TestCaseError> {
        if !spec.continues {
            self.tried.clear();
        }
        let request = spec.request(&self.tried);
        let moment = moment(self.now);
        let explained = explain(&self.pool, &self.state, &request, &moment);
        prop_assert_eq!(explained.len(), self.pool.subscriptions.len());
        let ranked: Vec<_> = explained.iter().filter_map(ranked).collect();
        prop_assert_eq!(
            ranked.iter().map(|one| one.1).collect::<Vec<_>>(),
            (1..=ranked.len()).collect::<Vec<_>>()
        );
        let eligible = model::eligible(&self.pool, &self.state, &self.model, &request, &moment);
        let mut names: Vec<_> = ranked.iter().map(|one| one.0.clone()).collect();
        names.sort();
        prop_assert_eq!(&names, &eligible.iter().map(|one| one.0.clone()).collect::<Vec<_>>());
        let before = self.state.clone();
        let Ok(chosen) = take(&self.pool, &mut self.state, &request, &moment) else {
            prop_assert!(ranked.is_empty());
            prop_assert_eq!(&self.state, &before);
            return Ok(());
        };
        prop_assert_eq!(Some(&chosen.name), ranked.first().map(|one| &one.0));
        prop_assert!(!self.tried.contains(&chosen.name), "it was already tried");
        let is_fallback = |name: &Name| eligible.iter().any(|one| one.0 == *name && one.1);
        prop_assert!(!is_fallback(&chosen.name) || eligible.iter().all(|one| one.1), "a fallback came first");
        self.model.ran(&chosen.name, request.namespace.as_ref(), &moment);
        self.start(chosen.name, &request);
        Ok(())
    }

    fn start(&mut self, name: Name, request: &Request) {
        self.started += 1;
        self.tried.push(name.clone());
        let lease = Lease {
            id: LeaseId(format!("run-{}", self.started)),
            namespace: request.namespace.clone(),
            since: self.now,
            started: self.started,
            ..Lease::on(name.as_str())
        };
        self.state.leases.push(lease);
    }

    fn outcome(&self, kind: u8, tokens: u64) -> Outcome {
        let mut usage = Usage::default();
        usage.answered(
            &self.now.to_zoned(TimeZone::UTC),
            "opus",
            TokenCount { input_tokens: tokens, ..TokenCount::default() },
        );
        let requests = u64::from(tokens > 0);
        Outcome {
            verdict: verdict(kind, self.now),
            usage: Usage { requests, ..usage },
            readings: BTreeMap::new(),
            rule: "rule".into(),
            evidence: None,
            act: None,
            also: Vec::new(),
        }
    }

    /// Returns the subscription that a success may make active again.
    fn settle(&mut self, at: usize, kind: u8, tokens: u64) -> Result<Option<Name>, TestCaseError> {
        let Some(lease) = self.held(at) else { return Ok(None) };
        let (outcome, moment) = (self.outcome(kind, tokens), moment(self.now));
        let before = self.state.of(&lease.subscription);
        let limits = Cooldowns::from(&self.pool);
        let change = self.state.settle(&lease, &outcome, &BTreeMap::new(), limits, &moment);
        self.model.used(&lease.subscription, lease.namespace.as_ref(), tokens, &moment);
        prop_assert!(!self.state.leases.contains(&lease));
        if lease.is_refused_by(&outcome.verdict) {
            let after = self.state.of(&lease.subscription);
            prop_assert_eq!(change, None, "the refusal was already booked");
            prop_assert_eq!((after.limits, after.unhealthy), (before.limits, before.unhealthy));
        }
        Ok((outcome.verdict == Verdict::Succeeded).then_some(lease.subscription))
    }

    /// Checks that a refusal that both a hook and kage see counts once.
    fn refuse(&mut self, at: usize, kind: u8) -> Result<(), TestCaseError> {
        let Some(lease) = self.held(at) else { return Ok(()) };
        let (outcome, moment) = (self.outcome(kind, 0), moment(self.now));
        if !outcome.verdict.concerns_subscription() {
            return Ok(());
        }
        let limits = Cooldowns::from(&self.pool);
        self.state.refuse(&lease, &outcome, limits, moment.now);
        let once = self.state.clone();
        prop_assert_eq!(self.state.refuse(&lease, &outcome, limits, moment.now), None);
        prop_assert_eq!(&self.state, &once);
        let known = self.state.held(&lease.id, &lease.subscription).and_then(|held| held.refused.clone());
        prop_assert!(known.is_some_and(|known| known.verdict == outcome.verdict.word()));
        Ok(())
    }

    fn die(&mut self, at: usize) {
        if let Some(dead) = self.held(at) {
            self.state.reap(|lease| *lease != dead);
        }
    }

    /// Checks that a run whose agent never started is not counted.
    fn undo_reservation(&mut self, at: usize) -> Result<(), TestCaseError> {
        let Some(lease) = self.held(at) else { return Ok(()) };
        let before = self.state.of(&lease.subscription);
        self.state.undo_reservation(&lease);
        let day = moment(lease.since).today;
        self.model.never_ran(&lease.subscription, lease.namespace.as_ref(), day);
        let after = self.state.of(&lease.subscription);
        prop_assert_eq!((after.limits, after.credit), (before.limits, before.credit));
        Ok(())
    }

    fn save(&mut self) -> Result<(), TestCaseError> {
        let text = serde_json::to_string(&self.state).unwrap();
        let read: State = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &self.state);
        self.state = read;
        Ok(())
    }

    fn no_deadline_is_shorter(&self, before: &State, recovered: Option<&Name>) -> Result<(), TestCaseError> {
        for (name, known) in before.subscriptions.iter().filter(|(name, _)| Some(*name) != recovered) {
            let now_known = self.state.of(name);
            for limit in known.active_limits(self.now) {
                let same =
                    now_known.limits.iter().find(|now| (&now.scope, now.kind) == (&limit.scope, limit.kind));
                prop_assert!(
                    same.is_some_and(|now| now.until >= limit.until),
                    "{name}: {limit:?} became {same:?}"
                );
            }
            let unhealthy = known.unhealthy.as_ref().filter(|unhealthy| unhealthy.until > self.now);
            if let Some(unhealthy) = unhealthy {
                let until = now_known.unhealthy.as_ref().map(|unhealthy| unhealthy.until);
                prop_assert!(
                    until.is_some_and(|until| until >= unhealthy.until),
                    "{name}: {unhealthy:?} was shortened to {until:?}"
                );
            }
        }
        Ok(())
    }
}

fn ranked(candidate: &Candidate) -> Option<(Name, usize)> {
    match candidate.ranking {
        Ranking::Ranked { rank, .. } => Some((candidate.name.clone(), rank)),
        Ranking::Excluded(_) => None,
    }
}

proptest! {
    #[test]
    fn any_steps_on_any_pool_keep_its_invariants(pool in pools(), steps in steps()) {
        let mut machine = Machine::new(pool);
        for step in &steps {
            machine.step(step)?;
        }
    }

    /// Each subscription is chosen at least once within `4 * total / weight + 4 * members` choices.
    #[test]
    fn no_subscription_is_skipped_forever(
        weights in prop::collection::vec(0u8..12, 1..6),
        credits in prop::collection::vec(-40i64..40, 6),
        ends in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3), 200),
    ) {
        let names: Vec<String> = (0..weights.len()).map(|at| format!("s{at}")).collect();
        let mut pool = Pool::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for (one, &weight) in pool.subscriptions.values_mut().zip(&weights) {
            one.priority = weight;
        }
        let whole: usize = weights.iter().map(|&weight| usize::from(weight.max(1))).sum();
        let mut state = State::default();
        for (name, &credit) in names.iter().zip(&credits) {
            state.subscriptions.entry(name.parse().unwrap()).or_default().credit = credit;
        }
        let request = Request { agent: "claude".into(), ..Request::default() };
        let mut waited: BTreeMap<Name, usize> = BTreeMap::new();
        for (end, count) in ends {
            for _ in 0..count.min(state.leases.len()) {
                state.leases.remove(end.index(state.leases.len()));
            }
            let chosen = take(&pool, &mut state, &request, &moment(Timestamp::UNIX_EPOCH)).unwrap().name;
            state.leases.push(Lease::on(chosen.as_str()));
            for (name, one) in &pool.subscriptions {
                let waits = waited.entry(name.clone()).or_default();
                *waits = if *name == chosen { 0 } else { *waits + 1 };
                let most = 4 * whole.div_ceil(usize::from(one.priority.max(1))) + 4 * weights.len();
                prop_assert!(*waits <= most, "{name} waited for {waits} of at most {most} choices: {weights:?}");
            }
        }
    }
}
