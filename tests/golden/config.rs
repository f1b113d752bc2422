//! The verbs that define the pool: what they write to the config, and what they list.

use crate::golden_file::{GoldenFile, check};
use crate::support::{CONFIG, Sandbox, token};

fn add(sandbox: &Sandbox, file: &mut GoldenFile, secret: &str, words: &[&str]) {
    let words = ["subscription", "add"].iter().chain(words);
    file.run(sandbox.kage(words).stdin(secret));
}

/// A pool with every kind of credential and every field.
fn define(sandbox: &Sandbox, file: &mut GoldenFile) {
    let all = "work --priority 150 --tags backend,audited --max-parallel 4 --requests-per-window 60 \
               --tokens-per-day 5000 --cost-per-day 20 --cost-per-month 300.5 --env A=1 --credential file \
               --minted 2024-02-29";
    let words: Vec<_> = all.split(' ').chain(["--description", "Work account", "--env", "B=x y"]).collect();
    add(sandbox, file, &token("work--ok"), &words);
    let printed = format!("command:echo {}", token("personal--ok"));
    add(sandbox, file, "", &["personal", "--priority", "50", "--tags", "ui", "--credential", &printed]);
    std::fs::create_dir(sandbox.path("home/.claude-team")).unwrap();
    add(sandbox, file, "", &["--name", "team", "--credential", "home:~/.claude-team"]);
    add(sandbox, file, "sk-invented", &["openai", "--agent", "codex", "--credential", "file"]);
    add(sandbox, file, "AIza-invented", &["studio", "--agent", "gemini", "--credential", "file", "--force"]);
    for line in [
        "subscription set personal --priority 60 --max-parallel 1 --cost-per-day 2.5",
        "subscription set personal --max-parallel none",
        "subscription rename team client-x",
        "subscription disable studio",
        "subscription disable openai",
        "subscription enable openai",
        "subscription route --namespace backend --subscriptions work,tag:ui",
        "subscription route --namespace frontend --subscriptions tag:ui --fallback client-x,work",
        "subscription route --priority high --subscriptions work",
        "subscription route --namespace former --subscriptions work",
        "subscription route --remove former",
    ] {
        file.kage(sandbox, line);
    }
}

/// The listings, which work for an empty pool too.
fn list(sandbox: &Sandbox, file: &mut GoldenFile) {
    for line in [
        "status --json",
        "subscription list --json",
        "subscription credential --list --json",
        "subscription route --list --json",
        "why --json",
        "shim list --json",
        "usage --json",
        "ps --json",
    ] {
        file.kage(sandbox, line);
    }
}

#[test]
fn definitions_are_written_and_listed_as_before() {
    let sandbox = Sandbox::new();
    let [mut empty, mut file, mut why] =
        ["empty", "config", "why"].map(|name| GoldenFile::new(name, &sandbox));
    list(&sandbox, &mut empty);
    empty.kage(&sandbox, "metrics");
    define(&sandbox, &mut file);
    file.file(&sandbox, CONFIG);
    list(&sandbox, &mut file);
    for name in ["work", "personal", "client-x", "openai", "studio"] {
        file.kage(&sandbox, &format!("subscription show {name} --json"));
    }
    for flags in ["-n backend", "-n frontend", "-n backend -p high", "-t ui", "-t absent", "--agent codex"] {
        why.kage(&sandbox, &format!("why {flags} --json"));
    }
    why.run(sandbox.kage(["why", "--json"]).env("KAGE_NAMESPACE", "frontend").env("KAGE_PRIORITY", "high"));
    sandbox.write("work/.kage/config.toml", "namespace = \"backend\"\npriority = \"batch\"\n");
    why.kage(&sandbox, "why --json").kage(&sandbox, "prompt");
    for strategy in ["least-used", "priority"] {
        let config = sandbox.read(CONFIG);
        sandbox.config(&format!("subscriptions.strategy = \"{strategy}\"\n{config}"));
        why.kage(&sandbox, "why -n other --json");
        sandbox.config(&config);
    }
    for line in [
        "subscription reset work",
        "subscription remove client-x --force",
        "subscription credential personal --credential file",
        "subscription credential --list --json",
    ] {
        file.run(sandbox.kage(line.split(' ')).stdin(&token("moved--ok")));
    }
    file.add("== the config at the end", &sandbox.read(CONFIG));
    check(&[empty, file, why]);
}
