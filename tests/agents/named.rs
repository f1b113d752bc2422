//! Agents that the user defines, and the user's markers for known agents.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::support::{CONFIG, Sandbox};

const ORACLE: &str = r#"
[subscriptions]
strategy = "priority"

[agents.oracle]
credential_env = "ORACLE_KEY"
remove_env = ["ORACLE_URL"]
print_args = ["--ask"]
markers = [
  { kind = "none", pattern = "quota exceeded in the example.*" },
  { kind = "usage_limit", pattern = "quota exceeded.*", reset = "90m" },
  { kind = "throttled", pattern = "too fast, wait (?P<reset>.+)" },
  { kind = "usage_limit", pattern = "weekly quota is gone", window = "weekly", reset = "next: (.+)$" },
]
"#;

/// An agent that prints answers to standard output and refusals to standard error.
const PROGRAM: &str = r#"#!/bin/sh
echo "$KAGE_SUBSCRIPTION $*" >>"$HOME/calls"
case $ORACLE_KEY in
  *limited) echo "quota exceeded for this key" >&2; exit 4 ;;
  *quoting) echo "It says: quota exceeded"; echo "quota exceeded in the example" >&2; exit 4 ;;
  *working) echo "I have deleted the branch."; echo "Now the next."; echo "quota exceeded" >&2; exit 4 ;;
  *) echo "forty-two${ORACLE_URL}" ;;
esac
"#;

fn pool(first: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(ORACLE);
    sandbox.program("oracle", PROGRAM);
    for (name, key, priority) in [("a", first, "200"), ("b", "fine", "100")] {
        let add = [
            "subscription",
            "add",
            name,
            "--agent",
            "oracle",
            "--credential",
            "file",
            "--priority",
            priority,
        ];
        sandbox.kage(add).stdin(key).run().success();
    }
    sandbox
}

#[test]
fn any_agent_can_be_pooled() {
    let sandbox = pool("limited");
    let ask = ["exec", "--", "oracle", "--ask", "what"];
    let ran = sandbox.kage(ask).env("ORACLE_URL", "elsewhere").run().success().prints("forty-two\n");
    let said = ran.stderr();
    assert!(said.contains("kage: not passed to the agent: ORACLE_URL"), "{said}");
    assert!(
        said.contains("kage: a hit its usage limit (resets ") && said.ends_with("; continuing on b\n"),
        "{said}"
    );
    assert_eq!(sandbox.status_of("a")["status"], "rate_limited");
    assert_eq!(sandbox.read("home/calls"), "a --ask what\nb --ask what\n");
}

#[test]
fn an_agent_that_may_have_done_work_is_not_retried() {
    let sandbox = pool("working");
    let ran = sandbox.kage(["exec", "--", "oracle", "--ask", "what"]).run().status(4);
    ran.mentions("; not retried: ").prints("I have deleted the branch.\nNow the next.\n");
    assert_eq!(sandbox.read("home/calls"), "a --ask what\n");
}

#[test]
fn a_quoted_limit_is_not_a_limit() {
    let sandbox = pool("quoting");
    sandbox
        .kage(["exec", "--", "oracle", "--ask", "what"])
        .run()
        .status(4)
        .prints("It says: quota exceeded\n");
    assert_eq!(sandbox.status_of("a")["status"], "active");
}

#[test]
fn markers_are_added_to_a_known_agent() {
    let sandbox = Sandbox::new();
    sandbox.config("[agents.claude]\nmarkers = [{ kind = \"usage_limit\", pattern = \"Genug für heute\\\\.\", reset = \"2h\" }]\n");
    sandbox.program("claude", "#!/bin/sh\necho 'Genug für heute.'; exit 1\n");
    sandbox.add("a", &[]);
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1).mentions("a hit its usage limit");
    assert_eq!(sandbox.status_of("a")["status"], "rate_limited");
}

#[test]
fn a_mistake_in_the_definition_of_an_agent_is_refused() {
    for (text, part) in [
        ("[agents.x]\nprogram = \"x\"\n", "`agents.x`: the key `credential_env` is missing"),
        ("[agents.claude]\nprogram = \"x\"\n", "`agents.claude`: `claude` is a built-in agent"),
        ("[agents.x]\ncredential_env = \"A=B\"\n", "is not a valid variable name"),
        (
            "[agents.x]\ncredential_env = \"A\"\nmarkers = [{ kind = \"limit\", pattern = \"x\" }]\n",
            "unknown value `limit`",
        ),
        (
            "[agents.x]\ncredential_env = \"A\"\nmarkers = [{ kind = \"auth\", pattern = \"(\" }]\n",
            "marker 1: `(` is not a valid pattern",
        ),
        (
            "[agents.x]\ncredential_env = \"A\"\nmarkers = [{ kind = \"none\", pattern = \"\" }, { name = \"all\", kind = \"auth\", pattern = \".*\" }]\n",
            "marker `all`: `.*` matches every line",
        ),
        ("[agents.x]\ncredential_env = \"A\"\nprogram = \"bin/x\"\n", "`bin/x` is a path"),
        (
            "[agents.x]\ncredential_env = \"A\"\nprogram = \"codex\"\n",
            "`codex` is already the program of `codex`",
        ),
        (
            "[agents.x]\ncredential_env = \"A\"\n[agents.y]\ncredential_env = \"A\"\nprogram = \"x\"\n",
            "`x` is already the program of `x`",
        ),
        ("[agents.x]\ncredential_env = \"PATH\"\n", "`PATH` cannot be a credential variable"),
        (
            "[agents.x]\ncredential_env = \"A\"\nremove_env = [\"HOME\"]\n",
            "`agents.x.remove_env`: `HOME` cannot be a credential variable",
        ),
        ("[agents.x]\ncredential_env = \"KAGE_RUN\"\n", "`KAGE_RUN` cannot be a credential variable"),
        (
            "[agents.x]\ncredential_env = \"A\"\nremove_env = [\"A B\"]\n",
            "`A B` is not a valid variable name",
        ),
        ("[failover]\nattempts = -1\n", "`failover.attempts`"),
        ("[failover]\nthrottle_wait = \"soon\"\n", "is not a duration"),
        ("[failover]\nprompt = \"\"\n", "a non-empty string"),
        ("[events]\ncomand = \"x\"\n", "unknown key `comand`"),
        (
            "[agents.x]\ncredential_env = \"A\"\n[subscriptions.pool.a]\nagent = \"x\"\ncredential = { home = \"/tmp\" }\n",
            "`x` does not support a login directory",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.config(text);
        let ran = sandbox.kage(["status"]).run().status(2).is_one_line_and_a_hint();
        let said = ran.stderr();
        assert!(said.contains(part) && said.contains(CONFIG.rsplit('/').next().unwrap()), "{text}: {said}");
    }
}
