//! Faults of the credentials in the file, behind commands and in login directories.

use std::fs;
use std::time::{Duration, Instant};

use super::clinic::Clinic;
use crate::support::{CONFIG, has_all, token};

const FILE: &str = "home/.local/share/kage/credentials";
const IDENTITY: &str = "home/.config/kage/identity";
const ANEW: &str = "kage subscription credential work";

#[test]
fn credentials_that_others_can_read_are_made_private() {
    let clinic = Clinic::healthy();
    clinic.mode(FILE, 0o644);
    clinic.finds("warning", "credentials-readable").mended();
    clinic.mode(IDENTITY, 0o604);
    clinic.finds("warning", "identity-readable").mended();
}

#[test]
fn a_damaged_credentials_file_is_moved_away_and_its_secrets_are_asked_for() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(FILE, "{");
    clinic.finds("error", "credentials-unopened").saying("is damaged").mended_with(&token("work"));
    assert!(clinic.sandbox.path(&format!("{FILE}.damaged")).exists());
}

#[test]
fn a_lost_identity_costs_the_secrets_that_only_it_could_open() {
    let clinic = Clinic::healthy();
    fs::remove_file(clinic.sandbox.path(IDENTITY)).unwrap();
    clinic.finds("error", "credentials-unopened").saying("identity").mended_with(&token("work"));
}

#[test]
fn an_identity_that_is_none_is_moved_away_with_what_it_sealed() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(IDENTITY, "not a key");
    clinic.mode(IDENTITY, 0o600);
    clinic
        .finds("error", "credentials-unopened")
        .saying("is not a kage identity")
        .mended_with(&token("work"));
}

#[test]
fn credentials_that_their_owner_cannot_read_are_made_readable() {
    for file in [FILE, IDENTITY] {
        let clinic = Clinic::healthy().of_somebody();
        clinic.mode(file, 0o000);
        clinic.finds("error", "credentials-unreadable").mended();
    }
}

#[test]
fn a_missing_passphrase_is_asked_for() {
    passphrase(Clinic::healthy());
    for shell in ["zsh", "fish"].into_iter().filter(|shell| has_all(&[shell])) {
        passphrase(Clinic::healthy().in_shell(shell));
    }
}

fn passphrase(clinic: Clinic) {
    clinic.sandbox.kage(["subscription", "remove", "work", "--force"]).run().success();
    fs::remove_file(clinic.sandbox.path(FILE)).unwrap();
    let add = ["subscription", "add", "work", "--credential", "file"];
    clinic.sandbox.kage(add).env("KAGE_PASSPHRASE", "open").stdin(&token("work")).run().success();
    clinic.finds("error", "credentials-passphrase").mended_with("open\n");
}

#[test]
fn a_directory_in_which_no_secret_can_be_written_is_made_writable() {
    let clinic = Clinic::healthy().of_somebody();
    clinic.mode("home/.local/share/kage", 0o500);
    clinic.finds("error", "credentials-not-writable").mended();
}

#[test]
fn a_secret_that_is_missing_is_asked_for() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.pool.second]\ncredential = { from = \"file\" }");
    let fault = clinic.finds("error", "secret-missing").saying("`second`");
    fault.fixed_by("kage subscription credential second").mended_with(&token("second"));
}

#[test]
fn a_secret_that_no_subscription_uses_is_forgotten() {
    let clinic = Clinic::healthy();
    clinic.sandbox.add("old", &[]);
    let config = clinic.sandbox.read(CONFIG);
    clinic.sandbox.config(config.split("[subscriptions.pool.old]").next().unwrap());
    let fault = clinic.finds("warning", "secret-orphan").saying("secret `old`");
    fault.fixed_by("kage subscription credential old --forget").mended();
    let list = clinic.sandbox.kage(["subscription", "credential", "--list"]).run().success().stdout();
    assert!(list.contains("work") && !list.contains("old"), "{list}");
}

#[test]
fn a_secret_of_another_config_is_not_to_be_forgotten() {
    let clinic = Clinic::healthy();
    clinic
        .sandbox
        .write("home/client.toml", "[subscriptions.pool.client]\ncredential = { from = \"file\" }\n");
    let client = clinic.sandbox.path("home/client.toml");
    let clinic = clinic.with("KAGE_CONFIG", client);
    clinic
        .finds("error", "secret-missing")
        .saying("`client`")
        .fixed_by("kage subscription credential client")
        .mended_with(&token("client"));
    // A pool that is empty says nothing about who uses a secret either.
    let clinic = Clinic::healthy();
    clinic.sandbox.config("");
    clinic.finds("warning", "no-subscriptions");
}

#[test]
fn a_secret_of_another_kind_is_replaced() {
    let clinic = Clinic::healthy();
    clinic
        .sandbox
        .kage([ANEW_WORDS.as_slice(), &["--force"]].concat())
        .stdin("AIza-invented")
        .run()
        .success();
    clinic.finds("warning", "secret-odd").saying("sk-ant-oat01-").fixed_by(ANEW).mended_with(&token("work"));
}

const ANEW_WORDS: [&str; 3] = ["subscription", "credential", "work"];

/// The day so many days ago.
fn ago(days: i64) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    now.checked_sub(jiff::Span::new().days(days)).unwrap().to_string()
}

#[test]
fn a_setup_token_near_its_year_is_a_warning_and_one_beyond_it_an_error() {
    let clinic = Clinic::healthy();
    let minted = |days: i64, secret: &str| {
        let day = ago(days);
        let words = [ANEW_WORDS.as_slice(), &["--minted", &day]].concat();
        clinic.sandbox.kage(words).stdin(secret).run().success();
    };
    let setup_token = token("work");
    minted(300, &setup_token);
    clinic.is_well();
    minted(340, &setup_token);
    clinic
        .finds("warning", "token-old")
        .saying("claude setup-token")
        .fixed_by(ANEW)
        .mended_with(&setup_token);
    minted(366, &setup_token);
    clinic.finds("error", "token-expired").saying("ended on").fixed_by(ANEW).mended_with(&setup_token);
    // An API key has no end.
    minted(366, "sk-ant-api03-invented");
    clinic.is_well();
}

#[test]
fn a_state_of_before_that_knows_no_day_of_a_secret_is_no_fault() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(
        "home/.local/state/kage/state.json",
        r#"{"version":1,"state":{"subscriptions":{"work":{"credit":5}}}}"#,
    );
    clinic.is_well();
}

#[test]
fn a_credential_command_that_fails_is_replaced_by_the_file() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.pool.vault]\ncredential = { command = \"false\" }");
    let fault = clinic.finds("error", "credential-command").saying("`false` failed");
    fault.fixed_by("kage subscription credential vault --credential file").mended_with(&token("vault"));
}

#[test]
fn a_credential_command_that_never_ends_is_not_waited_for() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.pool.vault]\ncredential = { command = \"exec tail -f /dev/null\" }");
    let begun = Instant::now();
    let fault = clinic.finds("error", "credential-command").saying("took longer than 10 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    fault.mended_with(&token("vault"));
}

#[test]
fn a_login_directory_that_is_gone_is_made_by_the_agent() {
    let clinic = Clinic::healthy();
    let dir = clinic.sandbox.path("home/.claude-private");
    clinic.config(&format!("[subscriptions.pool.private]\ncredential = {{ home = \"{}\" }}", dir.display()));
    let fix = format!("CLAUDE_CONFIG_DIR='{}' claude /login", dir.display());
    clinic.finds("error", "login-missing").saying("~/.claude-private").fixed_by(&fix).mended();
}

/// Adds a subscription with a login directory; the answer is the mend that logs in there.
fn login(clinic: &Clinic, agent: &str, login: impl Fn(&str) -> String) -> String {
    let dir = clinic.sandbox.path("home/login");
    fs::create_dir(&dir).unwrap();
    let home = format!("home:{}", dir.display());
    let add = ["subscription", "add", "home", "--agent", agent, "--credential", &home];
    clinic.sandbox.kage(add).run().success();
    login(&format!("'{}'", dir.display()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_login_directory_without_a_login_gets_one_and_a_refusal_is_over_then() {
    let clinic = Clinic::healthy();
    let fix = login(&clinic, "claude", |dir| format!("CLAUDE_CONFIG_DIR={dir} claude /login"));
    let missing = || clinic.finds("warning", "login-missing").saying("~/login of `home` has no login");
    missing().fixed_by(&fix).mended();
    let refused = || drop(clinic.sandbox.kage(["exec", "-q", "-s", "home", "--", "claude", "-p", "x"]).run());
    refused();
    let and_reset = format!("{fix} && kage subscription reset home");
    clinic.finds("warning", "subscription-unhealthy").fixed_by(&and_reset).mended();
    refused();
    fs::remove_file(clinic.sandbox.path("home/login/.credentials.json")).unwrap();
    missing().fixed_by(&and_reset).mended();
}

#[test]
fn a_login_directory_of_another_agent_without_a_login_gets_one() {
    let clinic = Clinic::healthy();
    let make = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 0.169.0\n: >\"$CODEX_HOME/auth.json\"\n";
    clinic.sandbox.program("codex", make);
    let fix = login(&clinic, "codex", |dir| format!("mkdir -p {dir} && CODEX_HOME={dir} codex login"));
    clinic.finds("warning", "login-missing").fixed_by(&fix).mended();
    fs::remove_file(clinic.sandbox.path("home/login/auth.json")).unwrap();
    // In the keychain nothing of it is seen.
    clinic.sandbox.write("home/login/config.toml", "cli_auth_credentials_store = \"keyring\"\n");
    clinic.is_well();
    let clinic = Clinic::healthy();
    let make = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 0.61.0\n\
                mkdir -p \"$GEMINI_CLI_HOME/.gemini\" && : >\"$GEMINI_CLI_HOME/.gemini/oauth_creds.json\"\n";
    clinic.sandbox.program("gemini", make);
    let fix = login(&clinic, "gemini", |dir| format!("GEMINI_CLI_HOME={dir} gemini"));
    clinic.finds("warning", "login-missing").fixed_by(&fix).mended();
}

#[test]
fn a_secret_of_a_command_that_was_refused_is_replaced() {
    let clinic = Clinic::healthy();
    clinic
        .config(&format!("[subscriptions.pool.vault]\ncredential = {{ command = \"echo {}\" }}", token("x")));
    drop(clinic.sandbox.kage(["exec", "-q", "-s", "vault", "--", "claude", "-p", "x"]).run());
    let fault = clinic.finds("warning", "subscription-unhealthy").saying("still prints the secret");
    fault.fixed_by("kage subscription credential vault --credential file").mended_with(&token("vault"));
}

#[test]
fn a_credential_that_was_not_to_be_had_and_is_there_now_is_tried_again() {
    let clinic = Clinic::healthy();
    clinic.config("[subscriptions.pool.vault]\ncredential = { command = \"cat secret\" }");
    // Three in a row are no accident.
    for _ in 0..3 {
        clinic.sandbox.kage(["exec", "-q", "-s", "vault", "--", "true"]).run().status(125);
    }
    clinic.sandbox.write("work/secret", &token("vault"));
    let fault = clinic.finds("warning", "subscription-unhealthy").saying("its credential cannot be had");
    fault.fixed_by("kage subscription reset vault").mended();
}
