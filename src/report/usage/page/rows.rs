//! The rows of the query as a table on the page.

use super::card;
use super::element::Element;
use crate::ledger::Tally;
use crate::report::time::grouped;
use crate::report::usage::amount::{Worth, short};
use crate::report::usage::{Usage, heading};

/// A column of numbers. A narrow page leaves out the `minor` ones.
struct Column {
    heading: &'static str,
    minor: bool,
    number: fn(&Tally) -> u64,
}

const COLUMNS: [Column; 4] = [
    Column { heading: "In", minor: false, number: |tally| tally.tokens.input_tokens },
    Column { heading: "Out", minor: false, number: |tally| tally.tokens.output_tokens },
    Column { heading: "Cache read", minor: true, number: |tally| tally.tokens.cache_read_tokens },
    Column { heading: "Cache written", minor: true, number: |tally| tally.tokens.cache_written() },
];
const LIMITS: Column = Column { heading: "Limits", minor: true, number: |tally| tally.limits };
const RUNS: Column = Column { heading: "Runs", minor: true, number: |tally| tally.runs };
const ATTEMPTS: Column = Column { heading: "Attempts", minor: true, number: |tally| tally.attempts };

/// One row for each key, and a total. With several keys, a narrow page shows each row as a block; the roles
/// keep it a table for screen readers.
pub(super) fn rows(usage: &Usage<'_>) -> Element {
    // A limit belongs to an attempt, not to one of the models that it used.
    let (runs, limits) = if usage.counts_attempts() { (ATTEMPTS, None) } else { (RUNS, Some(LIMITS)) };
    let columns: Vec<_> = [runs].into_iter().chain(COLUMNS).chain(limits).collect();
    let keys: Vec<_> = usage.query.by.iter().map(|&by| heading(by)).collect();
    let label = |class: &str, text: &str| {
        Element::of("th", class).with("scope", "col").with("role", "columnheader").text(text)
    };
    let head = keys.iter().map(|key| label("key", key));
    let head = head.chain(columns.iter().map(|column| label(class(column), column.heading)));
    let head = row(head.chain([label("number", "Cost")]));
    let body = usage.rows().into_iter().map(|(keys, tally)| {
        let texts = usage.shown(keys).into_iter().enumerate();
        let cells = texts.map(|(at, text)| match at {
            0 => row_header().name(&text),
            _ => Element::of("td", "key").with("role", "cell").name(&text),
        });
        row(cells.chain(numbers(&columns, tally)))
    });
    let total = row_header().with("colspan", keys.len()).text("Total");
    let total = row([total].into_iter().chain(numbers(&columns, &usage.answer.total)));
    let group = |name| Element::new(name).with("role", "rowgroup");
    let table = Element::of("table", if keys.len() > 1 { "blocks" } else { "plain" })
        .with("role", "table")
        .child(group("thead").child(head))
        .child(group("tbody").children(body))
        .child(group("tfoot").child(total));
    card(&format!("By {}", keys.join(", ").to_lowercase())).child(table)
}

fn row(cells: impl IntoIterator<Item = Element>) -> Element {
    Element::new("tr").with("role", "row").children(cells)
}

fn row_header() -> Element {
    Element::of("th", "key").with("scope", "row").with("role", "rowheader")
}

fn class(column: &Column) -> &'static str {
    if column.minor { "number minor" } else { "number" }
}

/// The cells of the numbers: rounded, with the exact number as tooltip.
fn numbers<'a>(columns: &'a [Column], tally: &'a Tally) -> impl Iterator<Item = Element> + 'a {
    let cell =
        |class: &str, label: &str| Element::of("td", class).with("role", "cell").with("data-label", label);
    let number = move |column: &Column| {
        let number = (column.number)(tally);
        cell(class(column), column.heading).with("title", grouped(number)).text(&short(number))
    };
    let cost = cell("number", "Cost").text(&Worth::of(tally).text());
    columns.iter().map(number).chain([cost])
}
