//! Reads the parts of Claude Code's command line that kage needs: whether it starts a conversation, in which
//! session, and with which settings. Source: `claude --help` of 2.1.332.

use std::ffi::{OsStr, OsString};
use std::ops::Range;

/// What the command line starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    Conversation(Conversation),
    /// A subcommand, `--help`, `--version`: kage does not change these.
    Other,
}

/// A terminal session, or one answer with `-p`.
// Each is a flag of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    pub session: Session,
    /// `--print`; if standard output is not a terminal, the agent prints anyway.
    pub prints: bool,
    /// `--output-format`.
    pub output: Option<OsString>,
    /// Whether standard input contains prompts as JSON lines; there may be any number of them.
    pub input_is_lines: bool,
    /// `--no-session-persistence`: the agent keeps no record.
    pub is_ephemeral: bool,
    /// `--bare`: the agent accepts only an API key.
    pub is_bare: bool,
    pub model: Option<OsString>,
    /// The last `--settings` (the agent ignores earlier ones): the range of its arguments, and its value.
    pub settings: Option<(Range<usize>, OsString)>,
}

/// The session of the conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Session {
    /// A new one; kage can choose its id.
    #[default]
    Unset,
    /// `--session-id`.
    Given(String),
    /// `--resume ID`.
    Resumed(String),
    /// `--continue`.
    Latest,
    /// The agent decides or asks.
    Unknown,
}

const SUBCOMMANDS: [&str; 25] = [
    "agents",
    "attach",
    "auth",
    "auto-mode",
    "config",
    "doctor",
    "gateway",
    "help",
    "import",
    "install",
    "kill",
    "logs",
    "mcp",
    "migrate-installer",
    "plugin",
    "plugins",
    "purge",
    "remote-control",
    "respawn",
    "rm",
    "setup-token",
    "stop",
    "ultrareview",
    "update",
    "upgrade",
];

/// Options that print something and exit, or that move the conversation out of this process.
const NO_CONVERSATION: [&str; 7] = ["--help", "-h", "--version", "-v", "--cloud", "--teleport", "--desktop"];

const WITH_VALUE: [&str; 23] = [
    "--agent",
    "--agents",
    "--append-system-prompt",
    "--append-system-prompt-file",
    "--autocompact",
    "--debug-file",
    "--effort",
    "--environment",
    "--fallback-model",
    "--json-schema",
    "--max-budget-usd",
    "--max-turns",
    "--name",
    "--permission-mode",
    "--permission-prompt-tool",
    "--permission-prompts",
    "--plugin-dir",
    "--plugin-url",
    "--remote-control-session-name-prefix",
    "--setting-sources",
    "--system-prompt",
    "--system-prompt-file",
    "--system-prompt-snapshot",
];

/// Options that choose the session. They are removed when another attempt resumes the session. So are the
/// options that create a worktree: a resumed session returns to its own worktree automatically, and these
/// options would create another one, without the work done in the first.
const CHOOSE_SESSION: [&str; 7] =
    ["--continue", "--fork-session", "--from-pr", "--resume", "--session-id", "--tmux", "--worktree"];

const WITH_OPTIONAL_VALUE: [&str; 4] = ["--debug", "--prompt-suggestions", "--remote-control", "--worktree"];

const WITH_VALUES: [&str; 9] = [
    "--add-dir",
    "--allowed-tools",
    "--allowedTools",
    "--betas",
    "--disallowed-tools",
    "--disallowedTools",
    "--file",
    "--mcp-config",
    "--tools",
];

/// Reads a command line without its program.
pub(super) fn read(args: &[OsString]) -> Invocation {
    Reader::read_all(args)
        .map_or(Invocation::Other, |reader| Invocation::Conversation(reader.seen.conversation()))
}

/// Returns the command line that resumes a session: the same options, without the prompt and without the
/// choice of a session. The new prompt comes before the options, so that none of them can swallow it.
pub(super) fn resume_args(args: &[OsString], session: &str, prompt: &str) -> Vec<OsString> {
    let kept = Reader::read_all(args).map(|reader| reader.kept).unwrap_or_default();
    ["--resume", session, prompt].into_iter().map(OsString::from).chain(kept).collect()
}

// Each is a flag of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Seen {
    session_id: Option<OsString>,
    resumes: bool,
    /// The value of `--resume`, if it has one.
    resume: Option<OsString>,
    from_pr: bool,
    continues: bool,
    forks: bool,
    prints: bool,
    output: Option<OsString>,
    input_is_lines: bool,
    is_ephemeral: bool,
    is_bare: bool,
    model: Option<OsString>,
    settings: Option<(Range<usize>, OsString)>,
    positional: bool,
}

impl Seen {
    fn conversation(self) -> Conversation {
        let session = if let Some(id) = self.session_id {
            Session::Given(id.to_string_lossy().into_owned())
        } else if self.from_pr {
            Session::Unknown
        } else if self.forks && (self.continues || self.resume.is_some()) {
            Session::Unset // the fork is a new session, and kage can choose its id
        } else {
            match self.resume.and_then(|id| uuid::Uuid::parse_str(id.to_str()?).ok()) {
                Some(id) => Session::Resumed(id.to_string()),
                None if self.resumes => Session::Unknown,
                None if self.continues => Session::Latest,
                None => Session::Unset,
            }
        };
        Conversation {
            session,
            prints: self.prints,
            output: self.output,
            input_is_lines: self.input_is_lines,
            is_ephemeral: self.is_ephemeral,
            is_bare: self.is_bare,
            model: self.model,
            settings: self.settings,
        }
    }
}

enum Step {
    Next,
    Ended,
    Other,
}

struct Reader<'a> {
    args: &'a [OsString],
    at: usize,
    seen: Seen,
    /// The options that another attempt keeps.
    kept: Vec<OsString>,
}

impl<'a> Reader<'a> {
    /// Reads all arguments; `None` if they start no conversation.
    fn read_all(args: &'a [OsString]) -> Option<Self> {
        let mut reader = Self { args, at: 0, seen: Seen::default(), kept: Vec::new() };
        while reader.at < args.len() {
            match reader.step() {
                Step::Ended => break,
                Step::Other => return None,
                Step::Next => {}
            }
        }
        Some(reader)
    }

    fn step(&mut self) -> Step {
        let start = self.at;
        let arg = self.args[start].clone();
        self.at += 1;
        let Some(text) = arg.to_str() else {
            self.seen.positional = true;
            return Step::Next;
        };
        if text == "--" {
            return Step::Ended;
        }
        if !text.starts_with('-') || text == "-" {
            // Only the first word can be a subcommand; all words after it belong to the prompt.
            let first = !std::mem::replace(&mut self.seen.positional, true);
            return if first && SUBCOMMANDS.contains(&text) { Step::Other } else { Step::Next };
        }
        if !text.starts_with("--") {
            return self.short(&text[1..], start);
        }
        let (option, value) = match text.split_once('=') {
            Some((option, value)) => (option, Some(value.into())),
            None => (text, None),
        };
        let step = self.long(option, value, start);
        if !CHOOSE_SESSION.contains(&option) {
            self.kept.extend_from_slice(&self.args[start..self.at]);
        }
        step
    }

    fn long(&mut self, option: &str, value: Option<OsString>, start: usize) -> Step {
        if NO_CONVERSATION.contains(&option) {
            return Step::Other;
        }
        match option {
            "--print" => self.seen.prints = true,
            "--output-format" => self.seen.output = value.or_else(|| self.take()),
            "--input-format" => {
                self.seen.input_is_lines =
                    value.or_else(|| self.take()).is_some_and(|is| is == "stream-json");
            }
            "--no-session-persistence" => self.seen.is_ephemeral = true,
            "--bare" => self.seen.is_bare = true,
            "--continue" => self.seen.continues = true,
            "--fork-session" => self.seen.forks = true,
            "--session-id" => self.seen.session_id = value.or_else(|| self.take()),
            "--model" => self.seen.model = value.or_else(|| self.take()),
            "--resume" => {
                self.seen.resumes = true;
                self.seen.resume = value.or_else(|| self.take_optional());
            }
            "--from-pr" => {
                self.seen.from_pr = true;
                value.or_else(|| self.take_optional());
            }
            "--settings" => {
                if let Some(value) = value.or_else(|| self.take()) {
                    self.seen.settings = Some((start..self.at, value));
                }
            }
            _ if value.is_some() => {}
            _ if WITH_VALUE.contains(&option) => drop(self.take()),
            _ if WITH_OPTIONAL_VALUE.contains(&option) => drop(self.take_optional()),
            _ if WITH_VALUES.contains(&option) => while self.take_optional().is_some() {},
            _ => {}
        }
        Step::Next
    }

    /// `-p`, `-c`, `-r ID`, `-rID`, `-w NAME`, and clusters such as `-pc`.
    fn short(&mut self, letters: &str, start: usize) -> Step {
        let mut kept = String::from("-");
        let mut keeps_value = true;
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            let attached = (!rest.is_empty()).then(|| OsString::from(rest));
            match letter {
                'h' | 'v' => return Step::Other,
                'c' => {
                    self.seen.continues = true;
                    continue;
                }
                'p' => self.seen.prints = true,
                'r' => {
                    self.seen.resumes = true;
                    self.seen.resume = attached.or_else(|| self.take_optional());
                    keeps_value = false;
                    break;
                }
                'w' => {
                    let _ = attached.or_else(|| self.take_optional());
                    keeps_value = false;
                    break;
                }
                'n' | 'd' => {
                    kept += &letters[at..];
                    let _ =
                        attached.or_else(|| if letter == 'n' { self.take() } else { self.take_optional() });
                    break;
                }
                _ => {}
            }
            kept.push(letter);
        }
        if kept.len() > 1 {
            // The words after this one are the value of its last letter, so they are kept or removed with it.
            let values = if keeps_value { start + 1..self.at } else { self.at..self.at };
            self.kept.push(kept.into());
            self.kept.extend_from_slice(&self.args[values]);
        }
        Step::Next
    }

    /// Takes the required value of an option.
    fn take(&mut self) -> Option<OsString> {
        let value = self.args.get(self.at)?.clone();
        self.at += 1;
        Some(value)
    }

    /// Takes the optional value of an option: the next word, unless it looks like an option.
    fn take_optional(&mut self) -> Option<OsString> {
        let looks_like_option =
            |arg: &OsStr| arg.to_str().is_some_and(|text| text.starts_with('-') && text != "-");
        if looks_like_option(self.args.get(self.at)?) { None } else { self.take() }
    }
}

#[cfg(test)]
mod tests;
