//! Replaces each value that differs between two runs with a placeholder of its type. Everything else stays
//! and is compared exactly.
//!
//! Times from 2025 to 2089 count as times of a run; fixed times in the tests are before or after that.
//! Durations below 1,000 seconds count as durations of a run, except 0.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use crate::support::{Sandbox, kage};

/// Patterns and their replacements, in order: a later one sees the placeholders of those before it.
const RULES: &[(&str, &str)] = &[
    (r"\b20(?:2[5-9]|[3-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<time>"),
    (r"\b20(?:2[5-9]|[3-8]\d)-\d\d-\d\d\b", "<date>"),
    (r"\b20(?:2[5-9]|[3-8]\d)-\d\d\.jsonl\b", "<month>.jsonl"),
    (r"\.damaged-20\d{6}T\d{6}\.\d{3}Z", ".damaged-<time>"),
    // A time in text output: today, on another day, or in another year.
    (r"(?m)(^|[ (])(?:(?:<date>|\d{4}-\d\d-\d\d|[A-Z][a-z]{2} \d{1,2}) )?[0-2]\d:[0-5]\d\b", "$1<clock>"),
    (r"\((?:\d+d(?: \d+h)?|\d+h(?: \d+m)?|\d+m|\d+s)\)", "(<span>)"),
    (r#""(pid|speaker)(": ?)\d+"#, r#""$1$2<pid>"#),
    (r#""started(": ?)\d+"#, r#""started$1<ticks>"#),
    (r#""(resetsAt|began)(": ?)\d+"#, r#""$1$2<seconds>"#),
    (r#""duration_ms(": ?)[1-9]\d{0,5}\b"#, r#""duration_ms$1<ms>"#),
    (r"\bkage-demo-\d+\b", "kage-demo-<pid>"),
    (r"\bKAGE_STARTED=\d+ ", "KAGE_STARTED=<pid> "),
    (r"\b(KAGE_HOLDER=\S+) \d+ \d+", "$1 <pid> <ticks>"),
    (r"\b([A-Z_]+_FILE_DESCRIPTOR)=\d+\b", "$1=<number>"),
    (r"(?m)^(kage_(?:reset|limit)_seconds\{.*\}) \d+$", "$1 <seconds>"),
];

/// Ids that kage or an agent generates. They are numbered within a text.
const IDS: &[(&str, &str)] = &[
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "uuid"),
    (r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b", "id"),
];

/// Counts by time slot. The same counts can be in one slot or in two.
const SLOTS: &str = r#""(requests|tokens)(": ?)\[(\[[\d,\[\]]*\])\]"#;

fn compiled(rules: &'static [(&str, &'static str)]) -> Vec<(Regex, &'static str)> {
    rules.iter().map(|&(pattern, with)| (Regex::new(pattern).unwrap(), with)).collect()
}

static COMPILED_RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(RULES));
static COMPILED_IDS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(IDS));
static COMPILED_SLOTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(SLOTS).unwrap());

/// The placeholders for the output of one sandbox.
pub(crate) struct Placeholders {
    names: [(String, &'static str); 4],
}

impl Placeholders {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let dir = sandbox.path("").display().to_string();
        let dir = dir.trim_end_matches('/').to_owned();
        // How claude names the folder for the transcripts of a directory.
        let folder = dir.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let program = kage().display().to_string();
        // A scenario may use another zone, so that its day does not end soon.
        let zone = sandbox.zone().to_owned();
        Self { names: [(program, "<kage>"), (dir, "<path>"), (folder, "<path>"), (zone, "UTC")] }
    }

    /// The text with placeholders.
    pub(crate) fn put_into(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, with) in &self.names {
            text = text.replace(name, with);
        }
        for (pattern, kind) in COMPILED_IDS.iter() {
            text = numbered(pattern, kind, &text);
        }
        for (pattern, with) in COMPILED_RULES.iter() {
            text = pattern.replace_all(&text, *with).into_owned();
        }
        let total = |found: &Captures<'_>| {
            let numbers = found[3].split(|letter: char| !letter.is_ascii_digit());
            let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
            let total: u64 = numbers.chunks(2).map(|slot| slot[1]).sum();
            format!("\"{}{}<slots, {total} in all>", &found[1], &found[2])
        };
        COMPILED_SLOTS.replace_all(&text, total).into_owned()
    }
}

/// Numbers the ids: the first is `<id>`, the next different one `<id 2>`.
fn numbered(pattern: &Regex, kind: &str, text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let placeholder = |found: &Captures<'_>| {
        let id = &found[0];
        let at = seen.iter().position(|known| known == id).unwrap_or_else(|| {
            seen.push(id.to_owned());
            seen.len() - 1
        });
        if at == 0 { format!("<{kind}>") } else { format!("<{kind} {}>", at + 1) }
    };
    pattern.replace_all(text, placeholder).into_owned()
}

#[test]
fn only_what_differs_between_runs_gets_a_placeholder() {
    let sandbox = Sandbox::new();
    let home = sandbox.path("home").display().to_string();
    let folder = home.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    for (text, expected) in [
        (home.as_str(), "<path>/home"),
        (folder.as_str(), "<path>-home"),
        ("2026-11-22T10:00:00.123Z 2026-11-22T10:00:00Z", "<time> <time>"),
        ("2024-03-05T10:00:00Z 2099-12-31T00:00:00Z", "2024-03-05T10:00:00Z 2099-12-31T00:00:00Z"),
        ("2001-02-03T04:05:06.789Z", "2001-02-03T04:05:06.789Z"),
        ("2026-11-22 2024-03-05 2026-11.jsonl", "<date> 2024-03-05 <month>.jsonl"),
        ("until 13:00 (1h 12m)", "until <clock> (<span>)"),
        ("until Nov 25 13:00 (2d 22h)", "until <clock> (<span>)"),
        ("until 2027-01-02 13:00 (45s)", "until <clock> (<span>)"),
        ("\"pid\": 4711, \"started\":815", "\"pid\": <pid>, \"started\":<ticks>"),
        ("\"duration_ms\":0,\"duration_ms\":12", "\"duration_ms\":0,\"duration_ms\":<ms>"),
        ("\"duration_ms\": 1000000", "\"duration_ms\": 1000000"),
        ("\"tokens\":[[99,2],[100,40]]", "\"tokens\":<slots, 42 in all>"),
        ("\"tokens\":{\"input_tokens\":12}", "\"tokens\":{\"input_tokens\":12}"),
        ("0123456789abcdef fedcba9876543210 0123456789abcdef", "<id> <id 2> <id>"),
        ("12345678-1234-4234-8234-123456789abc", "<uuid>"),
        ("kage_reset_seconds{window=\"five_hour\"} 17", "kage_reset_seconds{window=\"five_hour\"} <seconds>"),
    ] {
        assert_eq!(Placeholders::of(&sandbox).put_into(text), expected);
    }
}
