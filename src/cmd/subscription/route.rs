//! `kage subscription route`: which subscriptions a namespace or a level may use.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli;
use crate::config::{closest, edit};
use crate::engine::Context;
use crate::error::Failure;
use crate::pool::{Name, Route, Selector};
use crate::report;

pub(super) fn run(args: cli::Route) -> Result<()> {
    if args.list {
        return list(&crate::cmd::context::open()?, args.form.json);
    }
    if let Some(key) = &args.remove {
        return remove(&crate::cmd::context::open()?, key);
    }
    let context = crate::cmd::context::open_or_begin()?;
    let key = match (&args.namespace, args.priority) {
        (Some(namespace), _) if namespace.is_level() => {
            let message = format!("`{namespace}` is a level and cannot be a namespace");
            let hint = format!("kage subscription route --priority {namespace} ...");
            return Err(Failure::usage(message).hint(hint).into());
        }
        (Some(namespace), _) => namespace.as_str(),
        (None, Some(level)) => level.as_str(),
        (None, None) => {
            let failure = Failure::usage("a route needs a namespace or a level");
            return Err(failure.hint("kage subscription route --help").into());
        }
    };
    let route = Route { primary: args.subscriptions.unwrap_or_default(), fallback: args.fallback };
    for selector in route.primary.iter().chain(&route.fallback) {
        if let Selector::Name(name) = selector {
            context.config.subscription(name)?;
        }
    }
    edit::edit(&context.paths, |draft| draft.set_route(key, &route))?;
    report::say(format_args!("runs of `{key}` may now use {}", words(&route)));
    Ok(())
}

fn remove(context: &Context, key: &Name) -> Result<()> {
    if !edit::edit(&context.paths, |draft| Ok(draft.remove_route(key.as_str())))? {
        let message = format!("no route for `{key}`");
        let near = closest(key.as_str(), context.config.pool.routes.keys().map(Name::as_str));
        let hint = near.map_or_else(
            || "kage subscription route --list".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Failure::usage(message).hint(hint).into());
    }
    report::say(format_args!("removed the route of `{key}`; its runs may now use the whole pool"));
    Ok(())
}

fn list(context: &Context, as_json: bool) -> Result<()> {
    let routes = &context.config.pool.routes;
    let texts = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect::<Vec<_>>();
    if as_json {
        let rows = routes.iter().map(|(key, route)| {
            (key.to_string(), json!({ "use": texts(&route.primary), "fallback": texts(&route.fallback) }))
        });
        let routes = Value::Object(rows.collect::<Map<_, _>>());
        return report::print_json(&json!({ "schema": report::SCHEMA, "routes": routes }));
    }
    if routes.is_empty() {
        report::say("there are no routes: every run may use the whole pool");
        return Ok(());
    }
    let rows = routes.iter().map(|(key, route)| {
        vec![key.to_string(), texts(&route.primary).join(", "), texts(&route.fallback).join(", ")]
    });
    report::print(&report::plain_table(&["For", "Use", "Fallback"], rows.collect()))
}

fn words(route: &Route) -> String {
    let list =
        |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if route.fallback.is_empty() {
        list(&route.primary)
    } else {
        format!("{}, and {} if none of them is ready", list(&route.primary), list(&route.fallback))
    }
}
