//! Faults of the config.

use std::fs;

use super::clinic::Clinic;
use crate::support::{CONFIG, has_all, token};

#[test]
fn a_config_that_cannot_be_parsed_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.config("[failover");
    let line = clinic.sandbox.read(CONFIG).lines().position(|line| line == "[failover").unwrap() + 1;
    let file = clinic.sandbox.path(CONFIG);
    let fix = format!("editor +{line} {}", file.display());
    clinic.finds("error", "config-invalid").fixed_by(&fix).mended_by_editing("d");
}

#[test]
fn mends_are_typed_in_fish_as_in_other_shells() {
    if !has_all(&["fish"]) {
        return;
    }
    let clinic = Clinic::healthy().in_shell("fish");
    clinic.is_well();
    clinic.config("[failover]\nretrys = 1");
    clinic.finds("error", "config-unknown-key").mended_by_editing("s/retrys/attempts/");
    let clinic = clinic.with("KAGE_PRIORITY", "urgent");
    clinic.finds("error", "variable-odd").fixed_by("set -e KAGE_PRIORITY").mended();
    let clinic = clinic.with("KAGE_PRIORITY", "").with("KAGE_RUN", "0123456789abcdef");
    clinic.finds("warning", "run-unknown").mended();
    let clinic = clinic.with("KAGE_RUN", "").with("KAGE_CONFIG", "/nowhere/it's.toml");
    clinic.finds("warning", "config-missing").fixed_by("set -e KAGE_CONFIG").mended();
}

#[test]
fn the_editor_of_the_mends_is_the_users_own() {
    let clinic = Clinic::healthy();
    clinic.config("[failover");
    let file = clinic.sandbox.path(CONFIG);
    let line = clinic.sandbox.read(CONFIG).lines().position(|line| line == "[failover").unwrap() + 1;
    let opened = |editor: &str| format!("{editor} +{line} {}", file.display());
    let clinic = clinic.with("EDITOR", "");
    clinic.finds("error", "config-invalid").fixed_by(&opened("vi"));
    let clinic = clinic.with("EDITOR", "nano").with("VISUAL", "editor");
    clinic.finds("error", "config-invalid").fixed_by(&opened("editor")).mended_by_editing("d");
}

#[test]
fn an_unknown_key_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.config("[failover]\nretrys = 1");
    clinic
        .finds("error", "config-unknown-key")
        .saying("unknown key `retrys`")
        .mended_by_editing("s/retrys/attempts/");
}

#[test]
fn a_route_to_a_subscription_that_is_not_there_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.routing]\nbackend = [\"wrok\"]");
    clinic
        .finds("error", "config-invalid")
        .saying("no subscription `wrok`")
        .mended_by_editing("s/wrok/work/");
}

#[test]
fn a_directory_in_the_place_of_the_config_is_moved_away() {
    let clinic = Clinic::healthy();
    let text = clinic.sandbox.read(CONFIG);
    fs::remove_file(clinic.sandbox.path(CONFIG)).unwrap();
    fs::create_dir(clinic.sandbox.path(CONFIG)).unwrap();
    let fault = clinic.finds("error", "config-is-directory");
    let fix = fault.fix.clone();
    fault.mended_by_hand(|clinic| {
        // What was in the config is not brought back by moving the directory.
        clinic.sandbox.call("bash".as_ref(), ["-c", &fix]).run().success();
        clinic.sandbox.config(&text);
    });
}

#[test]
fn a_config_that_is_a_link_to_nothing_is_named_and_no_secret_is_forgotten() {
    let clinic = Clinic::healthy();
    let (file, dotfile) = (clinic.sandbox.path(CONFIG), clinic.sandbox.path("home/dotfiles/kage.toml"));
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&dotfile, &file).unwrap();
    let fault = clinic.finds("error", "config-dangling").saying("a link to ~/dotfiles/kage.toml");
    let fix = fault.fix.clone();
    clinic.sandbox.call("bash".as_ref(), ["-c", &fix]).run().success();
    clinic.finds("warning", "no-subscriptions");
    assert_eq!(fs::read_link(clinic.sandbox.path(&format!("{CONFIG}.old"))).unwrap(), dotfile);
}

#[test]
fn a_variable_that_names_no_config_or_a_directory_is_unset() {
    let clinic = Clinic::healthy().with("KAGE_CONFIG", "/nowhere/config.toml");
    clinic
        .finds("warning", "config-missing")
        .saying("/nowhere/config.toml")
        .fixed_by("unset KAGE_CONFIG")
        .mended();
    let clinic = Clinic::healthy().with("KAGE_CONFIG", "/tmp");
    clinic.finds("error", "config-is-directory").fixed_by("unset KAGE_CONFIG").mended();
}

#[test]
fn a_config_that_everybody_can_write_runs_their_commands() {
    let clinic = Clinic::healthy();
    clinic.mode(CONFIG, 0o666);
    clinic.finds("error", "config-writable").mended();
}

#[test]
fn a_config_with_a_secret_in_it_is_for_its_owner_alone() {
    let clinic = Clinic::healthy();
    clinic.mode(CONFIG, 0o644).is_well();
    clinic.sandbox.kage(["subscription", "set", "work", "--env", "GATEWAY_TOKEN=x"]).run().success();
    clinic.finds("warning", "config-readable").mended();
}

#[test]
fn a_config_that_cannot_be_read_is_made_readable() {
    let clinic = Clinic::healthy().of_somebody();
    clinic.mode(CONFIG, 0o000);
    clinic.finds("error", "config-unreadable").mended();
}

#[test]
fn a_config_that_cannot_be_changed_or_reached_has_its_directory_opened() {
    let clinic = Clinic::healthy().of_somebody();
    let dir = clinic.sandbox.path("home/.config/kage");
    clinic.mode("home/.config/kage", 0o500);
    let fix = format!("chmod u+rwx {}", dir.display());
    clinic.finds("warning", "config-not-writable").fixed_by(&fix).mended();
    clinic.mode("home/.config/kage", 0o000);
    clinic.finds("error", "config-unreadable").fixed_by(&fix).mended();
}

#[test]
fn a_config_that_is_kept_elsewhere_may_be_read_only() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write("store/config.toml", "");
    let Some(clinic) = clinic.of_somebody_but("store") else { return };
    let text = clinic.sandbox.read(CONFIG);
    let named = clinic.sandbox.write("store/config.toml", &text);
    let clinic = clinic.with("KAGE_CONFIG", named);
    clinic.chown_to_somebody();
    clinic.is_well();
    clinic.mode("store", 0o500);
    clinic.finds("warning", "config-not-writable").mended();
    clinic.mode("store", 0o755);
    let Some(clinic) = clinic.of_somebody_but("store") else { return };
    clinic.mode("store/config.toml", 0o644);
    assert!(clinic.examine().message("config-read-only").contains("store cannot be written"));
    clinic.is_well();
}

#[test]
fn an_empty_route_is_removed() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.routing]\nbackend = [\"tag:nobody\"]");
    let fix = "kage subscription route --remove backend";
    clinic.finds("warning", "route-empty").fixed_by(fix).mended();
}

#[test]
fn a_namespace_of_a_directory_that_is_gone_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.config("[namespaces.backend]\nrepos = [\"~/gone\"]");
    clinic.finds("warning", "repo-missing").saying("~/gone").mended_by_editing("s/gone//");
}

#[test]
fn an_empty_pool_gets_a_subscription() {
    let clinic = Clinic::healthy();
    clinic.sandbox.kage(["subscription", "remove", "work", "--force"]).run().success();
    let fault = clinic.finds("warning", "no-subscriptions").fixed_by("kage subscription add work");
    fault.mended_by_hand(|clinic| {
        // The keychain, where `add` puts it, is another suite's; the file does as well.
        clinic
            .sandbox
            .kage(["subscription", "add", "work", "--credential", "file"])
            .stdin(&token("x"))
            .run()
            .success();
    });
}

#[test]
fn a_pool_in_which_all_are_disabled_gets_one_enabled() {
    let clinic = Clinic::healthy();
    clinic.sandbox.kage(["subscription", "disable", "work"]).run().success();
    clinic.finds("warning", "none-enabled").fixed_by("kage subscription enable work").mended();
}

#[test]
fn an_event_command_whose_program_is_gone_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.config("[events]\ncommand = \"tell-nobody --quietly\"");
    clinic
        .finds("warning", "event-command-missing")
        .saying("`tell-nobody`")
        .mended_by_editing("s/tell-nobody/cat/");
}
