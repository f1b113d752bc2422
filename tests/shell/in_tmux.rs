//! `kage init tmux` in the real tmux, as a user of a client sees it: segment, borders, popup.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Call, Sandbox, documented, has_all, kage, pool, wait_until};
use crate::tmux::{Pane, Tmux};
use serde_json::{Value, json};

const STATE: &str = "home/.local/state/kage/state.json";
const CONF: &str = "home/.config/tmux/tmux.conf";
const TITLE: &str = "Subscription Pool Status";
const TPM: &str = "/usr/share/tmux-plugin-manager/tpm";
/// Updates the status line every second, so that the tests need not wait long.
const OFTEN: &str = "set -g status-interval 1\n";

/// Writes a state with the utilization of one subscription and with limits of others.
fn state(sandbox: &Sandbox, used: f64, limited: &[&str]) {
    let now = jiff::Timestamp::now();
    let until = now + jiff::SignedDuration::from_hours(3);
    let mut known = serde_json::Map::new();
    known.insert(
        "personal".into(),
        json!({ "utilization": { "five_hour": { "value": used, "resets_at": until, "read_at": now } } }),
    );
    for name in limited {
        let limit = json!({
            "scope": "all", "kind": "rate_limited", "window": "five_hour", "since": now, "until": until,
        });
        known.insert((*name).into(), json!({ "limits": [limit] }));
    }
    let state = json!({ "version": 1, "state": { "subscriptions": known } });
    let new = sandbox.write("home/.local/state/kage/state.new", &state.to_string());
    fs::rename(new, sandbox.path(STATE)).unwrap();
}

/// A call with `kage` on PATH, as users have it.
fn linked(sandbox: &Sandbox) -> Call {
    if !sandbox.path("bin/kage").exists() {
        symlink(kage(), sandbox.path("bin/kage")).unwrap();
    }
    sandbox.kage(["ps"])
}

/// A server whose configuration has these lines and then the line that `--install` adds.
fn configured(sandbox: &Sandbox, lines: &str) -> Tmux {
    let environment = linked(sandbox);
    sandbox.write(CONF, &format!("{OFTEN}{lines}"));
    sandbox.kage(["init", "tmux", "--install", "--yes"]).run().success();
    Tmux::configured(environment, sandbox.path("tmux"))
}

/// A server for the terminal in which the client of another server runs.
fn terminal(sandbox: &Sandbox) -> Tmux {
    Tmux::start(linked(sandbox), sandbox.path("terminal"))
}

fn client<'a>(terminal: &'a Tmux, server: &Tmux) -> Pane<'a> {
    let pane = terminal.first();
    terminal.run(&["set-option", "-g", "status", "off"]);
    pane.enter(&server.attach());
    pane.shows("[0]");
    pane
}

fn bottom(pane: &Pane<'_>) -> String {
    pane.screen().trim_end().lines().last().unwrap_or_default().trim_end().to_owned()
}

fn option(tmux: &Tmux, name: &str) -> String {
    tmux.run(&["show-options", "-gv", name]).trim_end_matches('\n').to_owned()
}

#[test]
fn the_status_line_shows_the_state_of_the_pool() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    state(&sandbox, 0.42, &[]);
    let (server, terminal) = (configured(&sandbox, ""), terminal(&sandbox));
    let client = client(&terminal, &server);
    wait_until("the segment is there", || bottom(&client).ends_with(" 2/2 42%"));
    state(&sandbox, 0.93, &["work-premium"]);
    wait_until("the segment follows the pool", || bottom(&client).ends_with(" 1/2 93%"));
    // The segment sets its colors and restores the previous ones.
    let seen = terminal.run(&["capture-pane", "-p", "-e", "-t", "0"]);
    assert!(seen.contains("1/2 \u{1b}[43m93%"), "{seen:?}");
    sandbox.write(STATE, "{");
    wait_until("the error is shown", || bottom(&client).ends_with(" kage: !"));
}

#[test]
fn the_user_can_choose_the_position_of_the_segment() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let lines = "set -g status-left-length 40\nset -g status-left '[0] <#{kage}|#{kage}>;'\nset -g status-right 'end;'\n";
    let (server, terminal) = (configured(&sandbox, lines), terminal(&sandbox));
    let client = client(&terminal, &server);
    wait_until("the segment is there", || bottom(&client).starts_with("[0] <2/2|2/2>"));
    assert_eq!(option(&server, "status-right"), "end;");
    assert_eq!(option(&server, "status-right-length"), "40");
    assert!(option(&server, "status-left").ends_with(">;"));
}

#[test]
fn the_segment_is_added_once_if_loaded_twice() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let server = configured(&sandbox, "set -g @kage_pane_border on\n");
    let seen = || {
        let options =
            ["status-left", "status-right", "status-right-length"].map(|name| option(&server, name));
        let border = server.run(&["show-options", "-gwv", "pane-border-format"]);
        (options, border, server.run(&["list-keys", "-T", "prefix"]))
    };
    let once = seen();
    assert_eq!(once.0[1].matches("@kage_status_command").count(), 1, "{once:?}");
    assert_eq!(once.0[2], "72");
    let conf = sandbox.path(CONF);
    server.run(&["source-file", conf.to_str().unwrap()]);
    assert_eq!(seen(), once);
    // A configuration that sets the option again before the segment is appended.
    let right = once.0[1].split(" #(").next().unwrap();
    server.run(&["set-option", "-g", "status-right", right]);
    server.run(&["source-file", conf.to_str().unwrap()]);
    assert_eq!(seen(), once);
}

#[test]
fn the_border_of_a_pane_shows_its_agent() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    sandbox.program("claude", "#!/bin/sh\necho 'the agent runs'\nread -r _\n");
    let (server, terminal) = (configured(&sandbox, "set -g @kage_pane_border on\n"), terminal(&sandbox));
    let client = client(&terminal, &server);
    wait_until("the border is there", || client.screen().starts_with("──0 \""));
    client.enter("kage exec -n backend -s personal -- claude");
    client.shows("the agent runs");
    let top = || client.screen().lines().next().unwrap_or_default().to_owned();
    wait_until("the border shows the agent", || top().contains("\" personal backend active──"));
    // The status line shows the agent of the active pane.
    wait_until("the segment shows the agent", || bottom(&client).ends_with(" personal 2/2"));
    client.press("Enter");
    wait_until("the border no longer shows the agent", || !top().contains("personal"));
    wait_until("the segment is that of the pool", || !bottom(&client).contains("personal"));
}

#[test]
fn hidden_borders_stay_hidden_and_the_users_own_keep_their_text() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let rows = [
        ("", "off", None),
        ("set -g pane-border-status bottom\nset -g pane-border-format mine", "bottom", Some("mine#{?@kage_")),
        ("set -g pane-border-status top\nset -g @kage_pane_border off", "top", None),
        ("set -g pane-border-status top\nset -g pane-border-format '#{@kage_status}'", "top", None),
        ("set -g pane-border-status bottom\nset -g @kage_pane_border on", "bottom", Some("\"#{?@kage_")),
    ];
    for (lines, shown, added) in rows {
        let sandbox = pool();
        let server = configured(&sandbox, &format!("{lines}\n"));
        let window = |name| server.run(&["show-options", "-gwv", name]).trim_end().to_owned();
        assert_eq!(window("pane-border-status"), shown, "{lines}");
        let format = window("pane-border-format");
        match added {
            Some(part) => assert!(format.contains(part), "{lines}: {format}"),
            None => assert!(!format.contains("?@kage_"), "{lines}: {format}"),
        }
    }
}

#[test]
fn a_key_opens_the_status_in_a_popup_and_q_closes_it() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let (server, terminal) = (configured(&sandbox, ""), terminal(&sandbox));
    let client = client(&terminal, &server);
    client.press("C-b");
    client.press("u");
    let screen = client.shows(TITLE);
    assert!(screen.contains('┌') && screen.contains("work-premium"), "{screen}");
    client.press("q");
    wait_until("the popup is closed", || !client.screen().contains(TITLE));
    // The shell below it gets the keys again.
    client.enter("echo af''ter");
    client.shows("\nafter\n");
}

#[test]
fn a_key_that_the_user_has_bound_is_not_changed() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let rows = [
        ("bind-key u display-message mine", "u", "display-message mine", false),
        ("bind-key u display-message mine\nset -g @kage_popup_key K", "K", "status --watch", true),
        ("set -g @kage_popup_key none", "none", "", false),
    ];
    for (lines, key, bound, has_popup) in rows {
        let sandbox = pool();
        let server = configured(&sandbox, &format!("{lines}\n"));
        let keys = server.run(&["list-keys", "-T", "prefix"]);
        let is_bound = |line: &str| line.contains(&format!(" {key} ")) && line.contains(bound);
        assert!(bound.is_empty() || keys.lines().any(is_bound), "{keys}");
        assert_eq!(keys.contains("status --watch"), has_popup, "{lines}: {keys}");
    }
}

#[test]
fn tpm_loads_the_plugin() {
    if !has_all(&["tmux", "bash", TPM]) {
        return;
    }
    let sandbox = pool();
    let environment = linked(&sandbox);
    let commands = documented(
        "mkdir -p ~/.tmux/plugins/kage && cd ~/.tmux/plugins/kage && kage init tmux >kage.tmux && chmod +x kage.tmux",
    );
    sandbox.call("sh".as_ref(), ["-ec", commands]).run().success().says("");
    let plugin = documented("set -g @plugin 'kage'");
    sandbox.write("home/.tmux.conf", &format!("{OFTEN}{plugin}\nrun-shell {TPM}\n"));
    let (server, terminal) = (Tmux::configured(environment, sandbox.path("tmux")), terminal(&sandbox));
    let client = client(&terminal, &server);
    wait_until("the segment is there", || bottom(&client).ends_with(" 2/2"));
    assert!(server.run(&["list-keys", "-T", "prefix"]).contains("status --watch"));
}

#[test]
fn the_path_of_kage_may_have_any_name() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let dir = sandbox.path(r#"home/a "b" $c #S %H it's #{pane_id} ) #[x] ;"#);
    fs::create_dir_all(&dir).unwrap();
    symlink(kage(), dir.join("kage")).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.display());
    sandbox.write(CONF, OFTEN);
    sandbox.kage(["init", "tmux", "--install", "--yes"]).env("PATH", &path).run().success();
    let server = Tmux::configured(sandbox.kage(["ps"]).env("PATH", &path), sandbox.path("tmux"));
    let terminal = terminal(&sandbox);
    let client = client(&terminal, &server);
    assert!(option(&server, "@kage_status_command").contains("$c #S %H"), "kage is called by that path");
    wait_until("the segment is there", || bottom(&client).ends_with(" 2/2"));
    client.press("C-b");
    client.press("u");
    client.shows(TITLE);
    client.press("q");
    wait_until("the popup is closed", || !client.screen().contains(TITLE));
}

#[test]
fn the_line_is_added_to_the_existing_configuration_and_removed_again() {
    let sandbox = Sandbox::new();
    linked(&sandbox);
    let kage = |flag: &str| sandbox.kage(["init", "tmux", flag, "--yes"]);
    let line = sandbox.kage(["init", "tmux", "--print-rc"]).run().success().stdout();
    let bin = sandbox.path("bin/kage").display().to_string();
    let expected = format!("run-shell \"if [ -x {bin} ]; then {bin} init tmux | sh; fi\" # added by kage\n");
    assert_eq!(line, expected);
    kage("--install").run().success().mentions("added one line to").mentions("tmux source-file");
    assert_eq!(sandbox.read(CONF), line);
    kage("--install").run().success().mentions("already has this line");
    assert_eq!(sandbox.read(CONF), line);
    kage("--uninstall").run().success().mentions("removed one line from");
    assert_eq!(sandbox.read(CONF), "");

    sandbox.write("home/.tmux.conf", "set -g mouse on\n");
    kage("--install").run().success();
    assert_eq!(sandbox.read("home/.tmux.conf"), format!("set -g mouse on\n{line}"));
    assert_eq!(sandbox.read(CONF), "");
    sandbox.kage(["init", "tmux", "--alias", "claude"]).run().status(2).is_one_line_and_a_hint();
}

#[test]
fn a_configuration_prints_nothing_if_kage_was_removed() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    sandbox.write(CONF, OFTEN);
    linked(&sandbox);
    sandbox.kage(["init", "tmux", "--install", "--yes"]).run().success();
    fs::remove_file(sandbox.path("bin/kage")).unwrap();
    let server = Tmux::configured(sandbox.kage(["ps"]), sandbox.path("tmux"));
    assert!(!option(&server, "status-right").contains("kage"));
    server.first().is_at_the_prompt();
}

#[test]
fn the_segment_never_fails() {
    let sandbox = Sandbox::new();
    let segment = || sandbox.kage(["status", "--format", "tmux"]);
    let error = "#[push-default]#[fg=white,bg=red]kage: !#[default]#[pop-default]\n";
    segment().run().success().prints("").says("");
    segment().env("KAGE_CONFIG", "/nowhere/config.toml").run().success().prints("").says("");
    assert!(!sandbox.path("home/.local/state/kage").exists(), "it creates no directory");
    sandbox.config("[");
    segment().run().success().prints(error).says("");
    // The segment does not use the keychain, so a missing one is no error.
    sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    segment().run().success().prints("1/1\n").says("");
    sandbox.write(STATE, "{");
    segment().run().success().prints(error).says("");
    assert_eq!(sandbox.read(STATE), "{");
}

#[test]
fn the_other_formats_of_status_are_unchanged() {
    let sandbox = pool();
    let text = |args: &[&str]| sandbox.kage([&["status"], args].concat()).run().success().stdout();
    assert_eq!(text(&["--format", "text"]), text(&[]));
    let json = |args: &[&str]| {
        let mut value: Value = serde_json::from_str(&text(args)).unwrap();
        value["now"].take();
        value
    };
    assert_eq!(json(&["--format", "json"]), json(&["--json"]));
    sandbox.kage(["status", "-s", "personal"]).run().status(2).is_one_line_and_a_hint();
    sandbox.kage(["status", "--format", "tmux", "--json"]).run().status(2).is_one_line_and_a_hint();
    sandbox.kage(["status", "--format", "tmux", "--watch"]).run().status(2).is_one_line_and_a_hint();
}

#[test]
fn the_script_passes_shellcheck_and_shfmt() {
    if !has_all(&["shellcheck", "shfmt"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let text = sandbox.kage(["init", "tmux"]).run().success().stdout();
    let file = sandbox.write("kage.tmux", &text);
    let file = file.to_str().unwrap();
    sandbox.call("shellcheck".as_ref(), [file]).run().success().prints("");
    sandbox.call("shfmt".as_ref(), ["-i", "2", "-ci", "-d", file]).run().success().prints("");
}
