//! In these tests the first letter of a line is its kind: `o` opening, `f` failure, `n` notice, anything else
//! progress.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const SMALL: Limits = Limits { line: 12, queue: 40 };

fn by_letter(line: &[u8]) -> Line {
    match line.first() {
        Some(b'o') => Line::Opening,
        Some(b'f') => Line::Failure,
        Some(b'n') => Line::Neutral,
        _ => Line::Progress,
    }
}

/// A run of attempts, and all its output.
struct Run {
    lines: Lines,
    written: Vec<u8>,
}

impl Run {
    fn new(limits: Limits) -> Self {
        Self { lines: Lines { limits, ..Lines::new(by_letter) }, written: Vec::new() }
    }

    /// Runs an attempt whose output arrives in these pieces, as from the pump.
    fn attempt<'a>(&mut self, hold: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Captured {
        let Self { lines, written } = self;
        let out = &mut |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        lines.begin(hold);
        let mut rest = Vec::new();
        for piece in pieces {
            rest.extend_from_slice(piece);
            let done = lines.feed(&rest, out).unwrap();
            rest.drain(..done);
            assert!(rest.len() <= lines.limits.line);
        }
        lines.finish(&rest, out).unwrap();
        lines.captured()
    }

    fn release(&mut self) {
        let written = &mut self.written;
        let out = &mut |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        self.lines.release(out).unwrap();
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }
}

/// Returns the output of a run whose attempts are all discarded except the last.
fn written(attempts: &[&str]) -> String {
    let mut run = Run::new(SMALL);
    for (at, attempt) in attempts.iter().enumerate() {
        run.attempt(true, [attempt.as_bytes()]);
        if at + 1 < attempts.len() {
            run.lines.discard();
        } else {
            run.release();
        }
    }
    run.written()
}

#[test]
fn an_attempt_that_only_failed_leaves_no_output() {
    assert_eq!(written(&["o1\nf1\n", "o2\np\nf2\n"]), "o2\np\nf2\n");
}

#[test]
fn the_reader_sees_one_opening() {
    assert_eq!(written(&["o1\np1\nf1\n", "o2\np2\n"]), "o1\np1\np2\n");
    assert_eq!(written(&["o1\np1\nf1\n", "o2\np2\no3\n"]), "o1\np1\np2\n");
}

#[test]
fn a_failure_that_was_recovered_from_is_shown_in_its_place() {
    assert_eq!(written(&["o\nf\nn\np\n"]), "o\nf\nn\np\n");
}

#[test]
fn a_notice_passes_unless_a_line_before_it_is_withheld() {
    let mut run = Run::new(SMALL);
    run.attempt(true, [&b"n1\no\nn2\n"[..]]);
    assert_eq!(run.written(), "n1\n");
    assert!(!run.lines.is_committed());
    run.release();
    assert_eq!(run.written(), "n1\no\nn2\n");
}

#[test]
fn a_notice_after_a_failure_is_kept_in_a_stream_that_has_begun() {
    assert_eq!(written(&["o\np\nf\nn1\n", "p\n"]), "o\np\nn1\np\n");
    assert_eq!(written(&["o\nf\nn1\n", "o\np\n"]), "o\np\n");
}

#[test]
fn a_queue_that_is_too_long_is_written_and_all_that_follows_passes() {
    let mut run = Run::new(SMALL);
    run.attempt(true, [&b"o\nf23456789\nf23456789\nf23456789\nf23456789\nf\n"[..]]);
    assert!(run.lines.is_committed());
    assert_eq!(run.written(), "o\nf23456789\nf23456789\nf23456789\nf23456789\nf\n");
}

#[test]
fn a_long_line_is_progress_and_is_not_kept() {
    let mut run = Run::new(SMALL);
    let long = [&b"o\nf2345678"[..], b"9abcd", b"efgh", b"ijk\nf\n"];
    assert!(run.attempt(true, long).progressed);
    assert_eq!(run.written(), "o\nf23456789abcdefghijk\n");
}

#[test]
fn a_line_cut_short_does_not_run_into_the_next_attempt() {
    assert_eq!(written(&["o\np\np with no", "o\np2\n"]), "o\np\np with no\np2\n");
    assert_eq!(written(&["o\np\nmuch longer than a li", "o\np2"]), "o\np\nmuch longer than a li\np2");
}

#[test]
fn lines_other_than_progress_are_captured_without_newlines() {
    let captured = Run::new(SMALL).attempt(true, [&b"o\np\nn\nf\xff\0"[..]]);
    assert_eq!(captured.lines, [&b"o"[..], b"n", b"f\xff\0"]);
    assert!(captured.progressed);
}

#[test]
fn a_failure_that_was_recovered_from_is_not_captured() {
    let captured = Run::new(SMALL).attempt(true, [&b"o\nf1\nn\np\nf2\n"[..]]);
    assert_eq!(captured.lines, [&b"o"[..], b"n", b"f2"]);
    let long = [&b"o\nf1\nmuch longer than "[..], b"a line\n"];
    assert_eq!(Run::new(SMALL).attempt(true, long).lines, [b"o"]);
}

#[test]
fn the_oldest_lines_are_forgotten_first() {
    let mut seen = Seen::default();
    (0..1000).for_each(|number: usize| seen.push(Line::Neutral, format!("{number}").as_bytes()));
    assert_eq!(seen.lines.len(), MAX_REMEMBERED);
    assert_eq!(seen.lines[0].1, b"744");
    assert_eq!(seen.length, seen.lines.iter().map(|(_, line)| line.len()).sum::<usize>());
    seen.push(Line::Neutral, &vec![0; MAX_HELD]);
    assert_eq!((seen.lines.len(), seen.length), (1, MAX_HELD));
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(b'\n'), Just(b'\n'), Just(b'o'), Just(b'f'), Just(b'n'), any::<u8>()], 0..200)
}

fn split<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #[test]
    fn the_output_does_not_depend_on_how_it_was_read(
        streams in vec((stream(), any::<bool>(), any::<bool>()), 1..4),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut runs = [Run::new(SMALL), Run::new(SMALL)];
        for (bytes, hold, is_final) in &streams {
            let in_one_piece = runs[0].attempt(*hold, [&bytes[..]]);
            let in_pieces = runs[1].attempt(*hold, split(bytes, &cuts));
            prop_assert_eq!(in_one_piece, in_pieces);
            prop_assert_eq!(runs[0].lines.is_committed(), runs[1].lines.is_committed());
            for run in &mut runs {
                if *is_final {
                    run.release();
                } else {
                    run.lines.discard();
                }
            }
        }
        prop_assert_eq!(runs[0].written(), runs[1].written());
    }

    #[test]
    fn a_final_attempt_loses_no_output(
        bytes in stream(),
        hold in any::<bool>(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut run = Run::new(SMALL);
        run.attempt(hold, split(&bytes, &cuts));
        if hold {
            run.release();
        }
        prop_assert_eq!(run.written, bytes);
    }
}
