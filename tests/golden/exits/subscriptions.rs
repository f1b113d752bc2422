//! `kage subscription`: the verbs that change the pool and those that list it.

use super::{Row, Table};
use crate::support::{CONFIG, Sandbox, token};

pub(super) fn rows() -> Vec<Row> {
    let sandbox = Sandbox::new();
    let mut table = Table::of(&sandbox);
    add(&mut table);
    change(&mut table);
    route(&mut table);
    list(&mut table);
    remove(&mut table);
    table.rows
}

fn add(table: &mut Table<'_>) {
    let sandbox = table.sandbox;
    for (situation, line, secret) in [
        ("add", "add work --credential file", "sk-ant-oat01-invented"),
        ("add: exists", "add work --credential file", "sk-ant-oat01-invented"),
        ("add: no name", "add", ""),
        ("add: invalid name", "add 'a b'", ""),
        ("add: no secret", "add x --credential file", ""),
        ("add: secret of two lines", "add x --credential file", "sk-ant-oat01-a\nsk-ant-oat01-b"),
        ("add: not a secret of the agent", "add x --credential file", "hunter2"),
        ("add: not a secret of the agent, --force", "add odd --credential file --force", "hunter2"),
        ("add: unknown agent", "add x --agent clod", ""),
        ("add: unknown place", "add x --credential air", ""),
        ("add: no login directory", "add x --credential home:/nonexistent", ""),
        ("add: the command fails", "add x --credential 'command:exit 3'", ""),
        ("add: invalid priority", "add x --priority 256", ""),
        ("add: invalid tag", "add x --credential file --tags 'a b'", "sk-ant-oat01-x"),
        ("add: --minted in the future", "add x --credential file --minted 2999-01-01", "sk-ant-oat01-x"),
    ] {
        let words = shlex::split(&format!("subscription {line}")).unwrap();
        table.run(situation, sandbox.kage(words).stdin(secret));
    }
}

fn change(table: &mut Table<'_>) {
    for (situation, line) in [
        ("set", "subscription set work --priority 7"),
        ("set: nothing", "subscription set work"),
        ("set: unknown subscription", "subscription set wrok --priority 7"),
        ("set: invalid amount", "subscription set work --cost-per-day five"),
        ("disable", "subscription disable odd"),
        ("disable: unknown subscription", "subscription disable wrok"),
        ("enable", "subscription enable odd"),
        ("enable: unknown subscription", "subscription enable wrok"),
        ("reset", "subscription reset work"),
        ("reset: unknown subscription", "subscription reset wrok"),
        ("rename", "subscription rename odd other"),
        ("rename: exists", "subscription rename other work"),
        ("rename: unknown subscription", "subscription rename wrok x"),
        ("credential --forget: in use", "subscription credential work --forget"),
        ("credential --forget: no such secret", "subscription credential absent --forget"),
        ("credential: unknown subscription", "subscription credential wrok"),
        ("credential: no secret", "subscription credential work"),
    ] {
        table.kage(situation, line);
    }
    let credential = table.sandbox.kage(["subscription", "credential", "work"]);
    table.run("credential", credential.stdin(&token("again")));
}

fn route(table: &mut Table<'_>) {
    for (situation, line) in [
        ("route", "subscription route --namespace site --subscriptions work"),
        ("route: nothing", "subscription route"),
        ("route: no subscriptions", "subscription route --namespace site"),
        ("route: unknown subscription", "subscription route --namespace site --subscriptions wrok"),
        ("route: a level as namespace", "subscription route --namespace high --subscriptions work"),
        ("route --remove: no such route", "subscription route --remove siet"),
        ("route --list", "subscription route --list"),
    ] {
        table.kage(situation, line);
    }
}

fn list(table: &mut Table<'_>) {
    for (situation, line) in [
        ("list", "subscription list"),
        ("list --status", "subscription list --status disabled"),
        ("list --status: unknown status", "subscription list --status tired"),
        ("list, by the short name of the verb", "sub list"),
        ("show", "subscription show work"),
        ("show: unknown subscription", "subscription show wrok"),
        ("credential --list", "subscription credential --list"),
        ("subscription: unknown verb", "subscription frobnicate"),
        ("subscription: no verb", "subscription"),
    ] {
        table.kage(situation, line);
    }
    let sandbox = table.sandbox;
    let config = sandbox.read(CONFIG);
    sandbox.config("[subscriptions\n");
    table.kage("list: the config is not TOML", "subscription list");
    table.kage("set: the config is not TOML", "subscription set work --priority 7");
    sandbox.config(&config);
}

fn remove(table: &mut Table<'_>) {
    for (situation, line) in [
        ("remove: no terminal to ask at", "subscription remove other"),
        ("remove: a route needs it", "subscription remove work"),
        ("remove: unknown subscription", "subscription remove wrok"),
        ("remove --force", "subscription remove work --force"),
        ("route --remove", "subscription route --remove site"),
    ] {
        table.kage(situation, line);
    }
}
