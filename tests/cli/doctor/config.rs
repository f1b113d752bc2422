//! Problems with the config.

use std::fs;

use super::fixture::Fixture;
use crate::support::{CONFIG, has_all, token};

#[test]
fn a_config_that_cannot_be_parsed_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.config("[failover");
    let line = fixture.sandbox.read(CONFIG).lines().position(|line| line == "[failover").unwrap() + 1;
    let file = fixture.sandbox.path(CONFIG);
    let fix = format!("editor +{line} {}", file.display());
    fixture.finds("error", "config-invalid").has_fix(&fix).apply_fix_by_editing("d");
}

#[test]
fn fixes_work_in_fish_as_in_other_shells() {
    if !has_all(&["fish"]) {
        return;
    }
    let fixture = Fixture::healthy().in_shell("fish");
    fixture.assert_no_problems();
    fixture.config("[failover]\nretrys = 1");
    fixture.finds("error", "config-unknown-key").apply_fix_by_editing("s/retrys/attempts/");
    let fixture = fixture.with("KAGE_PRIORITY", "urgent");
    fixture.finds("error", "variable-odd").has_fix("set -e KAGE_PRIORITY").apply_fix();
    let fixture = fixture.with("KAGE_PRIORITY", "").with("KAGE_RUN", "0123456789abcdef");
    fixture.finds("warning", "run-unknown").apply_fix();
    let fixture = fixture.with("KAGE_RUN", "").with("KAGE_CONFIG", "/nowhere/it's.toml");
    fixture.finds("warning", "config-missing").has_fix("set -e KAGE_CONFIG").apply_fix();
}

#[test]
fn fixes_open_the_users_own_editor() {
    let fixture = Fixture::healthy();
    fixture.config("[failover");
    let file = fixture.sandbox.path(CONFIG);
    let line = fixture.sandbox.read(CONFIG).lines().position(|line| line == "[failover").unwrap() + 1;
    let opened = |editor: &str| format!("{editor} +{line} {}", file.display());
    let fixture = fixture.with("EDITOR", "");
    fixture.finds("error", "config-invalid").has_fix(&opened("vi"));
    let fixture = fixture.with("EDITOR", "nano").with("VISUAL", "editor");
    fixture.finds("error", "config-invalid").has_fix(&opened("editor")).apply_fix_by_editing("d");
}

#[test]
fn an_unknown_key_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.config("[failover]\nretrys = 1");
    fixture
        .finds("error", "config-unknown-key")
        .mentions("unknown key `retrys`")
        .apply_fix_by_editing("s/retrys/attempts/");
}

#[test]
fn a_route_to_an_unknown_subscription_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.routing]\nbackend = [\"wrok\"]");
    fixture
        .finds("error", "config-invalid")
        .mentions("no subscription named `wrok`")
        .apply_fix_by_editing("s/wrok/work/");
}

#[test]
fn a_directory_at_the_path_of_the_config_is_moved_away() {
    let fixture = Fixture::healthy();
    let text = fixture.sandbox.read(CONFIG);
    fs::remove_file(fixture.sandbox.path(CONFIG)).unwrap();
    fs::create_dir(fixture.sandbox.path(CONFIG)).unwrap();
    let problem = fixture.finds("error", "config-is-directory");
    let fix = problem.fix.clone();
    problem.fix_manually(|fixture| {
        // Moving the directory away does not restore the config.
        fixture.sandbox.call("bash".as_ref(), ["-c", &fix]).run().success();
        fixture.sandbox.config(&text);
    });
}

#[test]
fn a_dangling_link_to_a_config_is_moved_away_and_no_secret_is_forgotten() {
    let fixture = Fixture::healthy();
    let (file, dotfile) = (fixture.sandbox.path(CONFIG), fixture.sandbox.path("home/dotfiles/kage.toml"));
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&dotfile, &file).unwrap();
    let problem = fixture.finds("error", "config-dangling").mentions("a link to ~/dotfiles/kage.toml");
    let fix = problem.fix.clone();
    fixture.sandbox.call("bash".as_ref(), ["-c", &fix]).run().success();
    fixture.finds("warning", "no-subscriptions");
    assert_eq!(fs::read_link(fixture.sandbox.path(&format!("{CONFIG}.old"))).unwrap(), dotfile);
}

#[test]
fn a_variable_that_names_a_missing_config_or_a_directory_is_unset() {
    let fixture = Fixture::healthy().with("KAGE_CONFIG", "/nowhere/config.toml");
    fixture
        .finds("warning", "config-missing")
        .mentions("/nowhere/config.toml")
        .has_fix("unset KAGE_CONFIG")
        .apply_fix();
    let fixture = Fixture::healthy().with("KAGE_CONFIG", "/tmp");
    fixture.finds("error", "config-is-directory").has_fix("unset KAGE_CONFIG").apply_fix();
}

#[test]
fn write_access_of_other_users_to_the_config_is_removed() {
    let fixture = Fixture::healthy();
    fixture.mode(CONFIG, 0o666);
    fixture.finds("error", "config-writable").apply_fix();
}

#[test]
fn a_config_that_contains_a_secret_is_made_private() {
    let fixture = Fixture::healthy();
    fixture.mode(CONFIG, 0o644).assert_no_problems();
    fixture.sandbox.kage(["subscription", "set", "work", "--env", "GATEWAY_TOKEN=x"]).run().success();
    fixture.finds("warning", "config-readable").apply_fix();
}

#[test]
fn a_config_that_cannot_be_read_is_made_readable() {
    let fixture = Fixture::healthy().unprivileged();
    fixture.mode(CONFIG, 0o000);
    fixture.finds("error", "config-unreadable").apply_fix();
}

#[test]
fn a_config_that_cannot_be_changed_or_read_gets_access_to_its_directory() {
    let fixture = Fixture::healthy().unprivileged();
    let dir = fixture.sandbox.path("home/.config/kage");
    fixture.mode("home/.config/kage", 0o500);
    let fix = format!("chmod u+rwx {}", dir.display());
    fixture.finds("warning", "config-not-writable").has_fix(&fix).apply_fix();
    fixture.mode("home/.config/kage", 0o000);
    fixture.finds("error", "config-unreadable").has_fix(&fix).apply_fix();
}

#[test]
fn a_config_at_another_location_may_be_read_only() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write("store/config.toml", "");
    let Some(fixture) = fixture.unprivileged_except("store") else { return };
    let text = fixture.sandbox.read(CONFIG);
    let named = fixture.sandbox.write("store/config.toml", &text);
    let fixture = fixture.with("KAGE_CONFIG", named);
    fixture.chown_to_user();
    fixture.assert_no_problems();
    fixture.mode("store", 0o500);
    fixture.finds("warning", "config-not-writable").apply_fix();
    fixture.mode("store", 0o755);
    let Some(fixture) = fixture.unprivileged_except("store") else { return };
    fixture.mode("store/config.toml", 0o644);
    assert!(fixture.findings().message("config-read-only").contains("store is not writable"));
    fixture.assert_no_problems();
}

#[test]
fn an_empty_route_is_removed() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.routing]\nbackend = [\"tag:nobody\"]");
    let fix = "kage subscription route --remove backend";
    fixture.finds("warning", "route-empty").has_fix(fix).apply_fix();
}

#[test]
fn a_namespace_of_a_missing_directory_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.config("[namespaces.backend]\nrepos = [\"~/gone\"]");
    fixture.finds("warning", "repo-missing").mentions("~/gone").apply_fix_by_editing("s/gone//");
}

#[test]
fn an_empty_pool_gets_a_subscription() {
    let fixture = Fixture::healthy();
    fixture.sandbox.kage(["subscription", "remove", "work", "--force"]).run().success();
    let problem = fixture.finds("warning", "no-subscriptions").has_fix("kage subscription add work");
    problem.fix_manually(|fixture| {
        // `add` would use the keychain, which another suite tests. The file is enough here.
        fixture
            .sandbox
            .kage(["subscription", "add", "work", "--credential", "file"])
            .stdin(&token("x"))
            .run()
            .success();
    });
}

#[test]
fn in_a_pool_of_disabled_subscriptions_one_is_enabled() {
    let fixture = Fixture::healthy();
    fixture.sandbox.kage(["subscription", "disable", "work"]).run().success();
    fixture.finds("warning", "none-enabled").has_fix("kage subscription enable work").apply_fix();
}

#[test]
fn an_event_command_with_a_missing_program_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.config("[events]\ncommand = \"tell-nobody --quietly\"");
    fixture
        .finds("warning", "event-command-missing")
        .mentions("`tell-nobody`")
        .apply_fix_by_editing("s/tell-nobody/cat/");
}
