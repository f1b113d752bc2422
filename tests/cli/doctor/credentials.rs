//! Problems with credentials in the file, from commands and in login directories.

use std::fs;
use std::time::{Duration, Instant};

use super::fixture::Fixture;
use crate::support::{CONFIG, has_all, token};

const FILE: &str = "home/.local/share/kage/credentials";
const IDENTITY: &str = "home/.config/kage/identity";
const REPLACE: &str = "kage subscription credential work";

#[test]
fn credentials_that_others_can_read_are_made_private() {
    let fixture = Fixture::healthy();
    fixture.mode(FILE, 0o644);
    fixture.finds("warning", "credentials-readable").apply_fix();
    fixture.mode(IDENTITY, 0o604);
    fixture.finds("warning", "identity-readable").apply_fix();
}

#[test]
fn a_damaged_credentials_file_is_moved_away_and_its_secrets_are_asked_for() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(FILE, "{");
    fixture.finds("error", "credentials-unopened").mentions("is damaged").apply_fix_with(&token("work"));
    assert!(fixture.sandbox.path(&format!("{FILE}.damaged")).exists());
}

#[test]
fn secrets_that_only_a_lost_identity_could_open_are_asked_for() {
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.sandbox.path(IDENTITY)).unwrap();
    fixture.finds("error", "credentials-unopened").mentions("identity").apply_fix_with(&token("work"));
}

#[test]
fn an_invalid_identity_is_moved_away_with_the_secrets() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(IDENTITY, "not a key");
    fixture.mode(IDENTITY, 0o600);
    fixture
        .finds("error", "credentials-unopened")
        .mentions("is not a kage identity")
        .apply_fix_with(&token("work"));
}

#[test]
fn credentials_that_their_owner_cannot_read_are_made_readable() {
    for file in [FILE, IDENTITY] {
        let fixture = Fixture::healthy().unprivileged();
        fixture.mode(file, 0o000);
        fixture.finds("error", "credentials-unreadable").apply_fix();
    }
}

#[test]
fn a_missing_passphrase_is_asked_for() {
    passphrase(Fixture::healthy());
    for shell in ["zsh", "fish"].into_iter().filter(|shell| has_all(&[shell])) {
        passphrase(Fixture::healthy().in_shell(shell));
    }
}

fn passphrase(fixture: Fixture) {
    fixture.sandbox.kage(["subscription", "remove", "work", "--force"]).run().success();
    fs::remove_file(fixture.sandbox.path(FILE)).unwrap();
    let add = ["subscription", "add", "work", "--credential", "file"];
    fixture.sandbox.kage(add).env("KAGE_PASSPHRASE", "open").stdin(&token("work")).run().success();
    fixture.finds("error", "credentials-passphrase").apply_fix_with("open\n");
}

#[test]
fn a_directory_in_which_no_secret_can_be_written_is_made_writable() {
    let fixture = Fixture::healthy().unprivileged();
    fixture.mode("home/.local/share/kage", 0o500);
    fixture.finds("error", "credentials-not-writable").apply_fix();
}

#[test]
fn a_secret_that_is_missing_is_asked_for() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.pool.second]\ncredential = { from = \"file\" }");
    let problem = fixture.finds("error", "secret-missing").mentions("`second`");
    problem.has_fix("kage subscription credential second").apply_fix_with(&token("second"));
}

#[test]
fn a_secret_that_no_subscription_uses_is_forgotten() {
    let fixture = Fixture::healthy();
    fixture.sandbox.add("old", &[]);
    let config = fixture.sandbox.read(CONFIG);
    fixture.sandbox.config(config.split("[subscriptions.pool.old]").next().unwrap());
    let problem = fixture.finds("warning", "secret-orphan").mentions("secret `old`");
    problem.has_fix("kage subscription credential old --forget").apply_fix();
    let list = fixture.sandbox.kage(["subscription", "credential", "--list"]).run().success().stdout();
    assert!(list.contains("work") && !list.contains("old"), "{list}");
}

#[test]
fn a_secret_of_another_config_is_not_reported_as_unused() {
    let fixture = Fixture::healthy();
    fixture
        .sandbox
        .write("home/client.toml", "[subscriptions.pool.client]\ncredential = { from = \"file\" }\n");
    let client = fixture.sandbox.path("home/client.toml");
    let fixture = fixture.with("KAGE_CONFIG", client);
    fixture
        .finds("error", "secret-missing")
        .mentions("`client`")
        .has_fix("kage subscription credential client")
        .apply_fix_with(&token("client"));
    // An empty pool does not prove either that a secret is unused.
    let fixture = Fixture::healthy();
    fixture.sandbox.config("");
    fixture.finds("warning", "no-subscriptions");
}

#[test]
fn a_secret_of_another_kind_is_replaced() {
    let fixture = Fixture::healthy();
    fixture
        .sandbox
        .kage([REPLACE_WORDS.as_slice(), &["--force"]].concat())
        .stdin("AIza-invented")
        .run()
        .success();
    fixture
        .finds("warning", "secret-odd")
        .mentions("sk-ant-oat01-")
        .has_fix(REPLACE)
        .apply_fix_with(&token("work"));
}

const REPLACE_WORDS: [&str; 3] = ["subscription", "credential", "work"];

/// The date (in UTC) of this many days ago.
fn ago(days: i64) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    now.checked_sub(jiff::Span::new().days(days)).unwrap().to_string()
}

#[test]
fn a_setup_token_is_a_warning_before_its_year_ends_and_an_error_after_it() {
    let fixture = Fixture::healthy();
    let minted = |days: i64, secret: &str| {
        let day = ago(days);
        let words = [REPLACE_WORDS.as_slice(), &["--minted", &day]].concat();
        fixture.sandbox.kage(words).stdin(secret).run().success();
    };
    let setup_token = token("work");
    minted(300, &setup_token);
    fixture.assert_no_problems();
    minted(340, &setup_token);
    fixture
        .finds("warning", "token-old")
        .mentions("claude setup-token")
        .has_fix(REPLACE)
        .apply_fix_with(&setup_token);
    minted(366, &setup_token);
    fixture
        .finds("error", "token-expired")
        .mentions("expired on")
        .has_fix(REPLACE)
        .apply_fix_with(&setup_token);
    // An API key does not expire.
    minted(366, "sk-ant-api03-invented");
    fixture.assert_no_problems();
}

#[test]
fn an_old_state_without_dates_of_secrets_is_not_a_problem() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(
        "home/.local/state/kage/state.json",
        r#"{"version":1,"state":{"subscriptions":{"work":{"credit":5}}}}"#,
    );
    fixture.assert_no_problems();
}

#[test]
fn a_credential_command_that_fails_is_replaced_by_the_file() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.pool.vault]\ncredential = { command = \"false\" }");
    let problem = fixture.finds("error", "credential-command").mentions("`false` failed");
    problem.has_fix("kage subscription credential vault --credential file").apply_fix_with(&token("vault"));
}

#[test]
fn a_credential_command_that_never_ends_is_not_waited_for() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.pool.vault]\ncredential = { command = \"exec tail -f /dev/null\" }");
    let begun = Instant::now();
    let problem = fixture.finds("error", "credential-command").mentions("took longer than 10 s");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    problem.apply_fix_with(&token("vault"));
}

#[test]
fn a_missing_login_directory_is_created_by_the_agent() {
    let fixture = Fixture::healthy();
    let dir = fixture.sandbox.path("home/.claude-private");
    fixture.config(&format!("[subscriptions.pool.private]\ncredential = {{ home = \"{}\" }}", dir.display()));
    let fix = format!("CLAUDE_CONFIG_DIR='{}' claude /login", dir.display());
    fixture.finds("error", "login-missing").mentions("~/.claude-private").has_fix(&fix).apply_fix();
}

/// Adds a subscription with a login directory. Returns the fix that logs in there.
fn login(fixture: &Fixture, agent: &str, login: impl Fn(&str) -> String) -> String {
    let dir = fixture.sandbox.path("home/login");
    fs::create_dir(&dir).unwrap();
    let home = format!("home:{}", dir.display());
    let add = ["subscription", "add", "home", "--agent", agent, "--credential", &home];
    fixture.sandbox.kage(add).run().success();
    login(&format!("'{}'", dir.display()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_login_directory_without_a_login_gets_one_and_a_refusal_is_reset() {
    let fixture = Fixture::healthy();
    let fix = login(&fixture, "claude", |dir| format!("CLAUDE_CONFIG_DIR={dir} claude /login"));
    let missing = || fixture.finds("warning", "login-missing").mentions("~/login of `home` has no login");
    missing().has_fix(&fix).apply_fix();
    let refused =
        || drop(fixture.sandbox.kage(["exec", "-q", "-s", "home", "--", "claude", "-p", "x"]).run());
    refused();
    let and_reset = format!("{fix} && kage subscription reset home");
    fixture.finds("warning", "subscription-unhealthy").has_fix(&and_reset).apply_fix();
    refused();
    fs::remove_file(fixture.sandbox.path("home/login/.credentials.json")).unwrap();
    missing().has_fix(&and_reset).apply_fix();
}

#[test]
fn a_login_directory_of_another_agent_without_a_login_gets_one() {
    let fixture = Fixture::healthy();
    let make = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 0.171.0\n: >\"$CODEX_HOME/auth.json\"\n";
    fixture.sandbox.program("codex", make);
    let fix = login(&fixture, "codex", |dir| format!("mkdir -p {dir} && CODEX_HOME={dir} codex login"));
    fixture.finds("warning", "login-missing").has_fix(&fix).apply_fix();
    fs::remove_file(fixture.sandbox.path("home/login/auth.json")).unwrap();
    // The doctor cannot see a login in the agent's keychain.
    fixture.sandbox.write("home/login/config.toml", "cli_auth_credentials_store = \"keyring\"\n");
    fixture.assert_no_problems();
    let fixture = Fixture::healthy();
    let make = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 0.61.0\n\
                mkdir -p \"$GEMINI_CLI_HOME/.gemini\" && : >\"$GEMINI_CLI_HOME/.gemini/oauth_creds.json\"\n";
    fixture.sandbox.program("gemini", make);
    let fix = login(&fixture, "gemini", |dir| format!("GEMINI_CLI_HOME={dir} gemini"));
    fixture.finds("warning", "login-missing").has_fix(&fix).apply_fix();
}

#[test]
fn a_refused_secret_from_a_command_is_replaced() {
    let fixture = Fixture::healthy();
    fixture
        .config(&format!("[subscriptions.pool.vault]\ncredential = {{ command = \"echo {}\" }}", token("x")));
    drop(fixture.sandbox.kage(["exec", "-q", "-s", "vault", "--", "claude", "-p", "x"]).run());
    let problem =
        fixture.finds("warning", "subscription-unhealthy").mentions("may still print the rejected secret");
    problem.has_fix("kage subscription credential vault --credential file").apply_fix_with(&token("vault"));
}

#[test]
fn a_credential_that_can_be_read_again_is_retried() {
    let fixture = Fixture::healthy();
    fixture.config("[subscriptions.pool.vault]\ncredential = { command = \"cat secret\" }");
    // Three failures in a row make the subscription unhealthy.
    for _ in 0..3 {
        fixture.sandbox.kage(["exec", "-q", "-s", "vault", "--", "true"]).run().status(125);
    }
    fixture.sandbox.write("work/secret", &token("vault"));
    let problem =
        fixture.finds("warning", "subscription-unhealthy").mentions("its credential could not be read");
    problem.has_fix("kage subscription reset vault").apply_fix();
}

#[test]
fn an_account_that_a_person_must_repair_is_reset_afterwards() {
    let fixture = Fixture::healthy();
    let agent = "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 2.1.332\n\
                 echo 'API Error: 400 Identity verification is required to continue.'\nexit 1\n";
    fixture.sandbox.program("claude", agent);
    drop(fixture.sandbox.kage(["exec", "-q", "-s", "work", "--", "claude", "-p", "x"]).run());
    let problem = fixture.finds("warning", "subscription-unhealthy").mentions("its account must be verified");
    problem.has_fix("kage subscription reset work").apply_fix();
}
