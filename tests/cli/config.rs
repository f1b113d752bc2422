//! The config file and a project's: what is refused, and how that is said.

use std::fs;

use crate::support::{CONFIG, Sandbox, pool, token};

#[test]
fn a_broken_config_is_named_with_its_line_by_every_verb_and_left_alone() {
    let sandbox = pool();
    let broken = format!("{}\npriorty = 5\n", sandbox.read(CONFIG));
    sandbox.config(&broken);
    for words in [
        vec!["status"],
        vec!["why"],
        vec!["exec", "--", "true"],
        vec!["sub", "set", "personal", "--priority", "1"],
    ] {
        let said = sandbox.kage(words).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(said.contains("config.toml:10: `subscriptions.pool.personal.priorty`"), "{said}");
    }
    assert_eq!(sandbox.read(CONFIG), broken);
    let other = sandbox.write("other.toml", "");
    sandbox.kage(["status"]).env("KAGE_CONFIG", &other).run().success();
}

#[test]
fn a_mistyped_key_or_word_of_the_config_is_suggested() {
    let sandbox = Sandbox::new();
    for (text, meant) in [
        ("[subscriptions.pool.work]\npriorty = 5\n", "priority"),
        ("[subscription.pool.work]\n", "subscriptions"),
        ("[subscriptions]\nstrategy = \"least-usd\"\n", "least-used"),
        ("[failover]\nthrottle_wiat = \"5s\"\n", "throttle_wait"),
        ("[subscriptions.pool.work]\nagent = \"cluade\"\n", "claude"),
    ] {
        sandbox.config(text);
        let said = sandbox.kage(["status"]).run().status(2).is_one_line_and_a_hint();
        said.mentions(&format!("\nhint: did you mean `{meant}`?\n"));
    }
    sandbox.config("[subscriptions.pool.work]\ncolour = 5\n");
    sandbox.kage(["status"]).run().status(2).mentions("\nhint: mend that line; the README lists every key\n");
}

#[test]
fn a_config_that_cannot_be_read_is_named_by_every_verb() {
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
        refused(&latin).mentions("latin.toml:2: not UTF-8 text");
        refused(&dir).mentions("work: it is a directory\nhint: KAGE_CONFIG names a file, such as ");
    }
}

#[test]
fn a_config_that_was_named_and_is_not_there_is_said_unless_it_is_being_made() {
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
fn a_config_without_an_end_is_refused() {
    let sandbox = Sandbox::new();
    let refused = sandbox.kage(["status"]).env("KAGE_CONFIG", "/dev/zero").run().status(2);
    refused.mentions("/dev/zero is longer than any config").is_one_line_and_a_hint();
}

#[test]
fn the_readmes_config_is_one() {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // Two are for mise and for starship.
    let blocks = blocks.filter(|block| !block.starts_with("[env]") && !block.starts_with("[custom.kage]"));
    let shown = blocks.map(|config| {
        let sandbox = Sandbox::new();
        sandbox.config(config);
        sandbox.kage(["status"]).run().success().says("").stdout()
    });
    assert!(shown.filter(|shown| shown.contains("Active:       2/2")).count() == 1);
}

#[test]
fn a_project_may_say_its_namespace_and_level_and_nothing_else() {
    let sandbox = pool();
    for text in [
        "namespace = \"x\"\n[subscriptions.pool.evil]\ncredential = { command = \"touch pwned\" }\n",
        "strategy = \"priority\"\n",
        "namespace = \"a b\"\n",
        "priority = \"urgent\"\n",
    ] {
        sandbox.write("work/.kage/config.toml", text);
        let said = sandbox.kage(["exec", "--", "true"]).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(
            said.contains(".kage/config.toml:") && said.contains("only `namespace` and `priority`"),
            "{said}"
        );
    }
    assert!(!sandbox.path("work/pwned").exists());
}
