//! What kage passes to an agent: its environment, its arguments, and the settings of a terminal session.

use crate::golden_file::{GoldenFile, check};
use crate::pty::on_a_terminal;
use crate::support::{CONFIG, Sandbox};

const CONFIG_TEXT: &str = r#"
[subscriptions.pool]
command = { credential = { command = "echo sk-ant-oat01-invented-command--ok" }, env = { ANTHROPIC_BASE_URL = "http://gateway.invalid", OWN = "1" } }
key = { credential = { command = "echo sk-ant-api03-invented-key--ok" } }
pipe = { credential = { command = "echo sk-ant-oat01-invented-pipe--ok", deliver = "fd" } }
home = { credential = { home = "~/.claude-home" } }
openai = { agent = "codex", credential = { command = "echo sk-invented" } }
plus = { agent = "codex", credential = { home = "~/.codex-plus" } }
studio = { agent = "gemini", credential = { command = "echo AIza-invented" } }
mine = { agent = "mine", credential = { command = "echo secret-invented" } }

[agents.mine]
credential_env = "MINE_KEY"
remove_env = ["MINE_URL"]
print_args = ["--message"]
"#;

/// An agent that writes its arguments, the settings that they name, and its environment to a file.
const AGENT: &str = r#"#!/bin/sh
{
  printf '%s\n' "$@"
  while [ $# -gt 0 ]; do
    case $1 in --settings) cat "$2" 2>/dev/null || printf '%s' "$2" ; echo ;; esac
    shift
  done
  env | grep -v '^\(_\|SHLVL\|OLDPWD\|PWD\)=' | sort
} >given
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG_TEXT);
    for dir in [".claude-home", ".codex-plus"] {
        std::fs::create_dir(sandbox.path("home").join(dir)).unwrap();
    }
    for agent in ["claude", "codex", "gemini", "mine", "tool"] {
        sandbox.program(agent, AGENT);
    }
    sandbox
}

#[test]
fn an_agent_gets_the_same_as_before() {
    let sandbox = sandbox();
    let mut file = GoldenFile::new("given", &sandbox);
    for line in [
        "exec -s command -n backend -p high -- tool a b",
        "exec -s command -- claude -p hi",
        "exec -s key -- claude -p hi --output-format stream-json",
        "exec -s pipe --retries 0 -- claude -p hi",
        "exec -s home --replace -- claude -p hi",
        "exec -s openai -- codex exec hi",
        "exec -s plus -- codex exec hi",
        "exec -s studio -- gemini -p hi",
        "exec -s mine -- mine --message hi",
    ] {
        let call = sandbox.kage(line.split(' '));
        file.run(
            call.env("ANTHROPIC_API_KEY", "other").env("MINE_URL", "other").env("GOOGLE_API_KEY", "other"),
        );
        file.add("== given", &sandbox.read("work/given"));
    }
    sandbox.write(
        "home/.claude/settings.json",
        r#"{"env":{"ANTHROPIC_BASE_URL":"http://mine"},"apiKeyHelper":"x"}"#,
    );
    for flags in ["", " --settings {\"model\":\"opus\"}"] {
        let line = format!("exec -s command -- claude --continue{flags}");
        let mut call = sandbox.kage(line.split(' '));
        let (terminal, mut session) = on_a_terminal(&mut call.command);
        assert_eq!(session.wait().unwrap().code(), Some(0), "{line}");
        drop(terminal);
        file.add(&format!("$ kage {line}   (at a terminal)"), &sandbox.read("work/given"));
    }
    file.file(&sandbox, CONFIG);
    check(&[file]);
}
