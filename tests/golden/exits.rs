//! How kage ends in every kind of situation: with its own exit status, with the agent's, or by a signal. The
//! golden file is a table. A second file has the first line of standard error.

#[path = "exits/agents.rs"]
mod agents;
#[path = "exits/exec.rs"]
mod exec;
#[path = "exits/others.rs"]
mod others;
#[path = "exits/refusals.rs"]
mod refusals;
#[path = "exits/shims.rs"]
mod shims;
#[path = "exits/subscriptions.rs"]
mod subscriptions;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::compare::compare_or_update;
use crate::golden_file::{command_line, within_an_hour};
use crate::placeholders::Placeholders;
use crate::support::{Call, Sandbox, kage, wait_until};

/// A situation and its outcome.
struct Row {
    situation: String,
    /// The exit status, or the name of the signal.
    status: String,
    command: String,
    /// The first line on standard error.
    stderr: String,
}

/// The situations in one sandbox.
struct Table<'a> {
    sandbox: &'a Sandbox,
    placeholders: Placeholders,
    rows: Vec<Row>,
}

impl<'a> Table<'a> {
    fn of(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, placeholders: Placeholders::of(sandbox), rows: Vec::new() }
    }

    /// Runs kage with these words, split as a shell does.
    fn kage(&mut self, situation: &str, line: &str) {
        self.run(situation, self.sandbox.kage(shlex::split(line).unwrap()));
    }

    fn run(&mut self, situation: &str, call: Call) {
        let command = command_line(&call, &self.placeholders);
        self.add(situation, command, &call.run().output);
    }

    /// Runs a script in which `$0` is kage.
    fn bash(&mut self, situation: &str, script: &str) {
        let call = self.sandbox.call(Path::new("/bin/bash"), ["-c", script, kage().to_str().unwrap()]);
        let command = self.placeholders.put_into(script).replace("\"$0\"", "kage").replace("'$0'", "kage");
        self.add(situation, command, &call.run().output);
    }

    /// Sends a signal to kage when its agent has created the file `ready`. An agent that outlives kage ends
    /// when the file is removed.
    fn signal(&mut self, situation: &str, line: &str, signal: Signal) {
        let ready = self.sandbox.path("work/ready");
        self.signal_when(|_| ready.exists(), situation, line, signal);
        fs::remove_file(ready).unwrap();
    }

    /// Sends a signal to kage when it has reported that it waits.
    fn signal_while_waiting(&mut self, situation: &str, line: &str, signal: Signal) {
        self.signal_when(|stderr| stderr.ends_with(b"\n"), situation, line, signal);
    }

    fn signal_when(&mut self, is_ready: impl Fn(&[u8]) -> bool, situation: &str, line: &str, signal: Signal) {
        let call = self.sandbox.kage(shlex::split(line).unwrap());
        let command = command_line(&call, &self.placeholders);
        let mut process = call.command;
        // A file, because an agent that outlives kage would keep a pipe open.
        let stderr = self.sandbox.path("stderr");
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr).unwrap());
        let mut child = process.spawn().unwrap();
        wait_until("kage to be ready for the signal", || is_ready(&fs::read(&stderr).unwrap()));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        let output = Output { status, stdout: Vec::new(), stderr: fs::read(stderr).unwrap() };
        self.add(situation, command, &output);
    }

    fn add(&mut self, situation: &str, command: String, output: &Output) {
        let stderr = self.placeholders.put_into(&String::from_utf8_lossy(&output.stderr));
        self.rows.push(Row {
            situation: situation.to_owned(),
            status: status_word(output.status),
            command,
            stderr: stderr.lines().next().unwrap_or_default().to_owned(),
        });
    }
}

fn status_word(status: ExitStatus) -> String {
    status.code().map_or_else(|| signal_name(status.signal().unwrap()), |code| code.to_string())
}

fn signal_name(signal: i32) -> String {
    let names = [(1, "HUP"), (2, "INT"), (9, "KILL"), (10, "USR1"), (13, "PIPE"), (15, "TERM")];
    let name = names.into_iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| name.to_owned())
}

/// A pool of one subscription. Its agent runs its last argument as a script. `waits` is a program that waits.
fn pool_of_one() -> Sandbox {
    let sandbox = Sandbox::new();
    let secret = "{ command = \"echo sk-ant-oat01-invented-work\" }";
    sandbox.config(&format!("[subscriptions.pool]\nwork = {{ credential = {secret} }}\n"));
    sandbox.program("claude", "#!/bin/sh\nfor last; do :; done\neval \"$last\"\n");
    sandbox.program("waits", "#!/bin/sh\n: >ready\nwhile [ -e ready ]; do sleep 0.01; done\n");
    sandbox
}

/// One line per situation.
fn table(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (first, second) = (width(|row| &row.situation), width(|row| &row.status));
    let line = |row: &Row| format!("{:<first$}  {:<second$}  {}\n", row.situation, row.status, row.command);
    rows.iter().map(line).collect()
}

/// The situations with output on standard error.
fn stderr(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| !row.stderr.is_empty()).collect();
    let first = rows.iter().map(|row| row.situation.chars().count()).max().unwrap_or(0);
    let line = |row: &&Row| format!("{:<first$}  {}\n", row.situation, row.stderr);
    rows.iter().map(line).collect()
}

#[test]
fn kage_ends_as_before_in_every_situation() {
    let parts = [agents::rows, exec::rows, refusals::rows, subscriptions::rows, shims::rows, others::rows];
    let all = || -> Vec<Row> {
        std::thread::scope(|scope| {
            let parts = parts.map(|part| scope.spawn(part));
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        })
    };
    let rows = within_an_hour(all);
    let situations: BTreeSet<_> = rows.iter().map(|row| &row.situation).collect();
    assert_eq!(situations.len(), rows.len(), "two situations have the same name");
    let (table, stderr) = (table(&rows), stderr(&rows));
    compare_or_update([("exits.txt".into(), table.as_str()), ("stderr/exits.txt".into(), stderr.as_str())]);
}
