use std::ffi::OsString;
use std::fs::File;
use std::io::{PipeWriter, Read as _, Seek as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;

use super::*;
use crate::agent::{Exit, LaunchPlan};
use crate::run::{ChildExit, Launched, Program, Released, Streams, run};

const ALL_BYTES: &[u8] = b"a\0b\xff\xfe\r\n\x80 no end";

/// Runs a shell script as the agent.
fn attempt(relay: &mut Relay, input: Input, script: &str) -> ChildExit {
    let program = Program { name: OsString::from("sh"), path: PathBuf::from("/bin/sh") };
    let plan = LaunchPlan { args: vec!["-c".into(), script.into()], ..LaunchPlan::default() };
    match run(&program, &plan, None, &[], Streams::Relayed(relay, input)) {
        Ok(Launched::Ended(child)) => child,
        Ok(Launched::Signal(signal)) => panic!("signal {signal} came before the agent was started"),
        Err(failure) => panic!("{failure}"),
    }
}

/// Returns a relay, and a thread that returns what the caller reads.
fn relay(input: Stream, output: Output) -> (Relay, JoinHandle<Vec<u8>>) {
    let (mut reader, writer) = io::pipe().unwrap();
    let reading = thread::spawn(move || {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        read
    });
    (Relay::with_streams([input, Arc::new(writer), null()], output, true), reading)
}

fn null() -> Stream {
    Arc::new(File::options().read(true).write(true).open("/dev/null").unwrap())
}

/// Returns a pipe into which a thread writes the bytes.
fn piped(bytes: &[u8]) -> Stream {
    let (reader, mut writer) = io::pipe().unwrap();
    let bytes = bytes.to_vec();
    thread::spawn(move || writer.write_all(&bytes));
    Arc::new(reader)
}

fn open_pipe() -> (Stream, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    (Arc::new(reader), writer)
}

/// Drops the relay and returns what the caller has read.
fn read_by_caller(relay: Relay, reading: JoinHandle<Vec<u8>>) -> Vec<u8> {
    drop(relay);
    reading.join().unwrap()
}

fn lines() -> Output {
    Output::Lines(|line| match line.first() {
        Some(b'o') => Line::Opening,
        Some(b'f') => Line::Failure,
        Some(b'n') => Line::Neutral,
        _ => Line::Progress,
    })
}

#[test]
fn another_attempt_reads_the_same_input_and_the_failed_one_leaves_no_output() {
    let (mut relay, reading) = relay(piped(ALL_BYTES), Output::Whole);
    let first = attempt(&mut relay, Input::FromStart, "cat; echo limit >&2; exit 7");
    assert_eq!(first.exit, Exit::Code(7));
    assert_eq!(first.captured.whole.as_deref(), Some(ALL_BYTES));
    assert_eq!(first.captured.stderr, b"limit\n");
    assert!(relay.can_replay() && !relay.is_committed() && !first.interrupted);
    relay.discard();
    attempt(&mut relay, Input::FromStart, "cat; echo 2");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), [ALL_BYTES, b"2\n"].concat());
}

#[test]
fn the_last_attempt_gets_all_the_input_even_if_earlier_ones_read_only_a_part() {
    let input: Vec<u8> = (0..=255).cycle().take(5_000_001).collect();
    let (mut relay, reading) = relay(piped(&input), Output::Whole);
    for script in ["exit 1", "exec 0<&-; exit 1", "head -c 70000 >/dev/null", "head -c 3000000 | tail -c 1"] {
        attempt(&mut relay, Input::FromStart, script);
        assert!(relay.can_replay());
        relay.discard();
    }
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert!(read_by_caller(relay, reading) == input);
}

#[test]
fn a_hundred_megabytes_of_input_are_replayed_completely() {
    let (reader, mut writer) = io::pipe().unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let written = block.clone();
    thread::spawn(move || (0..1000).try_for_each(|_| writer.write_all(&written)));
    let (mut relay, reading) = relay(Arc::new(reader), Output::Whole);
    attempt(&mut relay, Input::FromStart, "cat > /dev/null; exit 1");
    relay.discard();
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(relay.is_committed());
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    let read = read_by_caller(relay, reading);
    assert_eq!(read.len(), 100_000_000);
    assert!(read.chunks(block.len()).all(|chunk| chunk == block));
}

#[test]
fn a_socket_is_read_like_a_pipe() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(ALL_BYTES).unwrap();
    drop(theirs);
    let (mut relay, reading) = relay(Arc::new(ours), Output::Whole);
    attempt(&mut relay, Input::FromStart, "cat; exit 1");
    relay.discard();
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), ALL_BYTES);
}

#[test]
fn late_input_delays_no_attempt_and_is_not_lost() {
    let (input, mut writer) = open_pipe();
    let (mut relay, reading) = relay(input, Output::Whole);
    let begun = Instant::now();
    for _ in 0..3 {
        attempt(&mut relay, Input::FromStart, "exit 1");
        relay.discard();
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    writer.write_all(b"late").unwrap();
    drop(writer);
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), b"late");
}

#[test]
fn input_is_passed_on_while_the_agent_runs() {
    let (input, mut writer) = open_pipe();
    let (mut relay, reading) = relay(input, Output::Whole);
    writer.write_all(b"one\n").unwrap();
    // The writer stays open: the agent gets the line before the end of the input.
    let ended = attempt(&mut relay, Input::FromStart, "read line; echo got $line");
    assert_eq!(ended.captured.whole.as_deref(), Some(&b"got one\n"[..]));
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), b"got one\n");
}

#[test]
fn an_agent_that_does_not_read_blocks_the_writer() {
    let (input, mut writer) = open_pipe();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    thread::spawn(move || {
        while let Ok(length) = writer.write(&[0; 4096]) {
            count.fetch_add(length, Ordering::SeqCst);
        }
    });
    let (mut relay, _reading) = relay(input, Output::Whole);
    attempt(&mut relay, Input::FromStart, "sleep 1");
    // At most two full pipes and one block.
    assert!(taken.load(Ordering::SeqCst) <= 3 * (64 << 10));
}

#[test]
fn each_attempt_reads_a_file_from_its_first_position() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"not this, but this").unwrap();
    file.seek(io::SeekFrom::Start(10)).unwrap();
    let (mut relay, reading) = relay(Arc::new(file), Output::Whole);
    attempt(&mut relay, Input::FromStart, "cat");
    relay.discard();
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), b"but this");
}

#[test]
fn a_device_or_an_unreadable_stream_is_inherited() {
    let (_reader, writer) = io::pipe().unwrap();
    for stream in [null(), Arc::new(writer) as Stream] {
        let (mut relay, _reading) = relay(stream, Output::Whole);
        let ended = attempt(
            &mut relay,
            Input::FromStart,
            "cat 2>/dev/null; test -p /dev/stdin || test -c /dev/stdin",
        );
        assert_eq!((ended.exit, relay.can_replay()), (Exit::Code(0), true));
    }
}

#[test]
fn an_attempt_without_input_leaves_it_for_the_next() {
    let (mut relay, reading) = relay(piped(b"for the next"), Output::Whole);
    attempt(&mut relay, Input::Nothing, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), b"for the next");
}

#[test]
fn without_hold_input_is_not_kept() {
    let (mut relay, reading) = relay(piped(b"once"), Output::Whole);
    relay.set_hold(false);
    attempt(&mut relay, Input::FromStart, "cat");
    assert!(relay.is_committed() && !relay.can_replay());
    let again = attempt(&mut relay, Input::FromStart, "cat");
    assert_eq!(again.captured.whole.as_deref(), Some(&b""[..]));
    assert_eq!(read_by_caller(relay, reading), b"once");
}

#[test]
fn lines_of_several_attempts_form_one_stream() {
    let (mut relay, reading) = relay(null(), lines());
    let failed = attempt(&mut relay, Input::FromStart, r"printf 'o1\nf\377\000\n'");
    assert_eq!(failed.captured.lines, [&b"o1"[..], b"f\xff\0"]);
    assert!(!failed.captured.progressed && !relay.is_committed());
    relay.discard();
    attempt(&mut relay, Input::FromStart, r"printf 'o2\np\377\000\n'; printf 'f'; kill -9 $$");
    assert!(!relay.is_committed(), "another attempt may continue a conversation");
    relay.discard();
    attempt(&mut relay, Input::FromStart, r"printf 'o3\np3\nno end'");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
    assert_eq!(read_by_caller(relay, reading), b"o2\np\xff\0\np3\nno end");
}

#[test]
fn a_line_of_a_hundred_megabytes_passes() {
    let (mut relay, reading) = relay(null(), lines());
    let ended = attempt(&mut relay, Input::FromStart, "echo o; head -c 100000000 /dev/zero; echo; echo f");
    assert!(ended.captured.progressed);
    relay.discard();
    let read = read_by_caller(relay, reading);
    assert_eq!((read.len(), &read[..2], &read[100_000_001..]), (100_000_003, &b"o\n"[..], &b"\0\n"[..]));
}

#[test]
fn a_stream_that_was_made_non_blocking_loses_no_output() {
    let (mut reader, writer) = io::pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    let reading = thread::spawn(move || io::copy(&mut reader, &mut io::sink()).unwrap());
    let mut relay = Relay::with_streams([null(), Arc::new(writer), null()], Output::Whole, true);
    attempt(&mut relay, Input::FromStart, "head -c 3000000 /dev/zero");
    drop(relay);
    assert_eq!(reading.join().unwrap(), 3_000_000);
}

#[test]
fn the_agent_gets_a_broken_pipe_when_the_reader_leaves() {
    let (reader, writer) = io::pipe().unwrap();
    let head = thread::spawn(move || {
        let mut first = [0; 2];
        (&reader).read_exact(&mut first).unwrap();
        first
    });
    let mut relay = Relay::with_streams([null(), Arc::new(writer), null()], lines(), true);
    let ended = attempt(&mut relay, Input::FromStart, "exec yes");
    assert_eq!(ended.exit, Exit::Signal(rustix::process::Signal::PIPE.as_raw()));
    assert_eq!(head.join().unwrap(), *b"y\n");
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
}

#[test]
fn a_full_disk_ends_the_output_and_is_reported() {
    let full: Stream = Arc::new(File::options().write(true).open("/dev/full").unwrap());
    let mut relay = Relay::with_streams([null(), full, null()], lines(), true);
    let ended = attempt(&mut relay, Input::FromStart, "exec yes");
    assert_eq!(ended.exit, Exit::Signal(rustix::process::Signal::PIPE.as_raw()));
    assert!(matches!(
        crate::run::release(&mut relay),
        Released::Lost(why) if why.kind() == io::ErrorKind::StorageFull
    ));
    assert!(matches!(crate::run::release(&mut relay), Released::Written));
}

#[test]
fn standard_error_passes_immediately_and_its_end_is_captured() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut relay = Relay::with_streams([null(), null(), Arc::new(writer)], Output::Whole, false);
    let script = "head -c 1000000 /dev/zero >&2; printf 'end\\377' >&2";
    let reading = thread::spawn(move || {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        read
    });
    let ended = attempt(&mut relay, Input::FromStart, script);
    let read = read_by_caller(relay, reading);
    assert_eq!(read.len(), 1_000_004);
    assert_eq!(ended.captured.stderr.len(), 64 << 10);
    assert!(read.ends_with(b"\0end\xff") && read.ends_with(&ended.captured.stderr));
}

#[test]
fn children_of_the_agent_that_keep_the_pipes_open_are_not_waited_for() {
    for idle_or_busy in ["sleep 20", "while echo x; do sleep 0.01; done"] {
        let (mut relay, reading) = relay(null(), Output::Whole);
        let begun = Instant::now();
        attempt(&mut relay, Input::FromStart, &format!("({idle_or_busy}) & printf last"));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(15), "{took:?}");
        assert!(matches!(crate::run::release(&mut relay), Released::Written));
        assert!(read_by_caller(relay, reading).windows(4).any(|bytes| bytes == b"last"));
    }
}

#[test]
fn a_reader_slower_than_the_grace_period_gets_all_that_the_agent_wrote() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut relay = Relay::with_streams([null(), Arc::new(writer), null()], Output::Whole, true);
    relay.set_hold(false);
    let reading = thread::spawn(move || {
        // A fixed time is needed here: the grace period must be over before anything is read.
        thread::sleep(Duration::from_millis(2500));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        read
    });
    attempt(&mut relay, Input::FromStart, "sleep 20 & head -c 1000000 /dev/zero");
    assert_eq!(read_by_caller(relay, reading).len(), 1_000_000);
}
