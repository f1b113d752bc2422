//! `kage subscription set`, and the fields it shares with `add`.

use anyhow::Result;
use toml_edit::{Array, Value};

use crate::cli::{Dollars, Fields, Number, Set};
use crate::config::edit::{self, Draft};
use crate::error::Failure;
use crate::pool::Name;
use crate::report;

pub(super) fn run(args: &Set) -> Result<()> {
    let context = crate::cmd::context::open()?;
    context.config.subscription(&args.name)?;
    if is_empty(&args.fields) {
        let message = format!("no settings given for `{}`", args.name);
        return Err(Failure::usage(message).hint("kage subscription set --help").into());
    }
    edit::edit(&context.paths, |draft| write(draft, &args.name, &args.fields))?;
    report::say(format_args!("updated `{}`", args.name));
    Ok(())
}

fn is_empty(fields: &Fields) -> bool {
    let Fields {
        priority,
        tags,
        description,
        max_parallel,
        requests_per_window,
        tokens_per_day,
        cost_per_day,
        cost_per_month,
        env,
    } = fields;
    priority.is_none()
        && tags.is_none()
        && description.is_none()
        && max_parallel.is_none()
        && requests_per_window.is_none()
        && tokens_per_day.is_none()
        && cost_per_day.is_none()
        && cost_per_month.is_none()
        && env.is_empty()
}

/// Writes the given fields.
pub(super) fn write(draft: &mut Draft, name: &Name, fields: &Fields) -> Result<()> {
    let number = |number: Number| number.0.map(Value::from);
    if let Some(priority) = fields.priority {
        draft.set(name, "priority", Some(i64::from(priority).into()))?;
    }
    if let Some(tags) = &fields.tags {
        let tags: Array = tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty()).collect();
        draft.set(name, "tags", (!tags.is_empty()).then(|| tags.into()))?;
    }
    if let Some(description) = &fields.description {
        draft.set(name, "description", (!description.is_empty()).then(|| description.into()))?;
    }
    if let Some(most) = fields.max_parallel {
        draft.set(name, "max_parallel", number(most))?;
    }
    if let Some(most) = fields.requests_per_window {
        draft.set(name, "requests_per_window", number(most))?;
    }
    if let Some(most) = fields.tokens_per_day {
        draft.set(name, "tokens_per_day", number(most))?;
    }
    let costs = [("cost_per_day", fields.cost_per_day), ("cost_per_month", fields.cost_per_month)];
    for (key, most) in costs {
        if let Some(Dollars(most)) = most {
            draft.set(name, key, most.map(Value::from))?;
        }
    }
    for (variable, value) in &fields.env {
        draft.set_variable(name, variable, value)?;
    }
    Ok(())
}
