//! One subscription's credential: whether it is there, is its agent's, is young enough and was not refused.

use std::thread;
use std::time::Duration;

use jiff::civil::Date;

use super::{Finding, Scene, word};
use crate::agent::Agent;
use crate::credentials::{backend, printed_within};
use crate::engine::NO_CREDENTIAL;
use crate::pool::{Source, Subscription};
use crate::secret::Secret;

/// How long a credential command may take here. A run waits longer, for a fingerprint.
const PATIENCE: Duration = Duration::from_secs(10);
/// Days before its end from which a token is told of.
const SOON: i64 = 30;

/// All at once: some are asked of programs.
pub(super) fn examine(subscriptions: &[&Subscription], scene: &Scene) -> Vec<Finding> {
    thread::scope(|scope| {
        let one = |subscription| scope.spawn(move || of_one(subscription, scene));
        let found: Vec<_> = subscriptions.iter().copied().map(one).collect();
        found.into_iter().filter_map(|one| one.join().ok()).flatten().collect()
    })
}

fn of_one(subscription: &Subscription, scene: &Scene) -> Vec<Finding> {
    let Some(agent) = scene.config.as_ref().and_then(|config| config.agent(&subscription.agent).ok()) else {
        return Vec::new();
    };
    let name = &subscription.name;
    let anew = match &subscription.credential.source {
        Source::Command(_) => format!("kage subscription credential {name} --credential file"),
        _ => format!("kage subscription credential {name}"),
    };
    let got = match &subscription.credential.source {
        Source::Home(_) => return login(subscription, agent, scene),
        Source::Command(line) => printed_within(line, name, PATIENCE),
        source => backend(source, &scene.paths).get(name),
    };
    let mut found = match got {
        Ok(secret) => had(&secret, subscription, agent, scene, &anew),
        Err(why) => vec![missing(&why, subscription, &anew)],
    };
    if found.is_empty() {
        found.extend(unhealthy(subscription, scene, &anew));
    }
    found
}

fn missing(why: &anyhow::Error, subscription: &Subscription, anew: &str) -> Finding {
    let code = match subscription.credential.source {
        Source::Command(_) => "credential-command",
        _ => "secret-missing",
    };
    Finding::error(code, format!("`{}`: {why:#}", subscription.name), anew)
}

fn had(
    secret: &Secret,
    subscription: &Subscription,
    agent: &dyn Agent,
    scene: &Scene,
    anew: &str,
) -> Vec<Finding> {
    let name = &subscription.name;
    let Some(kind) = agent.kind_of(secret) else {
        let message = format!(
            "the secret of `{name}` does not look like one of {}: expected {}",
            agent.name(),
            agent.looks()
        );
        return vec![Finding::warning("secret-odd", message, anew)];
    };
    let minted = scene.state.as_ref().and_then(|state| state.of(name).minted);
    let (Some(lasts), Some(minted)) = (kind.lasts, minted) else { return Vec::new() };
    let minted = minted.to_zoned(scene.now.time_zone().clone()).date();
    age(minted, lasts, scene.now.date()).map_or_else(Vec::new, |age| {
        let (code, words) = match age {
            Age::Old(ends) => ("token-old", format!("ends on {ends}")),
            Age::Expired(ends) => ("token-expired", format!("ended on {ends}")),
        };
        let message = format!("the token of `{name}`, made on {minted}, {words}; {}", agent.how_to_get());
        vec![match age {
            Age::Old(_) => Finding::warning(code, message, anew),
            Age::Expired(_) => Finding::error(code, message, anew),
        }]
    })
}

/// What is to be said of a token's age, with its last day.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Old(Date),
    Expired(Date),
}

fn age(minted: Date, lasts: i64, today: Date) -> Option<Age> {
    let ends = minted.checked_add(jiff::Span::new().try_days(lasts).ok()?).ok()?;
    let left = today.until(ends).ok()?.get_days();
    if left <= 0 {
        Some(Age::Expired(ends))
    } else if i64::from(left) <= SOON {
        Some(Age::Old(ends))
    } else {
        None
    }
}

fn login(subscription: &Subscription, agent: &dyn Agent, scene: &Scene) -> Vec<Finding> {
    let Source::Home(dir) = &subscription.credential.source else { return Vec::new() };
    let (shown, name) = (scene.shown(dir), &subscription.name);
    let mut anew = agent.login_hint(dir).unwrap_or_else(|| format!("mkdir -p {}", word(dir)));
    // A new login alone does not end what an old one has earned.
    if sickness(subscription, scene).is_some() {
        anew = format!("{anew} && kage subscription reset {name}");
    }
    if !dir.is_dir() {
        let message = format!("the login directory {shown} of `{name}` is missing");
        return vec![Finding::error("login-missing", message, anew)];
    }
    if agent.is_logged_in(dir) == Some(false) {
        let message = format!("the login directory {shown} of `{name}` has no login of {}", agent.name());
        return vec![Finding::warning("login-missing", message, anew)];
    }
    unhealthy(subscription, scene, &anew).into_iter().collect()
}

/// Why it gets no run for now.
fn sickness(subscription: &Subscription, scene: &Scene) -> Option<String> {
    let now = scene.now.timestamp();
    let sickness = scene.state.as_ref()?.of(&subscription.name).unhealthy?;
    (sickness.until > now).then_some(sickness.reason)
}

/// Refused by the provider, or not to be had at the last run.
fn unhealthy(subscription: &Subscription, scene: &Scene, anew: &str) -> Option<Finding> {
    let reason = sickness(subscription, scene)?;
    let name = &subscription.name;
    let message = match subscription.credential.source {
        Source::Command(_) if reason != NO_CREDENTIAL => {
            format!("`{name}` is unhealthy: {reason}; its command still prints the secret that was refused")
        }
        _ => format!("`{name}` is unhealthy: {reason}"),
    };
    // What could not be had then is there now.
    let fix =
        if reason == NO_CREDENTIAL { format!("kage subscription reset {name}") } else { anew.to_owned() };
    Some(Finding::warning("subscription-unhealthy", message, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_of_for_its_last_thirty_days_and_when_it_has_ended() {
        let age = |today: &str| age("2026-01-01".parse().unwrap(), 365, today.parse().unwrap());
        let ends: Date = "2027-01-01".parse().unwrap();
        for (today, said) in [
            ("2026-01-01", None),
            ("2026-12-01", None),
            ("2026-12-02", Some(Age::Old(ends))),
            ("2026-12-31", Some(Age::Old(ends))),
            ("2027-01-01", Some(Age::Expired(ends))),
            ("2028-06-01", Some(Age::Expired(ends))),
        ] {
            assert_eq!(age(today), said, "{today}");
        }
    }
}
