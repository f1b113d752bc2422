//! `kage subscription credential`, and how a secret is asked for.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, Zoned};
use serde_json::json;
use zeroize::Zeroizing;

use super::secret::{edit_with_secret, leave, with_backend};
use crate::agent::Agent;
use crate::cli::{Credential as Args, SecretInput};
use crate::cmd::question;
use crate::config::edit;
use crate::engine::Context;
use crate::error::Failure;
use crate::paths::{Paths, expand_home};
use crate::pool::{Credential, Delivery, Name, Source};
use crate::report;
use crate::secret::{Secret, close_process};

/// Longer input is no secret.
const LONGEST: u64 = 64 * 1024;

/// Replaces the secret where it is, or moves the subscription to another place with a new one.
pub(super) fn run(args: &Args) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let Some(name) = &args.name else { return list(&context, args.form.json) };
    if args.forget {
        return forget(&context, name);
    }
    let subscription = context.config.known(name)?;
    let old = &subscription.credential;
    let new = match &args.secret.credential {
        Some(place) => source(Some(place), &context.paths.home)?,
        None => old.source.clone(),
    };
    let agent = context.config.agent(&subscription.agent)?;
    match (&new, &args.secret.credential) {
        (Source::Command(line), None) => {
            let message = format!("the secret of `{name}` comes from `{line}`");
            return Err(Failure::usage(message)
                .hint("change it there, or move it here with --credential")
                .into());
        }
        (Source::Home(dir), None) => {
            let message = format!("`{name}` uses the agent's own login in {}", dir.display());
            return Err(Failure::usage(message).hint(agent.login_hint(dir).unwrap_or_default()).into());
        }
        _ => {}
    }
    let minted = minted(&new, &args.secret, &context.now())?;
    let secret = obtain(&new, name, agent, &args.secret, &context.paths)?;
    let moves = new != old.source;
    if moves {
        let place =
            edit::credential(&Credential { source: new.clone(), deliver: delivery(&new, old.deliver) });
        edit_with_secret(&context, name, &new, secret.as_ref(), |draft| {
            draft.set(name, "credential", Some(place))
        })?;
    } else if let Some(secret) = &secret {
        with_backend(&new, &context.paths, |backend| backend.set(name, secret))?;
    }
    context.note_new_credential(name, minted)?;
    report::say(format_args!("`{name}` has its new credential ({})", new.word()));
    if moves {
        leave(&old.source, name, &context.paths);
    }
    Ok(())
}

/// Takes away what is stored under a name where no subscription has it.
fn forget(context: &Context, name: &Name) -> Result<()> {
    let used = context.config.pool.subscriptions.get(name).map(|known| &known.credential.source);
    let unused = [Source::File, Source::Keychain].into_iter().filter(|place| used != Some(place));
    for place in unused {
        // A keychain that cannot be reached is no reason to fail over a secret that was in the file.
        let removed = with_backend(&place, &context.paths, |backend| backend.remove(name));
        if removed.as_ref().is_ok_and(|&there| there) {
            report::say(format_args!("the secret `{name}` is no longer in the {}", place.word()));
            return Ok(());
        }
        if place == Source::File {
            removed?;
        }
    }
    let message = match used {
        Some(place) => format!("`{name}` uses its secret in the {}", place.word()),
        None => format!("there is no secret `{name}`"),
    };
    Err(Failure::usage(message).hint("kage subscription credential --list").into())
}

/// A login directory has no secret to deliver.
fn delivery(source: &Source, wanted: Delivery) -> Delivery {
    if matches!(source, Source::Home(_)) { Delivery::Env } else { wanted }
}

/// Every secret that kage stores, and whether a subscription uses it.
fn list(context: &Context, as_json: bool) -> Result<()> {
    let subscriptions = &context.config.pool.subscriptions;
    let uses = |source: &Source| subscriptions.values().any(|known| known.credential.source == *source);
    let places = [Source::Keychain, Source::File];
    let mut rows = Vec::new();
    for place in places.iter().filter(|place| uses(place) || **place == Source::File) {
        for name in with_backend(place, &context.paths, |backend| backend.list())? {
            let used = subscriptions.get(&name).is_some_and(|known| known.credential.source == *place);
            rows.push((name.to_string(), place.word(), used));
        }
    }
    if as_json {
        let secrets =
            rows.iter().map(|(name, place, used)| json!({ "name": name, "where": place, "in_use": used }));
        let secrets: Vec<_> = secrets.collect();
        return report::print_json(&json!({ "schema": report::SCHEMA, "secrets": secrets }));
    }
    let word = |used: bool| if used { "yes" } else { "no" }.to_owned();
    let rows = rows.into_iter().map(|(name, place, used)| vec![name, place.to_owned(), word(used)]).collect();
    report::print(&report::plain_table(&["Secret", "Where", "In use"], rows))
}

/// `keychain`, `file`, `command:CMD` or `home:DIR`.
pub(super) fn source(place: Option<&str>, home: &Path) -> Result<Source, Failure> {
    let Some(place) = place else { return Ok(Source::Keychain) };
    let source = match place.split_once(':') {
        None if place == "keychain" => Source::Keychain,
        None if place == "file" => Source::File,
        Some(("command", line)) if !line.trim().is_empty() => Source::Command(line.to_owned()),
        Some(("home", dir)) if !dir.is_empty() => {
            let dir = expand_home(dir, home);
            Source::Home(std::path::absolute(&dir).unwrap_or(dir))
        }
        _ => {
            let message = format!("`{place}` is no place for a credential");
            return Err(Failure::usage(message).hint("keychain, file, command:CMD or home:DIR"));
        }
    };
    Ok(source)
}

/// When a secret that is stored now was made. Of one that kage does not store it knows only what it is told,
/// and a login has no such day.
pub(super) fn minted(
    source: &Source,
    input: &SecretInput,
    now: &Zoned,
) -> Result<Option<Timestamp>, Failure> {
    let refused = |why: &str, hint: &str| Err(Failure::usage(why).hint(hint));
    match (input.minted, source) {
        (Some(_), Source::Home(_)) => {
            refused("a login directory has no token whose day could be kept", "leave `--minted` out")
        }
        (Some(day), _) if day > now.date() => {
            refused(&format!("{day} is yet to come"), "--minted is the day the token was made")
        }
        (Some(day), _) => Ok(day.to_zoned(now.time_zone().clone()).ok().map(|at| at.timestamp())),
        (None, Source::Keychain | Source::File) => Ok(Some(now.timestamp())),
        (None, Source::Command(_) | Source::Home(_)) => Ok(None),
    }
}

/// The secret to store: none where the source holds its own, which is tried instead.
pub(super) fn obtain(
    source: &Source,
    name: &Name,
    agent: &dyn Agent,
    input: &SecretInput,
    paths: &Paths,
) -> Result<Option<Secret>> {
    match source {
        Source::Home(dir) => {
            if !dir.is_dir() {
                let message = format!("there is no login directory {}", dir.display());
                let hint = agent.login_hint(dir);
                let hint =
                    hint.unwrap_or_else(|| "give its key: --credential keychain, file or command:CMD".into());
                return Err(Failure::usage(message).hint(hint).into());
            }
            Ok(None)
        }
        Source::Command(_) => {
            let secret = with_backend(source, paths, |backend| backend.get(name))?;
            check(&secret, agent, input.force)?;
            Ok(None)
        }
        Source::Keychain | Source::File => {
            let secret = ask(name, agent, input.stdin)?;
            check(&secret, agent, input.force)?;
            Ok(Some(secret))
        }
    }
}

fn ask(name: &Name, agent: &dyn Agent, from_stdin: bool) -> Result<Secret> {
    close_process();
    // What is typed must not be shown, wherever kage's own words go.
    let bytes = if !from_stdin && io::stdin().is_terminal() {
        report::say(format_args!("to get a credential, {}", agent.how_to_get()));
        question::hidden(&format!("Credential for {name} (not shown): "))?
    } else {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        io::stdin().take(LONGEST).read_to_end(&mut bytes).context("could not read standard input")?;
        std::mem::take(&mut *bytes)
    };
    Secret::parse(bytes).map_err(|why| {
        let message = format!("the credential is unusable: {why}");
        Failure::usage(message)
            .hint(format!("{}; then: kage subscription add {name}", agent.how_to_get()))
            .into()
    })
}

fn check(secret: &Secret, agent: &dyn Agent, force: bool) -> Result<(), Failure> {
    if force || agent.kind_of(secret).is_some() {
        return Ok(());
    }
    let message =
        format!("that does not look like a credential of {}: expected {}", agent.name(), agent.looks());
    Err(Failure::usage(message).hint(format!("{}; or --force", agent.how_to_get())))
}
