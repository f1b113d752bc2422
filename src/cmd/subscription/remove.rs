//! `kage subscription remove`: the definition, then what was known of it, then the secret.

use anyhow::Result;

use crate::cli::Remove;
use crate::cmd::question;
use crate::config::edit;
use crate::credentials;
use crate::engine::Context;
use crate::error::{Failure, Status};
use crate::pool::{Name, Pool, Selector};
use crate::report;

pub(super) fn run(args: &Remove) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let name = &args.name;
    let source = context.config.known(name)?.credential.source.clone();
    let routes = routes_naming(&context.config.pool, name);
    if !routes.is_empty() && !args.force {
        let message = format!("`{name}` is needed by the route {}", routes.join(", "));
        return Err(Failure::new(Status::Failed, message)
            .hint(format!("change the route, or: kage subscription remove {name} --force"))
            .into());
    }
    if !args.force {
        if !report::can_ask() {
            let message = format!("removing `{name}` takes its secret with it");
            return Err(Failure::usage(message)
                .hint(format!("kage subscription remove {name} --force"))
                .into());
        }
        if !question::confirms(&format!("Remove `{name}` and its secret?"))? {
            report::say("nothing removed");
            return Ok(());
        }
    }
    // Without its secret a definition would fail each run that draws it, so the definition goes first.
    edit::edit(&context.paths, |draft| {
        draft.take_out_of_routes(name);
        draft.remove(name);
        Ok(())
    })?;
    context.forget_subscription(name)?;
    report::say(format_args!("removed `{name}`"));
    warn_of_empty(&context, &routes)?;
    // Last, since a keychain may refuse, and the rest is done all the same.
    credentials::forget(&source, name, &context.paths)
}

fn routes_naming(pool: &Pool, name: &Name) -> Vec<String> {
    let names = |selectors: &[Selector]| selectors.contains(&Selector::Name(name.clone()));
    let routes = pool.routes.iter().filter(|(_, route)| names(&route.primary) || names(&route.fallback));
    routes.map(|(key, _)| format!("`{key}`")).collect()
}

fn warn_of_empty(context: &Context, routes: &[String]) -> Result<()> {
    let pool = crate::config::Config::load(&context.paths)?.pool;
    for (key, route) in pool.routes.iter().filter(|(key, _)| routes.contains(&format!("`{key}`"))) {
        if route.primary.is_empty() && route.fallback.is_empty() {
            report::warn(format_args!(
                "the route `{key}` is empty now: its runs find no subscription; \
                 kage subscription route --remove {key} opens the whole pool to them"
            ));
        }
    }
    Ok(())
}
