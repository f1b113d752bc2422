//! The credential of a subscription: whether it exists, has the format of its agent, is still valid and was
//! not refused.

use std::thread;
use std::time::Duration;

use jiff::civil::Date;

use super::{Finding, Scene, word};
use crate::agent::Agent;
use crate::credentials::{backend, secret_from_command};
use crate::engine::NO_CREDENTIAL;
use crate::pool::{Source, Subscription};
use crate::secret::Secret;

/// The timeout of a credential command. A run waits longer, because a command may need a fingerprint.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A token is reported if it expires within this many days.
const SOON: i64 = 30;

/// Checks all credentials in parallel, because some come from programs.
pub(super) fn examine(subscriptions: &[&Subscription], scene: &Scene) -> Vec<Finding> {
    thread::scope(|scope| {
        let one = |subscription| scope.spawn(move || check_subscription(subscription, scene));
        let found: Vec<_> = subscriptions.iter().copied().map(one).collect();
        found.into_iter().filter_map(|one| one.join().ok()).flatten().collect()
    })
}

fn check_subscription(subscription: &Subscription, scene: &Scene) -> Vec<Finding> {
    let Some(agent) = scene.config.as_ref().and_then(|config| config.agent(&subscription.agent).ok()) else {
        return Vec::new();
    };
    let name = &subscription.name;
    let replace = match &subscription.credential.source {
        Source::Command(_) => format!("kage subscription credential {name} --credential file"),
        _ => format!("kage subscription credential {name}"),
    };
    let secret = match &subscription.credential.source {
        Source::Home(_) => return login(subscription, agent, scene),
        Source::Command(line) => secret_from_command(line, name, TIMEOUT),
        source => backend(source, &scene.paths).get(name),
    };
    let mut found = match secret {
        Ok(secret) => check_secret(&secret, subscription, agent, scene, &replace),
        Err(why) => vec![missing(&why, subscription, &replace)],
    };
    if found.is_empty() {
        found.extend(unhealthy(subscription, scene, &replace));
    }
    found
}

fn missing(why: &anyhow::Error, subscription: &Subscription, replace: &str) -> Finding {
    let code = match subscription.credential.source {
        Source::Command(_) => "credential-command",
        _ => "secret-missing",
    };
    Finding::error(code, format!("`{}`: {why:#}", subscription.name), replace)
}

fn check_secret(
    secret: &Secret,
    subscription: &Subscription,
    agent: &dyn Agent,
    scene: &Scene,
    replace: &str,
) -> Vec<Finding> {
    let name = &subscription.name;
    let Some(kind) = agent.kind_of(secret) else {
        let message = format!(
            "the secret of `{name}` does not look like a credential of {}: expected {}",
            agent.name(),
            agent.secret_formats()
        );
        return vec![Finding::warning("secret-odd", message, replace)];
    };
    let minted = scene.state.as_ref().and_then(|state| state.of(name).minted);
    let (Some(lasts), Some(minted)) = (kind.lifetime_days, minted) else { return Vec::new() };
    let minted = minted.to_zoned(scene.now.time_zone().clone()).date();
    age(minted, lasts, scene.now.date()).map_or_else(Vec::new, |age| {
        let (code, words) = match age {
            Age::Old(ends) => ("token-old", format!("expires on {ends}")),
            Age::Expired(ends) => ("token-expired", format!("expired on {ends}")),
        };
        let message = format!("the token of `{name}`, created on {minted}, {words}; {}", agent.how_to_get());
        vec![match age {
            Age::Old(_) => Finding::warning(code, message, replace),
            Age::Expired(_) => Finding::error(code, message, replace),
        }]
    })
}

/// A token that expires soon or has expired, with its last day.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Old(Date),
    Expired(Date),
}

fn age(minted: Date, lifetime_days: i64, today: Date) -> Option<Age> {
    let ends = minted.checked_add(jiff::Span::new().try_days(lifetime_days).ok()?).ok()?;
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
    let mut replace = agent.login_hint(dir).unwrap_or_else(|| format!("mkdir -p {}", word(dir)));
    // A new login alone does not clear the unhealthy status of the old one.
    if unhealthy_reason(subscription, scene).is_some() {
        replace = format!("{replace} && kage subscription reset {name}");
    }
    if !dir.is_dir() {
        let message = format!("the login directory {shown} of `{name}` does not exist");
        return vec![Finding::error("login-missing", message, replace)];
    }
    if agent.is_logged_in(dir) == Some(false) {
        let message = format!("the login directory {shown} of `{name}` has no login of {}", agent.name());
        return vec![Finding::warning("login-missing", message, replace)];
    }
    unhealthy(subscription, scene, &replace).into_iter().collect()
}

/// Why a subscription is unhealthy, and whether that lasts until it is reset; `None` if it is healthy.
fn unhealthy_reason(subscription: &Subscription, scene: &Scene) -> Option<(String, bool)> {
    let now = scene.now.timestamp();
    let unhealthy = scene.state.as_ref()?.of(&subscription.name).unhealthy?;
    let is_until_reset = unhealthy.is_until_reset();
    (unhealthy.until > now).then_some((unhealthy.reason, is_until_reset))
}

/// Whether the reason is a credential that could not be read, including in the words of kage 0.1.
fn is_missing_credential(reason: &str) -> bool {
    [NO_CREDENTIAL, "its credential cannot be had"].contains(&reason)
}

/// The finding for a subscription that the provider refused, or whose credential was missing in the last run.
fn unhealthy(subscription: &Subscription, scene: &Scene, replace: &str) -> Option<Finding> {
    let (reason, is_until_reset) = unhealthy_reason(subscription, scene)?;
    let name = &subscription.name;
    if is_until_reset {
        let message = format!("`{name}` is unhealthy until it is reset: {reason}");
        return Some(Finding::warning(
            "subscription-unhealthy",
            message,
            format!("kage subscription reset {name}"),
        ));
    }
    let message = match subscription.credential.source {
        Source::Command(_) if !is_missing_credential(&reason) => {
            format!("`{name}` is unhealthy: {reason}; its command may still print the rejected secret")
        }
        _ => format!("`{name}` is unhealthy: {reason}"),
    };
    // The credential that was missing is available now.
    let is_missing = is_missing_credential(&reason);
    let fix = if is_missing { format!("kage subscription reset {name}") } else { replace.to_owned() };
    Some(Finding::warning("subscription-unhealthy", message, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_credential_is_recognized_in_an_old_state() {
        assert!(is_missing_credential(NO_CREDENTIAL));
        assert!(is_missing_credential("its credential cannot be had"));
        assert!(!is_missing_credential("its credential was rejected"));
    }

    #[test]
    fn a_token_is_reported_in_its_last_thirty_days_and_after_it_has_expired() {
        let age = |today: &str| age("2026-01-01".parse().unwrap(), 365, today.parse().unwrap());
        let ends: Date = "2027-01-01".parse().unwrap();
        for (today, expected) in [
            ("2026-01-01", None),
            ("2026-12-01", None),
            ("2026-12-02", Some(Age::Old(ends))),
            ("2026-12-31", Some(Age::Old(ends))),
            ("2027-01-01", Some(Age::Expired(ends))),
            ("2028-06-01", Some(Age::Expired(ends))),
        ] {
            assert_eq!(age(today), expected, "{today}");
        }
    }
}
