//! The subscriptions of the pool on the page, with their status and the utilization of their windows.

use jiff::Timestamp;

use super::chart::{color, meter};
use super::element::Element;
use super::over_time::OverTime;
use super::{Charts, card};
use crate::pool::{Subscription, Utilization};
use crate::report::sentences::window_word;
use crate::report::time::{clock, until};
use crate::report::usage::Usage;
use crate::text::one_line;

/// The subscriptions that the query covers, each with its known windows.
pub(super) fn subscriptions(usage: &Usage<'_>, charts: &Charts<'_>, over_time: &OverTime<'_>) -> Element {
    let is_covered = |name| usage.query.subscription.as_ref().is_none_or(|only| only == name);
    let subscriptions = charts.pool.subscriptions.values().filter(|one| is_covered(&one.name));
    let items: Vec<_> = subscriptions.map(|one| subscription(one, usage, charts, over_time)).collect();
    let card = card("Subscriptions and their windows");
    if items.is_empty() {
        return card.child(Element::of("p", "none").text("The pool has no matching subscription."));
    }
    card.child(Element::of("ul", "subscriptions").children(items))
}

fn subscription(
    subscription: &Subscription,
    usage: &Usage<'_>,
    charts: &Charts<'_>,
    over_time: &OverTime<'_>,
) -> Element {
    let known = charts.state.of(&subscription.name);
    let status = known.status(subscription, usage.now.timestamp());
    let text = match status.until() {
        Some(at) => format!("{} until {}", status.word(), until(at, usage.now)),
        None => status.word().to_owned(),
    };
    let name = subscription.name.as_str();
    let swatch = format!("swatch {}", color(over_time.color(name)));
    let heading = Element::new("h3").child(Element::of("span", &swatch)).name(name);
    let state = Element::of("p", &format!("state {}", status.word())).text(&text.replace('_', " "));
    let mut item = Element::new("li").child(heading).child(state);
    let agent = one_line(&subscription.agent);
    let description = subscription.description.as_deref().map(one_line).filter(|text| !text.is_empty());
    item = item.child(Element::of("p", "quiet").name(&description.unwrap_or(agent)));
    if known.utilization.is_empty() {
        return item.child(Element::of("p", "quiet").text("No window has been read yet."));
    }
    let near_limit = charts.pool.near_limit;
    item.children(known.utilization.iter().map(|(word, reading)| window(word, reading, near_limit, usage)))
}

/// A window: its utilization, its reset, and the time of the reading.
fn window(word: &str, reading: &Utilization, near_limit: f64, usage: &Usage<'_>) -> Element {
    let word = one_line(&window_word(word));
    let percent = format!("{:.0}%", reading.value * 100.0);
    let passed = |at: Timestamp| at <= usage.now.timestamp();
    let reset = match reading.resets_at {
        None => String::new(),
        Some(at) if passed(at) => format!("reset {} · ", clock(at, usage.now)),
        Some(at) => format!("resets {} · ", until(at, usage.now)),
    };
    let class = if reading.resets_at.is_some_and(passed) {
        "over"
    } else if reading.value >= near_limit {
        "near"
    } else {
        "fill"
    };
    Element::of("div", "window")
        .child(Element::of("span", "name").name(&word))
        .child(Element::of("span", "amount").text(&percent))
        .child(meter(&format!("{word} window: {percent} used"), reading.value, class))
        .child(
            Element::of("span", "quiet").text(&format!("{reset}read {}", clock(reading.read_at, usage.now))),
        )
}
