//! Tables: with box-drawing characters in a UTF-8 locale, otherwise in plain ASCII.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::width::{end_of, widest, width};
use super::{paint, shows_unicode};

/// A cell is never cut to fewer columns than this.
const NARROWEST: usize = 10;

/// The columns that a narrow terminal shows in part or not at all, by their headings.
pub(crate) struct Narrowing<'a> {
    /// Columns of paths: a path is cut at its beginning, since its end says more.
    pub cut: &'a [&'a str],
    /// Columns that can be left out, in this order.
    pub optional: &'a [&'a str],
}

/// A table that fits into `columns` if possible.
pub(crate) fn fitting_table(
    head: &[&str],
    rows: &[Vec<String>],
    narrowing: &Narrowing<'_>,
    columns: Option<usize>,
) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    let mut shown: Vec<usize> = (0..head.len()).collect();
    let mut optional = narrowing.optional.iter();
    loop {
        let table = cut_table(head, &shown, rows, narrowing.cut, columns);
        if widest(table.lines()) <= columns {
            return table;
        }
        match optional.next() {
            Some(heading) => shown.retain(|&at| head[at] != *heading),
            None => return table,
        }
    }
}

/// A table of the `shown` columns. The widest of the columns in `cut` are cut until the table fits.
fn cut_table(head: &[&str], shown: &[usize], rows: &[Vec<String>], cut: &[&str], columns: usize) -> String {
    let table = |room: &[usize]| {
        let cell = |row: &Vec<String>, at: usize| end_of(&row[at], room[at]);
        let rows = rows.iter().map(|row| shown.iter().map(|&at| cell(row, at)).collect());
        plain_table(&shown.iter().map(|&at| head[at]).collect::<Vec<_>>(), rows.collect())
    };
    let mut room = vec![usize::MAX; head.len()];
    let whole = table(&room);
    let mut excess = widest(whole.lines()).saturating_sub(columns);
    for &at in shown.iter().filter(|&&at| cut.contains(&head[at])) {
        room[at] = widest(rows.iter().map(|row| row[at].as_str()));
    }
    while excess > 0 {
        let can_shrink =
            |at: &&usize| cut.contains(&head[**at]) && room[**at] > NARROWEST.max(width(head[**at]));
        let Some(&at) = shown.iter().filter(can_shrink).max_by_key(|&&at| room[at]) else { break };
        room[at] -= 1;
        excess -= 1;
    }
    table(&room)
}

/// A table with a line below its headings.
pub fn plain_table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    aligned_table(head, rows, &[], shows_unicode())
}

/// A table with a line below its headings. Columns whose `right` is true are aligned to the right.
pub(super) fn aligned_table(head: &[&str], rows: Vec<Vec<String>>, right: &[bool], unicode: bool) -> String {
    let mut table = Table::new();
    // A preset of comfy-table with corners and without lines between the rows.
    table.load_preset(if unicode {
        "││──├─┼┤│    ┬┴┌┐└┘"
    } else {
        presets::ASCII_FULL_CONDENSED
    });
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    for (at, _) in right.iter().enumerate().filter(|(_, right)| **right) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// The table with a line above its last row, the total.
pub(super) fn line_before_last(table: &str) -> String {
    let mut lines: Vec<_> = table.lines().collect();
    // The last line is the border.
    if lines.len() > HEAD_LINES + 2 {
        lines.insert(lines.len() - 2, lines[HEAD_LINES - 1]);
    }
    lines.join("\n") + "\n"
}

/// The lines of a table before its first row: the border, the headings, the line below them.
const HEAD_LINES: usize = 3;

/// A table with the status of each row in color. The color is added to the finished table, so that escapes do
/// not count as width, and only in the status column, because a name or a description may be the same word.
pub(super) fn painted_table(head: &[&str], rows: Vec<Vec<String>>, statuses: &[&str]) -> String {
    let column = head.iter().position(|&heading| heading == "Status").unwrap_or(0);
    let table = plain_table(head, rows);
    let lines = table.lines().enumerate().map(|(at, line)| {
        let status = at.checked_sub(HEAD_LINES).and_then(|row| statuses.get(row));
        let painted = status.map_or_else(|| line.to_owned(), |status| paint_cell(line, column, status));
        painted + "\n"
    });
    lines.collect()
}

/// Colors the status in one line. The cells before it hold names, which do not contain a separator.
fn paint_cell(line: &str, column: usize, status: &str) -> String {
    let start = line.match_indices(['│', '|']).nth(column).map_or(0, |(at, _)| at);
    let (before, cell) = line.split_at(start);
    format!("{before}{}", cell.replacen(status, &paint::status(status), 1))
}
