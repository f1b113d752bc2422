//! The hints of refusals: a similar word, or the next command to type.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Sandbox, pool, token};

#[test]
fn a_mistyped_verb_or_flag_is_suggested() {
    let sandbox = Sandbox::new();
    sandbox.kage(["statsu"]).run().status(2).is_one_line_and_a_hint().mentions("did you mean `status`?");
    let hint = "hint: put `--` before the program: kage exec -- claude\n";
    sandbox.kage(["exec", "claude"]).run().status(2).is_one_line_and_a_hint().mentions(hint);
    sandbox.kage(["exec", "-n", "ns", "claude", "-p", "hi"]).run().status(2).mentions(hint);
    let nothing = "kage: the following required arguments were not provided: <COMMAND>...\n";
    sandbox.kage(["exec"]).run().status(2).says(&format!("{nothing}hint: kage exec --help\n"));
    sandbox.kage(["exec", "-p", "urgent", "--", "true"]).run().status(2).mentions("high, normal or batch");
    for (words, hint) in [
        (vec!["sub", "set", "work", "--priority", "256"], "hint: kage subscription set --help\n"),
        (vec!["sub", "list", "--status", "foo"], "hint: kage subscription list --help\n"),
        (vec!["exec", "-p", "urgent", "--", "true"], "hint: kage exec --help\n"),
        (vec!["exec", "--frobnicate", "--", "true"], "hint: "),
    ] {
        sandbox.kage(words).run().status(2).is_one_line_and_a_hint().mentions(hint);
    }
}

#[test]
fn a_similar_word_is_suggested_for_anything_mistyped() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "-n", "frontend", "-s", "personal"]).run().success();
    for (line, expected) in [
        ("sub show persnal", "did you mean `personal`?"),
        ("exec -s persnal -- true", "did you mean `personal`?"),
        ("sub route -n x -s work-premum", "did you mean `work-premium`?"),
        ("sub route --remove frontnd", "did you mean `frontend`?"),
        ("why --agent cluade", "did you mean `claude`?"),
        ("exec --agent codx -- true", "did you mean `codex`?"),
        ("exec -p hihg -- true", "did you mean `high`?"),
        ("sub route -p bach -s personal", "did you mean `batch`?"),
        ("sub list --status activ", "did you mean `active`?"),
        ("init zhs", "did you mean `zsh`?"),
        ("usage --by dya", "did you mean `day`?"),
        ("usage --by model,dya", "did you mean `day`?"),
        ("sub shwo personal", "did you mean `show`?"),
        ("status --josn", "'--json'"),
    ] {
        let refused = sandbox.kage(line.split(' ')).run().status(2).is_one_line_and_a_hint();
        let (_, hint) =
            refused.stderr().split_once("\nhint: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(hint.contains(expected), "`kage {line}` has the hint {hint}");
    }
    let refused = |words: &[&str]| sandbox.kage(words).run().status(127).is_one_line_and_a_hint();
    let hint = "`cluade` was not found\nhint: did you mean `claude`?\n";
    refused(&["exec", "--", "cluade", "-p", "hi"]).mentions(hint);
    refused(&["exec", "--agent", "codex", "--", "cluade"]).mentions(hint);
    for other in ["frobnicate", "./cluade"] {
        refused(&["exec", "--", other]).mentions("hint: check the spelling and PATH");
    }
    // These only warn, because the word may be right. The run itself reports what is missing.
    let warning = "kage: warning: no subscription has the tag `backnd`; did you mean `backend`?\n";
    sandbox.kage(["exec", "-t", "backnd", "--", "true"]).run().status(75).mentions(warning);
    sandbox.kage(["why", "-t", "backnd"]).run().success().says(warning);
    sandbox.kage(["why", "-t", "ghost"]).run().success().says("");
    let warning = "kage: warning: the namespace `fronted` has no route; did you mean `frontend`?\n";
    sandbox.kage(["why", "-n", "fronted"]).run().success().says(warning);
}

#[test]
fn every_failure_ends_with_a_command_to_type() {
    let sandbox = pool();
    let failed = |line: &str, variable: &str, value: &str, status: i32| {
        let ran = sandbox.kage(line.split(' ')).env(variable, value).stdin(&token("x--ok")).run();
        ran.status(status).is_one_line_and_a_hint()
    };
    let none = ("KAGE_NONE", "");
    // If kage has no better hint, it suggests the doctor.
    failed("exec -- true", "KAGE_STATE_DIR", "/dev/null/state", 125).mentions("\nhint: kage doctor\n");
    failed("status", "KAGE_STATE_DIR", "/dev/null/state", 1).mentions("\nhint: kage doctor\n");
    failed("usage --html /dev/null/page.html", none.0, none.1, 1).mentions("\nhint: ls -ld /dev/null\n");
    let identity = sandbox.write("home/other", "no key\n");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    failed("exec -- true", "KAGE_IDENTITY", identity.to_str().unwrap(), 125)
        .mentions("\nhint: restore that file");
    sandbox.program("headless", "#!/nonexistent/interpreter\n");
    failed("exec -- headless", none.0, none.1, 127).mentions("\nhint: head -n 1 /");
    sandbox.config("[agents.own]\ncredential_env = \"OWN_KEY\"\n");
    failed("sub add x --agent own --credential home:/nonexistent", none.0, none.1, 2)
        .mentions("use an API key");
    let sealed = sandbox.kage(["sub", "add", "y", "--credential", "file"]).stdin(&token("y--ok"));
    let refused = sealed.env("KAGE_PASSPHRASE_COMMAND", "false").env("HOME", sandbox.path("work")).run();
    refused.is_one_line_and_a_hint().mentions("\nhint: to test it: false\n");
}

#[test]
fn hidden_verbs_are_not_suggested() {
    let sandbox = pool();
    for (typed, hint) in [
        ("statu", "did you mean `status`?"),
        ("st", "did you mean `status`?"),
        ("run", "did you mean `exec`?"),
        ("sub lits", "did you mean `list`?"),
        ("fetch", "kage --help"),
        ("run-a", "kage --help"),
        ("sub generate", "kage subscription --help"),
    ] {
        let shown = sandbox.kage(typed.split(' ')).run().status(2).is_one_line_and_a_hint().stderr();
        assert_eq!(shown.lines().nth(1).unwrap(), format!("hint: {hint}"), "{typed}");
    }
}
