//! Reads the parts of Codex's command line that kage needs: whether it asks for one answer or a terminal
//! session, in which conversation, and which words are the prompt. Source: the help texts of 0.171.0.

use std::ffi::{OsStr, OsString};

/// What the command line starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    Conversation(Conversation),
    /// Another subcommand, `--help`, `--version`: kage does not change these.
    Other,
}

/// A terminal session, or one answer with `exec`.
// Each is a flag of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    /// The index at which options can be added: after `exec`, otherwise at the front.
    pub options_at: usize,
    /// Whether it is `exec` or `review`, which answers once and exits.
    pub prints: bool,
    /// `--json`.
    pub as_lines: bool,
    pub session: Session,
    pub model: Option<OsString>,
    /// `--cd`.
    pub cwd: Option<OsString>,
    /// `--ephemeral`: the agent keeps no record.
    pub is_ephemeral: bool,
    /// `--oss`: a local model, which needs no credential.
    pub local: bool,
    /// The indexes of the arguments that a resumed command drops: its prompt, images and session.
    pub opening: Vec<usize>,
}

/// The session of the conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Session {
    /// A new one, or a fork.
    #[default]
    New,
    /// `resume ID`.
    Resumed(String),
    /// `resume --last`.
    Latest,
    /// One given by name, or one that the user chooses inside the agent.
    Unknown,
    /// `review`.
    Review,
}

const WITH_VALUE: [&str; 17] = [
    "--add-dir",
    "--ask-for-approval",
    "--base",
    "--color",
    "--commit",
    "--cyber-access-program",
    "--disable",
    "--enable",
    "--local-provider",
    "--output-last-message",
    "--output-schema",
    "--profile",
    "--remote",
    "--remote-auth-token-env",
    "--sandbox",
    "--thread-source",
    "--title",
];

/// Options of `resume` only. They have no value, and `resume ID` needs none of them.
const RESUME_OPTIONS: [&str; 3] = ["--last", "--all", "--include-non-interactive"];

/// Subcommands that start no conversation.
const OTHER_SUBCOMMANDS: [&str; 25] = [
    "a",
    "agents",
    "app-server",
    "apply",
    "archive",
    "cloud",
    "completion",
    "debug",
    "delete",
    "doctor",
    "exec-server",
    "features",
    "help",
    "login",
    "logout",
    "mcp",
    "mcp-server",
    "migrate-nfs-db",
    "migrate-rollouts",
    "plugin",
    "queue",
    "remote-control",
    "sandbox",
    "unarchive",
    "update",
];

/// Reads a command line without its program.
pub(super) fn read(args: &[OsString]) -> Invocation {
    let mut reader = Reader::new(args);
    while reader.at < args.len() {
        if !reader.step() {
            return Invocation::Other;
        }
    }
    Invocation::Conversation(reader.conversation())
}

/// Returns the command line that resumes a session: the same options, without the arguments that opened the
/// conversation. `resume` does not accept all options of `exec`, so all options come before `resume`.
pub(super) fn resume_args(args: &[OsString], session: &str, prompt: &str) -> Vec<OsString> {
    let Invocation::Conversation(conversation) = read(args) else { return args.to_vec() };
    let is_kept = |&(at, _): &(usize, &OsString)| !conversation.opening.contains(&at);
    let kept = args.iter().enumerate().filter(is_kept).map(|(_, arg)| arg.clone());
    kept.chain(["resume", session, prompt].map(OsString::from)).collect()
}

/// What the next word without a dash can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// A subcommand, or the prompt.
    Front,
    /// After `exec`: one of its subcommands, or the prompt.
    Exec,
    /// After `resume`: the session, then the prompt.
    Resume,
    /// After `fork`, which begins a new session from another one.
    Fork,
    Review,
    Prompt,
}

struct Reader<'a> {
    args: &'a [OsString],
    at: usize,
    position: Position,
    /// The first word after `resume`.
    named: Option<OsString>,
    latest: bool,
    seen: Conversation,
}

impl<'a> Reader<'a> {
    fn new(args: &'a [OsString]) -> Self {
        let seen = Conversation::default();
        Self { args, at: 0, position: Position::Front, named: None, latest: false, seen }
    }

    /// Reads one argument with its values; `false` if the command starts no conversation.
    fn step(&mut self) -> bool {
        let at = self.at;
        self.at += 1;
        let text = self.args[at].to_str().unwrap_or_default();
        if text == "--" {
            self.seen.opening.push(at);
            while self.at < self.args.len() {
                self.positional(self.at);
                self.at += 1;
            }
            return true;
        }
        if !text.starts_with('-') || text == "-" {
            return self.word(at);
        }
        match text.split_once('=') {
            Some((option, value)) if text.starts_with("--") => self.long(at, option, Some(value.into())),
            _ if text.starts_with("--") => self.long(at, text, None),
            _ => self.short(at, &text[1..]),
        }
    }

    /// A subcommand, or a positional argument.
    fn word(&mut self, at: usize) -> bool {
        let word = self.args[at].to_str().unwrap_or_default();
        match (self.position, word) {
            (Position::Front, "exec" | "e") => {
                (self.position, self.seen.prints, self.seen.options_at) = (Position::Exec, true, at + 1);
                return true;
            }
            (Position::Front, word) if OTHER_SUBCOMMANDS.contains(&word) => return false,
            (Position::Exec, "help") => return false,
            (Position::Front | Position::Exec, "resume") => self.position = Position::Resume,
            (Position::Front | Position::Exec, "fork") => self.position = Position::Fork,
            (Position::Front | Position::Exec, "review") => {
                (self.position, self.seen.prints) = (Position::Review, true);
            }
            _ => return self.positional(at),
        }
        self.seen.opening.push(at);
        true
    }

    fn positional(&mut self, at: usize) -> bool {
        self.seen.opening.push(at);
        match self.position {
            Position::Front | Position::Exec => self.position = Position::Prompt,
            Position::Resume if self.named.is_none() => self.named = Some(self.args[at].clone()),
            _ => {}
        }
        true
    }

    fn long(&mut self, at: usize, option: &str, value: Option<OsString>) -> bool {
        match option {
            "--help" | "--version" => return false,
            "--json" | "--experimental-json" => self.seen.as_lines = true,
            "--ephemeral" => self.seen.is_ephemeral = true,
            "--oss" => self.seen.local = true,
            "--model" => self.seen.model = value.or_else(|| self.take()),
            "--cd" => self.seen.cwd = value.or_else(|| self.take()),
            "--config" => {
                let setting = value.or_else(|| self.take());
                self.setting(setting.as_deref());
            }
            "--image" => self.images(at, value.is_some()),
            _ if RESUME_OPTIONS.contains(&option) => {
                self.latest |= option == "--last";
                self.seen.opening.push(at);
            }
            _ if value.is_none() && WITH_VALUE.contains(&option) => drop(self.take()),
            _ => {}
        }
        true
    }

    /// `-m NAME`, `-mNAME`, `-m=NAME`. Other short options without a value do not matter.
    fn short(&mut self, at: usize, letters: &str) -> bool {
        let mut rest = letters.chars();
        let letter = rest.next();
        let attached = rest.as_str().strip_prefix('=').unwrap_or(rest.as_str());
        let attached = (!attached.is_empty()).then(|| OsString::from(attached));
        match letter {
            Some('h' | 'V') => return false,
            Some('i') => self.images(at, attached.is_some()),
            Some('m') => self.seen.model = attached.or_else(|| self.take()),
            Some('C') => self.seen.cwd = attached.or_else(|| self.take()),
            Some('c') => {
                let setting = attached.or_else(|| self.take());
                self.setting(setting.as_deref());
            }
            Some('p' | 's' | 'a' | 'o') if attached.is_none() => drop(self.take()),
            _ => {}
        }
        true
    }

    /// `-c model="..."` also names a model.
    fn setting(&mut self, setting: Option<&OsStr>) {
        let model = setting.and_then(OsStr::to_str).and_then(|setting| setting.trim().strip_prefix("model"));
        if let Some(value) = model.and_then(|rest| rest.trim_start().strip_prefix('=')) {
            self.seen.model = Some(value.trim().trim_matches(['"', '\'']).into());
        }
    }

    /// `--image` takes all words up to the next option, even a prompt.
    fn images(&mut self, at: usize, attached: bool) {
        let words = self.args[self.at..].iter();
        let is_word = |arg: &&OsString| arg.to_str().is_none_or(|text| !text.starts_with('-') || text == "-");
        self.at += if attached { 0 } else { words.take_while(is_word).count() };
        self.seen.opening.extend(at..self.at);
    }

    /// Takes the required value of an option.
    fn take(&mut self) -> Option<OsString> {
        let value = self.args.get(self.at)?.clone();
        self.at += 1;
        Some(value)
    }

    fn conversation(self) -> Conversation {
        let id = self.named.as_ref().and_then(|id| uuid::Uuid::parse_str(id.to_str()?).ok());
        let session = match (self.position, id) {
            (Position::Review, _) => Session::Review,
            (Position::Resume, _) if self.latest => Session::Latest,
            (Position::Resume, Some(id)) => Session::Resumed(id.to_string()),
            (Position::Resume, None) => Session::Unknown,
            _ => Session::New,
        };
        Conversation { session, ..self.seen }
    }
}

#[cfg(test)]
mod tests;
