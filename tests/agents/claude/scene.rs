//! A sandbox with the real Claude Code, and a stand-in provider that it sends its requests to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use crate::netns;
use crate::provider::{Provider, Request};
use crate::support::{Call, Ran, Sandbox, has_all};

/// What the provider counts for one answer: 12 tokens in, 34 out.
pub(crate) const ONE_ANSWER: u64 = 46;

pub(crate) struct Scene {
    pub sandbox: Sandbox,
    pub provider: Provider,
}

impl Scene {
    /// The scene of a test; `None` if the agent is missing or another process runs the test (see `netns`).
    pub(crate) fn of(test: impl Fn()) -> Option<Self> {
        Self::with_tool("true", test)
    }

    /// Like `of`, with a provider whose tool calls run this shell command.
    pub(crate) fn with_tool(command: &str, test: impl Fn()) -> Option<Self> {
        Self::inside(command, || netns::is_inside(test))
    }

    /// The scene of a test that measures time: no other test of the suite runs at the same time.
    pub(crate) fn alone(test: impl Fn()) -> Option<Self> {
        Self::inside("true", || netns::is_inside_alone(test))
    }

    fn inside(command: &str, is_inside: impl FnOnce() -> bool) -> Option<Self> {
        let agent = agent();
        if !has_all(&[agent.to_str()?]) || !is_inside() {
            return None;
        }
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("tmp")).unwrap();
        symlink(agent.canonicalize().unwrap(), sandbox.path("bin/claude")).unwrap();
        Some(Self { sandbox, provider: Provider::start_with_tool(command) })
    }

    /// Adds a subscription whose token ends in `tail`, and whose agent talks to this provider.
    pub(crate) fn add(&self, name: &str, tail: &str) -> &Self {
        self.sandbox.add_with(name, tail, &["--env", &self.address()]);
        self
    }

    /// Like `add`, but the strategy `priority` tries the subscription before all others.
    pub(crate) fn add_first(&self, name: &str, tail: &str) -> &Self {
        self.sandbox.add_with(name, tail, &["--priority", "200", "--env", &self.address()]);
        self
    }

    pub(crate) fn address(&self) -> String {
        format!("ANTHROPIC_BASE_URL={}", self.provider.url())
    }

    /// `kage exec -- claude` with these arguments.
    pub(crate) fn exec(&self, args: &[&str]) -> Call {
        self.kage_exec(&[&["claude"], args].concat())
    }

    /// `kage exec` of any command.
    pub(crate) fn kage_exec(&self, command: &[&str]) -> Call {
        self.kage(&[&["exec", "--"], command].concat())
    }

    /// kage with these arguments, in the environment of [`Self::prepared`].
    pub(crate) fn kage(&self, args: &[&str]) -> Call {
        self.prepared(self.sandbox.kage(args))
    }

    /// The agent without kage.
    pub(crate) fn bare(&self, args: &[&str]) -> Call {
        self.prepared(self.sandbox.call(&self.sandbox.path("bin/claude"), args))
    }

    /// Prepares the environment so that the agent sends only the requests for an answer, each once, and may
    /// run as root. It gets its own temporary directory: an agent of another user may have created the
    /// default one.
    pub(crate) fn prepared(&self, call: Call) -> Call {
        call.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("CLAUDE_CODE_MAX_RETRIES", "0")
            .env("IS_SANDBOX", "1")
            .env("TMPDIR", self.sandbox.path("tmp"))
    }

    /// Writes a settings file. Those in `home/.claude` are the user's, those in `work/.claude` the project's.
    pub(crate) fn settings(&self, inside: &str, settings: &Value) -> PathBuf {
        self.sandbox.write(inside, &settings.to_string())
    }

    /// The lines of the ledger.
    pub(crate) fn ledger(&self) -> Vec<Value> {
        let months = files_below(&self.sandbox.path("home/.local/state/kage/usage"));
        let text: String = months.iter().map(|month| fs::read_to_string(month).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The times of the provider's refusals in the agent's transcripts, in order.
    pub(crate) fn refusals(&self) -> Vec<Timestamp> {
        let files = files_below(&self.sandbox.path("home/.claude/projects"));
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        // The last row may still be incomplete.
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.filter(|row| row["isApiErrorMessage"] == true).map(|row| time(&row, "timestamp")).collect()
    }

    /// The subscription of each attempt in the ledger.
    pub(crate) fn ran_on(&self) -> Vec<String> {
        self.ledger().iter().map(|attempt| attempt["subscription"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn tokens_of(&self, name: &str) -> Value {
        self.sandbox.status_of(name)["tokens_today"].clone()
    }

    /// Checks that every request so far carried this token and no key, and that there was at least one.
    pub(crate) fn assert_only_token(&self, token: &str) {
        let bearer = format!("Bearer {token}");
        for request in self.some_requests() {
            assert_eq!(request.authorization.as_deref(), Some(bearer.as_str()), "{request:?}");
            assert_eq!(request.api_key, None, "{request:?}");
        }
    }

    /// All requests so far, of which there must be at least one.
    pub(crate) fn some_requests(&self) -> Vec<Request> {
        assert!(!self.provider.messages().is_empty(), "the provider received no request");
        self.provider.requests()
    }

    /// Checks that no merged settings remain of runs that have ended.
    pub(crate) fn assert_no_leftover(&self) {
        let left = files_below(&self.sandbox.path("home/.local/state/kage/settings"));
        assert_eq!(left, [] as [PathBuf; 0]);
    }
}

/// The time in this field of a row.
pub(crate) fn time(row: &Value, key: &str) -> Timestamp {
    row[key].as_str().unwrap().parse().unwrap()
}

/// The attempts of the run whose first attempt was on this subscription.
pub(crate) fn run_on<'a>(ledger: &'a [Value], name: &str) -> Vec<&'a Value> {
    let first = ledger.iter().find(|row| row["attempt"] == 1 && row["subscription"] == name).unwrap();
    ledger.iter().filter(|row| row["run"] == first["run"]).collect()
}

/// What the agent prints for an answer of the provider.
pub(crate) fn answer(behavior: &str) -> String {
    format!("Hello from the provider ({behavior}).\n")
}

/// The `hooks` setting that runs this command on an event.
pub(crate) fn hook(event: &str, command: &str) -> Value {
    serde_json::json!({ event: [{ "hooks": [{ "type": "command", "command": command }] }] })
}

/// All files in a directory and in the directories below it.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The agent under test.
fn agent() -> PathBuf {
    crate::support::agents().join("claude")
}

/// How kage reports settings that it disables because they would beat the credential.
pub(crate) const DISABLED: &str = "disabled in the agent's settings for this run: ";

/// Checks that kage printed exactly one line, and that it contains this.
pub(crate) fn assert_one_line(ran: &Ran, part: &str) {
    let said = ran.stderr();
    assert!(said.lines().count() == 1 && said.starts_with("kage: ") && said.contains(part), "{said}");
}
