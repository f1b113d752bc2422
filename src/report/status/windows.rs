//! The utilization of each window of each subscription: one line with a bar, as wide as the terminal allows.

use std::borrow::Cow;

use jiff::{Timestamp, Zoned};

use crate::pool::{SubscriptionState, Utilization};
use crate::report::paint::{self, Color};
use crate::report::shows_unicode;
use crate::report::statusline::{order, word};
use crate::report::time::{age, clock, short};
use crate::report::width::{aligned, padded, start_of, widest};
use crate::text::one_line;

/// The columns of a bar in a wide and in a narrow terminal.
const WIDEST_BAR: usize = 10;
const NARROWEST_BAR: usize = 4;
/// A name is never cut to fewer columns than this.
const NARROWEST_NAME: usize = 6;
/// From this utilization (0.0-1.0) on, a bar is yellow. Near the limit it is red.
const YELLOW_FROM: f64 = 0.7;

/// A window of a subscription, as last read.
pub(super) struct Window<'a> {
    name: &'a str,
    word: Cow<'a, str>,
    known: &'a Utilization,
}

/// The known windows of a subscription, the short ones first.
pub(super) fn of<'a>(name: &'a str, known: &'a SubscriptionState) -> Vec<Window<'a>> {
    let mut windows: Vec<_> = known.utilization.iter().collect();
    windows.sort_by_key(|(window, _)| order(window));
    windows.into_iter().map(|(window, known)| Window { name, word: word(window), known }).collect()
}

/// What one line contains.
#[derive(Clone, Copy)]
struct Form {
    bar: usize,
    detail: Detail,
}

/// How much a line says about the reset, from least to most.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Detail {
    /// `in 2h 10m`
    Distance,
    /// `resets in 2h 10m`
    Reset,
    /// `resets in 2h 10m (14:30)`
    Clock,
    /// `resets in 2h 10m (14:30)  read 5m ago`
    Age,
}

/// The lines, at most `columns` wide. A narrow terminal drops the age of the reading first, then the clock
/// time of the reset, then part of the bar. The bars are colored if `near_limit` (0.0-1.0) is given.
pub(super) fn lines(
    windows: &[Window<'_>],
    near_limit: Option<f64>,
    columns: Option<usize>,
    now: &Zoned,
) -> Vec<String> {
    let columns = columns.unwrap_or(usize::MAX);
    let names = widest(windows.iter().map(|window| window.name));
    let drawn = |form: Form, room: usize| drawn(windows, form, room, near_limit, now);
    let mut last = Vec::new();
    for form in forms() {
        last = drawn(form, usize::MAX);
        if widest(last.iter().map(String::as_str)) <= columns {
            return last;
        }
    }
    let excess = widest(last.iter().map(String::as_str)).saturating_sub(columns);
    let least = Form { bar: NARROWEST_BAR, detail: Detail::Distance };
    drawn(least, names.saturating_sub(excess).max(NARROWEST_NAME))
}

fn forms() -> impl Iterator<Item = Form> {
    let whole = [Detail::Age, Detail::Clock].map(|detail| Form { bar: WIDEST_BAR, detail });
    let bars = || (NARROWEST_BAR..=WIDEST_BAR).rev();
    let narrow = [Detail::Reset, Detail::Distance];
    let narrow = narrow.into_iter().flat_map(move |detail| bars().map(move |bar| Form { bar, detail }));
    whole.into_iter().chain(narrow)
}

fn drawn(
    windows: &[Window<'_>],
    form: Form,
    room: usize,
    near_limit: Option<f64>,
    now: &Zoned,
) -> Vec<String> {
    let words: Vec<_> = windows.iter().map(|window| one_line(&window.word)).collect();
    let word_columns = widest(words.iter().map(String::as_str));
    let cells = windows.iter().zip(words).map(|(window, word)| {
        let gauge = window.gauge(form.bar, near_limit, now.timestamp());
        vec![
            start_of(window.name, room),
            format!("{} {gauge}", padded(&word, word_columns)),
            window.reset(form.detail, now),
            if form.detail >= Detail::Age {
                format!("read {} ago", age(window.known.read_at, now))
            } else {
                String::new()
            },
        ]
    });
    aligned(&cells.collect::<Vec<_>>())
}

impl Window<'_> {
    /// Whether the window was reset after the reading, so that its utilization is unknown.
    fn has_reset(&self, now: Timestamp) -> bool {
        self.known.resets_at.is_some_and(|at| at <= now)
    }

    /// The bar and the percentage.
    fn gauge(&self, columns: usize, near_limit: Option<f64>, now: Timestamp) -> String {
        if self.has_reset(now) {
            return format!("{}    -", bar(0.0, columns));
        }
        let value = self.known.value;
        let bar = bar(value, columns);
        let bar = near_limit.map_or_else(|| bar.clone(), |near| painted(&bar, value, near));
        format!("{bar} {:>3.0}%", value * 100.0)
    }

    fn reset(&self, detail: Detail, now: &Zoned) -> String {
        let Some(at) = self.known.resets_at else { return String::new() };
        if self.has_reset(now.timestamp()) {
            return "has reset".into();
        }
        let left = short(at.duration_since(now.timestamp()));
        match detail {
            Detail::Distance => format!("in {left}"),
            Detail::Reset => format!("resets in {left}"),
            Detail::Clock | Detail::Age => format!("resets in {left} ({})", clock(at, now)),
        }
    }
}

/// `███▍░░░░░░`, or `####------` without Unicode. A used window never looks empty, and only a full one looks
/// full.
fn bar(value: f64, columns: usize) -> String {
    let parts = if shows_unicode() { EIGHTHS.len() } else { 1 };
    let all = columns * parts;
    let filled = match share_of(all, value) {
        0 if value > 0.0 => 1,
        filled if filled >= all && value < 1.0 => all - 1,
        filled => filled.min(all),
    };
    let (full, rest) = (filled / parts, filled % parts);
    let (block, gap) = if shows_unicode() { ("█", "░") } else { ("#", "-") };
    let part = if rest > 0 { EIGHTHS[rest] } else { "" };
    let empty = columns - full - usize::from(rest > 0);
    format!("{}{part}{}", block.repeat(full), gap.repeat(empty))
}

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn share_of(all: usize, value: f64) -> usize {
    (all as f64 * value.clamp(0.0, 1.0)).round() as usize
}

fn painted(bar: &str, value: f64, near_limit: f64) -> String {
    let color = match value {
        value if value >= near_limit => Color::Red,
        value if value >= YELLOW_FROM => Color::Yellow,
        _ => Color::Green,
    };
    paint::painted(bar, color)
}
