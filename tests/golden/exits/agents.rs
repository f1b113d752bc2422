//! The agent's exit status and signals, in each form in which it runs, and signals to kage.

use std::process::Stdio;

use rustix::process::Signal;

use super::{Row, Table, pool_of_one, signal_name};
use crate::golden_file::command_line;

const STATUSES: [u8; 8] = [0, 1, 2, 41, 75, 130, 173, 255];
const SIGNALS: [&str; 6] = ["TERM", "INT", "HUP", "PIPE", "KILL", "USR1"];
/// A program that is not an agent, the print form of an agent, and kage replaced by a program.
const FORMS: [(&str, &str); 3] =
    [("program", "-- sh -c"), ("print form", "-- claude -p"), ("replaced", "--replace -- sh -c")];

pub(super) fn rows() -> Vec<Row> {
    let sandbox = pool_of_one();
    let mut table = Table::of(&sandbox);
    for (form, program) in FORMS {
        for status in STATUSES {
            table.kage(&format!("{form}: exit status {status}"), &format!("exec {program} 'exit {status}'"));
        }
        for signal in SIGNALS {
            let line = format!("exec {program} 'kill -{signal} $$'");
            table.kage(&format!("{form}: killed by {signal}"), &line);
        }
    }
    for output in ["json", "stream-json"] {
        let line = format!("exec -- claude --output-format {output} -p 'exit 41'");
        table.kage(&format!("print form with {output}: exit status 41"), &line);
    }
    signals_to_kage(&mut table);
    streams(&mut table);
    table.rows
}

fn signals_to_kage(table: &mut Table<'_>) {
    for (form, program) in [
        ("program", "-- waits"),
        ("print form", "-- claude -p 'exec waits'"),
        ("replaced", "--replace -- waits"),
    ] {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let name = signal_name(signal.as_raw());
            table.signal(&format!("{form}: {name} to kage"), &format!("exec {program}"), signal);
        }
    }
    for (form, program) in FORMS {
        let line = format!("exec {program} 'trap \"exit 3\" TERM; . waits'");
        table.signal(&format!("{form}: TERM to kage, the agent exits with 3"), &line, Signal::TERM);
    }
    table.signal("program: KILL to kage", "exec -- waits", Signal::KILL);
    table.signal("run-as: TERM to kage", "run-as claude -- -p 'exec waits'", Signal::TERM);
}

/// A closed pipe, a full disk, and closed streams.
fn streams(table: &mut Table<'_>) {
    for (form, line) in [
        ("program", "exec -- sh -c 'while echo y; do :; done'"),
        ("print form", "exec -- claude -p 'while echo y; do :; done'"),
        ("stream-json", "exec -- claude --output-format stream-json -p 'while echo {}; do :; done'"),
        ("replaced", "exec --replace -- sh -c 'while echo y; do :; done'"),
    ] {
        let call = table.sandbox.kage(shlex::split(line).unwrap());
        let command = format!("{} | :", command_line(&call, &table.placeholders));
        let mut process = call.command;
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().unwrap();
        drop(child.stdout.take());
        table.add(&format!("{form}: the reader is gone"), command, &child.wait_with_output().unwrap());
    }
    for (situation, script) in [
        ("print form: the disk is full", "\"$0\" exec -- claude -p 'echo answer' >/dev/full"),
        (
            "print form: the disk is full, exit status 41",
            "\"$0\" exec -- claude -p 'echo a; exit 41' >/dev/full",
        ),
        ("program: all streams are closed", "\"$0\" exec -- sh -c 'exit 41' <&- >&- 2>&-"),
    ] {
        table.bash(situation, script);
    }
}
