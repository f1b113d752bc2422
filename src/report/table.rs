//! Tables: box drawing where the locale shows it, plain ASCII elsewhere.

use comfy_table::{Cell, Table, presets};

use super::shows_unicode;

/// A table with a line under its head.
pub(crate) fn plain_table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    // The preset with corners, without lines between the rows.
    table.load_preset(if shows_unicode() {
        "││──├─┼┤│    ┬┴┌┐└┘"
    } else {
        presets::ASCII_FULL_CONDENSED
    });
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// Colours of a status, as terminal escapes; `anstream` takes them out where they do not belong.
pub(super) fn painted(status: &str, text: &str) -> String {
    let colour = match status {
        "active" => "32",
        "rate_limited" => "33",
        "exhausted" | "unhealthy" => "31",
        _ => "2",
    };
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}
