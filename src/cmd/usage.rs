//! `kage usage`: past runs, the tokens they used, and their API-equivalent cost.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};

use crate::cli::{self, Period};
use crate::clock;
use crate::config::closest;
use crate::engine::{Answer, Books, By, Context, Query};
use crate::error::{Failure, Status};
use crate::files;
use crate::pool::{Name, State};
use crate::report::{self, Charts, Extras, Terminal, Usage};
use crate::text::quoted_path;

pub(super) fn run(args: &cli::Usage) -> Result<()> {
    let context = crate::cmd::context::open()?;
    if let Some(before) = args.prune_before {
        return prune(&context, before);
    }
    let state = context.state()?; // first: this books the tokens of killed runs in the ledger
    let books = context.books();
    let zone = if args.utc { TimeZone::UTC } else { context.zone().clone() };
    let now = context.now().with_time_zone(zone);
    let query = query(args, &now)?;
    if let Some(name) = &args.subscription {
        expect_known(name, &context, &books)?;
    }
    if args.rebuild {
        books.rebuild(&query.zone)?;
    }
    let answer = books.ask(&query)?;
    warn_of_damage(&answer);
    let name = if args.utc { Some("UTC".to_owned()) } else { clock::zone_name() };
    let version = context.config.prices.version();
    let usage = Usage {
        query: &query,
        answer: &answer,
        prices: &version,
        zone: name.as_deref(),
        now: &now,
        home: &context.paths.home,
    };
    if args.json {
        report::print_json(&usage.json())
    } else if args.csv {
        report::print(&usage.csv())
    } else if let Some(file) = &args.html {
        write(file, &page(&usage, &books, &context, &state)?)
    } else {
        report::print(&table(&usage, &books)?)
    }
}

/// Deletes the records before a day. It does not ask, because the user has to type the day.
fn prune(context: &Context, before: Date) -> Result<()> {
    let pruned = context.books().prune(before, context.zone())?;
    report::print(&format!("deleted {} from before {before}\n", report::counted(pruned, "attempt")))
}

/// Warns about files with damaged lines, which are not counted.
pub(super) fn warn_of_damage(answer: &Answer) {
    for (file, lines) in &answer.damaged {
        match lines {
            1 => report::warn(format_args!("1 line of {file} is damaged and was skipped")),
            lines => report::warn(format_args!("{lines} lines of {file} are damaged and were skipped")),
        }
    }
}

fn table(usage: &Usage<'_>, books: &Books<'_>) -> Result<String> {
    let (query, answer) = (usage.query, usage.answer);
    let today = usage.now.date();
    if answer.rows.is_empty() {
        return Ok(report::no_usage(query, today));
    }
    let step = if report::is_single_day(query, today) { By::Hour } else { By::Day };
    let over_time = books.ask(&query.by(&[step]))?;
    let mut unpriced = Vec::new();
    let mut estimated = Vec::new();
    if answer.total.unpriced > 0 || !answer.total.estimated.is_none() {
        let by_model = books.ask(&query.by(&[By::Model]))?;
        unpriced = by_model.texts(|tally| tally.unpriced > 0);
        estimated = by_model
            .texts(|tally| !tally.estimated.is_none())
            .into_iter()
            .map(|model| {
                let from = books.estimated_from(&model).map(str::to_owned);
                (model, from)
            })
            .collect();
    }
    let extras = Extras { over_time: &over_time, unpriced: &unpriced, estimated: &estimated };
    Ok(report::table(usage, &extras, &Terminal::here()))
}

fn page(usage: &Usage<'_>, books: &Books<'_>, context: &Context, state: &State) -> Result<String> {
    let over_time = books.ask(&usage.query.by(&[By::Day, By::Subscription]))?;
    let models = books.ask(&usage.query.by(&[By::Model]))?;
    let pool = &context.config.pool;
    Ok(report::page(usage, &Charts { over_time: &over_time, models: &models, pool, state }))
}

/// Writes a page; `-` is standard output. A regular file is replaced atomically; a pipe or a device is
/// written to.
fn write(file: &Path, page: &str) -> Result<()> {
    if file == Path::new("-") {
        return report::print(page);
    }
    let path = fs::canonicalize(file).unwrap_or_else(|_| PathBuf::from(file));
    let written = match fs::metadata(&path) {
        Ok(known) if known.is_dir() => {
            let shown = file.display();
            let failure = Failure::usage(format!("could not write {shown}: it is a directory"));
            return Err(failure
                .hint(format!("kage usage --html {}", quoted_path(&file.join("usage.html"))))
                .into());
        }
        Ok(known) if !known.is_file() => fs::write(&path, page),
        _ => files::replace_named(&path, page.as_bytes()),
    };
    written.map_err(|why| {
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failure = Failure::new(Status::Failed, format!("could not write {}: {why:#}", file.display()));
        failure.hint(format!("ls -ld {}", quoted_path(dir)))
    })?;
    report::say(format_args!("wrote {}", file.display()));
    Ok(())
}

/// Fails if a subscription is neither in the config nor in the ledger, which still contains removed
/// subscriptions.
fn expect_known(name: &Name, context: &Context, books: &Books<'_>) -> Result<()> {
    let subscriptions = &context.config.pool.subscriptions;
    if subscriptions.contains_key(name) {
        return Ok(());
    }
    let seen = books.subscriptions()?;
    if seen.iter().any(|known| known == name.as_str()) {
        return Ok(());
    }
    let near =
        closest(name.as_str(), subscriptions.keys().map(Name::as_str).chain(seen.iter().map(String::as_str)));
    let hint =
        near.map_or_else(|| "kage subscription list".to_owned(), |near| format!("did you mean `{near}`?"));
    let message = format!("no subscription named `{name}`, and no past runs under that name");
    Err(Failure::usage(message).hint(hint).into())
}

fn query(args: &cli::Usage, now: &Zoned) -> Result<Query, Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since > until
    {
        let failure = Failure::usage(format!("`--since {since}` is after `--until {until}`"));
        return Err(failure.hint(format!("kage usage --since {until} --until {since}")));
    }
    let mut by: Vec<By> = Vec::new();
    for &column in &args.by {
        if !by.contains(&column.into()) {
            by.push(column.into());
        }
    }
    Ok(Query {
        since: since(args, now.date()),
        until: args.until,
        subscription: args.subscription.clone(),
        namespace: args.namespace.clone(),
        model: args.model.clone(),
        by,
        ..Query::all(now.time_zone().clone())
    })
}

fn since(args: &cli::Usage, today: Date) -> Option<Date> {
    let is_unbounded = args.since.is_none() && args.until.is_none();
    match args.period.or(is_unbounded.then_some(Period::Month)) {
        None => args.since,
        Some(Period::Today) => Some(today),
        Some(Period::Week) => {
            let since_monday = today.weekday().to_monday_zero_offset();
            Some(today.saturating_sub(i64::from(since_monday).days()))
        }
        Some(Period::Month) => Some(today.first_of_month()),
        Some(Period::All) => None,
    }
}

impl From<cli::By> for By {
    fn from(by: cli::By) -> Self {
        match by {
            cli::By::Subscription => Self::Subscription,
            cli::By::Model => Self::Model,
            cli::By::Namespace => Self::Namespace,
            cli::By::Project => Self::Project,
            cli::By::Day => Self::Day,
            cli::By::Hour => Self::Hour,
        }
    }
}
