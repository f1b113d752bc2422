//! `kage subscription credential`, and how kage asks for a secret.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, Zoned};
use serde_json::json;
use zeroize::Zeroizing;

use super::secret::{edit_with_secret, forget_secret, with_backend};
use crate::agent::Agent;
use crate::cli::{Credential as Args, SecretInput};
use crate::cmd::question;
use crate::config::edit;
use crate::engine::Context;
use crate::error::Failure;
use crate::paths::{Paths, expand_home};
use crate::pool::{Credential, Delivery, Name, Source};
use crate::report;
use crate::secret::{Secret, make_undumpable};

/// The maximum number of bytes that are read; longer input is not a secret.
const LONGEST: u64 = 64 * 1024;

/// Replaces the secret in its location, or stores a new one in another location.
pub(super) fn run(args: &Args) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let Some(name) = &args.name else { return list(&context, args.form.json) };
    if args.forget {
        return forget(&context, name);
    }
    let subscription = context.config.subscription(name)?;
    let old = &subscription.credential;
    let new = match &args.secret.credential {
        Some(location) => source(Some(location), &context.paths.home)?,
        None => old.source.clone(),
    };
    let agent = context.config.agent(&subscription.agent)?;
    match (&new, &args.secret.credential) {
        (Source::Command(line), None) => {
            let message = format!("the secret of `{name}` comes from `{line}`");
            return Err(Failure::usage(message)
                .hint("change it there, or store it elsewhere with --credential")
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
        let entry =
            edit::credential(&Credential { source: new.clone(), deliver: delivery(&new, old.deliver) });
        edit_with_secret(&context, name, &new, secret.as_ref(), |draft| {
            draft.set(name, "credential", Some(entry))
        })?;
    } else if let Some(secret) = &secret {
        with_backend(&new, &context.paths, |backend| backend.set(name, secret))?;
    }
    context.note_new_credential(name, minted)?;
    report::say(format_args!("updated the credential of `{name}` ({})", new.word()));
    if moves {
        forget_secret(&old.source, name, &context.paths);
    }
    Ok(())
}

/// Removes a stored secret that no subscription uses.
fn forget(context: &Context, name: &Name) -> Result<()> {
    let used = context.config.pool.subscriptions.get(name).map(|known| &known.credential.source);
    let unused = [Source::File, Source::Keychain].into_iter().filter(|source| used != Some(source));
    for source in unused {
        // An unavailable keychain must not cause an error: the secret may be only in the file.
        let removed = with_backend(&source, &context.paths, |backend| backend.remove(name));
        if removed.as_ref().is_ok_and(|&existed| existed) {
            report::say(format_args!("removed the secret `{name}` from the {}", source.word()));
            return Ok(());
        }
        if source == Source::File {
            removed?;
        }
    }
    let message = match used {
        Some(source) => format!("`{name}` still uses its secret in the {}", source.word()),
        None => format!("no secret named `{name}`"),
    };
    Err(Failure::usage(message).hint("kage subscription credential --list").into())
}

/// The delivery for a source. A login directory has no secret to deliver.
fn delivery(source: &Source, wanted: Delivery) -> Delivery {
    if matches!(source, Source::Home(_)) { Delivery::Env } else { wanted }
}

/// Lists all stored secrets, and whether a subscription uses them.
fn list(context: &Context, as_json: bool) -> Result<()> {
    let subscriptions = &context.config.pool.subscriptions;
    let uses = |source: &Source| subscriptions.values().any(|known| known.credential.source == *source);
    let sources = [Source::Keychain, Source::File];
    let mut rows = Vec::new();
    for source in sources.iter().filter(|source| uses(source) || **source == Source::File) {
        for name in with_backend(source, &context.paths, |backend| backend.list())? {
            let used = subscriptions.get(&name).is_some_and(|known| known.credential.source == *source);
            rows.push((name.to_string(), source.word(), used));
        }
    }
    if as_json {
        let secrets =
            rows.iter().map(|(name, source, used)| json!({ "name": name, "where": source, "in_use": used }));
        let secrets: Vec<_> = secrets.collect();
        return report::print_json(&json!({ "schema": report::SCHEMA, "secrets": secrets }));
    }
    let word = |used: bool| if used { "yes" } else { "no" }.to_owned();
    let rows =
        rows.into_iter().map(|(name, source, used)| vec![name, source.to_owned(), word(used)]).collect();
    report::print(&report::plain_table(&["Secret", "Location", "In use"], rows))
}

/// Parses a credential location: `keychain`, `file`, `command:CMD` or `home:DIR`.
pub(super) fn source(location: Option<&str>, home: &Path) -> Result<Source, Failure> {
    let Some(location) = location else { return Ok(Source::Keychain) };
    let source = match location.split_once(':') {
        None if location == "keychain" => Source::Keychain,
        None if location == "file" => Source::File,
        Some(("command", line)) if !line.trim().is_empty() => Source::Command(line.to_owned()),
        Some(("home", dir)) if !dir.is_empty() => {
            let dir = expand_home(dir, home);
            Source::Home(std::path::absolute(&dir).unwrap_or(dir))
        }
        _ => {
            let message = format!("`{location}` is not a valid credential location");
            return Err(Failure::usage(message).hint("keychain, file, command:CMD or home:DIR"));
        }
    };
    Ok(source)
}

/// When a secret was created: the given day, or now for a secret that kage stores. The creation day of other
/// secrets is unknown unless it is given, and a login directory has none.
pub(super) fn minted(
    source: &Source,
    input: &SecretInput,
    now: &Zoned,
) -> Result<Option<Timestamp>, Failure> {
    let failure = |message: &str, hint: &str| Err(Failure::usage(message).hint(hint));
    match (input.minted, source) {
        (Some(_), Source::Home(_)) => {
            failure("a login directory has no token, so --minted does not apply", "remove --minted")
        }
        (Some(day), _) if day > now.date() => {
            failure(&format!("{day} is in the future"), "--minted is the day the token was created")
        }
        (Some(day), _) => Ok(day.to_zoned(now.time_zone().clone()).ok().map(|at| at.timestamp())),
        (None, Source::Keychain | Source::File) => Ok(Some(now.timestamp())),
        (None, Source::Command(_) | Source::Home(_)) => Ok(None),
    }
}

/// Asks for the secret to store. For a source that stores none, kage only checks that the secret or login is
/// available.
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
                let message = format!("the login directory {} does not exist", dir.display());
                let hint = agent.login_hint(dir);
                let hint = hint
                    .unwrap_or_else(|| "use an API key: --credential keychain, file or command:CMD".into());
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
    make_undumpable();
    // The typed secret must not be shown, even if standard error is not the terminal.
    let bytes = if !from_stdin && io::stdin().is_terminal() {
        report::say(format_args!("to get a credential, {}", agent.how_to_get()));
        question::secret(&format!("Credential for {name} (not shown): "))?
    } else {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        io::stdin().take(LONGEST).read_to_end(&mut bytes).context("could not read standard input")?;
        std::mem::take(&mut *bytes)
    };
    Secret::parse(bytes).map_err(|why| {
        Failure::usage(format!("the secret is unusable: {why}")).hint(agent.how_to_get()).into()
    })
}

fn check(secret: &Secret, agent: &dyn Agent, force: bool) -> Result<(), Failure> {
    if force || agent.kind_of(secret).is_some() {
        return Ok(());
    }
    let message = format!(
        "the secret does not look like a credential of {}: expected {}",
        agent.name(),
        agent.secret_formats()
    );
    Err(Failure::usage(message).hint(format!("{}; or --force", agent.how_to_get())))
}
