//! Figures as Markdown, as `tests/bench.sh` prints them. Pure: the same figures give the same text.

use std::fmt::Write as _;

use crate::figures::{Contended, Contest, Figures, Idle, Kind, Measured, Relayed, Row, Scale};

/// The load up to which a machine counts as quiet. The build before the benchmark causes about this load.
const QUIET: f64 = 2.5;
/// The target for the largest pool, in milliseconds.
pub(crate) const LARGEST_MS: f64 = 15.0;
/// The targets for this number of processes without fsync: changes per second, and the 99th percentile in
/// milliseconds.
pub(crate) const CROWD: usize = 64;
pub(crate) const PER_SECOND: f64 = 1_500.0;
pub(crate) const P99_MS: f64 = 300.0;

pub(crate) fn all(figures: &Figures) -> String {
    format!("{}\n{}", about(figures), tables(figures))
}

pub(crate) fn tables(figures: &Figures) -> String {
    let mut parts = Vec::new();
    if !figures.overhead.is_empty() {
        parts.push(overhead(&figures.overhead));
    }
    if !figures.scale.is_empty() {
        parts.push(scale(&figures.scale));
    }
    if !figures.contention.is_empty() {
        parts.push(contention(&figures.contention));
    }
    parts.extend(figures.relay.as_ref().map(relay));
    if !figures.idle.is_empty() {
        parts.push(idle(&figures.idle));
    }
    parts.join("\n")
}

pub(crate) fn about(figures: &Figures) -> String {
    let Figures { machine, taken, rounds, subscriptions, .. } = figures;
    let mut text = format!(
        "Measured on {taken} on {} cores ({}), {} GB, {}.",
        machine.cores, machine.processor, machine.memory_gb, machine.system
    );
    if machine.load > QUIET {
        let _ = write!(
            text,
            " The machine was busy with other work (load {}): times and ratios are higher than on a quiet \
             one.",
            machine.load
        );
    }
    if *rounds > 0 {
        let _ = write!(
            text,
            " Times of whole processes from spawn to wait: medians of {rounds} alternating rounds with a \
             pool of {subscriptions} subscriptions. Ratios are relative to `env true` in the same rounds."
        );
    }
    text + "\n"
}

fn overhead(rows: &[Row]) -> String {
    let mut text = "| command | | median | p90 | ratio | target |\n|---|---|--:|--:|--:|---|\n".to_owned();
    for row in rows {
        let (name, note) = (&row.name, &row.note);
        let cells = match &row.result {
            Measured::Times { median_ms, p90_ms, ratio } => {
                let wanted = row.target.map_or_else(String::new, |target| at_most(*ratio, target, ""));
                format!("{} ms | {} ms | {} | {wanted}", short(*median_ms), short(*p90_ms), short(*ratio))
            }
            Measured::Missing(why) => format!("| | | not measured: {why}"),
        };
        let _ = writeln!(text, "| `{name}` | {note} | {cells} |");
    }
    text
}

fn scale(rows: &[Scale]) -> String {
    let mut text = "| subscriptions | `kage exec --replace -- true` | `kage why` | `env true` |\n\
                    |--:|--:|--:|--:|\n"
        .to_owned();
    for row in rows {
        let [exec, why, base] = [row.exec_ms, row.why_ms, row.base_ms].map(short);
        let _ = writeln!(text, "| {} | {exec} ms | {why} ms | {base} ms |", grouped(row.subscriptions));
    }
    if let Some(last) = rows.last() {
        let wanted = at_most(last.exec_ms, LARGEST_MS, " ms");
        let _ = writeln!(text, "\n{} subscriptions: {wanted}.{}", grouped(last.subscriptions), growth(rows));
    }
    text
}

/// The cost of one more subscription between the sizes: at most linear if it does not grow.
fn growth(rows: &[Scale]) -> String {
    let each = |pair: &[Scale]| {
        let more = u32::try_from(pair[1].subscriptions - pair[0].subscriptions).unwrap_or(u32::MAX);
        // Subtracts the time of `env true`, which does not depend on the pool.
        let own = |row: &Scale| row.exec_ms - row.base_ms;
        (own(&pair[1]) - own(&pair[0])) * 1e3 / f64::from(more)
    };
    let costs: Vec<_> = rows.windows(2).map(each).collect();
    let [.., before, last] = costs[..] else { return String::new() };
    let is_linear = last <= before * 1.25;
    let verdict = if is_linear { "no worse than linear" } else { "worse than linear" };
    format!(
        " One more subscription costs {} us up to {}, then {} us: {verdict}.",
        short(before),
        grouped(rows[rows.len() - 2].subscriptions),
        short(last)
    )
}

fn contention(rows: &[Contended]) -> String {
    let mut text =
        "| changes of one state | processes | per second | median | p99 | least, most per process | lost | \
                    target |\n|---|--:|--:|--:|--:|--:|--:|---|\n"
            .to_owned();
    for row in rows {
        let cells = match &row.result {
            Contest::Counted { per_second, p50_ms, p99_ms, least, most, lost } => {
                let wanted = if row.has_targets() {
                    let rate = at_least(*per_second, PER_SECOND);
                    format!("{rate}; p99 {}", at_most(*p99_ms, P99_MS, " ms"))
                } else {
                    String::new()
                };
                let [p50, p99] = [*p50_ms, *p99_ms].map(short);
                format!("{per_second:.0} | {p50} ms | {p99} ms | {least}, {most} | {lost} | {wanted}")
            }
            Contest::Missing(why) => format!("| | | | | not measured: {why}"),
        };
        let _ = writeln!(text, "| {} | {} | {cells} |", row.way, row.processes);
    }
    text
}

impl Contended {
    /// Whether this row has targets.
    pub(crate) fn has_targets(&self) -> bool {
        self.way == "kage" && self.processes == CROWD
    }
}

fn relay(relay: &Relayed) -> String {
    let Relayed { megabytes, cat_mb_per_s, kage_mb_per_s, memory_megabytes, memory_kb } = relay;
    let share = kage_mb_per_s / cat_mb_per_s * 100.0;
    format!(
        "Relaying JSON lines: {kage_mb_per_s:.0} MB/s, with `cat` instead {cat_mb_per_s:.0} MB/s \
         ({share:.0} %, {megabytes} MB per round). {memory_megabytes} MB through kage: at most \
         {memory_kb} kB resident.\n"
    )
}

fn idle(rows: &[Idle]) -> String {
    let mut text = "| while the agent sleeps | resident | private | system calls | wake-ups |\n\
                    |---|--:|--:|--:|--:|\n"
        .to_owned();
    for row in rows {
        let calls = row.system_calls.map_or_else(|| "no strace".to_owned(), |calls| calls.to_string());
        let Idle { mode, seconds, resident_kb, own_kb, wake_ups, .. } = row;
        let span = format!("in {seconds} s");
        let _ = writeln!(
            text,
            "| {mode} | {resident_kb} kB | {own_kb} kB | {calls} {span} | {wake_ups} {span} |"
        );
    }
    text
}

pub(crate) fn at_most(value: f64, target: f64, unit: &str) -> String {
    let verdict = match value - target {
        over if over > 0.0 => format!("missed by {}{unit}", short(over)),
        _ => "met".to_owned(),
    };
    format!("at most {target}{unit}: {verdict}")
}

pub(crate) fn at_least(value: f64, target: f64) -> String {
    let verdict = match target - value {
        under if under > 0.0 => format!("missed by {under:.0}"),
        _ => "met".to_owned(),
    };
    format!("at least {target}: {verdict}")
}

/// Formats with three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

/// The rows of the chart: the measured ones, and only the first base.
pub(crate) fn shown(rows: &[Row]) -> impl Iterator<Item = (&Row, f64)> {
    let is_first = |row: &&Row| row.kind != Kind::Base || !row.at_terminal;
    rows.iter().filter(is_first).filter_map(|row| Some((row, row.ratio()?)))
}
