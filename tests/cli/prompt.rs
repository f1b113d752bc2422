//! `kage prompt`: its output, and real prompts that show it.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;

use crate::shell::Shell;
use crate::support::{documented, has_all, pool};
use serde_json::json;

#[test]
fn the_prompt_shows_the_namespace_and_level_of_the_directory() {
    let sandbox = pool();
    let prompt = || sandbox.kage(["prompt"]);
    prompt().run().success().prints("").says("");
    prompt().env("KAGE_PRIORITY", "batch").run().success().prints("").says("");
    prompt().env("KAGE_NAMESPACE", "backend").run().success().prints("backend\n").says("");
    sandbox.write("work/.kage/config.toml", "namespace = \"site\"\npriority = \"high\"\n");
    prompt().run().success().prints("site high\n").says("");
    // Other problems are reported by the verbs that they affect.
    sandbox.config("[");
    prompt().run().success().prints("site high\n").says("");
    prompt().env("KAGE_PRIORITY", "urgent").run().success().prints("").says("");
    sandbox.write("work/.kage/config.toml", "[");
    prompt().run().success().prints("").says("");
}

#[test]
fn the_prompt_shows_that_nothing_is_ready_and_does_not_change_the_state() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "backend", "--subscriptions", "personal"]).run().success();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(72);
    let limit = json!({
        "scope": "all", "kind": "rate_limited", "window": "five_hour",
        "since": jiff::Timestamp::now(), "until": until,
    });
    let state = json!({ "version": 1, "state": { "subscriptions": { "personal": { "limits": [limit] } } } });
    let file = sandbox.write("home/.local/state/kage/state.json", &state.to_string());
    let prompt = |namespace: &str| sandbox.kage(["prompt"]).env("KAGE_NAMESPACE", namespace).run().success();
    let shown = prompt("backend").says("").stdout();
    let clock = until.strftime("%H:%M)\n").to_string();
    assert!(shown.starts_with("backend (ready ") && shown.ends_with(&clock), "{shown}");
    prompt("other").prints("other\n");
    sandbox.kage(["sub", "disable", "personal"]).run().success();
    prompt("backend").prints("backend (none ready)\n");
    sandbox.write("home/.local/state/kage/state.json", "{");
    prompt("backend").prints("backend\n").says("");
    assert_eq!(sandbox.read("home/.local/state/kage/state.json"), "{");
    fs::remove_file(file).unwrap();
    fs::remove_dir_all(sandbox.path("home/.local/state")).unwrap();
    prompt("other").prints("other\n");
    assert!(!sandbox.path("home/.local/state").exists(), "the prompt creates no directory");
}

#[test]
fn bash_zsh_and_fish_show_the_prompt() {
    if !has_all(&["bash", "zsh", "fish"]) {
        return;
    }
    let sandbox = pool();
    let bash = documented(r"PS1='\w $(kage prompt)\$ '");
    let zsh = documented("setopt prompt_subst; RPROMPT='$(kage prompt)'");
    let fish = documented("function fish_right_prompt; kage prompt; end");
    for mut shell in Shell::each(&sandbox) {
        if shell.name == "bash" {
            // The typed line must not contain the expected text.
            shell.send(&format!("export KAGE_NAMESPACE=back''end; {bash}"));
            shell.until("/work backend# ");
            shell.send("unset KAGE_NAMESPACE");
            shell.until("/work # ");
        } else {
            // zsh shows it at the right edge of the terminal, but this one has no width.
            shell.run(&format!("export KAGE_NAMESPACE=back''end; {zsh}"));
            shell.send("print -P \"<$RPROMPT>\"");
            shell.until("<backend>");
            shell.prompt();
        }
        shell.leave();
    }
    let fish = format!("{fish}; set -gx KAGE_NAMESPACE backend; fish_right_prompt");
    sandbox.call("fish".as_ref(), ["--no-config", "-c", fish.as_str()]).run().success().prints("backend\n");
}

#[test]
fn the_prompt_and_the_segment_take_no_lock_open_no_socket_and_start_nothing() {
    if !has_all(&["strace"]) {
        return;
    }
    let sandbox = pool();
    sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    let trace = sandbox.path("trace");
    let kage = crate::support::kage();
    for verb in [&["prompt"][..], &["status", "--format", "tmux"]] {
        let strace = ["-f", "-qq", "-e", "trace=flock,socket,connect,execve,clone,clone3,fork,vfork", "-o"];
        let strace = strace.map(OsStr::new).into_iter().chain([trace.as_os_str(), kage.as_os_str()]);
        let args = strace.chain(verb.iter().map(OsStr::new));
        let call = sandbox.call("strace".as_ref(), args).env("KAGE_NAMESPACE", "backend");
        assert_ne!(call.run().success().stdout(), "");
        let seen = sandbox.read("trace");
        let calls: Vec<_> = seen.lines().filter(|line| line.contains('(')).collect();
        assert!(matches!(calls[..], [own] if own.contains("execve(")), "{verb:?}: {seen}");
    }
}
