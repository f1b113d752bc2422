//! A sandbox with the real agent in it and a provider that the agent takes for its own.

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
    /// The scene of a test, where its process is the one to play it.
    pub(crate) fn of(test: impl Fn()) -> Option<Self> {
        Self::with_tool("true", test)
    }

    /// The same with a provider whose tool calls run this shell command.
    pub(crate) fn with_tool(command: &str, test: impl Fn()) -> Option<Self> {
        Self::inside(command, || netns::is_inside(test))
    }

    /// The scene of a test that measures time.
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

    /// The same, tried before all others under the strategy `priority`.
    pub(crate) fn add_first(&self, name: &str, tail: &str) -> &Self {
        self.sandbox.add_with(name, tail, &["--priority", "200", "--env", &self.address()]);
        self
    }

    pub(crate) fn address(&self) -> String {
        format!("ANTHROPIC_BASE_URL={}", self.provider.url())
    }

    /// The agent under kage.
    pub(crate) fn exec(&self, args: &[&str]) -> Call {
        self.kage_exec(&[&["claude"], args].concat())
    }

    /// Any program under kage.
    pub(crate) fn kage_exec(&self, command: &[&str]) -> Call {
        self.kage(&[&["exec", "--"], command].concat())
    }

    /// kage with these arguments, in an environment fit for the agent.
    pub(crate) fn kage(&self, args: &[&str]) -> Call {
        self.prepared(self.sandbox.kage(args))
    }

    /// The agent without kage.
    pub(crate) fn bare(&self, args: &[&str]) -> Call {
        self.prepared(self.sandbox.call(&self.sandbox.path("bin/claude"), args))
    }

    /// No request but those for an answer, each once; the agent may run as root here, and its temporary
    /// directory is not one that another user's agent has made before.
    pub(crate) fn prepared(&self, call: Call) -> Call {
        call.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("CLAUDE_CODE_MAX_RETRIES", "0")
            .env("IS_SANDBOX", "1")
            .env("TMPDIR", self.sandbox.path("tmp"))
    }

    /// Writes a settings file: below `home/.claude` the user's, below `work/.claude` the project's.
    pub(crate) fn settings(&self, inside: &str, settings: &Value) -> PathBuf {
        self.sandbox.write(inside, &settings.to_string())
    }

    /// The lines of the ledger.
    pub(crate) fn ledger(&self) -> Vec<Value> {
        let months = files_below(&self.sandbox.path("home/.local/state/kage/usage"));
        let text: String = months.iter().map(|month| fs::read_to_string(month).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// When the provider refused something in a conversation, as the agent has recorded it, in order.
    pub(crate) fn refusals(&self) -> Vec<Timestamp> {
        let files = files_below(&self.sandbox.path("home/.claude/projects"));
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        // The last row may not be whole yet.
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.filter(|row| row["isApiErrorMessage"] == true).map(|row| time(&row, "timestamp")).collect()
    }

    /// Which subscription ran each attempt so far.
    pub(crate) fn ran_on(&self) -> Vec<String> {
        self.ledger().iter().map(|attempt| attempt["subscription"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn tokens_of(&self, name: &str) -> Value {
        self.sandbox.status_of(name)["tokens_today"].clone()
    }

    /// Every request so far bore this token and no key; there was one at least.
    pub(crate) fn bears_only(&self, token: &str) {
        let bearer = format!("Bearer {token}");
        for request in self.some_requests() {
            assert_eq!(request.authorization.as_deref(), Some(bearer.as_str()), "{request:?}");
            assert_eq!(request.api_key, None, "{request:?}");
        }
    }

    pub(crate) fn some_requests(&self) -> Vec<Request> {
        assert!(!self.provider.messages().is_empty(), "the provider was asked nothing");
        self.provider.requests()
    }

    /// No merged settings are left from runs that have ended.
    pub(crate) fn has_no_leftover(&self) {
        let left = files_below(&self.sandbox.path("home/.local/state/kage/settings"));
        assert_eq!(left, [] as [PathBuf; 0]);
    }
}

/// The moment that a row tells.
pub(crate) fn time(row: &Value, key: &str) -> Timestamp {
    row[key].as_str().unwrap().parse().unwrap()
}

/// The attempts of the run that began on a subscription.
pub(crate) fn run_on<'a>(ledger: &'a [Value], name: &str) -> Vec<&'a Value> {
    let first = ledger.iter().find(|row| row["attempt"] == 1 && row["subscription"] == name).unwrap();
    ledger.iter().filter(|row| row["run"] == first["run"]).collect()
}

/// What the agent prints for an answer of the provider.
pub(crate) fn answer(behaviour: &str) -> String {
    format!("Hello from the provider ({behaviour}).\n")
}

/// A command line that writes to a file, for hooks.
pub(crate) fn hook(event: &str, command: &str) -> Value {
    serde_json::json!({ event: [{ "hooks": [{ "type": "command", "command": command }] }] })
}

/// All files in a directory and those below.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// `bash tests/run.sh` installs it there.
fn agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin/claude")
}

/// How kage says that settings would have won.
pub(crate) const SWITCHED_OFF: &str = "switched off in the agent's settings for this run: ";

/// kage said one line, and this is in it.
pub(crate) fn said_once(ran: &Ran, part: &str) {
    let said = ran.stderr();
    assert!(said.lines().count() == 1 && said.starts_with("kage: ") && said.contains(part), "{said}");
}
