//! A sandbox with the real Codex, and a stand-in provider that it sends its requests to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::netns;
use crate::responses::Responses;
use crate::support::{Call, Sandbox, has_all, wait_until};

/// What the provider counts for one answer, without the cache: 60 tokens in, 20 out.
pub(crate) const ONE_ANSWER: u64 = 80;

pub(crate) const ANSWER: &str = "Hello from the provider (ok).\n";

pub(crate) struct Scene {
    pub sandbox: Sandbox,
    pub provider: Responses,
}

impl Drop for Scene {
    /// Ends the server and the updater that a session leaves running. They are copies of the agent in its
    /// home.
    fn drop(&mut self) {
        let home = self.sandbox.path("home");
        wait_until("the end of what the agent left running", || {
            let left = running_below(&home);
            for &pid in &left {
                let _ = kill_process(pid, Signal::TERM);
            }
            left.is_empty()
        });
    }
}

/// The processes whose program is below a directory.
fn running_below(dir: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let below = processes.filter(|process| {
        fs::read_link(process.path().join("exe")).is_ok_and(|program| program.starts_with(dir))
    });
    below.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?)).collect()
}

impl Scene {
    /// The scene of a test; `None` if the agent is missing or another process runs the test (see `netns`).
    pub(crate) fn of(test: impl Fn()) -> Option<Self> {
        let agent = agent();
        if !has_all(&[agent.to_str()?, "node"]) || !netns::is_inside(test) {
            return None;
        }
        let sandbox = Sandbox::new();
        symlink(agent.canonicalize().unwrap(), sandbox.path("bin/codex")).unwrap();
        let ran = sandbox.path("work/tool-ran");
        let scene = Self { sandbox, provider: Responses::start(&format!("echo x >> {}", ran.display())) };
        scene.settings("home/.codex", "");
        Some(scene)
    }

    /// Writes settings that name only this provider. Without analytics a run ends immediately.
    pub(crate) fn settings(&self, dir: &str, more: &str) {
        let url = self.provider.url();
        let text = format!("openai_base_url = \"{url}\"\n{more}\n[analytics]\nenabled = false\n");
        self.sandbox.write(&format!("{dir}/config.toml"), &text);
    }

    /// Adds a subscription whose key has its name and selects the provider's behavior.
    pub(crate) fn add(&self, name: &str, behavior: &str) -> &Self {
        let add = ["subscription", "add", name, "--agent", "codex", "--credential", "file"];
        self.sandbox.kage(add).stdin(&key(name, behavior)).run().success();
        self
    }

    /// Adds a subscription with its own login directory, in which the agent asks no questions.
    pub(crate) fn login(&self, name: &str, behavior: &str) -> &Self {
        let dir = format!("home/{name}");
        let trusted = self.sandbox.path("work").display().to_string();
        let asks_nothing = format!(
            "[projects.\"{trusted}\"]\ntrust_level = \"trusted\"\n[notice]\nhide_rate_limit_model_nudge = true"
        );
        self.settings(&dir, &asks_nothing);
        let login = json!({ "auth_mode": "apikey", "OPENAI_API_KEY": key(name, behavior) });
        self.sandbox.write(&format!("{dir}/auth.json"), &login.to_string());
        let login = format!("home:{}", self.sandbox.path(&dir).display());
        let add = ["subscription", "add", name, "--agent", "codex", "--credential", &login];
        self.sandbox.kage(add).run().success();
        self
    }

    /// `codex exec` under kage, with tools that may do anything.
    pub(crate) fn exec(&self, args: &[&str]) -> Call {
        let command = ["exec", "--", "codex", "exec", "--skip-git-repo-check", "-s", "danger-full-access"];
        self.sandbox.kage([&command, args].concat())
    }

    /// The subscription of each attempt in the ledger.
    pub(crate) fn ran_on(&self) -> Vec<String> {
        let name = |attempt: &serde_json::Value| attempt["subscription"].as_str().unwrap().to_owned();
        self.sandbox.ledger().iter().map(name).collect()
    }

    /// The tokens, in and out, of each attempt in a namespace.
    pub(crate) fn tokens_of(&self, namespace: &str) -> Vec<u64> {
        let count = |model: &serde_json::Value| {
            ["input_tokens", "output_tokens"].iter().filter_map(|key| model[*key].as_u64()).sum::<u64>()
        };
        let tokens = |attempt: &serde_json::Value| {
            attempt["models"].as_object().map_or(0, |models| models.values().map(count).sum())
        };
        self.sandbox.ledger().iter().filter(|one| one["namespace"] == namespace).map(tokens).collect()
    }

    /// The keys of all requests so far.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.provider.turns().into_iter().map(|request| request.bearer).collect()
    }

    /// How often the tool ran.
    pub(crate) fn tool_runs(&self) -> usize {
        self.sandbox.read("work/tool-ran").lines().count()
    }
}

/// An invented key.
pub(crate) fn key(name: &str, behavior: &str) -> String {
    format!("sk-invented-{name}--{behavior}")
}

/// The agent under test.
fn agent() -> PathBuf {
    crate::support::agents().join("codex")
}
