//! `kage subscription ...`: the definitions and the secrets that belong to them.

mod add;
mod credential;
mod remove;
mod route;
mod settings;

use anyhow::Result;
use jiff::Timestamp;

use super::{Desk, status, usage};
use crate::cli;
use crate::config::edit::{self, Edit};
use crate::config::{Config, closest};
use crate::credentials;
use crate::error::{self, Failure};
use crate::files::Durability;
use crate::pool::{Name, Source, Subscription};
use crate::report;
use crate::secret::Secret;

pub(super) fn run(verb: cli::Subscription) -> Result<i32> {
    let done = match verb {
        cli::Subscription::Status(args) => return status::run(&args),
        cli::Subscription::Add(args) => add::run(args),
        cli::Subscription::List(args) => list(&args),
        cli::Subscription::Show { name, form } => show(&name, &form),
        cli::Subscription::Set(args) => settings::run(&args),
        cli::Subscription::Rename { old, new } => rename(&old, &new),
        cli::Subscription::Remove(args) => remove::run(&args),
        cli::Subscription::Enable { name } => enable(&name, true),
        cli::Subscription::Disable { name } => enable(&name, false),
        cli::Subscription::Reset { name } => reset(&name),
        cli::Subscription::Credential(args) => credential::run(&args),
        cli::Subscription::Route(args) => route::run(args),
        cli::Subscription::Usage(args) => usage::run(&args),
    };
    done.map(|()| 0)
}

/// The subscription of a name, or an error that knows what may have been meant.
pub(super) fn known<'a>(config: &'a Config, name: &Name) -> Result<&'a Subscription, Failure> {
    let subscriptions = &config.pool.subscriptions;
    subscriptions.get(name).ok_or_else(|| {
        let near = closest(name.as_str(), subscriptions.keys().map(Name::as_str));
        let hint = near
            .map_or_else(|| "kage subscription list".to_owned(), |near| format!("did you mean `{near}`?"));
        Failure::usage(format!("there is no subscription `{name}`")).hint(hint)
    })
}

fn list(args: &cli::List) -> Result<()> {
    let desk = Desk::open()?;
    let state = desk.store.read()?;
    let only = args.status.as_deref();
    if args.form.json {
        report::print_json(&report::pool_json(&desk.config.pool, &state, only, &desk.now))
    } else {
        report::print(&report::list(&desk.config.pool, &state, only, &desk.now))
    }
}

fn show(name: &Name, form: &cli::Json) -> Result<()> {
    let desk = Desk::open()?;
    let subscription = known(&desk.config, name)?;
    let state = desk.store.read()?;
    if form.json {
        report::print_json(&report::details_json(subscription, &state, &desk.config.prices, &desk.now))
    } else {
        let stored = stored(subscription, &desk);
        report::print(&report::details(subscription, &state, &stored, report::columns(), &desk.now))
    }
}

/// Where the secret is, and whether it is there. A command is not run just to look.
fn stored(subscription: &Subscription, desk: &Desk) -> String {
    let source = &subscription.credential.source;
    let place = match source {
        Source::Command(line) => return format!("command: {line}"),
        Source::Home(dir) => format!("home: {}", dir.display()),
        Source::Keychain | Source::File => source.word().to_owned(),
    };
    match credentials::backend(source, &desk.paths).has(&subscription.name) {
        Ok(true) => place,
        Ok(false) if *source == Source::Keychain => format!("{place} (missing, or never unlocked)"),
        Ok(false) => format!("{place} (missing)"),
        Err(why) => format!("{place} ({why:#})"),
    }
}

/// The secret goes first to its new name, and leaves the old one only when all else has followed.
fn rename(old: &Name, new: &Name) -> Result<()> {
    let desk = Desk::open()?;
    let source = known(&desk.config, old)?.credential.source.clone();
    let backend = credentials::backend(&source, &desk.paths);
    // A keychain that was never unlocked looks empty: there the secret must be had, or it would stay behind
    // under a name that nothing uses.
    let moves = source == Source::Keychain || (source == Source::File && backend.has(old)?);
    let secret = if moves { Some(backend.get(old)?) } else { None };
    edit_with_secret(&desk, new, &source, secret.as_ref(), |draft| draft.rename(old, new))?;
    desk.store.update(Durability::Machine, |state| state.rename(old, new))?;
    error::say(format_args!("`{old}` is now `{new}`"));
    if moves {
        credential::leave(&source, old, &desk.paths);
    }
    Ok(())
}

/// Edits the config and stores a secret, both or neither. The secret follows the edit, under the config's
/// lock: of two kages that want one name the second is refused before it touches the secret of the first.
fn edit_with_secret(
    desk: &Desk,
    name: &Name,
    source: &Source,
    secret: Option<&Secret>,
    change: impl FnOnce(&mut edit::Draft) -> Result<()>,
) -> Result<()> {
    let mut edit = Edit::begin(&desk.paths)?;
    change(&mut edit.draft)?;
    edit.check()?;
    if let Some(secret) = secret {
        credentials::backend(source, &desk.paths).set(name, secret)?;
    }
    edit.write().inspect_err(|_| {
        if secret.is_some() {
            credential::leave(source, name, &desk.paths);
        }
    })
}

fn enable(name: &Name, enabled: bool) -> Result<()> {
    let desk = Desk::open()?;
    known(&desk.config, name)?;
    // Enabled is the default and needs no line.
    edit::edit(&desk.paths, |draft| draft.set(name, "enabled", (!enabled).then(|| false.into())))?;
    error::say(format_args!("`{name}` is {}", if enabled { "enabled" } else { "disabled" }));
    Ok(())
}

fn reset(name: &Name) -> Result<()> {
    let desk = Desk::open()?;
    known(&desk.config, name)?;
    desk.store.update(Durability::Machine, |state| state.reset(name, "reset", Timestamp::now()))?;
    error::say(format_args!("limits and health of `{name}` are forgotten"));
    Ok(())
}
