//! Sums of the lines of the ledger, by day (or hour) and by every key that a query can group by.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Timestamp, Unit, ZonedRound};
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::query::{Answer, By, Key, Keys, Query, Tally};
use crate::pool::{PromptLength, TokenCount};
use crate::prices::{ModelPrices, Prices};

/// The verdict that counts as a limit hit.
const LIMIT: &str = "usage_limit";

/// How fine-grained the sums are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    Day,
    /// By day and by project: ten to a hundred times as many rows.
    Project,
    Hour,
}

impl Grain {
    /// Returns the coarsest grain that can answer the query.
    pub(super) fn of(query: &Query) -> Self {
        let groups_by = |by: By| query.by.contains(&by);
        match (groups_by(By::Hour), groups_by(By::Project)) {
            (true, _) => Self::Hour,
            (false, true) => Self::Project,
            (false, false) => Self::Day,
        }
    }
}

/// The key of a sum. Texts are stored as their numbers in `Names`; 0 means none.
///
/// An attempt is counted in a row with its verdict and no model; its tokens are counted in rows with a model
/// and no verdict, because an attempt may use several models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Row {
    /// The day, or the hour as seconds since 1970.
    when: i64,
    subscription: u32,
    agent: u32,
    namespace: u32,
    project: u32,
    model: u32,
    prompt: PromptLength,
    verdict: u32,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Sums {
    runs: u64,
    attempts: u64,
    milliseconds: u64,
    tokens: TokenCount,
}

impl Sums {
    fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.attempts += more.attempts;
        self.milliseconds = self.milliseconds.saturating_add(more.milliseconds);
        self.tokens += more.tokens;
    }
}

/// Texts by their numbers.
#[derive(Debug, Clone)]
struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }
}

impl From<Vec<String>> for Names {
    fn from(texts: Vec<String>) -> Self {
        let numbers = (0..).zip(&texts).map(|(number, text)| (text.clone(), number)).collect();
        Self { texts, numbers }
    }
}

/// A roll-up as it is saved in a file.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    names: Vec<String>,
    rows: Vec<(Row, Sums)>,
    damaged: u64,
}

/// The sums of lines of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Rollup {
    grain: Grain,
    names: Names,
    /// The saved sums.
    kept: Vec<(Row, Sums)>,
    /// The sums of lines that were added since then.
    fresh: HashMap<Row, Sums>,
    /// Values of `Row::when` that are counted; others are ignored.
    span: RangeInclusive<i64>,
    /// The number of lines that could not be parsed.
    pub(super) damaged: u64,
}

impl Rollup {
    pub(super) fn new(grain: Grain, query: &Query) -> Self {
        Self::from_saved(grain, query, Saved { names: vec![String::new()], rows: Vec::new(), damaged: 0 })
    }

    pub(super) fn from_saved(grain: Grain, query: &Query, saved: Saved) -> Self {
        let Saved { names, rows: kept, damaged } = saved;
        let span = if grain == Grain::Hour { span(query) } else { i64::MIN..=i64::MAX };
        Self { grain, names: names.into(), kept, fresh: HashMap::new(), span, damaged }
    }

    pub(super) fn saved(&self) -> Saved {
        let mut rows: HashMap<_, _> = self.kept.iter().copied().collect();
        for (row, sums) in &self.fresh {
            rows.entry(*row).or_insert_with(Sums::default).add(sums);
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|(row, _)| *row);
        Saved { names: self.names.texts.clone(), rows, damaged: self.damaged }
    }

    /// Whether any row is on a day of the query.
    pub(super) fn touches(&self, query: &Query) -> bool {
        let wanted = Wanted::new(self, query);
        self.rows().any(|(row, _)| wanted.has_day(self.day(row.when, &query.zone)))
    }

    fn rows(&self) -> impl Iterator<Item = (&Row, &Sums)> {
        self.kept.iter().map(|(row, sums)| (row, sums)).chain(&self.fresh)
    }

    /// Adds a line without its newline.
    pub(super) fn add_line(&mut self, line: &[u8], zone: &TimeZone) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Some(line) = Line::parse(line) else {
            self.damaged += 1;
            return;
        };
        let project = if self.grain == Grain::Day { "" } else { &line.cwd };
        let keys = Row {
            subscription: self.names.number(&line.subscription),
            agent: self.names.number(&line.agent),
            namespace: self.names.number(line.namespace.as_deref().unwrap_or_default()),
            project: self.names.number(project),
            ..Row::default()
        };
        let verdict = self.names.number(&line.verdict);
        let milliseconds = line.milliseconds();
        let sums = Sums { runs: (line.attempt == 1).into(), attempts: 1, milliseconds, ..Sums::default() };
        self.add(Row { when: self.when(line.time, zone), verdict, ..keys }, &sums);
        let mut seen = Vec::new();
        for part in line.parts() {
            let model = self.names.number(part.model);
            let is_first = !seen.contains(&model);
            seen.push(model);
            let row = Row { when: self.when(part.at, zone), model, prompt: part.prompt, ..keys };
            self.add(row, &Sums { attempts: is_first.into(), tokens: part.count, ..Sums::default() });
        }
    }

    fn add(&mut self, row: Row, sums: &Sums) {
        if self.span.contains(&row.when) {
            self.fresh.entry(row).or_default().add(sums);
        }
    }

    fn when(&self, at: Timestamp, zone: &TimeZone) -> i64 {
        let at = at.to_zoned(zone.clone());
        match self.grain {
            Grain::Day | Grain::Project => number_of(at.date()),
            Grain::Hour => {
                let down = ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
                at.round(down).map_or(at.timestamp(), |hour| hour.timestamp()).as_second()
            }
        }
    }

    /// Adds the rows that match the query to the answer.
    pub(super) fn answer(&self, query: &Query, prices: &Prices, answer: &mut Answer) {
        let wanted = Wanted::new(self, query);
        let by = |what: By| query.by.contains(&what);
        let mut prices_of: HashMap<u32, ModelPrices<'_>> = HashMap::new();
        let mut groups: HashMap<Row, Tally> = HashMap::new();
        for (row, sums) in self.rows() {
            let day = self.day(row.when, &query.zone);
            if !wanted.has(row, day) {
                continue;
            }
            let mut tally = Tally {
                runs: sums.runs,
                attempts: sums.attempts,
                limits: if row.verdict == wanted.limit { sums.attempts } else { 0 },
                duration: SignedDuration::from_millis(i64::try_from(sums.milliseconds).unwrap_or(i64::MAX)),
                tokens: sums.tokens,
                ..Tally::default()
            };
            if row.model != 0 {
                let model_prices =
                    prices_of.entry(row.model).or_insert_with(|| prices.of(self.names.text(row.model)));
                match model_prices.cost(day, row.prompt, &sums.tokens) {
                    Some(priced) => (tally.cost, tally.estimated) = (priced.cost, priced.estimated()),
                    None => tally.unpriced = sums.tokens.all(),
                }
            }
            // Attempts are counted in the rows without a model. A query for a model has only rows with one.
            let counted =
                if row.model == 0 || query.model.is_some() { tally } else { Tally { attempts: 0, ..tally } };
            answer.total += counted;
            if (by(By::Model) && row.model == 0) || (by(By::Verdict) && row.model != 0) {
                continue;
            }
            let keep = |what: By, number: u32| if by(what) { number } else { 0 };
            let group = Row {
                when: if by(By::Day) || by(By::Hour) { row.when } else { 0 },
                subscription: keep(By::Subscription, row.subscription),
                agent: keep(By::Agent, row.agent),
                namespace: keep(By::Namespace, row.namespace),
                project: keep(By::Project, row.project),
                model: keep(By::Model, row.model),
                verdict: keep(By::Verdict, row.verdict),
                prompt: PromptLength::default(),
            };
            *groups.entry(group).or_default() += if by(By::Model) { tally } else { counted };
        }
        for (group, tally) in groups {
            *answer.rows.entry(self.keys(&group, query)).or_default() += tally;
        }
    }

    fn day(&self, when: i64, zone: &TimeZone) -> Date {
        match self.grain {
            Grain::Day | Grain::Project => date_of(when),
            Grain::Hour => Timestamp::from_second(when).unwrap_or_default().to_zoned(zone.clone()).date(),
        }
    }

    fn keys(&self, row: &Row, query: &Query) -> Keys {
        let text = |number: u32| Key::Text(self.names.text(number).to_owned());
        let keys = query.by.iter().map(|by| match by {
            By::Subscription => text(row.subscription),
            By::Agent => text(row.agent),
            By::Model => text(row.model),
            By::Namespace => text(row.namespace),
            By::Project => text(row.project),
            By::Verdict => text(row.verdict),
            By::Day => Key::Day(self.day(row.when, &query.zone)),
            By::Hour => Key::Hour(Timestamp::from_second(row.when).unwrap_or_default()),
        });
        keys.collect()
    }
}

/// The filters of a query, with names as their numbers in a roll-up.
struct Wanted {
    since: Date,
    until: Date,
    subscription: Option<u32>,
    namespace: Option<u32>,
    models: Option<Vec<u32>>,
    limit: u32,
}

impl Wanted {
    fn new(rollup: &Rollup, query: &Query) -> Self {
        // An unknown name gets a number that no row has.
        let number = |text: &str| rollup.names.numbers.get(text).copied().unwrap_or(u32::MAX);
        let models = |model: &String| {
            let texts = (0..).zip(&rollup.names.texts);
            texts.filter(|(_, text)| text.starts_with(model.as_str())).map(|(number, _)| number).collect()
        };
        Self {
            since: query.since.unwrap_or(Date::MIN),
            until: query.until.unwrap_or(Date::MAX),
            subscription: query.subscription.as_ref().map(|name| number(name.as_str())),
            namespace: query.namespace.as_ref().map(|name| number(name.as_str())),
            models: query.model.as_ref().map(models),
            limit: number(LIMIT),
        }
    }

    fn has_day(&self, day: Date) -> bool {
        self.since <= day && day <= self.until
    }

    fn has(&self, row: &Row, day: Date) -> bool {
        self.has_day(day)
            && self.subscription.is_none_or(|wanted| row.subscription == wanted)
            && self.namespace.is_none_or(|wanted| row.namespace == wanted)
            && self.models.as_ref().is_none_or(|wanted| row.model != 0 && wanted.contains(&row.model))
    }
}

/// Returns the range from the first second of the first day to the last second of the last day.
fn span(query: &Query) -> RangeInclusive<i64> {
    let begins = |day: Date| day.to_zoned(query.zone.clone()).map(|at| at.timestamp().as_second()).ok();
    let first = query.since.and_then(begins);
    let next = query.until.and_then(|day| begins(day.tomorrow().ok()?));
    first.unwrap_or(i64::MIN)..=next.map_or(i64::MAX, |at| at - 1)
}

/// Returns the number of days since 1970-01-01.
fn number_of(day: Date) -> i64 {
    (day - EPOCH).get_days().into()
}

fn date_of(number: i64) -> Date {
    i32::try_from(number)
        .ok()
        .and_then(|days| EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok())
        .unwrap_or(EPOCH)
}

const EPOCH: Date = Date::constant(1970, 1, 1);
