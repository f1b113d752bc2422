//! The throughput of an agent's JSON lines through kage, compared with `cat`, and kage's memory meanwhile.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::figures::{Relayed, rounded};
use crate::overhead::kage;
use crate::support::Sandbox;

/// Text and the result of a tool: one in four lines has a word that makes kage parse the line.
const PROSE: &str = r#"{"type":"assistant","message":{"id":"msg_1","model":"claude-sonnet-5-5","content":[{"type":"text","text":"The test compares a local time with UTC, which fails twice a year; freeze the clock and it passes, here as well as on the build machine."}]},"session_id":"s"}"#;
const RESULT: &str = r#"{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"42 passed; 0 failed; 0 ignored; finished in 1.23s, of which 0.4s were spent on waiting for the disk","is_error":false}]},"session_id":"s"}"#;
/// The size of the text that the agent prints repeatedly.
const PIECE_MB: u64 = 50;
const MB: u64 = 1_000_000;

pub(crate) fn measure(megabytes: u64, rounds: usize, memory_megabytes: u64) -> Relayed {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let four = format!("{PROSE}\n{PROSE}\n{PROSE}\n{RESULT}\n");
    let copies = usize::try_from(PIECE_MB * MB).unwrap() / four.len() + 1;
    let piece = sandbox.write("work/piece", &four.repeat(copies));
    let pieces = piece.display();
    let text =
        format!("#!/bin/sh\ni=0\nwhile [ $i -lt \"$PIECES\" ]; do cat '{pieces}'; i=$((i + 1)); done\n");
    sandbox.program("claude", &text);
    let length = fs::metadata(&piece).unwrap().len();

    let (mut by_cat, mut by_kage) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut turns = [(&mut by_cat, false), (&mut by_kage, true)];
        turns.rotate_left(round % 2);
        for (times, is_kage) in turns {
            let command = if is_kage { through_kage(&sandbox) } else { through_cat(&sandbox) };
            let begun = Instant::now();
            let (read, _) = drain(command, megabytes / PIECE_MB);
            times.push(begun.elapsed());
            assert_eq!(read, megabytes / PIECE_MB * length, "output was lost");
        }
    }
    let (_, memory_kb) = drain(through_kage(&sandbox), memory_megabytes / PIECE_MB);
    let speed = |mut times: Vec<std::time::Duration>| {
        times.sort_unstable();
        let megabytes = f64::from(u32::try_from(megabytes).unwrap());
        rounded(megabytes / crate::rounds::at(&times, 50).as_secs_f64()).round()
    };
    let (cat_mb_per_s, kage_mb_per_s) = (speed(by_cat), speed(by_kage));
    Relayed { megabytes, cat_mb_per_s, kage_mb_per_s, memory_megabytes, memory_kb }
}

fn through_kage(sandbox: &Sandbox) -> Command {
    kage(sandbox, &["exec", "--", "claude", "-p", "--output-format", "stream-json", "hi"])
}

fn through_cat(sandbox: &Sandbox) -> Command {
    sandbox.call("/bin/sh".as_ref(), ["-c", "claude | cat"]).command
}

/// Reads all output of a command. Returns its length and the peak resident memory of its process in kB.
fn drain(mut command: Command, pieces: u64) -> (u64, u64) {
    command.env("PIECES", pieces.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut buffer, mut total, mut highest, mut looked) = (vec![0; 1 << 20], 0, 0, 0);
    loop {
        let read = u64::try_from(stdout.read(&mut buffer).unwrap()).unwrap();
        if read == 0 {
            break;
        }
        total += read;
        // The kernel records the peak, so reading it now and then is enough.
        if total - looked > 16 * MB {
            looked = total;
            highest = memory(&child).unwrap_or(highest);
        }
    }
    assert!(child.wait().unwrap().success());
    (total, highest)
}

/// The peak resident memory in kB. Source: proc(5), `VmHWM`.
fn memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    crate::idle::field(&status, "VmHWM")
}
