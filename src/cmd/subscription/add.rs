//! `kage subscription add`: adds a definition and its secret, both or neither.

use anyhow::Result;

use super::secret::edit_with_secret;
use super::{credential, settings};
use crate::agent::DEFAULT_AGENT;
use crate::cli::Add;
use crate::config::edit;
use crate::engine::Context;
use crate::error::Failure;
use crate::pool::{Credential, Delivery, Name, Source};
use crate::report;

/// Names that are not descriptive in a list of subscriptions.
const VAGUE: [&str; 8] = ["account", "acc", "claude", "default", "main", "sub", "subscription", "test"];

pub(super) fn run(args: Add) -> Result<()> {
    let context = crate::cmd::context::open_or_begin()?;
    let Add { name, name_option, agent: agent_name, fields, secret } = args;
    let Some(name) = name.or(name_option) else {
        return Err(Failure::usage("a subscription needs a name").hint("kage subscription add work").into());
    };
    let agent = context.config.agent(&agent_name)?;
    if context.config.pool.subscriptions.contains_key(&name) {
        let message = format!("subscription `{name}` already exists");
        let hint = format!("kage subscription set {name}, or kage subscription credential {name}");
        return Err(Failure::usage(message).hint(hint).into());
    }
    let source = credential::source(secret.credential.as_deref(), &context.paths.home)?;
    let minted = credential::minted(&source, &secret, &context.now())?;
    let stored = credential::obtain(&source, &name, agent, &secret, &context.paths)?;
    let entry = edit::credential(&Credential { source: source.clone(), deliver: Delivery::Env });
    edit_with_secret(&context, &name, &source, stored.as_ref(), |draft| {
        draft.add(&name)?;
        if agent_name != DEFAULT_AGENT {
            draft.set(&name, "agent", Some(agent_name.as_str().into()))?;
        }
        settings::write(draft, &name, &fields)?;
        draft.set(&name, "credential", Some(entry))
    })?;
    // An earlier subscription with this name may have left limits.
    context.begin_subscription(&name, minted)?;
    announce(&name, &source, &context);
    Ok(())
}

fn announce(name: &Name, source: &Source, context: &Context) {
    let location = match source {
        Source::Keychain => "its secret is in the keychain".to_owned(),
        Source::File => format!("its secret is in {}", context.paths.credentials.display()),
        Source::Command(line) => format!("its secret comes from `{line}`"),
        Source::Home(dir) => format!("its login is in {}", dir.display()),
    };
    report::say(format_args!("added `{name}`; {location}"));
    let word =
        name.as_str().trim_end_matches(|letter: char| letter.is_ascii_digit() || "-_.".contains(letter));
    if word.is_empty() || VAGUE.contains(&word.to_ascii_lowercase().as_str()) {
        report::say(format_args!(
            "a name such as `work-premium` or `client-acme` is more descriptive than `{name}`; \
             to rename it: kage subscription rename {name} NEW"
        ));
    }
}
