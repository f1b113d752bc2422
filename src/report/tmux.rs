//! The pool as a segment of tmux's status line.
//!
//! Normal text keeps the colors of the status line. Warnings set both foreground and background, so that they
//! are visible in any theme. Source of the styles: tmux(1), STYLES.

use jiff::{Timestamp, Zoned};

use super::time::clock;
use crate::pool::{Pool, State, Status, Subscription, SubscriptionState};

const WARNING: &str = "fg=black,bg=yellow";
const ALARM: &str = "fg=white,bg=red";

/// `2/3 42%`, or `work 17% 2/3` for a known `subscription`. Empty if the pool is empty.
pub fn tmux(pool: &Pool, state: &State, subscription: Option<&str>, now: &Zoned) -> String {
    if pool.subscriptions.is_empty() {
        return String::new();
    }
    let first = subscription.and_then(|name| pool.subscriptions.get(name));
    let mut parts = Vec::new();
    if let Some(first) = first {
        let known = state.of(&first.name);
        // A name has only letters, digits, `.`, `_` and `-`: tmux expands none of them.
        parts.push(first.name.to_string());
        parts.push(state_of(first, &known, pool, now));
    }
    parts.extend(summary(pool, state, first.is_none(), now));
    parts.retain(|part| !part.is_empty());
    parts.join(" ") + "\n"
}

/// The segment if the config or the state could not be read.
pub fn tmux_error() -> String {
    format!("{}\n", styled("kage: !", ALARM))
}

/// How many subscriptions are active and, if asked, the highest utilization among them. If none is active:
/// when the first one is ready again.
fn summary(pool: &Pool, state: &State, with_window: bool, now: &Zoned) -> Vec<String> {
    let all = || pool.subscriptions.values().map(|one| (one, state.of(&one.name)));
    let statuses: Vec<_> = all().map(|(one, known)| known.status(one, now.timestamp())).collect();
    let active = statuses.iter().filter(|&&status| status == Status::Active).count();
    let count = format!("{active}/{}", statuses.len());
    if active == 0 {
        let first = statuses.iter().filter_map(|status| status.until()).min();
        let back = first.map(|at| format!(" {}", clock(at, now))).unwrap_or_default();
        return vec![styled(&format!("{count}{back}"), ALARM)];
    }
    if !with_window {
        return vec![count];
    }
    let of_active = all().zip(&statuses).filter(|(_, status)| **status == Status::Active);
    let fullest = of_active.filter_map(|((_, known), _)| known.highest_utilization(None, now.timestamp()));
    let fullest = fullest.max_by(f64::total_cmp);
    vec![count, fullest.map(|value| percentage(value, pool.near_limit)).unwrap_or_default()]
}

/// The highest utilization of a subscription, or why it is not ready and until when.
fn state_of(one: &Subscription, known: &SubscriptionState, pool: &Pool, now: &Zoned) -> String {
    let at = now.timestamp();
    let until = |word: &str, until: Timestamp| styled(&format!("{word} {}", clock(until, now)), ALARM);
    match known.status(one, at) {
        Status::Active => known
            .highest_utilization(None, at)
            .map(|value| percentage(value, pool.near_limit))
            .unwrap_or_default(),
        Status::RateLimited { until: end } | Status::Exhausted { until: end } => until("limited until", end),
        status @ Status::Unhealthy { .. } => match status.until() {
            Some(end) => until("unhealthy until", end),
            None => styled("unhealthy", ALARM),
        },
        Status::Disabled => styled("disabled", WARNING),
    }
}

fn percentage(value: f64, near_limit: f64) -> String {
    let text = format!("{:.0}%", value * 100.0);
    if value >= near_limit { styled(&text, WARNING) } else { text }
}

/// Styles a text and restores the style that the user's theme has at this point.
fn styled(text: &str, style: &str) -> String {
    format!("#[push-default]#[{style}]{text}#[default]#[pop-default]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Limit, LimitKind, Scope, Utilization};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn full(state: &mut State, name: &str, window: &str, value: f64) {
        let known = state.subscriptions.entry(name.parse().unwrap()).or_default();
        let resets_at = Some(at("2026-11-22T13:00:00Z"));
        let reading = Utilization { value, resets_at, read_at: at("2026-11-22T11:00:00Z") };
        known.utilization.insert(window.into(), reading);
    }

    fn limit(state: &mut State, name: &str, until: &str) {
        let known = state.subscriptions.entry(name.parse().unwrap()).or_default();
        let (since, until) = (at("2026-11-22T11:00:00Z"), at(until));
        let (scope, kind, window) = (Scope::All, LimitKind::RateLimited, "five_hour".into());
        known.limits = vec![Limit { scope, kind, window, since, until }];
    }

    fn segment(state: &State, first: Option<&str>) -> String {
        let now = "2026-11-22T11:48:00[UTC]".parse().unwrap();
        tmux(&Pool::of(&["work", "personal", "spare"]), state, first, &now)
    }

    fn alarm(text: &str) -> String {
        format!("#[push-default]#[fg=white,bg=red]{text}#[default]#[pop-default]")
    }

    #[test]
    fn the_segment_shows_how_many_are_active_and_the_highest_utilization() {
        let mut state = State::default();
        assert_eq!(segment(&state, None), "3/3\n");
        full(&mut state, "work", "five_hour", 0.17);
        full(&mut state, "personal", "seven_day", 0.42);
        assert_eq!(segment(&state, None), "3/3 42%\n");
        limit(&mut state, "personal", "2026-11-22T13:00:00Z");
        assert_eq!(segment(&state, None), "2/3 17%\n");
        full(&mut state, "work", "seven_day", 0.9);
        let near = "#[push-default]#[fg=black,bg=yellow]90%#[default]#[pop-default]";
        assert_eq!(segment(&state, None), format!("2/3 {near}\n"));
        assert_eq!(segment(&state, Some("work")), format!("work {near} 2/3\n"));
    }

    #[test]
    fn without_an_active_subscription_the_segment_shows_the_first_reset() {
        let mut state = State::default();
        limit(&mut state, "work", "2026-11-22T14:00:00Z");
        limit(&mut state, "personal", "2026-11-22T13:00:00Z");
        limit(&mut state, "spare", "2026-11-23T13:00:00Z");
        assert_eq!(segment(&state, None), alarm("0/3 13:00") + "\n");
        let both = format!("work {} {}\n", alarm("limited until 14:00"), alarm("0/3 13:00"));
        assert_eq!(segment(&state, Some("work")), both);
    }

    #[test]
    fn the_subscription_of_a_pane_comes_first() {
        let mut state = State::default();
        assert_eq!(segment(&state, Some("work")), "work 3/3\n");
        full(&mut state, "work", "five_hour", 0.17);
        full(&mut state, "personal", "five_hour", 0.42);
        assert_eq!(segment(&state, Some("work")), "work 17% 3/3\n");
        assert_eq!(segment(&state, Some("gone")), "3/3 42%\n");
        assert_eq!(segment(&state, Some("")), "3/3 42%\n");
    }

    #[test]
    fn an_empty_pool_has_no_segment() {
        let now = "2026-11-22T11:48:00[UTC]".parse().unwrap();
        assert_eq!(tmux(&Pool::of(&[]), &State::default(), None, &now), "");
    }
}
