//! The config file and a project's config: what is refused, and with which message.

use std::fs;

use crate::support::{CONFIG, Sandbox, pool, token};

#[test]
fn every_verb_names_the_line_of_a_broken_config_and_does_not_change_it() {
    let sandbox = pool();
    let broken = format!("{}\npriorty = 5\n", sandbox.read(CONFIG));
    sandbox.config(&broken);
    for words in [
        vec!["status"],
        vec!["why"],
        vec!["exec", "--", "true"],
        vec!["sub", "set", "personal", "--priority", "1"],
    ] {
        let refusal = sandbox.kage(words).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(refusal.contains("config.toml:10: `subscriptions.pool.personal.priorty`"), "{refusal}");
    }
    assert_eq!(sandbox.read(CONFIG), broken);
    let other = sandbox.write("other.toml", "");
    sandbox.kage(["status"]).env("KAGE_CONFIG", &other).run().success();
}

#[test]
fn a_similar_key_or_value_is_suggested_for_a_mistyped_one() {
    let sandbox = Sandbox::new();
    for (text, expected) in [
        ("[subscriptions.pool.work]\npriorty = 5\n", "priority"),
        ("[subscription.pool.work]\n", "subscriptions"),
        ("[subscriptions]\nstrategy = \"least-usd\"\n", "least-used"),
        ("[failover]\nthrottle_wiat = \"5s\"\n", "throttle_wait"),
        ("[subscriptions.pool.work]\nagent = \"cluade\"\n", "claude"),
    ] {
        sandbox.config(text);
        let refusal = sandbox.kage(["status"]).run().status(2).is_one_line_and_a_hint();
        refusal.mentions(&format!("\nhint: did you mean `{expected}`?\n"));
    }
    sandbox.config("[subscriptions.pool.work]\ncolour = 5\n");
    sandbox
        .kage(["status"])
        .run()
        .status(2)
        .mentions("\nhint: fix that line; docs/config.md lists every key\n");
}

#[test]
fn every_verb_names_a_config_that_cannot_be_read() {
    let sandbox = pool();
    let latin = sandbox.path("latin.toml");
    fs::write(&latin, b"# one\n# caf\xe9\n").unwrap();
    let dir = sandbox.path("work");
    for words in [
        vec!["status"],
        vec!["why"],
        vec!["exec", "--", "true"],
        vec!["sub", "route", "--list"],
        vec!["sub", "add", "work"],
    ] {
        let refused = |file| {
            let call = sandbox.kage(&words).env("KAGE_CONFIG", file).stdin(&token("x"));
            call.run().status(2).is_one_line_and_a_hint()
        };
        refused(&latin).mentions("latin.toml:2: not valid UTF-8");
        refused(&dir).mentions("work: it is a directory\nhint: KAGE_CONFIG must name a file, such as ");
    }
}

#[test]
fn a_missing_config_that_a_variable_names_is_reported_unless_it_is_created() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("other.toml");
    for (words, status) in [(vec!["status"], 0), (vec!["exec", "--", "true"], 75)] {
        let ran = sandbox.kage(words).env("KAGE_CONFIG", &file).run().status(status);
        ran.mentions("other.toml, which does not exist");
    }
    let add = ["sub", "add", "work", "--credential", "file"];
    let added = sandbox.kage(add).env("KAGE_CONFIG", &file).stdin(&token("x")).run().success();
    assert!(!added.stderr().contains("does not exist"), "{}", added.stderr());
    sandbox.kage(["status"]).env("KAGE_CONFIG", &file).run().success().says("");
}

#[test]
fn an_endless_config_is_refused() {
    let sandbox = Sandbox::new();
    let refused = sandbox.kage(["status"]).env("KAGE_CONFIG", "/dev/zero").run().status(2);
    refused.mentions("/dev/zero is too large for a config file").is_one_line_and_a_hint();
}

#[test]
fn the_configs_in_the_docs_are_valid() {
    let pages = [include_str!("../../docs/config.md"), include_str!("../../docs/budgets.md")].concat();
    let blocks = pages.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown = blocks.map(|config| {
        let sandbox = Sandbox::new();
        sandbox.config(config);
        sandbox.kage(["status"]).run().success().says("").stdout()
    });
    assert!(shown.filter(|shown| shown.contains("Active:       2/2")).count() == 1);
}

#[test]
fn a_project_may_set_only_its_namespace_and_level() {
    let sandbox = pool();
    for text in [
        "namespace = \"x\"\n[subscriptions.pool.evil]\ncredential = { command = \"touch pwned\" }\n",
        "strategy = \"priority\"\n",
        "namespace = \"a b\"\n",
        "priority = \"urgent\"\n",
    ] {
        sandbox.write("work/.kage/config.toml", text);
        let refusal = sandbox.kage(["exec", "--", "true"]).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(
            refusal.contains(".kage/config.toml:") && refusal.contains("only `namespace` and `priority`"),
            "{refusal}"
        );
    }
    assert!(!sandbox.path("work/pwned").exists());
}
