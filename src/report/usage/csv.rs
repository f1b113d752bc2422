//! `kage usage --csv`: the same columns as the JSON, for a spreadsheet. Source: RFC 4180.

use std::fmt::Write as _;

use super::amount::{Worth, exact};
use super::{Usage, word};
use crate::ledger::{Key, Tally};
use crate::pool::TokenKind;

/// The columns of numbers; those of the kinds of tokens are between these.
const BEFORE: [&str; 4] = ["runs", "attempts", "limits", "duration_ms"];
const AFTER: [&str; 3] = ["tokens", "cost_usd", "unpriced_tokens"];

impl Usage<'_> {
    /// A line for each row, below a head. There is no line of totals: a spreadsheet would sum it up again.
    pub fn csv(&self) -> String {
        let tokens = TokenKind::ALL.map(|kind| kind.key);
        let head = self.query.by.iter().map(|&by| word(by)).chain(BEFORE).chain(tokens).chain(AFTER);
        let mut lines = head.collect::<Vec<_>>().join(",") + "\r\n";
        for (keys, tally) in self.rows() {
            let cells = keys.iter().map(cell).chain(numbers(tally));
            let _ = write!(lines, "{}\r\n", cells.collect::<Vec<_>>().join(","));
        }
        lines
    }
}

fn cell(key: &Key) -> String {
    match key {
        Key::Day(day) => day.to_string(),
        Key::Hour(hour) => hour.to_string(),
        Key::Text(text) => quoted(&as_text(text)),
    }
}

/// A spreadsheet takes a text for a formula, which can send what is beside it elsewhere, by how it begins.
/// Source: OWASP, CSV Injection.
fn as_text(text: &str) -> String {
    let is_formula = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    if text.starts_with(is_formula) || text.starts_with(['\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn numbers(tally: &Tally) -> impl Iterator<Item = String> {
    let before =
        [tally.runs, tally.attempts, tally.limits, u64::try_from(tally.duration.as_millis()).unwrap_or(0)];
    let numbers = before.into_iter().chain(tally.tokens.counts()).chain([tally.tokens.tokens()]);
    let cost = Worth::of(tally).known().map(exact).unwrap_or_default();
    numbers.map(|number| number.to_string()).chain([cost, tally.unpriced.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_a_formula_nor_two_cells() {
        for (text, shown) in [
            ("work", "work"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1＋1", "'＝1＋1"),
            ("-x,\"y\"", "\"'-x,\"\"y\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("\t=1", "'\t=1"),
        ] {
            assert_eq!(cell(&Key::Text(text.into())), shown, "{text:?}");
        }
    }
}
