use std::collections::BTreeMap;

use super::*;
use crate::agent::{Exit, Kind};
use crate::pool::{Delivery, Verdict};

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn intent(line: &str) -> Intent {
    Codex.read(&words(line), &|_| None, false)
}

/// Returns the plan for a command line, in an empty home.
fn plan(line: &str, grant: Grant<'_>, opening: Opening<'_>, environment: &[(&str, &str)]) -> LaunchPlan {
    with_job(line, grant, opening, environment, |job| Codex.prepare(job))
}

fn with_job<T>(
    line: &str,
    grant: Grant<'_>,
    opening: Opening<'_>,
    environment: &[(&str, &str)],
    test: impl Fn(&Job<'_>) -> T,
) -> T {
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    test(&Job {
        args: &words(line),
        is_agent: true,
        opening,
        model: None,
        patience: crate::agent::Patience::Short,
        grant,
        own_env: &BTreeMap::new(),
        keep: &[],
        cwd: Path::new("/work"),
        home: Path::new("/nowhere"),
        environment: &environment,
        settings_file: Path::new("/unused"),
        hook: None,
        began: "2026-11-22T10:00:00Z".parse().unwrap(),
    })
}

const KEY: Grant<'static> = Grant::Secret(&API_KEY, Delivery::Env);

#[test]
fn any_word_can_be_a_key_except_one_of_another_provider() {
    let kind = |text: &str| {
        let secret = Secret::parse(text.as_bytes().to_vec()).unwrap();
        Codex.kind_of(&secret).is_some()
    };
    assert!(kind("sk-proj-invented") && kind("invented"));
    assert!(!kind("sk-ant-oat01-invented") && !kind("two words"));
}

#[test]
fn the_form_depends_on_the_command() {
    for (line, form) in [
        ("exec hi", Form::Whole),
        ("e --json hi", Form::Lines),
        ("hi", Form::Interactive),
        ("login status", Form::Other),
    ] {
        assert_eq!(intent(line).form, form, "{line}");
    }
}

#[test]
fn a_command_that_resumes_is_not_run_again_as_typed() {
    assert!(intent("exec hi").repeatable && intent("exec review").repeatable);
    assert!(!intent("exec resume --last hi").repeatable);
    assert!(intent("exec --ephemeral hi").not_resumable.is_some());
    assert_eq!(intent("exec resume --last hi").resumes, Some(Resumed::Latest));
    assert_eq!(intent("exec -m GPT-6-Luna hi").model.as_deref(), Some("gpt-6-luna"));
}

#[test]
fn a_key_removes_other_keys_and_a_login_sets_its_directory() {
    let environment =
        [("OPENAI_API_KEY", "k"), ("CODEX_ACCESS_TOKEN", ""), ("CODEX_HOME", "/other"), ("A", "b")];
    let with_key = plan("exec hi", KEY, Opening::AsTyped, &environment);
    assert_eq!(with_key.remove, ["OPENAI_API_KEY"]);
    assert_eq!(with_key.args, words("exec -c forced_login_method=api hi"));
    assert_eq!(with_key.watch.unwrap().records, Path::new("/other/sessions"));
    let login = plan("exec hi", Grant::Home(Path::new("/mine")), Opening::AsTyped, &environment);
    assert_eq!(login.args, words("exec hi"));
    assert_eq!(login.set, [("CODEX_HOME".to_owned(), "/mine".into())]);
    assert_eq!(login.watch.unwrap().records, Path::new("/mine/sessions"));
}

#[test]
fn a_terminal_session_does_not_use_a_key_and_kage_warns() {
    let plan = plan("hi", KEY, Opening::AsTyped, &[]);
    assert_eq!((plan.args, plan.warnings.len()), (words("hi"), 1));
}

#[test]
fn a_resumed_conversation_is_watched_by_its_id() {
    let session = "01a2066e-4f15-7241-9c39-a8d901376a0c";
    let opening = Opening::Resuming { session, prompt: "go-on" };
    let plan = plan("-c a=b exec --json -C sub hi", KEY, opening, &[]);
    let expected = format!("-c a=b exec -c forced_login_method=api --json -C sub resume {session} go-on");
    assert_eq!(plan.args, words(&expected));
    let watch = plan.watch.unwrap();
    assert_eq!((watch.session.as_deref(), watch.cwd.as_path()), (Some(session), Path::new("/work/sub")));
}

#[test]
fn an_attempt_without_a_record_is_judged_by_its_output() {
    let now: Zoned = "2026-11-22T10:12:00Z[UTC]".parse().unwrap();
    let limit = "user\nhi\nERROR: You\u{2019}ve hit your usage limit. Try again at 1:13 PM.\n";
    let captured = Captured { stderr: limit.into(), ..Captured::default() };
    let evidence = Codex.collect(&LaunchPlan::default(), &captured, &now);
    assert_eq!(evidence.work, Work::Unknown);
    let judged = |exit| {
        Codex
            .judge(&crate::agent::Case { exit, evidence: &evidence, more: &[], model: None, now: &now })
            .verdict
    };
    assert!(matches!(judged(Exit::Code(1)), Verdict::UsageLimit { .. }));
    assert_eq!(judged(Exit::Code(0)), Verdict::Succeeded);
}

#[test]
fn saved_events_and_saved_text_are_both_examined() {
    let now: Zoned = "2026-11-22T10:12:00Z[UTC]".parse().unwrap();
    let lines = "{\"type\":\"thread.started\",\"thread_id\":\"x\"}\n\
        {\"type\":\"turn.failed\",\"error\":{\"message\":\"Quota exceeded. Check your plan and billing details.\"}}\n";
    assert_eq!(Codex.examine(lines.as_bytes(), &now).errors[0].kind, Kind::Billing);
    assert_eq!(Codex.examine(b"ERROR: x\n", &now).said, ["x"]);
}

#[test]
fn a_conversation_can_be_resumed_only_where_its_record_is() {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let session = "01a2066e-4f15-7241-9c39-a8d901376a0c";
    let day = homes[0].path().join("sessions/2026/11/22");
    std::fs::create_dir_all(&day).unwrap();
    std::fs::write(day.join(format!("rollout-2026-11-22T10-00-00-{session}.jsonl")), "").unwrap();
    let visible = |home: &Path| {
        let grant = Grant::Home(home);
        with_job("exec hi", grant, Opening::AsTyped, &[], |job| Codex.can_resume(session, job))
    };
    assert!(visible(homes[0].path()));
    assert!(!visible(homes[1].path()));
}

#[test]
fn the_login_hint_quotes_any_directory() {
    let hint = Codex.login_hint(Path::new("/home/me/it's two")).unwrap();
    let dir = r"'/home/me/it'\''s two'";
    assert_eq!(hint, format!("mkdir -p {dir} && CODEX_HOME={dir} codex login"));
    assert_eq!(intent("unarchive x").form, Form::Other);
}
