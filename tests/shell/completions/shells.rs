//! Typing a line and pressing Tab in each shell, as a user does.

use std::os::unix::fs::symlink;

use crate::support::{self, Sandbox, has_all, token, wait_until};
use crate::tmux::{Pane, Tmux};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");

/// A sandbox with names to complete, files to choose and a program to run.
fn sandbox() -> Sandbox {
    let sandbox = super::named();
    symlink(support::kage(), sandbox.path("bin/kage")).unwrap();
    sandbox.program("hello-agent", "#!/bin/sh\necho hello\n");
    sandbox.write("work/report-of-may.html", "");
    sandbox.write("work/two words.html", "");
    sandbox.write("work/some dir/output.txt", "");
    sandbox.write("home/of mine/saved.txt", "");
    sandbox
}

fn terminal(sandbox: &Sandbox) -> Tmux {
    Tmux::start(sandbox.call("tmux".as_ref(), [""; 0]), sandbox.path("tmux"))
}

/// Types a line, presses Tab, and waits until the line is `expected`.
fn completes(pane: &Pane<'_>, shell: &str, typed: &str, expected: &str) {
    pane.types(typed);
    pane.press("Tab");
    let line = format!("ready> {expected}");
    wait_until(&format!("{shell} completes `{typed}` to `{expected}`"), || {
        pane.screen().lines().any(|shown| shown.trim_end() == line)
    });
    // elvish offers quoted words in a list; Enter accepts.
    if shell == "elvish" && expected.ends_with('\'') {
        pane.press("Enter");
    }
    pane.press("C-u");
}

/// Sets up a shell with a line that finally clears the screen: keys typed before that may get lost.
fn set_up(pane: &Pane<'_>, line: &str) {
    pane.is_at_the_prompt();
    pane.enter(line);
    wait_until("the shell is set up", || pane.screen().trim() == "ready>");
}

/// Completions that work in every shell.
fn completes_all(pane: &Pane<'_>, sandbox: &Sandbox, shell: &str) {
    for (typed, expected) in [
        ("kage wh", "kage why"),
        ("kage exec -s wor", "kage exec -s work-premium"),
        ("kage exec -n fro", "kage exec -n frontend"),
        ("kage exec -t bac", "kage exec -t backend"),
        ("kage exec -p hi", "kage exec -p high"),
        ("kage exec --dry", "kage exec --dry-run"),
        ("kage subscription show pers", "kage subscription show personal"),
        ("kage sub add x --credential com", "kage sub add x --credential command:"),
        ("kage usage --html rep", "kage usage --html report-of-may.html"),
        ("kage exec -- hello-ag", "kage exec -- hello-agent"),
        ("kage exec -n x -- cat rep", "kage exec -n x -- cat report-of-may.html"),
    ] {
        completes(pane, shell, typed, expected);
    }
    for (typed, before, after) in [
        ("kage exec -t audited,bac", "kage exec -t ", "audited,backend"),
        ("kage sub route -s personal,tag:ba", "kage sub route -s ", "personal,tag:backend"),
        ("kage exec --subscription=wor", "kage exec ", "--subscription=work-premium"),
    ] {
        // elvish quotes words with a comma or an equals sign.
        let quote = if shell == "elvish" { "'" } else { "" };
        completes(pane, shell, typed, &format!("{before}{quote}{after}{quote}"));
    }
    let add = ["sub", "add", "later", "--credential", "file"];
    sandbox.kage(add).stdin(&token("later--ok")).run().success();
    completes(pane, shell, "kage exec -s lat", "kage exec -s later");
}

/// Quoted and escaped words, and paths below the home.
fn completes_quoted(pane: &Pane<'_>, shell: &str) {
    // zsh removes quotes that are not needed.
    let quote = if shell == "zsh" { "" } else { "\"" };
    let named = format!("kage exec --subscription={quote}work-premium{quote}");
    completes(pane, shell, "kage exec --subscription=\"wor", &named);
    for (typed, expected) in [
        ("kage exec -s \"wor", "kage exec -s \"work-premium\""),
        ("kage sub route -s \"personal,tag:ba", "kage sub route -s \"personal,tag:backend\""),
        ("kage exec -n \"frontend\" -s 'wor", "kage exec -n \"frontend\" -s 'work-premium'"),
        ("kage detect some\\ dir/ou", "kage detect some\\ dir/output.txt"),
        ("kage detect \"some dir/ou", "kage detect \"some dir/output.txt\""),
        ("kage detect ~/of", "kage detect ~/of\\ mine/"),
        ("kage detect ~/of\\ mine/sa", "kage detect ~/of\\ mine/saved.txt"),
        ("kage detect $HOME/of\\ mine/sa", "kage detect $HOME/of\\ mine/saved.txt"),
        ("kage usage --html=~/of\\ mine/sa", "kage usage --html=~/of\\ mine/saved.txt"),
        ("kage exec -- cat ~/of\\ mine/sa", "kage exec -- cat ~/of\\ mine/saved.txt"),
        ("kage exec -- cat \"some dir/ou", "kage exec -- cat \"some dir/output.txt\""),
    ] {
        completes(pane, shell, typed, expected);
    }
}

#[test]
fn bash_completes_live_names_in_strict_mode() {
    let sandbox = sandbox();
    if !has_all(&["tmux"]) {
        return;
    }
    let tmux = terminal(&sandbox);
    let pane = tmux.first();
    set_up(&pane, &format!("set -eu; source '{SCRIPTS}/kage.bash'; source '{SCRIPTS}/kage.bash'; clear"));
    completes_all(&pane, &sandbox, "bash");
    completes_quoted(&pane, "bash");
    completes(&pane, "bash", "kage usage --html=two", "kage usage --html=two\\ words.html");
    // Several names: listed at the second Tab.
    pane.types("kage exec -s ");
    pane.press("Tab");
    pane.press("Tab");
    pane.shows("client-x      later         personal      work-premium");
}

#[test]
fn zsh_completes_live_names_with_their_descriptions() {
    let sandbox = sandbox();
    if !has_all(&["tmux", "zsh"]) {
        return;
    }
    let tmux = terminal(&sandbox);
    let pane = tmux.first();
    pane.is_at_the_prompt();
    pane.enter("exec zsh -f -i");
    set_up(
        &pane,
        &format!("setopt nounset; fpath=('{SCRIPTS}' $fpath); autoload -U compinit; compinit -D -u; clear"),
    );
    completes_all(&pane, &sandbox, "zsh");
    completes_quoted(&pane, "zsh");
    completes(&pane, "zsh", "kage usage --html=two", "kage usage --html=two\\ words.html");
    pane.types("kage exec -s ");
    pane.press("Tab");
    pane.shows("-- The client's account");
}

#[test]
fn zsh_accepts_the_script_by_eval_and_ignores_it_without_compinit() {
    let sandbox = sandbox();
    if !has_all(&["tmux", "zsh"]) {
        return;
    }
    let line = format!(
        "setopt nounset errexit; source '{SCRIPTS}/_kage'; eval \"$(cat '{SCRIPTS}/_kage')\"; echo on"
    );
    sandbox.call("zsh".as_ref(), ["-f", "-c", &line]).run().success().prints("on\n").says("");
    let tmux = terminal(&sandbox);
    let pane = tmux.first();
    pane.is_at_the_prompt();
    pane.enter("exec zsh -f -i");
    set_up(&pane, &format!("autoload -U compinit; compinit -D -u; eval \"$(cat '{SCRIPTS}/_kage')\"; clear"));
    completes(&pane, "zsh", "kage exec -s wor", "kage exec -s work-premium");
}

#[test]
fn fish_completes_live_names_with_their_descriptions() {
    let sandbox = sandbox();
    if !has_all(&["tmux", "fish"]) {
        return;
    }
    let tmux = terminal(&sandbox);
    let pane = tmux.first();
    // A suggestion in gray would look like a completion. fish's own scripts complete after words like `not`.
    let setup = "set -g fish_complete_path \\$__fish_data_dir/completions; \
        set -g fish_autosuggestion_enabled 0; function fish_prompt; echo -n 'ready> '; end";
    set_up(&pane, &format!("exec fish --no-config -i -C \"{setup}; source '{SCRIPTS}/kage.fish'; clear\""));
    completes_all(&pane, &sandbox, "fish");
    completes_quoted(&pane, "fish");
    completes(&pane, "fish", "kage usage --html=two", "kage usage --html=two\\ words.html");
    for before in ["not", "if", "and", "time", "command", "NAME=value", "echo on;"] {
        for (typed, expected) in [
            ("exec -s wor", "exec -s work-premium"),
            ("detect \"some dir/ou", "detect \"some dir/output.txt\""),
        ] {
            let line = |words: &str| format!("{before} kage {words}");
            completes(&pane, "fish", &line(typed), &line(expected));
        }
    }
    pane.types("kage exec -s ");
    pane.press("Tab");
    pane.shows("client-x  (The client's account)");
}

#[test]
fn elvish_completes_live_names_with_their_descriptions() {
    let sandbox = sandbox();
    if !has_all(&["tmux", "elvish"]) {
        return;
    }
    let script = std::fs::read_to_string(format!("{SCRIPTS}/kage.elv")).unwrap();
    let rc = sandbox.write(
        "home/rc.elv",
        &format!("set edit:prompt = {{ put 'ready> ' }}\nset edit:rprompt = {{ }}\n{script}"),
    );
    let tmux = terminal(&sandbox);
    let pane = tmux.first();
    set_up(&pane, &format!("clear; exec elvish -rc '{}'", rc.display()));
    completes_all(&pane, &sandbox, "elvish");
    pane.types("kage exec -s ");
    pane.press("Tab");
    pane.shows("client-x  The client's account");
}
