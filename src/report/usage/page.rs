//! `kage usage --html`: one self-contained page without scripts, for light and dark mode.

mod card;
mod chart;
mod element;
mod over_time;
mod pool;
mod rows;

use jiff::Zoned;

use self::chart::{color, columns, meter, share};
use self::element::Element;
use self::over_time::OverTime;
use super::amount::{Worth, short};
use super::{Usage, period};
use crate::ledger::{Answer, Key, Tally};
use crate::report::time::{counted, grouped, short as length};
pub use card::Charts;
use card::card;

/// The maximum number of bars for single models. The other models share one bar.
const MODELS: usize = 10;
/// The plot heights of the two charts, in pixels.
const TOKENS_HEIGHT: f64 = 200.0;
const LIMITS_HEIGHT: f64 = 150.0;

/// The whole page.
pub fn page(usage: &Usage<'_>, charts: &Charts<'_>) -> String {
    let over_time = OverTime::new(usage.query, &charts.over_time.rows, usage.today());
    let title = title(usage, &over_time);
    let main = if charts.over_time.rows.is_empty() {
        let message = period::no_usage(usage.query, usage.today());
        let section = Element::of("section", "card").child(Element::of("p", "none").text(message.trim()));
        Element::new("main").child(section).child(pool::subscriptions(usage, charts, &over_time))
    } else {
        Element::new("main")
            .child(tiles(usage))
            .child(tokens(&over_time))
            .child(Element::of("div", "pair").child(models(charts.models)).child(limits(&over_time)))
            .child(pool::subscriptions(usage, charts, &over_time))
            .child(rows::rows(usage))
    };
    let body = Element::new("body").child(header(usage, &title)).child(main).child(footer(usage));
    let page = Element::new("html").with("lang", "en").child(head(&title)).child(body);
    format!("<!DOCTYPE html>\n{page}\n")
}

/// The head of the page. Its policy forbids scripts and requests, in case a name ever becomes markup.
fn head(title: &str) -> Element {
    let meta = |name: &str, content: &str| Element::new("meta").with("name", name).with("content", content);
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    Element::new("head")
        .child(Element::new("meta").with("charset", "utf-8"))
        .child(Element::new("meta").with("http-equiv", "Content-Security-Policy").with("content", policy))
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(Element::new("title").text(&format!("kage usage: {title}")))
        .child(Element::style(include_str!("page/page.css")))
}

fn title(usage: &Usage<'_>, over_time: &OverTime<'_>) -> String {
    let queried = usage.query.since.zip(usage.query.until.or(Some(usage.today())));
    let days = over_time.days.or(queried);
    days.map_or_else(|| "All time".to_owned(), |(since, until)| period::title(since, until))
}

fn header(usage: &Usage<'_>, title: &str) -> Element {
    let filters = period::filters(usage.query);
    let zone = usage.zone.map(|zone| format!("Days in {zone}"));
    let subtitle = match (filters.trim(), zone) {
        ("", zone) => zone.unwrap_or_default(),
        (filters, None) => format!("Only runs {filters}"),
        (filters, Some(zone)) => format!("Only runs {filters} · {zone}"),
    };
    Element::new("header")
        .child(Element::of("p", "brand").text("kage usage"))
        .child(Element::new("h1").text(title))
        .child(Element::of("p", "quiet").text(&subtitle))
}

fn tiles(usage: &Usage<'_>) -> Element {
    let total = &usage.answer.total;
    let tokens = &total.tokens;
    let written = tokens.cache_written();
    let (runs, attempts) = if usage.counts_attempts() {
        (("Attempts", total.attempts), "with these models".to_owned())
    } else {
        (("Runs", total.runs), counted(total.attempts, "attempt"))
    };
    let worth = Worth::of(total);
    let cost = if worth.known().is_some() { worth.brief() } else { "–".to_owned() };
    let priced = match total.unpriced {
        0 if !total.estimated.is_none() => "API-equivalent, includes estimates".to_owned(),
        0 => "API-equivalent, not what you paid".to_owned(),
        unpriced => format!("{} tokens unpriced", short(unpriced)),
    };
    let split = format!("{} in · {} out", short(tokens.input_tokens), short(tokens.output_tokens));
    let mut tiles = vec![
        tile("Tokens", &short(tokens.tokens()), &split),
        tile("Cost", if cost.is_empty() { "$0.00" } else { &cost }, &priced),
        tile(runs.0, &grouped(runs.1), &attempts),
        tile("Cache reads", &short(tokens.cache_read_tokens), &format!("{} written", short(written))),
    ];
    if usage.query.model.is_none() {
        tiles.push(tile("Limits hit", &grouped(total.limits), "each ended an attempt"));
        tiles.push(tile("Agent time", &length(total.duration), "across all attempts"));
    }
    Element::of("section", "tiles").with("aria-label", "Totals").children(tiles)
}

fn tile(label: &str, value: &str, more: &str) -> Element {
    Element::of("div", "tile")
        .child(Element::of("p", "label").text(label))
        .child(Element::of("p", "value").text(value))
        .child(Element::of("p", "quiet").text(more))
}

fn tokens(over_time: &OverTime<'_>) -> Element {
    let heading = format!("Tokens by {} and subscription", over_time.interval.word());
    let steps = over_time.steps(|tally| tally.tokens.tokens(), short);
    card(&heading).child(columns(&heading, &steps, TOKENS_HEIGHT, short)).child(legend(over_time))
}

fn legend(over_time: &OverTime<'_>) -> Element {
    let entries = over_time.legend().into_iter().enumerate().map(|(at, name)| {
        let swatch = Element::of("span", &format!("swatch {}", color(at)));
        Element::new("li").child(swatch).name(&name)
    });
    Element::of("ul", "legend").children(entries)
}

fn limits(over_time: &OverTime<'_>) -> Element {
    let steps = over_time.steps(|tally| tally.limits, grouped);
    if steps.iter().all(|step| step.parts.iter().all(|&limits| limits == 0)) {
        return card("Limits hit").child(Element::of("p", "none").text("No limit was hit."));
    }
    let heading = format!("Limits hit by {}", over_time.interval.word());
    card(&heading).child(columns(&heading, &steps, LIMITS_HEIGHT, grouped)).child(legend(over_time))
}

/// A bar for each model: its share of the tokens.
fn models(answer: &Answer) -> Element {
    let mut models: Vec<(&str, Tally)> = answer
        .rows
        .iter()
        .filter_map(|(keys, tally)| match &keys[..] {
            [Key::Text(model)] => Some((model.as_str(), *tally)),
            _ => None,
        })
        .collect();
    models.sort_by_key(|(model, tally)| (std::cmp::Reverse(tally.tokens.tokens()), *model));
    let total = models.iter().map(|(_, tally)| tally.tokens.tokens()).fold(0, u64::saturating_add);
    let rest = models.split_off(models.len().min(MODELS));
    let others = format!("{} others", rest.len());
    if !rest.is_empty() {
        let mut sum = Tally::default();
        for (_, tally) in rest {
            sum += tally;
        }
        models.push((&others, sum));
    }
    let card = card("Tokens by model");
    if models.is_empty() {
        return card.child(Element::of("p", "none").text("No model was recorded."));
    }
    card.child(Element::of("ul", "bars").children(models.iter().map(|(model, tally)| {
        let model = crate::text::one_line(model);
        let part = share(tally.tokens.tokens(), total);
        let cost = match Worth::of(tally) {
            Worth::NoTokens => String::new(),
            worth => format!(" · {}", worth.brief()),
        };
        let amount = format!("{} · {:.0}%{cost}", short(tally.tokens.tokens()), part * 100.0);
        Element::new("li")
            .child(Element::of("span", "name").name(&model))
            .child(Element::of("span", "amount").text(&amount))
            .child(meter(&format!("{model}: {amount}"), part, "s0"))
    })))
}

fn footer(usage: &Usage<'_>) -> Element {
    let version = usage.prices;
    let cost = format!(
        "Cost is API-equivalent: what these tokens would cost at public API prices \
         (price table of {version}), not what you paid."
    );
    let generated = format!("Generated by kage {} on {}.", env!("CARGO_PKG_VERSION"), minute(usage.now));
    Element::new("footer").child(Element::new("p").text(&cost)).child(Element::new("p").text(&generated))
}

fn minute(at: &Zoned) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests;
