//! A sandbox with the real Gemini CLI, and a stand-in service that it sends its requests to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::generate::Generate;
use crate::netns;
use crate::support::{Call, Ran, Sandbox, has_all};

/// What the service counts for one answer: 100 tokens in, of which 60 are cached, and 25 out.
pub(crate) const ONE_ANSWER: u64 = 65;

/// If a model is named, the agent sends no request to choose one.
pub(crate) const MODEL: [&str; 2] = ["-m", "gemini-3.8-flash"];

pub(crate) struct Scene {
    pub sandbox: Sandbox,
    pub service: Generate,
}

impl Scene {
    /// The scene of a test; `None` if the agent is missing or another process runs the test (see `netns`).
    pub(crate) fn of(test: impl Fn()) -> Option<Self> {
        Self::with_tool("true", test)
    }

    /// Like `of`, with a service whose tool calls run this shell command.
    pub(crate) fn with_tool(command: &str, test: impl Fn()) -> Option<Self> {
        let agent = agent();
        if !has_all(&[agent.to_str()?, "node"]) || !netns::is_inside(test) {
            return None;
        }
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("tmp")).unwrap();
        symlink(agent.canonicalize().unwrap(), sandbox.path("bin/gemini")).unwrap();
        if let Some(node) = node() {
            symlink(node, sandbox.path("bin/node")).unwrap();
        }
        // One attempt, because the agent would repeat some refused requests for five minutes. No cleanup: a
        // conversation that is resumed in a later minute gets a second, empty file. The agent then considers
        // the conversation damaged, and removes both files when it starts another one. Source:
        // google-gemini/gemini-cli#27368.
        let general = json!({ "maxAttempts": 1, "sessionRetention": { "enabled": false } });
        let settings =
            json!({ "security": { "auth": { "selectedType": "gemini-api-key" } }, "general": general });
        sandbox.write("home/.gemini/settings.json", &settings.to_string());
        Some(Self { sandbox, service: Generate::start_with_tool(command) })
    }

    /// Adds a subscription whose key ends in `tail`, and whose agent talks to this service.
    pub(crate) fn add(&self, name: &str, tail: &str) -> &Self {
        let address = self.address();
        let add =
            ["subscription", "add", name, "--agent", "gemini", "--credential", "file", "--env", &address];
        self.sandbox.kage(add).stdin(&key(tail)).run().success();
        self
    }

    pub(crate) fn address(&self) -> String {
        format!("GOOGLE_GEMINI_BASE_URL={}", self.service.url())
    }

    /// The agent under kage, with the model given.
    pub(crate) fn exec(&self, args: &[&str]) -> Call {
        self.kage_exec(&[&["gemini"], &MODEL[..], args].concat())
    }

    /// `kage exec` of any command.
    pub(crate) fn kage_exec(&self, command: &[&str]) -> Call {
        self.kage(&[&["exec", "--"], command].concat())
    }

    /// kage with these arguments, in an environment in which the agent trusts the directory, does not warn
    /// about the terminal, and writes its error reports into the sandbox.
    pub(crate) fn kage(&self, args: &[&str]) -> Call {
        let call = self.sandbox.kage(args).env("GEMINI_CLI_TRUST_WORKSPACE", "true");
        let call = call.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
        call.env("TMPDIR", self.sandbox.path("tmp"))
    }

    /// The subscription of each attempt in the ledger.
    pub(crate) fn ran_on(&self) -> Vec<String> {
        let names = self.sandbox.ledger();
        names.iter().map(|attempt| attempt["subscription"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn tokens_of(&self, name: &str) -> Value {
        self.sandbox.status_of(name)["tokens_today"].clone()
    }

    /// The keys of the turns so far, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.service.turns().into_iter().map(|request| request.key).collect()
    }
}

/// An invented key. Its end selects the service's behavior.
pub(crate) fn key(tail: &str) -> String {
    format!("AIzaInvented-{tail}")
}

/// What the agent prints for an answer of the service.
pub(crate) fn answer(behavior: &str) -> String {
    format!("Hello from the service ({behavior}).\n")
}

/// kage's lines on standard error. The agent writes many lines there itself, even on success.
pub(crate) fn said(ran: &Ran) -> Vec<String> {
    ran.stderr().lines().filter_map(|line| line.strip_prefix("kage: ").map(str::to_owned)).collect()
}

/// The agent under test.
fn agent() -> PathBuf {
    crate::support::agents().join("gemini")
}

fn node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("node")).find(|candidate| candidate.is_file())
}
