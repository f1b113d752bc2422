//! `kage subscription remove`: removes the definition, then its state, then its secret.

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
    let source = context.config.subscription(name)?.credential.source.clone();
    let routes = routes_naming(&context.config.pool, name);
    if !routes.is_empty() && !args.force {
        let message = format!("`{name}` is still used by routes: {}", routes.join(", "));
        return Err(Failure::new(Status::Failed, message)
            .hint(format!("change the route, or: kage subscription remove {name} --force"))
            .into());
    }
    if !args.force {
        if !report::can_ask() {
            let message = format!("cannot ask whether to remove `{name}`: there is no terminal");
            return Err(Failure::usage(message)
                .hint(format!("kage subscription remove {name} --force"))
                .into());
        }
        if !question::confirm(&format!("Remove `{name}` and its secret?"), false)? {
            report::say("nothing removed");
            return Ok(());
        }
    }
    // The definition is removed first: without its secret it would fail each run that chooses it.
    edit::edit(&context.paths, |draft| {
        draft.remove_from_routes(name);
        draft.remove(name);
        Ok(())
    })?;
    context.forget_subscription(name)?;
    report::say(format_args!("removed `{name}`"));
    warn_of_empty(&context, &routes)?;
    // Last, because the keychain may fail, and then everything else is already done.
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
                "the route `{key}` is now empty, so its runs find no subscription; \
                 to let them use the whole pool: kage subscription route --remove {key}"
            ));
        }
    }
    Ok(())
}
