//! Settling: how the outcome of an attempt changes its subscription.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::state::{SubscriptionState, UNTIL_RESET, USAGE_WINDOW, Unhealthy, Utilization};
use super::totals::Costs;
use super::{
    Change, Lease, LeaseId, Limit, LimitKind, Moment, Name, Outcome, Pool, Reading, Refused, Scope, State,
    Status, Verdict, Window,
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a throttled subscription pauses if the provider names no time.
const THROTTLE_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause after throttling if the provider names no time, without the jitter. Throttling is never
/// a limit of the plan.
const LONGEST_THROTTLE_PAUSE: SignedDuration = SignedDuration::from_mins(10);
/// The window of a limit that comes from throttling.
const THROTTLED: &str = "throttled";
/// The reason of a mark that may turn out to be the network's fault.
const FORBIDDEN: &str = "its credential was rejected (HTTP 403)";
/// If several subscriptions are throttled, or get a 403, within this time, no single one is the cause.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(30);
/// The number of consecutive failures to read the credential that makes a subscription unhealthy.
const FAILURES_UNTIL_UNHEALTHY: u32 = 3;

/// The settings that `State::settle` needs.
#[derive(Debug, Clone, Copy)]
pub struct Cooldowns {
    /// How long a short limit (one of hours) without a reset time lasts.
    pub cooldown: SignedDuration,
    /// The window in which `requests_per_window` counts.
    pub window: SignedDuration,
}

impl From<&Pool> for Cooldowns {
    fn from(pool: &Pool) -> Self {
        Self { cooldown: pool.rate_limit_cooldown, window: pool.rate_limit_window }
    }
}

impl State {
    /// Releases a lease and books its outcome. The outcome counts even if the lease is gone: a kage in
    /// another container does not see the process of this kage and drops its leases as dead.
    pub fn settle(
        &mut self,
        lease: &Lease,
        outcome: &Outcome,
        costs: &Costs,
        cooldowns: Cooldowns,
        moment: &Moment,
    ) -> Option<Change> {
        // The subscription may have been renamed.
        let held = self.leases.iter().find(|held| held.is(lease));
        let name = held.map_or(&lease.subscription, |held| &held.subscription).clone();
        let settled = held.is_some_and(|held| held.is_refused_by(&outcome.verdict));
        self.leases.retain(|held| !held.is(lease));
        self.forget_lost(lease);
        if let Some(namespace) = &lease.namespace {
            self.namespaces.entry(namespace.clone()).or_default().book(&outcome.usage, costs, moment);
        }
        let is_shared = self.is_throttled_with_others(&name, outcome, moment.now)
            || self.clear_shared_forbidden(&name, outcome, moment.now);
        let known = self.subscriptions.entry(name).or_default();
        known.book_usage(&outcome.usage, costs, moment);
        known.book(outcome, cooldowns, moment);
        if outcome.is_unknown_refusal() {
            known.unknown_refusals = known.unknown_refusals.saturating_add(1);
        } else if outcome.usage.requests > 0 {
            known.unknown_refusals = 0;
        }
        // A refusal that was booked when it happened is not booked again, perhaps hours later.
        if settled || is_shared { None } else { known.change(outcome, lease, cooldowns, moment.now) }
    }

    /// Books a refusal immediately, while its agent still runs, so that every other run avoids the
    /// subscription. The rest of the outcome is booked at the end.
    pub fn refuse(
        &mut self,
        lease: &Lease,
        outcome: &Outcome,
        cooldowns: Cooldowns,
        now: Timestamp,
    ) -> Option<Change> {
        let held = self.held(&lease.id, &lease.subscription).unwrap_or(lease);
        if held.is_refused_by(&outcome.verdict) {
            return None; // both the hook and kage saw it
        }
        let name = held.subscription.clone();
        let is_shared = self.is_throttled_with_others(&name, outcome, now)
            || self.clear_shared_forbidden(&name, outcome, now);
        let known = self.subscriptions.entry(name).or_default();
        let change = if is_shared { None } else { known.change(outcome, lease, cooldowns, now) };
        let verdict = outcome.verdict.word().to_owned();
        self.note_refusal(lease, Refused { at: now, verdict });
        change
    }

    /// Whether an attempt was throttled moments after one of another subscription. The provider then throttles
    /// the machine or its address, and the other subscriptions must not be put away one after another.
    fn is_throttled_with_others(&self, name: &Name, outcome: &Outcome, now: Timestamp) -> bool {
        let is_recent = |limit: &Limit| {
            limit.window == THROTTLED && now.duration_since(limit.since).abs() <= AT_ONCE && limit.until > now
        };
        let mut others = self.subscriptions.iter().filter(|(other, _)| *other != name);
        // A long pause that the provider names is the subscription's own.
        let is_short = |pause: SignedDuration| pause <= LONGEST_THROTTLE_PAUSE;
        matches!(outcome.verdict, Verdict::Throttled { retry_after } if retry_after.is_none_or(is_short))
            && others.any(|(_, known)| known.limits.iter().any(is_recent))
    }

    /// Whether an attempt was refused with a 403 moments after one of another subscription. Then the network is
    /// the cause, and the marks of the others are removed.
    fn clear_shared_forbidden(&mut self, name: &Name, outcome: &Outcome, now: Timestamp) -> bool {
        if !outcome.is_forbidden() {
            return false;
        }
        let mut is_shared = false;
        for known in self.subscriptions.iter_mut().filter(|(other, _)| *other != name).map(|(_, known)| known)
        {
            let is_same = |mark: &Unhealthy| {
                mark.reason == FORBIDDEN && now.duration_since(mark.since).abs() <= AT_ONCE
            };
            if let Some(mark) = known.unhealthy.take_if(|mark| is_same(mark)) {
                is_shared = true;
                known.consecutive_failures = known.consecutive_failures.saturating_sub(1);
                known.changes.retain(|change| change.at != mark.since);
            }
        }
        is_shared
    }

    /// Records how full the windows of a subscription are, as its agent reported while it ran.
    pub fn read_windows(&mut self, name: &Name, readings: &BTreeMap<String, Reading>, now: Timestamp) {
        self.subscriptions.entry(name.clone()).or_default().read_windows(readings, now);
    }

    /// Releases a lease whose agent never started, and undoes the counted run.
    pub fn undo_reservation(&mut self, lease: &Lease) {
        self.leases.retain(|held| !held.is(lease));
        let known = self.subscriptions.get_mut(&lease.subscription).and_then(|known| known.today.as_mut());
        let namespace = lease.namespace.as_ref().and_then(|name| self.namespaces.get_mut(name));
        let namespace = namespace.and_then(|known| known.today.as_mut());
        for today in [known, namespace].into_iter().flatten() {
            today.undo_run(lease.since);
        }
    }

    /// Releases all leases of a run, without booking an outcome.
    pub fn release(&mut self, id: &LeaseId) {
        self.leases.retain(|lease| lease.id != *id);
    }

    /// Records that the credential could not be read. The third failure in a row makes the subscription
    /// unhealthy for 1 minute; each further failure doubles this, up to 30 minutes.
    pub fn credential_failed(&mut self, name: &Name, reason: &str, now: Timestamp) {
        let known = self.subscriptions.entry(name.clone()).or_default();
        known.failures = known.failures.saturating_add(1);
        if known.failures >= FAILURES_UNTIL_UNHEALTHY {
            let change = known.mark_unhealthy(reason, "failures", MINUTE, HOUR / 2, now);
            known.record(change);
        }
    }

    /// Clears the limits, health and turns of a subscription; its totals are kept.
    pub fn reset(&mut self, name: &Name, rule: &str, now: Timestamp) {
        if let Some(known) = self.subscriptions.get_mut(name) {
            let had_any = known.unhealthy.is_some() || !known.limits.is_empty();
            known.limits.clear();
            known.utilization.clear();
            known.recover();
            known.credit = 0;
            if had_any {
                known.record(Change {
                    at: now,
                    to: "active".into(),
                    until: None,
                    rule: rule.into(),
                    evidence: None,
                });
            }
        }
    }
}

impl SubscriptionState {
    fn book(&mut self, outcome: &Outcome, cooldowns: Cooldowns, moment: &Moment) {
        let total = outcome.usage.total();
        if total.tokens() > 0 {
            self.tokens.add(total.tokens(), USAGE_WINDOW, moment.now);
        }
        self.read_windows(&outcome.readings, moment.now);
        // The start of the run already counted as one request.
        let more = outcome.usage.requests.saturating_sub(1);
        if more > 0 {
            self.requests.add(more, cooldowns.window, moment.now);
        }
    }

    fn read_windows(&mut self, readings: &BTreeMap<String, Reading>, now: Timestamp) {
        for (window, &Reading { value, resets_at }) in readings {
            self.utilization.insert(window.clone(), Utilization { value, resets_at, read_at: now });
        }
    }

    fn change(
        &mut self,
        outcome: &Outcome,
        lease: &Lease,
        cooldowns: Cooldowns,
        now: Timestamp,
    ) -> Option<Change> {
        let change = self.apply(outcome, lease, cooldowns, now);
        let of_subagents: Vec<_> =
            outcome.also.iter().filter_map(|limit| self.add_limit(limit, cooldowns, now)).collect();
        let change = change.or_else(|| {
            let rule = "subagent".to_owned();
            of_subagents.into_iter().next().map(|change| Change { rule, ..change })
        })?;
        self.record(change.clone());
        Some(change)
    }

    /// Adds a usage limit. Any other verdict adds none.
    fn add_limit(&mut self, verdict: &Verdict, cooldowns: Cooldowns, now: Timestamp) -> Option<Change> {
        let Verdict::UsageLimit { scope, window, resets_at } = verdict else { return None };
        let until = resets_at.unwrap_or_else(|| now + self.next_pause(window, cooldowns.cooldown));
        let kind = if window.long { LimitKind::Exhausted } else { LimitKind::RateLimited };
        self.limit(Limit { scope: scope.clone(), kind, window: window.name.clone(), since: now, until })
    }

    fn apply(
        &mut self,
        outcome: &Outcome,
        lease: &Lease,
        cooldowns: Cooldowns,
        now: Timestamp,
    ) -> Option<Change> {
        self.limits.retain(|limit| limit.until > now);
        let evidence = outcome.evidence.clone();
        let change = match &outcome.verdict {
            Verdict::Succeeded => return self.succeed(outcome.usage.requests > 0, lease, now),
            Verdict::AgentFailed
            | Verdict::NotStarted
            | Verdict::Interrupted
            | Verdict::Overloaded
            | Verdict::Unreachable
            | Verdict::TimedOut => return None,
            limit @ Verdict::UsageLimit { .. } => self.add_limit(limit, cooldowns, now)?,
            Verdict::Throttled { retry_after } => {
                let pause = retry_after.unwrap_or_else(|| self.next_throttle(lease));
                let kind = LimitKind::RateLimited;
                let window = THROTTLED.to_owned();
                self.limit(Limit { scope: Scope::All, kind, window, since: now, until: now + pause })?
            }
            Verdict::AuthRejected | Verdict::OrganizationRefused | Verdict::BillingRejected
                if outcome.act.is_some() =>
            {
                let reason = outcome.act.as_deref().unwrap_or_default();
                self.refuse_until_reset(reason, &outcome.rule, now)
            }
            Verdict::AuthRejected if outcome.is_forbidden() => {
                self.mark_unhealthy(FORBIDDEN, &outcome.rule, HOUR, DAY, now)
            }
            Verdict::AuthRejected => {
                self.mark_unhealthy("its credential was rejected", &outcome.rule, HOUR, DAY, now)
            }
            Verdict::OrganizationRefused => {
                self.mark_unhealthy("its organization does not allow this use", &outcome.rule, HOUR, DAY, now)
            }
            Verdict::BillingRejected => {
                self.mark_unhealthy("it has a billing problem", &outcome.rule, HOUR, DAY, now)
            }
        };
        Some(Change { rule: outcome.rule.clone().into_owned(), evidence, ..change })
    }

    /// A success with an answer from the provider proves that the subscription works. A success that only the
    /// exit status shows (`kage exec -- true`) proves nothing. But if the deadline of an unhealthy
    /// subscription has passed, this run was the probe, and the subscription becomes healthy.
    fn succeed(&mut self, answered: bool, lease: &Lease, now: Timestamp) -> Option<Change> {
        let was = (self.unhealthy.is_some(), self.limits.len());
        if let Some(unhealthy) = &self.unhealthy {
            if answered && lease.since >= unhealthy.since {
                self.recover();
            } else if unhealthy.until <= now {
                self.unhealthy = None; // nothing proved that it works, so the failure count stays
            }
        }
        if answered {
            (self.failures, self.repeats) = (0, 0);
            if self.unhealthy.is_none() {
                self.consecutive_failures = 0;
            }
            self.limits.retain(|limit| lease.since < limit.since || limit.scope != Scope::All);
        }
        let better = was != (self.unhealthy.is_some(), self.limits.len());
        better.then(|| Change {
            at: now,
            to: "active".into(),
            until: None,
            rule: "succeeded".into(),
            evidence: None,
        })
    }

    fn recover(&mut self) {
        self.unhealthy = None;
        (self.failures, self.consecutive_failures, self.repeats) = (0, 0, 0);
    }

    /// Adds a limit, or extends the deadline of the existing one. Never shortens a deadline.
    fn limit(&mut self, limit: Limit) -> Option<Change> {
        if limit.until <= limit.since {
            return None; // the limit has already been reset
        }
        let same = |known: &&mut Limit| known.scope == limit.scope && known.kind == limit.kind;
        let until = match self.limits.iter_mut().find(same) {
            Some(known) if known.until >= limit.until => return None,
            Some(known) => {
                *known = limit.clone();
                limit.until
            }
            None => {
                self.limits.push(limit.clone());
                limit.until
            }
        };
        let to = match (&limit.scope, limit.kind) {
            (Scope::All, LimitKind::RateLimited) => Status::RateLimited { until }.word().to_owned(),
            (Scope::All, LimitKind::Exhausted) => Status::Exhausted { until }.word().to_owned(),
            (Scope::Model(_), _) => format!("limited for {}", limit.scope),
        };
        Some(Change { at: limit.since, to, until: Some(until), rule: String::new(), evidence: None })
    }

    fn mark_unhealthy(
        &mut self,
        reason: &str,
        rule: &str,
        first: SignedDuration,
        most: SignedDuration,
        now: Timestamp,
    ) -> Change {
        let known_until = self.unhealthy.as_ref().map_or(now, |unhealthy| unhealthy.until);
        // Runs that were refused at the same time count as one failure.
        if known_until <= now {
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
        let until =
            (now + doubled(first, self.consecutive_failures.saturating_sub(1), most)).max(known_until);
        let reason = reason.to_owned();
        self.unhealthy = Some(Unhealthy { reason: reason.clone(), since: now, until });
        let to = Status::Unhealthy { until }.word().to_owned();
        Change { at: now, to, until: Some(until), rule: rule.to_owned(), evidence: Some(reason) }
    }

    /// Marks the account as refused until its health is reset or it has a new credential.
    fn refuse_until_reset(&mut self, reason: &str, rule: &str, now: Timestamp) -> Change {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.unhealthy = Some(Unhealthy { reason: reason.to_owned(), since: now, until: UNTIL_RESET });
        let to = Status::Unhealthy { until: UNTIL_RESET }.word().to_owned();
        Change { at: now, to, until: None, rule: rule.to_owned(), evidence: None }
    }

    fn next_pause(&mut self, window: &Window, cooldown: SignedDuration) -> SignedDuration {
        let repeats = self.repeats;
        self.repeats = repeats.saturating_add(1);
        if window.is_rarely_reset() {
            return doubled(DAY, repeats, WEEK);
        }
        if window.long { doubled(HOUR, repeats, DAY) } else { doubled(cooldown, repeats, HOUR.max(cooldown)) }
    }

    /// Returns a pause with up to a fifth of jitter, derived from the lease's random id, so that runs
    /// throttled at the same time do not retry at the same time.
    fn next_throttle(&mut self, lease: &Lease) -> SignedDuration {
        let repeats = self.repeats;
        self.repeats = repeats.saturating_add(1);
        let hash = lease.id.0.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let pause = doubled(THROTTLE_PAUSE, repeats, LONGEST_THROTTLE_PAUSE);
        pause + SignedDuration::from_millis(pause.as_secs() * i64::from(hash % 200))
    }
}

/// Returns `first` doubled `times` times, at most `most`.
fn doubled(first: SignedDuration, times: u32, most: SignedDuration) -> SignedDuration {
    let factor = 1i32.checked_shl(times.min(20)).unwrap_or(i32::MAX);
    first.checked_mul(factor).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests;
