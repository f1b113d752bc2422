//! Reading Codex's command line as far as kage must: is this one answer or a session at the terminal, of
//! which conversation, and which words of it are the prompt. Source: the helps of 0.169.0.

use std::ffi::{OsStr, OsString};

/// What the command line starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    Conversation(Conversation),
    /// Another subcommand, `--help`, `--version`: runs untouched.
    Other,
}

/// A session at the terminal, or one answer with `exec`.
// Each is a flag of the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    /// Where the options of the conversation begin: behind `exec`, else at the front.
    pub options_at: usize,
    /// Whether it is `exec`, which answers once and ends.
    pub prints: bool,
    /// `--json`.
    pub as_lines: bool,
    pub session: Session,
    pub model: Option<OsString>,
    /// `--cd`.
    pub cwd: Option<OsString>,
    /// `--ephemeral`: no record, and nothing to resume.
    pub forgets: bool,
    /// `--oss`: a model on this machine, which needs no credential.
    pub local: bool,
    /// Arguments that only say how the conversation opens: its prompt, its images, which session it is.
    pub opening: Vec<usize>,
}

/// Which session the conversation will be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Session {
    /// A new one, or a copy.
    #[default]
    New,
    /// `resume ID`.
    Resumed(String),
    /// `resume --last`.
    Latest,
    /// A name, or one that the agent asks for.
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

/// Options of `resume` alone. They have no value, and `resume ID` needs none of them.
const OF_RESUME: [&str; 3] = ["--last", "--all", "--include-non-interactive"];

/// Words in front of which a first word is no prompt, but a subcommand that is no conversation.
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

/// The same command going on with a session: its options stay, what opened the conversation goes. Some
/// options are known to `exec` and not to `resume`, so all stand in front of it.
pub(super) fn resuming(args: &[OsString], session: &str, prompt: &str) -> Vec<OsString> {
    let Invocation::Conversation(conversation) = read(args) else { return args.to_vec() };
    let stays = |&(at, _): &(usize, &OsString)| !conversation.opening.contains(&at);
    let kept = args.iter().enumerate().filter(stays).map(|(_, arg)| arg.clone());
    kept.chain(["resume", session, prompt].map(OsString::from)).collect()
}

/// What the words without a dash are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A subcommand may come, or the prompt.
    Front,
    /// Behind `exec`: a subcommand of it may come, or the prompt.
    Exec,
    /// Behind `resume`: the session, and the prompt.
    Resume,
    /// Behind `fork`, which begins a new session from another one.
    Fork,
    Review,
    Prompt,
}

struct Reader<'a> {
    args: &'a [OsString],
    at: usize,
    place: Place,
    /// The first word behind `resume`.
    named: Option<OsString>,
    latest: bool,
    seen: Conversation,
}

impl<'a> Reader<'a> {
    fn new(args: &'a [OsString]) -> Self {
        let seen = Conversation::default();
        Self { args, at: 0, place: Place::Front, named: None, latest: false, seen }
    }

    /// Reads one argument with its values; `false` where this is no conversation.
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
        match (self.place, word) {
            (Place::Front, "exec" | "e") => {
                (self.place, self.seen.prints, self.seen.options_at) = (Place::Exec, true, at + 1);
                return true;
            }
            (Place::Front, word) if OTHER_SUBCOMMANDS.contains(&word) => return false,
            (Place::Exec, "help") => return false,
            (Place::Front | Place::Exec, "resume") => self.place = Place::Resume,
            (Place::Front | Place::Exec, "fork") => self.place = Place::Fork,
            (Place::Front | Place::Exec, "review") => (self.place, self.seen.prints) = (Place::Review, true),
            _ => return self.positional(at),
        }
        self.seen.opening.push(at);
        true
    }

    fn positional(&mut self, at: usize) -> bool {
        self.seen.opening.push(at);
        match self.place {
            Place::Front | Place::Exec => self.place = Place::Prompt,
            Place::Resume if self.named.is_none() => self.named = Some(self.args[at].clone()),
            _ => {}
        }
        true
    }

    fn long(&mut self, at: usize, option: &str, value: Option<OsString>) -> bool {
        match option {
            "--help" | "--version" => return false,
            "--json" | "--experimental-json" => self.seen.as_lines = true,
            "--ephemeral" => self.seen.forgets = true,
            "--oss" => self.seen.local = true,
            "--model" => self.seen.model = value.or_else(|| self.take()),
            "--cd" => self.seen.cwd = value.or_else(|| self.take()),
            "--config" => {
                let setting = value.or_else(|| self.take());
                self.setting(setting.as_deref());
            }
            "--image" => self.images(at, value.is_some()),
            _ if OF_RESUME.contains(&option) => {
                self.latest |= option == "--last";
                self.seen.opening.push(at);
            }
            _ if value.is_none() && WITH_VALUE.contains(&option) => drop(self.take()),
            _ => {}
        }
        true
    }

    /// `-m NAME`, `-mNAME`, `-m=NAME`; no short option without a value matters.
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

    /// `-c model="..."` names a model too.
    fn setting(&mut self, setting: Option<&OsStr>) {
        let model = setting.and_then(OsStr::to_str).and_then(|setting| setting.trim().strip_prefix("model"));
        if let Some(value) = model.and_then(|rest| rest.trim_start().strip_prefix('=')) {
            self.seen.model = Some(value.trim().trim_matches(['"', '\'']).into());
        }
    }

    /// `--image` takes every word up to the next option, a prompt too.
    fn images(&mut self, at: usize, attached: bool) {
        let words = self.args[self.at..].iter();
        let is_word = |arg: &&OsString| arg.to_str().is_none_or(|text| !text.starts_with('-') || text == "-");
        self.at += if attached { 0 } else { words.take_while(is_word).count() };
        self.seen.opening.extend(at..self.at);
    }

    /// The value that an option must have.
    fn take(&mut self) -> Option<OsString> {
        let value = self.args.get(self.at)?.clone();
        self.at += 1;
        Some(value)
    }

    fn conversation(self) -> Conversation {
        let id = self.named.as_ref().and_then(|id| uuid::Uuid::parse_str(id.to_str()?).ok());
        let session = match (self.place, id) {
            (Place::Review, _) => Session::Review,
            (Place::Resume, _) if self.latest => Session::Latest,
            (Place::Resume, Some(id)) => Session::Resumed(id.to_string()),
            (Place::Resume, None) => Session::Unknown,
            _ => Session::New,
        };
        Conversation { session, ..self.seen }
    }
}

#[cfg(test)]
mod tests;
