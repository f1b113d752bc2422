//! A golden file: the commands of a scenario with their standard output, and in a second file with their
//! standard error.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::GOLDEN_FILES;
use crate::compare::compare_or_update;
use crate::json::compact;
use crate::placeholders::Placeholders;
use crate::support::{Call, Sandbox, kage, wait_until};

/// An output of at least this many lines is shown only once, and its JSON is shown in fewer lines.
const LONG: usize = 5;

/// The content of one golden file.
pub(crate) struct GoldenFile {
    name: &'static str,
    placeholders: Placeholders,
    shapes: String,
    stderr: String,
    /// The first command that printed an output.
    first: HashMap<String, String>,
    /// How often a command was run.
    runs: HashMap<String, u32>,
}

impl GoldenFile {
    pub(crate) fn new(name: &'static str, sandbox: &Sandbox) -> Self {
        assert!(GOLDEN_FILES.contains(&name), "{name} is not in the list of golden files");
        Self {
            name,
            placeholders: Placeholders::of(sandbox),
            shapes: String::new(),
            stderr: String::new(),
            first: HashMap::new(),
            runs: HashMap::new(),
        }
    }

    /// Runs a command. Adds its output, and its exit status if that is not 0.
    pub(crate) fn run(&mut self, call: Call) -> &mut Self {
        let line = command_line(&call, &self.placeholders);
        let ran = call.run();
        let status = match ran.output.status.code() {
            Some(0) => String::new(),
            code => format!("   # {}", code.map_or("a signal".into(), |code| code.to_string())),
        };
        let answer = self.answer(&line, &ran.stdout());
        self.add(&format!("$ {line}{status}"), &answer);
        let stderr = ran.stderr();
        if !stderr.is_empty() {
            self.stderr += &format!("$ {line}\n{}\n", self.placeholders.put_into(&stderr));
        }
        self
    }

    /// Runs kage with these words, in the sandbox's working directory.
    pub(crate) fn kage(&mut self, sandbox: &Sandbox, line: &str) -> &mut Self {
        self.run(sandbox.kage(line.split(' ')))
    }

    /// What is shown of an output: a long one is shown only once.
    fn answer(&mut self, line: &str, printed: &str) -> String {
        let runs = self.runs.entry(line.to_owned()).or_default();
        *runs += 1;
        let command = if *runs == 1 { line.to_owned() } else { format!("{line} (run {runs})") };
        let text = self.placeholders.put_into(printed);
        if text.lines().count() < LONG {
            return text;
        }
        match self.first.entry(text.clone()) {
            Entry::Occupied(first) => format!("the same as: {}\n", first.get()),
            Entry::Vacant(entry) => {
                entry.insert(command);
                if text.starts_with("{\n") { compact(&text) } else { text }
            }
        }
    }

    /// Adds a text below a title.
    pub(crate) fn add(&mut self, title: &str, text: &str) -> &mut Self {
        let text = self.placeholders.put_into(text).replace('\r', "\\r").replace('\u{1b}', "\\e");
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\\ no newline\n" };
        self.shapes += &format!("{title}\n{text}{end}\n");
        self
    }

    /// Adds lines whose order is not stable, sorted.
    pub(crate) fn add_sorted(&mut self, title: &str, text: &str) -> &mut Self {
        let text = self.placeholders.put_into(text);
        let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
        lines.sort_unstable();
        self.add(title, &lines.concat())
    }

    /// Adds the events that `[events] command` wrote to `$HOME/events`, once it has ended.
    pub(crate) fn events(&mut self, sandbox: &Sandbox) -> &mut Self {
        wait_until("the end of the event commands", || !runs_in(&sandbox.path("work")));
        self.add_sorted("== the events", &sandbox.read("home/events"))
    }

    /// Adds a file of the sandbox, byte for byte.
    pub(crate) fn file(&mut self, sandbox: &Sandbox, inside: &str) -> &mut Self {
        self.add(&format!("== {inside}"), &sandbox.read(inside))
    }

    /// Adds the state with the changes of its log, and the ledger.
    pub(crate) fn stored(&mut self, sandbox: &Sandbox) -> &mut Self {
        let state = format!("{:#}\n", sandbox.state());
        let state = compact(&self.placeholders.put_into(&slots_on_a_line(&state)));
        self.add("== the state", &state).add("== the ledger", &ledger(sandbox))
    }

    fn files(&self) -> [(String, String); 2] {
        let [shapes, stderr] = file_names(self.name);
        [(shapes, without_blank_end(&self.shapes)), (stderr, without_blank_end(&self.stderr))]
    }
}

/// Whether any process has this as its working directory.
fn runs_in(dir: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .map(|process| process.path().join("cwd"))
        .any(|cwd| fs::read_link(cwd).is_ok_and(|cwd| cwd == dir))
}

/// The names of both files.
pub(crate) fn file_names(name: &str) -> [String; 2] {
    [format!("shapes/{name}.txt"), format!("stderr/{name}.txt")]
}

fn without_blank_end(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// Compares golden files with those that are checked in.
pub(crate) fn check(golden_files: &[GoldenFile]) {
    let files: Vec<_> = golden_files.iter().flat_map(GoldenFile::files).collect();
    compare_or_update(files.iter().map(|(name, text)| (name.clone(), text.as_str())));
}

/// The result of a scenario that counts days and hours. Runs it again if an hour ended in the meantime.
pub(crate) fn within_an_hour<T>(scenario: impl Fn() -> T) -> T {
    let hour = || Timestamp::now().as_second() / 3600;
    loop {
        let began = hour();
        let result = scenario();
        if hour() == began {
            return result;
        }
    }
}

/// A command as a user would type it: variables that are not the sandbox's, the program, and its arguments.
pub(crate) fn command_line(call: &Call, placeholders: &Placeholders) -> String {
    let text = |word: &OsStr| word.to_string_lossy().into_owned();
    let variables = call.command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
    let is_usual = |(name, value): &(String, String)| {
        ["PATH", "HOME", "LANG"].contains(&name.as_str())
            || (name == "TZ" && (value == "UTC" || value.starts_with("Etc/")))
    };
    let variables = variables.filter(|variable| !is_usual(variable));
    let variables = variables.map(|(name, value)| format!("{name}={}", quoted(&value)));
    let program = call.command.get_program();
    let program = if program == kage() { "kage".to_owned() } else { quoted(&text(program)) };
    let args = call.command.get_args().map(|word| quoted(&text(word)));
    let line = variables.chain([program]).chain(args).collect::<Vec<_>>().join(" ");
    placeholders.put_into(&line).replace('\n', "\\n")
}

fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+~".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        shlex::try_quote(word).unwrap().into_owned()
    }
}

/// Every line of the ledger, oldest month first.
pub(crate) fn ledger(sandbox: &Sandbox) -> String {
    let entries = fs::read_dir(sandbox.path("home/.local/state/kage/usage")).into_iter().flatten().flatten();
    let mut months: Vec<_> = entries.map(|entry| entry.path()).collect();
    months.retain(|path| path.extension().is_some_and(|is| is == "jsonl"));
    months.sort_unstable();
    months.into_iter().map(|month| fs::read_to_string(month).unwrap()).collect()
}

/// The state with the counts by time slot on one line each, as they are stored.
fn slots_on_a_line(state: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for line in state.lines() {
        let opens = matches!(line.trim_start(), "\"requests\": [" | "\"tokens\": [");
        if opens || depth > 0 {
            depth += line.matches('[').count();
            depth -= line.matches(']').count();
            text += if opens { line } else { line.trim() };
        } else {
            text += line;
        }
        if depth == 0 {
            text.push('\n');
        }
    }
    text
}
