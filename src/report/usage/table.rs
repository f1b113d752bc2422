//! `kage usage` as text: a table with a bar for each row, a sparkline of tokens over time, notes on the cost.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::amount::{Worth, short};
use super::bars::{bar, sparkline};
use super::series::Series;
use super::{Usage, heading, period};
use crate::ledger::{Answer, By, Key, Tally};
use crate::report::table::{aligned_table, line_before_last};
use crate::report::width::widest;
use crate::report::{columns, shows_unicode};
use crate::text::one_line;

/// The terminal that shows the table.
pub struct Terminal {
    /// The width in columns; `None` if there is no terminal.
    pub columns: Option<usize>,
    pub unicode: bool,
}

impl Terminal {
    /// The terminal on stdout.
    pub fn here() -> Self {
        Self { columns: columns(), unicode: shows_unicode() }
    }
}

/// What is shown below the table.
pub struct Extras<'a> {
    /// The same query by day, or by hour if it covers a single day.
    pub over_time: &'a Answer,
    /// Models without a price.
    pub unpriced: &'a [String],
    /// Models whose cost is an estimate, each with the model whose price was used; none if only the price of
    /// a kind of its tokens is unknown.
    pub estimated: &'a [(String, Option<String>)],
}

/// The width of a line if there is no terminal.
const DEFAULT_WIDTH: usize = 80;

/// The answer of `kage usage`.
pub fn table(usage: &Usage<'_>, extras: &Extras<'_>, terminal: &Terminal) -> String {
    let today = usage.today();
    let mut text = format!("Usage {}{}\n\n", period::words(usage.query, today), period::filters(usage.query));
    text = wrapped(&text, terminal) + &fitted(usage, terminal);
    text += &over_time(usage, extras.over_time, terminal);
    let is_shown = |tally: &Tally| Worth::of(tally).is_shown();
    if usage.answer.rows.values().chain([&usage.answer.total]).any(is_shown) {
        let version = usage.prices;
        let note = format!(
            "\nCost is API-equivalent: what these tokens would cost at public API prices \
             (price table of {version}), not what you paid.\n"
        );
        text += &wrapped(&note, terminal);
    }
    if !extras.unpriced.is_empty() {
        let models = extras.unpriced.iter().map(|model| one_line(model)).collect::<Vec<_>>().join(", ");
        let note = format!("\nNo price is known for {models}; add prices in `[prices]` of the config.\n");
        text += &wrapped(&note, terminal);
    }
    if !extras.estimated.is_empty() {
        let models = extras.estimated.iter().map(|(model, from)| match from {
            Some(from) => format!("{} (at the price of {})", one_line(model), one_line(from)),
            None => format!("{} (cached tokens at the price of input)", one_line(model)),
        });
        let models = models.collect::<Vec<_>>().join(", ");
        let note = format!(
            "\n~ marks an estimate: {models}. To replace it, set prices in `[prices]` of the config.\n"
        );
        text += &wrapped(&note, terminal);
    }
    text
}

/// Which columns are shown, and how, for a certain width.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // columns
struct Layout {
    cache: bool,
    runs: bool,
    /// Separate columns for input and output tokens, and a cost in full.
    detailed: bool,
    cost: bool,
    /// The width of the longest bar in columns.
    bar: usize,
    /// No name is cut to fewer columns than this.
    narrowest: usize,
}

/// From wide to narrow: the least useful columns are dropped first.
const LAYOUTS: [Layout; 9] = {
    let wide = Layout { cache: true, runs: true, detailed: true, cost: true, bar: 20, narrowest: usize::MAX };
    let without_cache = Layout { cache: false, ..wide };
    let without_runs = Layout { runs: false, ..without_cache };
    [
        wide,
        without_cache,
        without_runs,
        Layout { bar: 10, ..without_runs },
        Layout { bar: 6, narrowest: 24, ..without_runs },
        Layout { bar: 6, narrowest: 16, detailed: false, ..without_runs },
        Layout { bar: 4, narrowest: 12, detailed: false, ..without_runs },
        Layout { bar: 0, narrowest: 8, detailed: false, ..without_runs },
        Layout { bar: 0, narrowest: 4, detailed: false, cost: false, ..without_runs },
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// The index of a grouping key of the query.
    Key(usize),
    Runs,
    Tokens,
    Input,
    Output,
    CacheRead,
    CacheWrite,
    Cost,
    Bar,
}

fn fitted(usage: &Usage<'_>, terminal: &Terminal) -> String {
    let room = terminal.columns.unwrap_or(usize::MAX);
    let rows = Rows::new(usage, terminal.unicode);
    let mut narrowest = String::new();
    for layout in LAYOUTS {
        let cuts = vec![usize::MAX; usage.query.by.len()];
        narrowest = rows.table(layout, &cuts);
        let excess = widest(narrowest.lines()).saturating_sub(room);
        if excess > 0 {
            narrowest = rows.table(layout, &rows.cuts(layout, excess));
        }
        if widest(narrowest.lines()) <= room {
            break;
        }
    }
    narrowest
}

/// The rows as text, before they are fitted into a width.
struct Rows<'a> {
    usage: &'a Usage<'a>,
    tallies: Vec<&'a Tally>,
    keys: Vec<Vec<String>>,
    /// The tokens of the row that has the most.
    most: u64,
    unicode: bool,
}

impl<'a> Rows<'a> {
    fn new(usage: &'a Usage<'a>, unicode: bool) -> Self {
        let rows = usage.rows();
        Self {
            usage,
            keys: rows.iter().map(|(keys, _)| usage.shown(keys)).collect(),
            most: rows.iter().map(|(_, tally)| tally.tokens.tokens()).max().unwrap_or(0),
            tallies: rows.into_iter().map(|(_, tally)| tally).collect(),
            unicode,
        }
    }

    fn columns(&self, layout: Layout) -> Vec<Column> {
        let total = &self.usage.answer.total.tokens;
        let tokens = if layout.detailed { vec![Column::Input, Column::Output] } else { vec![Column::Tokens] };
        let cache = if layout.cache && total.has_cached() {
            vec![Column::CacheRead, Column::CacheWrite]
        } else {
            vec![]
        };
        let keys = (0..self.usage.query.by.len()).map(Column::Key);
        let runs = layout.runs.then_some(Column::Runs);
        let cost = layout.cost.then_some(Column::Cost);
        let bar = (layout.bar > 0).then_some(Column::Bar);
        keys.chain(runs).chain(tokens).chain(cache).chain(cost).chain(bar).collect()
    }

    /// The table, with each name cut in its middle to the columns in `cuts`.
    fn table(&self, layout: Layout, cuts: &[usize]) -> String {
        let columns = self.columns(layout);
        let head: Vec<_> = columns.iter().map(|&column| self.head(column)).collect();
        let right: Vec<_> =
            columns.iter().map(|column| !matches!(column, Column::Key(_) | Column::Bar)).collect();
        let row = |(keys, tally): (&Vec<String>, &&Tally)| {
            let cell = |&column: &Column| match column {
                Column::Key(at) => shortened(&keys[at], cuts[at], self.unicode),
                Column::Bar => bar(tally.tokens.tokens(), self.most, layout.bar, self.unicode),
                other => self.number(other, tally, layout),
            };
            columns.iter().map(cell).collect::<Vec<_>>()
        };
        let total = columns.iter().map(|&column| match column {
            Column::Key(0) => "Total".to_owned(),
            Column::Key(_) | Column::Bar => String::new(),
            other => self.number(other, &self.usage.answer.total, layout),
        });
        let mut rows: Vec<_> = self.keys.iter().zip(&self.tallies).map(row).collect();
        rows.push(total.collect());
        line_before_last(&aligned_table(&head, rows, &right, self.unicode))
    }

    fn head(&self, column: Column) -> &'static str {
        match column {
            Column::Key(at) => heading(self.usage.query.by[at]),
            Column::Runs if self.usage.counts_attempts() => "Attempts",
            Column::Runs => "Runs",
            Column::Tokens => "Tokens",
            Column::Input => "In",
            Column::Output => "Out",
            Column::CacheRead => "Cache read",
            Column::CacheWrite => "Written",
            Column::Cost => "Cost",
            Column::Bar => "",
        }
    }

    fn number(&self, column: Column, tally: &Tally, layout: Layout) -> String {
        let tokens = &tally.tokens;
        match column {
            Column::Runs if self.usage.counts_attempts() => short(tally.attempts),
            Column::Runs => short(tally.runs),
            Column::Tokens => short(tokens.tokens()),
            Column::Input => short(tokens.input_tokens),
            Column::Output => short(tokens.output_tokens),
            Column::CacheRead => short(tokens.cache_read_tokens),
            Column::CacheWrite => short(tokens.cache_written()),
            Column::Cost if layout.detailed => Worth::of(tally).text(),
            Column::Cost => Worth::of(tally).brief(),
            Column::Key(_) | Column::Bar => String::new(),
        }
    }

    /// The widths to which the names are cut so that the table is narrower by `excess`. The longest names are
    /// cut first, and none below the width of its heading. Days and hours are never cut.
    fn cuts(&self, layout: Layout, mut excess: usize) -> Vec<usize> {
        let is_time = |at: usize| matches!(self.usage.query.by[at], By::Day | By::Hour);
        let width = |at: usize| self.keys.iter().map(|keys| keys[at].width()).max().unwrap_or(0);
        let mut cuts: Vec<_> = (0..self.usage.query.by.len()).map(width).collect();
        while excess > 0 {
            let longest = (0..cuts.len()).filter(|&at| !is_time(at)).max_by_key(|&at| cuts[at]);
            let least = |at: usize| heading(self.usage.query.by[at]).width().max(layout.narrowest);
            let Some(at) = longest.filter(|&at| cuts[at] > least(at)) else { break };
            cuts[at] -= 1;
            excess -= 1;
        }
        cuts
    }
}

/// A text without its middle: the beginning and the end of a directory both help to recognize it.
fn shortened(text: &str, columns: usize, unicode: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let ellipsis = if unicode { "…" } else { ".." };
    let room = columns.saturating_sub(ellipsis.width());
    let begin = fitting(text.chars(), room / 2);
    let end = fitting(text.chars().rev(), room - room / 2);
    format!("{begin}{ellipsis}{}", end.chars().rev().collect::<String>())
}

/// The first characters that fit.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut room = columns;
    characters
        .take_while(|character| {
            let width = character.width().unwrap_or(0);
            let fits = width <= room;
            room = room.saturating_sub(width);
            fits
        })
        .collect()
}

/// The tokens by day or by hour, as a sparkline below a heading.
fn over_time(usage: &Usage<'_>, answer: &Answer, terminal: &Terminal) -> String {
    let is_by_hour = answer.rows.keys().any(|keys| matches!(keys[..], [Key::Hour(_)]));
    let series = if is_by_hour {
        Series::by_hour(usage.query, &answer.rows, usage.now.timestamp())
    } else {
        Series::by_day(usage.query, &answer.rows, usage.today())
    };
    let Some(series) = series.filter(|series| series.values.len() > 1) else { return String::new() };
    let labels = series.first.width() + series.last.width() + 2;
    let room = terminal.columns.unwrap_or(DEFAULT_WIDTH).saturating_sub(labels).max(1);
    let series = series.at_most(room);
    let most = short(series.values.iter().copied().max().unwrap_or(0));
    let line = sparkline(&series.values, terminal.unicode);
    format!("\nTokens by {} (peak {most})\n{} {line} {}\n", series.step, series.first, series.last)
}

/// The text, broken between words if the terminal is narrower.
fn wrapped(text: &str, terminal: &Terminal) -> String {
    let room = terminal.columns.unwrap_or(usize::MAX);
    let mut lines = String::new();
    for line in text.lines() {
        let mut used = 0;
        for word in line.split(' ') {
            if used > 0 && used + 1 + word.width() > room {
                lines.push('\n');
                used = 0;
            } else if used > 0 {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += word.width();
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_in_its_middle() {
        assert_eq!(shortened("~/code/backend/api", 18, true), "~/code/backend/api");
        assert_eq!(shortened("~/code/backend/api", 10, true), "~/co…d/api");
        assert_eq!(
            shortened("~/code/backend/api", 10, false),
            "~/co..\
                                                                /api"
        );
        assert_eq!(shortened("日本語日本語", 7, true), "日…語");
        assert_eq!(shortened("ab", 0, true), "…");
    }

    #[test]
    fn a_long_sentence_is_broken_between_words() {
        let narrow = Terminal { columns: Some(10), unicode: true };
        assert_eq!(wrapped("\none two three four\n", &narrow), "\none two\nthree four\n");
    }
}
