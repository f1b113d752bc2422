//! The pool as a table: `kage status`, `kage status --watch` and `kage subscription list`.

mod agents;
mod details;
mod json;
mod windows;

use std::path::Path;

use jiff::Zoned;

use super::paint;
use super::table::painted_table;
use super::time::{clock, counted, grouped, until};
use super::width::{aligned, clipped, widest};
use crate::pool::{Cost, Moment, Pool, State, Status, Subscription, SubscriptionState, family_name};
use crate::text::one_line;

pub use details::details;
pub use json::{details_json, pool_json};

const TITLE: &str = "Subscription Pool Status";

/// A subscription and its current state.
struct Row<'a> {
    subscription: &'a Subscription,
    known: SubscriptionState,
    status: Status,
    running: u32,
    moment: Moment,
}

fn rows<'a>(pool: &'a Pool, state: &State, now: &Zoned) -> Vec<Row<'a>> {
    pool.subscriptions.values().map(|subscription| row(subscription, state, now)).collect()
}

fn row<'a>(subscription: &'a Subscription, state: &State, now: &Zoned) -> Row<'a> {
    let moment = Moment::from(now);
    let known = state.of(&subscription.name);
    let status = known.status(subscription, moment.now);
    Row { subscription, known, status, running: state.running(&subscription.name), moment }
}

/// The API-equivalent cost of today's tokens.
#[derive(Debug, Clone, Copy, Default)]
struct CostToday {
    cost: Cost,
    /// The part of `cost` that is an estimate.
    estimated: Cost,
    /// The number of tokens without a known price.
    unpriced: u64,
}

impl CostToday {
    /// US dollars; `None` if there are tokens and none of them has a known price.
    fn dollars(self) -> Option<f64> {
        (self.unpriced == 0 || !self.cost.is_none()).then(|| self.cost.dollars())
    }

    /// The cost for a table cell; empty if there are no tokens.
    fn text(self) -> String {
        let about = if self.estimated.is_none() { "" } else { "~" };
        match (self.cost.is_none(), self.unpriced) {
            (true, 0) => String::new(),
            (true, _) => "unpriced".to_owned(),
            (false, 0) => format!("{about}${:.2}", self.cost.dollars()),
            (false, _) => format!("{about}${:.2} + unpriced", self.cost.dollars()),
        }
    }
}

/// Today's totals.
struct Total {
    tokens: u64,
    cost: CostToday,
}

fn total(rows: &[Row<'_>]) -> Total {
    let tokens = rows.iter().map(Row::tokens_today).fold(0, u64::saturating_add);
    let mut cost = CostToday::default();
    for row in rows.iter().map(Row::cost_today) {
        cost.cost += row.cost;
        cost.estimated += row.estimated;
        cost.unpriced = cost.unpriced.saturating_add(row.unpriced);
    }
    Total { tokens, cost }
}

impl Total {
    fn sentence(&self) -> String {
        let cost = match self.cost.text() {
            text if text.is_empty() => text,
            text => format!(", {text} API-equivalent"),
        };
        format!("{} tokens today{cost}", grouped(self.tokens))
    }
}

/// The input of `kage status`.
pub struct Overview<'a> {
    pub pool: &'a Pool,
    pub state: &'a State,
    pub home: &'a Path,
    pub now: &'a Zoned,
}

impl Overview<'_> {
    /// The whole answer. `columns` is the width of the terminal; `None` if there is none.
    pub fn text(&self, columns: Option<usize>) -> String {
        self.lines(&self.rows(), columns).join("\n") + "\n"
    }

    /// The answer for a screen, never larger than the screen. If the whole answer does not fit, a denser form
    /// is used.
    pub fn frame(&self, columns: usize, height: usize) -> Vec<String> {
        let rows = self.rows();
        let whole = self.lines(&rows, Some(columns));
        let mut lines = if whole.len() <= height { whole } else { self.dense(&rows, columns) };
        if let Some(excess) = lines.len().checked_sub(height).filter(|&excess| excess > 0) {
            lines.truncate(height.saturating_sub(1));
            lines.push(format!("{}; enlarge the terminal", counted(excess as u64 + 1, "more line")));
        }
        lines.iter().map(|line| clipped(line, columns)).take(height).collect()
    }

    fn rows(&self) -> Vec<Row<'_>> {
        rows(self.pool, self.state, self.now)
    }

    fn lines(&self, rows: &[Row<'_>], columns: Option<usize>) -> Vec<String> {
        let mut lines = vec![TITLE.to_owned(), "=".repeat(TITLE.len()), String::new()];
        lines.extend(self.head(rows));
        if rows.is_empty() {
            lines.extend([
                String::new(),
                "The pool has no subscriptions yet. Add one: kage subscription add work".into(),
            ]);
            return lines;
        }
        for block in [table(rows, columns, self.now), self.windows(rows, columns), self.agents(columns)] {
            if !block.is_empty() {
                lines.push(String::new());
                lines.extend(block);
            }
        }
        lines
    }

    fn head(&self, rows: &[Row<'_>]) -> Vec<String> {
        let count = |word: &str| rows.iter().filter(|row| row.status.word() == word).count();
        let others = [
            ("Rate Limited:", count("rate_limited")),
            ("Exhausted:", count("exhausted")),
            ("Unhealthy:", count("unhealthy")),
            ("Disabled:", count("disabled")),
            ("Running:", self.state.leases.len()),
        ];
        let mut lines = vec![format!("{:<14}{}/{}", "Active:", count("active"), rows.len())];
        let others = others.into_iter().filter(|(_, count)| *count > 0);
        lines.extend(others.map(|(label, count)| format!("{label:<14}{count}")));
        lines.push(format!("{:<14}{}", "Total Usage:", total(rows).sentence()));
        lines
    }

    fn windows(&self, rows: &[Row<'_>], columns: Option<usize>) -> Vec<String> {
        let of = |row| -> Vec<_> {
            let row: &Row<'_> = row;
            windows::of(row.subscription.name.as_str(), &row.known)
        };
        let windows: Vec<_> = rows.iter().flat_map(of).collect();
        windows::lines(&windows, Some(self.pool.near_limit), columns, self.now)
    }

    fn agents(&self, columns: Option<usize>) -> Vec<String> {
        agents::lines(&self.state.leases, self.home, columns, self.now)
    }

    /// The answer in few lines, without headings and borders.
    fn dense(&self, rows: &[Row<'_>], columns: usize) -> Vec<String> {
        let active = rows.iter().filter(|row| row.status == Status::Active).count();
        let mut lines = vec![format!("{active}/{} active, {}", rows.len(), total(rows).sentence())];
        let forms = [TableForm::NoDistance, TableForm::NoUntil].map(|form| plain(rows, form, self.now));
        let [until, least] = forms;
        let fits = widest(until.iter().map(String::as_str)) <= columns;
        lines.extend(if fits { until } else { least });
        lines.extend(self.windows(rows, Some(columns)));
        lines.extend(self.agents(Some(columns)));
        lines
    }
}

/// How much a narrow terminal leaves out of a table. Each form also leaves out what the forms before it do.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum TableForm {
    Full,
    NoPriority,
    /// Without the time left until the status changes.
    NoDistance,
    /// Without the word `tokens`.
    NoUnit,
    NoRunning,
    /// Without the time at which the status changes.
    NoUntil,
}

const FORMS: [TableForm; 6] = [
    TableForm::Full,
    TableForm::NoPriority,
    TableForm::NoDistance,
    TableForm::NoUnit,
    TableForm::NoRunning,
    TableForm::NoUntil,
];

/// The table in the widest form that fits; if none fits, its cells without borders.
fn table(rows: &[Row<'_>], columns: Option<usize>, now: &Zoned) -> Vec<String> {
    let columns = columns.unwrap_or(usize::MAX);
    let mut tables = FORMS.into_iter().map(|form| drawn(rows, form, now));
    let fitting = tables.find(|table| widest(table.lines()) <= columns);
    fitting.map_or_else(
        || plain(rows, TableForm::NoUntil, now),
        |table| table.lines().map(str::to_owned).collect(),
    )
}

fn plain(rows: &[Row<'_>], form: TableForm, now: &Zoned) -> Vec<String> {
    let cells = rows.iter().map(|row| {
        let (status, word) = (row.status_cell(form, now), row.status.word());
        let painted = status.replacen(word, &paint::status(word), 1);
        vec![row.subscription.name.to_string(), painted, row.today_cell(TableForm::Full)]
    });
    aligned(&cells.collect::<Vec<_>>())
}

fn drawn(rows: &[Row<'_>], form: TableForm, now: &Zoned) -> String {
    let has_running = form < TableForm::NoRunning && rows.iter().any(|row| row.running > 0);
    let has_cost = rows.iter().any(|row| !row.cost_today().text().is_empty());
    let columns = [
        ("Name", true),
        ("Status", true),
        ("Priority", form < TableForm::NoPriority),
        ("Running", has_running),
        (if form < TableForm::NoUnit { "Today Usage" } else { "Tokens" }, true),
        ("API Cost", has_cost),
    ];
    let cells = |row: &Row<'_>| {
        let all = [
            row.subscription.name.to_string(),
            row.status_cell(form, now),
            row.subscription.priority.to_string(),
            row.running.to_string(),
            row.today_cell(form),
            row.cost_today().text(),
        ];
        let shown = all.into_iter().zip(columns).filter(|(_, (_, is_shown))| *is_shown);
        shown.map(|(cell, _)| cell).collect()
    };
    let head: Vec<_> = columns.into_iter().filter(|(_, is_shown)| *is_shown).map(|(head, _)| head).collect();
    painted_table(&head, rows.iter().map(cells).collect(), &words(rows))
}

/// The answer of `kage subscription list`; `only` is the status to list.
pub fn list(pool: &Pool, state: &State, only: Option<&str>, now: &Zoned) -> String {
    let mut rows = rows(pool, state, now);
    rows.retain(|row| only.is_none_or(|word| row.status.word() == word));
    let cells = rows.iter().map(|row| {
        let subscription = row.subscription;
        vec![
            subscription.name.to_string(),
            subscription.agent.clone(),
            row.status_cell(TableForm::Full, now),
            subscription.priority.to_string(),
            subscription.tags.join(", "),
            subscription.credential.source.word().to_owned(),
            one_line(subscription.description.as_deref().unwrap_or_default()),
        ]
    });
    let head = ["Name", "Agent", "Status", "Priority", "Tags", "Credential", "Description"];
    painted_table(&head, cells.collect(), &words(&rows))
}

fn words(rows: &[Row<'_>]) -> Vec<&'static str> {
    rows.iter().map(|row| row.status.word()).collect()
}

impl Row<'_> {
    fn cost_today(&self) -> CostToday {
        let today = self.known.today(&self.moment);
        CostToday { cost: today.cost, estimated: today.estimated, unpriced: today.unpriced }
    }

    fn tokens_today(&self) -> u64 {
        self.known.today(&self.moment).tokens.tokens()
    }

    fn today_cell(&self, form: TableForm) -> String {
        let unit = if form < TableForm::NoUnit { " tokens" } else { "" };
        format!("{}{unit}", grouped(self.tokens_today()))
    }

    fn status_cell(&self, form: TableForm, now: &Zoned) -> String {
        let word = self.status.word();
        let until = |at| if form < TableForm::NoDistance { until(at, now) } else { clock(at, now) };
        let partial = self.known.active_limits(self.moment.now).find(|_| self.status == Status::Active);
        match (self.status.until(), partial) {
            _ if form >= TableForm::NoUntil => word.to_owned(),
            (Some(at), _) => format!("{word} until {}", until(at)),
            (None, Some(limit)) => {
                let what = limit.scope.model().map_or_else(|| limit.scope.to_string(), family_name);
                format!("active, {what} limited until {}", until(limit.until))
            }
            (None, None) => word.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
