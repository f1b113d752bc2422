//! `kage subscription ...`: the definitions and their secrets.

mod add;
mod credential;
mod remove;
mod route;
mod secret;
mod settings;

use anyhow::Result;

use super::{status, usage};
use crate::cli;
use crate::config::edit::{self};
use crate::engine::Context;
use crate::pool::{Name, Source, Subscription};
use crate::report;
use secret::{edit_with_secret, forget_secret, with_backend};

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

fn list(args: &cli::List) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let state = context.view()?;
    let only = args.status.as_deref();
    if args.form.json {
        report::print_json(&report::pool_json(&context.config.pool, &state, only, &context.now()))
    } else {
        report::print(&report::list(&context.config.pool, &state, only, &context.now()))
    }
}

fn show(name: &Name, form: &cli::Json) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let subscription = context.config.subscription(name)?;
    let state = context.view()?;
    if form.json {
        report::print_json(&report::details_json(
            subscription,
            &state,
            &context.config.prices,
            &context.now(),
        ))
    } else {
        let stored = stored(subscription, &context);
        report::print(&report::details(subscription, &state, &stored, report::columns(), &context.now()))
    }
}

/// Where the secret is stored, and whether it exists. A credential command is not run for this.
fn stored(subscription: &Subscription, context: &Context) -> String {
    let source = &subscription.credential.source;
    let location = match source {
        Source::Command(line) => return format!("command: {line}"),
        Source::Home(dir) => format!("home: {}", dir.display()),
        Source::Keychain | Source::File => source.word().to_owned(),
    };
    match with_backend(source, &context.paths, |backend| backend.has(&subscription.name)) {
        Ok(true) => location,
        Ok(false) if *source == Source::Keychain => format!("{location} (missing, or never unlocked)"),
        Ok(false) => format!("{location} (missing)"),
        Err(why) => format!("{location} ({why:#})"),
    }
}

/// Renames a subscription. The secret is copied to its new name first, and removed from the old name last.
fn rename(old: &Name, new: &Name) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let source = context.config.subscription(old)?.credential.source.clone();
    // A keychain that was never unlocked looks empty. So the secret must be read from it; otherwise the
    // secret could remain under a name that nothing uses.
    let secret = with_backend(&source, &context.paths, |backend| {
        let moves = source == Source::Keychain || (source == Source::File && backend.has(old)?);
        moves.then(|| backend.get(old)).transpose()
    })?;
    edit_with_secret(&context, new, &source, secret.as_ref(), |draft| draft.rename(old, new))?;
    context.rename_subscription(old, new)?;
    report::say(format_args!("renamed `{old}` to `{new}`"));
    if secret.is_some() {
        forget_secret(&source, old, &context.paths);
    }
    Ok(())
}

fn enable(name: &Name, enabled: bool) -> Result<()> {
    let context = crate::cmd::context::open()?;
    context.config.subscription(name)?;
    // The key is removed when it is true, which is the default.
    edit::edit(&context.paths, |draft| draft.set(name, "enabled", (!enabled).then(|| false.into())))?;
    report::say(format_args!("{} `{name}`", if enabled { "enabled" } else { "disabled" }));
    Ok(())
}

fn reset(name: &Name) -> Result<()> {
    let context = crate::cmd::context::open()?;
    context.config.subscription(name)?;
    context.reset_subscription(name)?;
    report::say(format_args!("cleared the limits and the health of `{name}`"));
    Ok(())
}
