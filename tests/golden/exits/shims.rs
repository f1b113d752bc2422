//! kage under an agent's name: started by a shim or through a link, including broken ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Row, Table, pool_of_one};
use crate::support::{Sandbox, copy_kage, kage};

const SHIMS: &str = "home/.local/share/kage/shims";

impl Table<'_> {
    /// Runs `claude` with these words. `PATH` has this directory and then the sandbox's programs.
    fn claude(&mut self, situation: &str, dir: &str, words: &str) {
        self.claude_with(None, situation, dir, words);
    }

    /// Like `claude`, with one more variable.
    fn claude_with(&mut self, variable: Option<(&str, &str)>, situation: &str, dir: &str, words: &str) {
        let sandbox = self.sandbox;
        let path = format!("{}:{}", sandbox.path(dir).display(), sandbox.path("bin").display());
        let mut call = sandbox.call(Path::new("/bin/sh"), ["-c", &format!("exec claude {words}")]);
        call.command.env("PATH", path).envs(variable);
        let variable = variable.map_or(String::new(), |(name, value)| format!("{name}={value} "));
        self.add(situation, format!("{variable}claude {words}"), &call.run().output);
    }
}

pub(super) fn rows() -> Vec<Row> {
    let sandbox = pool_of_one();
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("shim install", "shim install claude"),
        ("shim install, again", "shim install"),
        ("shim install: unknown agent", "shim install cluade"),
        ("shim list", "shim list"),
        ("shim remove: there is none", "shim remove codex"),
        ("shim remove: invalid name", "shim remove ../../x"),
        ("shim: unknown verb", "shim frobnicate"),
    ] {
        table.kage(situation, line);
    }
    for (situation, words) in [
        ("through a shim: exit status 41", "-p 'exit 41'"),
        ("through a shim: killed by TERM", "-p 'kill -TERM $$'"),
        ("through a shim: killed by KILL", "-p 'kill -KILL $$'"),
    ] {
        table.claude(situation, SHIMS, words);
    }
    let inside = Some(("KAGE_RUN", "one-that-is-gone"));
    table.claude_with(inside, "through a shim: inside a run", SHIMS, "-p 'exit 41'");
    let urgent = Some(("KAGE_PRIORITY", "urgent"));
    table.claude_with(urgent, "through a shim: unknown level", SHIMS, "-p hi");
    sandbox.program("claude", "#!/bin/sh\nexit 43\n");
    table.claude("through a shim: --version", SHIMS, "--version");
    broken(&mut table);
    links(&mut table);
    let empty = Sandbox::new();
    let mut without = Table::of(&empty);
    without.kage("shim install: no subscription", "shim install");
    without.kage("shim remove: there are none", "shim remove");
    without.kage("shim list: there are none", "shim list");
    table.rows.extend(without.rows);
    table.rows
}

fn broken(table: &mut Table<'_>) {
    let sandbox = table.sandbox;
    let shim = sandbox.path(SHIMS).join("claude");
    // Another process writes it. Otherwise a child of this process could keep it open, so it could not be
    // executed.
    let write = |text: &str| {
        let call = sandbox.call(Path::new("/bin/sh"), ["-c", "cat >\"$0\"", shim.to_str().unwrap()]);
        call.stdin(text).run().success();
    };
    let text = fs::read_to_string(&shim).unwrap();
    write(&text.replace(kage().to_str().unwrap(), "/gone/kage"));
    table.claude("through a shim: its kage is gone", SHIMS, "-p hi");
    write("#!/bin/sh\nexit 44\n");
    table.kage("shim install: another file is there", "shim install claude");
    table.kage("shim remove: another file is there", "shim remove claude");
    table.kage("shim install --force: another file is there", "shim install --force claude");
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    table.claude("through a shim: the agent is missing", SHIMS, "-p hi");
    table.kage("shim remove: all", "shim remove");
    table.kage("run-as: not an agent", "run-as perl -- -e 1");
}

fn links(table: &mut Table<'_>) {
    let sandbox = table.sandbox;
    fs::create_dir(sandbox.path("links")).unwrap();
    symlink(kage(), sandbox.path("links/claude")).unwrap();
    table.claude("through a link: the agent is missing", "links", "-p hi");
    sandbox.program("claude", "#!/bin/sh\nfor last; do :; done\neval \"$last\"\n");
    table.claude("through a link: exit status 41", "links", "-p 'exit 41'");
    let copy = sandbox.path("links/gemini");
    copy_kage(&copy);
    table.run("a copy of kage under an agent's name", sandbox.call(&copy, ["-p", "hi"]));
}
