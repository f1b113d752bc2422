//! `kage usage --csv`: the columns of the JSON as CSV. Source: RFC 4180.

use std::fmt::Write as _;

use super::amount::{Worth, exact};
use super::{Usage, word};
use crate::ledger::{Key, Tally};
use crate::pool::TokenKind;

/// The columns of numbers. The columns of the token kinds are between `BEFORE` and `AFTER`.
const BEFORE: [&str; 4] = ["runs", "attempts", "limits", "duration_ms"];
const AFTER: [&str; 4] = ["tokens", "cost_usd", "unpriced_tokens", "estimated_cost_usd"];

impl Usage<'_> {
    /// One line for each row, below the headings. There is no total: a spreadsheet would count it again.
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

/// Text that a spreadsheet does not run as a formula, which could send other cells to a server. A spreadsheet
/// recognizes a formula by its first character. Source: OWASP, CSV Injection.
fn as_text(text: &str) -> String {
    let formula_starts = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    if text.starts_with(formula_starts) || text.starts_with(['\t', '\r', '\n']) {
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
    numbers.map(|number| number.to_string()).chain([cost, tally.unpriced.to_string(), exact(tally.estimated)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_neither_a_formula_nor_two_cells() {
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
