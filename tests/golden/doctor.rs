//! `kage doctor --json` and `kage shim list --json`, with only the sandbox's own programs in `PATH`.

use std::os::unix::fs::symlink;

use crate::golden_file::{GoldenFile, check, within_an_hour};
use crate::support::{Call, Sandbox, kage};

const CLAUDE: &str = "#!/bin/sh\necho '2.1.332 (Claude Code)'\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.program("claude", CLAUDE);
    symlink(kage(), sandbox.path("bin/kage")).unwrap();
    sandbox.write("home/.bashrc", "eval \"$(kage init bash)\"\n");
    sandbox.write("home/.profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n");
    sandbox
}

/// A call without the tools of this machine, which the doctor would report.
fn alone(sandbox: &Sandbox, line: &str) -> Call {
    let path = sandbox.path("bin");
    sandbox.kage(line.split(' ')).env("PATH", path).env("SHELL", "/bin/bash").env("EDITOR", "editor")
}

/// Creates many problems at the same time.
fn break_it(sandbox: &Sandbox) {
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let days_ago = today.saturating_sub(jiff::ToSpan::days(345));
    let minted = ["subscription", "credential", "work", "--credential", "file", "--minted"];
    let minted = minted.map(str::to_owned).into_iter().chain([days_ago.to_string()]);
    sandbox.kage(minted).stdin("sk-ant-oat01-invented-work--ok").run().success();
    sandbox.kage(["shim", "install", "claude"]).run().success();
    let config = sandbox.read(crate::support::CONFIG);
    let more = "[subscriptions.pool.broken]\ncredential = { command = \"exit 3\" }\n\
                [subscriptions.pool.plus]\nagent = \"codex\"\ncredential = { home = \"~/.codex-plus\" }\n";
    sandbox.config(&format!("{config}{more}"));
    sandbox.write(
        "home/.claude/settings.json",
        r#"{"env":{"ANTHROPIC_BASE_URL":"http://mine"},"apiKeyHelper":"x"}"#,
    );
    sandbox.write("home/.bashrc", "");
}

fn scenario() -> Vec<GoldenFile> {
    let healthy = sandbox();
    let mut file = GoldenFile::new("doctor", &healthy);
    file.run(alone(&healthy, "doctor --json"));
    file.run(alone(&healthy, "shim list --json"));
    let broken = sandbox();
    break_it(&broken);
    let mut problems = GoldenFile::new("doctor-faults", &broken);
    problems.run(alone(&broken, "doctor --json").env("ANTHROPIC_API_KEY", "sk-ant-api03-invented"));
    broken.write("home/.local/state/kage/state.json", "{");
    broken.write("home/.local/share/kage/shims/claude", "#!/bin/sh\n");
    problems.run(alone(&broken, "doctor --json"));
    problems.run(alone(&broken, "shim list --json"));
    let empty = Sandbox::new();
    let mut fresh = GoldenFile::new("doctor-fresh", &empty);
    fresh.run(alone(&empty, "doctor --json"));
    empty.config("[subscriptions\n");
    fresh.run(alone(&empty, "doctor --json"));
    vec![file, problems, fresh]
}

#[test]
fn the_doctor_has_the_same_findings_as_before() {
    check(&within_an_hour(scenario));
}
