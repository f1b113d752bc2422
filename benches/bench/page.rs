//! The generated part of docs/performance.md: the main results in a few lines, and all figures in a collapsed
//! block. Pure, like the tables.

use crate::figures::{Contest, Figures, Kind, Row};
use crate::table::{CROWD, LARGEST_MS, P99_MS, PER_SECOND, about, at_least, at_most, grouped, short, tables};

pub(crate) fn part(figures: &Figures) -> String {
    let facts = summary(figures).join("\n- ");
    let (about, tables) = (about(figures), tables(figures));
    format!("{about}\n- {facts}\n\n<details>\n<summary>All figures</summary>\n\n{tables}\n</details>\n")
}

fn summary(figures: &Figures) -> Vec<String> {
    let started = figures.overhead.iter().filter_map(|row| {
        let (ratio, target) = (row.ratio()?, row.target?);
        let note = if row.note.is_empty() { String::new() } else { format!(", {}", row.note) };
        let (name, wanted, ratio) = (&row.name, at_most(ratio, target, ""), short(ratio));
        Some(format!("`{name}`{note}: {ratio} times `env true` ({wanted})"))
    });
    let peer =
        |row: &Row| (row.kind == Kind::Peer).then(|| Some(format!("`{}` {}", row.name, short(row.ratio()?))));
    let peers: Vec<_> = figures.overhead.iter().filter_map(|row| peer(row).flatten()).collect();
    let peers =
        (!peers.is_empty()).then(|| format!("other tools that prepare an environment: {}", peers.join(", ")));
    let largest = figures.scale.last().map(|row| {
        let (number, wanted) = (grouped(row.subscriptions), at_most(row.exec_ms, LARGEST_MS, " ms"));
        format!(
            "{number} subscriptions: `kage exec --replace -- true` in {} ms ({wanted})",
            short(row.exec_ms)
        )
    });
    let crowd = figures.contention.iter().find(|row| row.has_targets()).and_then(|row| match &row.result {
        Contest::Counted { per_second, p99_ms, lost, .. } => Some(format!(
            "{CROWD} processes on one state: {per_second:.0} changes per second ({}), 99 % of them within \
             {} ms ({}), {lost} lost",
            at_least(*per_second, PER_SECOND),
            short(*p99_ms),
            at_most(*p99_ms, P99_MS, " ms"),
        )),
        Contest::Missing(_) => None,
    });
    let relayed = figures.relay.as_ref().map(|relay| {
        let share = relay.kage_mb_per_s / relay.cat_mb_per_s * 100.0;
        let (memory, megabytes) = (relay.memory_kb, relay.memory_megabytes);
        format!("output is relayed at {share:.0} % of `cat`'s speed; {megabytes} MB take {memory} kB memory")
    });
    let asleep = figures.idle.first().map(|idle| {
        let calls = idle.system_calls.map_or_else(String::new, |calls| format!("{calls} system calls and "));
        let (resident, seconds, wake_ups) = (idle.resident_kb, idle.seconds, idle.wake_ups);
        format!("while the agent sleeps: {resident} kB, {calls}{wake_ups} wake-ups in {seconds} s")
    });
    started.chain(peers).chain(largest).chain(crowd).chain(relayed).chain(asleep).collect()
}
