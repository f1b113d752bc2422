//! Reads the parts of Gemini CLI's command line that kage needs: whether it starts a conversation, in which
//! session, and in which output format. Source: `gemini --help` of 0.61.0, and the behavior of its parser
//! (yargs).

use std::ffi::OsString;

/// What the command line starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    Conversation(Conversation),
    /// A subcommand, `--help`, a list, a protocol for editors: kage does not change these.
    Other,
}

/// A conversation at the terminal or with `-p`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    pub session: Session,
    /// `--prompt`. Without a terminal the agent prints anyway.
    pub prints: bool,
    /// `--output-format`.
    pub output: Option<OsString>,
    pub model: Option<OsString>,
    /// `--worktree`: the agent works in a directory that it creates.
    pub worktree: bool,
}

/// The session of the conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Session {
    /// A new one, whose id kage may choose.
    #[default]
    Unset,
    /// `--session-id`.
    Given(String),
    /// `--resume ID`.
    Resumed(String),
    /// `--resume`, `--resume latest`.
    Latest,
    /// Named by a number or a file.
    Unknown,
}

const SUBCOMMANDS: [&str; 8] =
    ["extension", "extensions", "gemma", "hook", "hooks", "mcp", "skill", "skills"];

const NO_CONVERSATION: [&str; 7] = [
    "--acp",
    "--delete-session",
    "--experimental-acp",
    "--help",
    "--list-extensions",
    "--list-sessions",
    "--version",
];

const WITH_VALUE: [&str; 10] = [
    "--admin-policy",
    "--allowed-mcp-server-names",
    "--allowed-tools",
    "--approval-mode",
    "--extensions",
    "--fake-responses",
    "--fake-responses-non-strict",
    "--include-directories",
    "--policy",
    "--record-responses",
];

/// Options that another attempt must not repeat: it has its own prompt and resumes a known session.
const NOT_KEPT: [&str; 5] =
    ["--prompt", "--prompt-interactive", "--resume", "--session-file", "--session-id"];

/// Reads the arguments after the program.
pub(super) fn read(args: &[OsString]) -> Invocation {
    Reader::read_all(args).map_or(Invocation::Other, |reader| Invocation::Conversation(reader.seen))
}

/// Returns the arguments that resume a session with another prompt. The options are kept. The prompt is
/// passed with `--prompt` if the original one was, otherwise as a positional argument.
pub(super) fn resume_args(args: &[OsString], session: &str, prompt: &str) -> Vec<OsString> {
    let Some(Reader { seen, kept, .. }) = Reader::read_all(args) else { return args.to_vec() };
    let opening: &[&str] = if seen.prints {
        &["--resume", session, "--prompt", prompt]
    } else {
        // A positional argument is a prompt, with and without a terminal.
        &["--resume", session, prompt]
    };
    opening.iter().map(OsString::from).chain(kept).collect()
}

struct Reader<'a> {
    args: &'a [OsString],
    at: usize,
    seen: Conversation,
    positional: bool,
    /// The options that another attempt repeats.
    kept: Vec<OsString>,
}

impl<'a> Reader<'a> {
    /// Reads all arguments; `None` if they do not start a conversation.
    fn read_all(args: &'a [OsString]) -> Option<Self> {
        let seen = Conversation::default();
        let mut reader = Self { args, at: 0, seen, positional: false, kept: Vec::new() };
        while let Some(arg) = args.get(reader.at) {
            reader.at += 1;
            match arg.to_str() {
                Some("--") => break,
                Some(text) if text.starts_with('-') && text != "-" => reader.option(text)?,
                Some(text) => {
                    // Only the first positional argument can be a subcommand; the others are the prompt.
                    let first = !std::mem::replace(&mut reader.positional, true);
                    if first && SUBCOMMANDS.contains(&text) {
                        return None;
                    }
                }
                None => reader.positional = true,
            }
        }
        Some(reader)
    }

    /// Reads a long option or a group of short ones, with the value.
    fn option(&mut self, text: &str) -> Option<()> {
        let start = self.at - 1;
        let (names, value) = match text.split_once('=') {
            Some((names, value)) => (names, Some(OsString::from(value))),
            None => (text, None),
        };
        if names.starts_with("--") {
            let name = kebab(names);
            self.apply(&name, value)?;
            if !NOT_KEPT.contains(&name.as_str()) {
                self.kept.extend_from_slice(&self.args[start..self.at]);
            }
            return Some(());
        }
        self.letters(&names[1..], value)
    }

    /// Reads short options in one argument. Only the last can have a value.
    fn letters(&mut self, letters: &str, value: Option<OsString>) -> Option<()> {
        let last = letters.chars().count().saturating_sub(1);
        for (at, letter) in letters.chars().enumerate() {
            let name = long(letter);
            let before = self.at;
            let value = if at == last { value.clone() } else { None };
            if at == last {
                self.apply(name, value.clone())?;
            } else {
                self.apply_without_value(name)?;
            }
            if !NOT_KEPT.contains(&name) {
                let spelled = value.map_or_else(
                    || format!("-{letter}").into(),
                    |value| {
                        let mut spelled = OsString::from(format!("-{letter}="));
                        spelled.push(value);
                        spelled
                    },
                );
                self.kept.push(spelled);
                self.kept.extend_from_slice(&self.args[before..self.at]);
            }
        }
        Some(())
    }

    /// Applies a short option that is not the last one in its argument.
    fn apply_without_value(&mut self, name: &str) -> Option<()> {
        self.seen.prints |= name == "--prompt";
        (!NO_CONVERSATION.contains(&name)).then_some(())
    }

    fn apply(&mut self, name: &str, value: Option<OsString>) -> Option<()> {
        if NO_CONVERSATION.contains(&name) {
            return None;
        }
        match name {
            "--prompt" => {
                self.seen.prints = true;
                value.or_else(|| self.value());
            }
            "--prompt-interactive" => drop(value.or_else(|| self.value())),
            "--output-format" => self.seen.output = value.or_else(|| self.value()),
            "--model" => self.seen.model = value.or_else(|| self.value()),
            "--session-id" => {
                let id = value.or_else(|| self.value());
                let id = id.map(|id| id.to_string_lossy().trim().to_owned());
                self.seen.session = id.map_or(Session::Unknown, Session::Given);
            }
            "--session-file" => {
                value.or_else(|| self.value());
                self.seen.session = Session::Unknown;
            }
            "--resume" => self.seen.session = resumed(value.or_else(|| self.optional())),
            "--worktree" => {
                value.or_else(|| self.optional());
                self.seen.worktree = true;
            }
            _ if value.is_some() => {}
            _ if WITH_VALUE.contains(&name) => drop(self.value()),
            _ => self.skip_boolean(),
        }
        Some(())
    }

    /// Reads the required value of an option.
    fn value(&mut self) -> Option<OsString> {
        let value = self.args.get(self.at)?.clone();
        self.at += 1;
        Some(value)
    }

    /// Reads the optional value of an option: the next argument, unless it looks like an option.
    fn optional(&mut self) -> Option<OsString> {
        let is_option = |arg: &OsString| arg.to_str().is_some_and(|text| text.starts_with('-'));
        if is_option(self.args.get(self.at)?) { None } else { self.value() }
    }

    /// Skips the next argument if it is the value of a switch.
    fn skip_boolean(&mut self) {
        if self.args.get(self.at).is_some_and(|next| next == "true" || next == "false") {
            self.at += 1;
        }
    }
}

/// Returns the long name of a short option.
fn long(letter: char) -> &'static str {
    match letter {
        'e' => "--extensions",
        'h' => "--help",
        'i' => "--prompt-interactive",
        'l' => "--list-extensions",
        'm' => "--model",
        'o' => "--output-format",
        'p' => "--prompt",
        'r' => "--resume",
        'v' => "--version",
        'w' => "--worktree",
        _ => "",
    }
}

/// Returns the name in kebab case: the agent also accepts `--outputFormat`.
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

fn resumed(which: Option<OsString>) -> Session {
    let which = which.map(|which| which.to_string_lossy().trim().to_owned()).unwrap_or_default();
    match which.as_str() {
        "" | "latest" => Session::Latest,
        id if uuid::Uuid::parse_str(id).is_ok() => Session::Resumed(which),
        _ => Session::Unknown,
    }
}

#[cfg(test)]
mod tests;
