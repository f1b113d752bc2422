use super::*;
use crate::agent::Exit;
use crate::pool::Verdict;

fn now() -> Zoned {
    "2026-11-22T10:00:00Z[UTC]".parse().unwrap()
}

fn intent(line: &str, to_terminal: bool, ci: bool) -> Intent {
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let environment = |name: &str| (name == "CI" && ci).then(|| "true".into());
    Gemini.read(&args, &environment, to_terminal)
}

#[test]
fn a_key_is_recognized_by_its_format() {
    let kind = |text: &str| Gemini.kind_of(&Secret::parse(text.into()).unwrap());
    assert_eq!(kind("AIzaInvented").map(|kind| kind.variable), Some("GEMINI_API_KEY"));
    for other in ["AIza", "AIza two words", "sk-ant-oat01-x"] {
        assert_eq!(kind(other), None, "{other}");
    }
}

#[test]
fn a_session_has_a_command_that_resumes_it() {
    let args = Gemini.resume_args(&["-m".into(), "pro".into(), "hi".into()], "id", "go on");
    assert_eq!(args.unwrap(), ["--resume", "id", "go on", "-m", "pro"].map(OsString::from));
}

#[test]
fn the_agent_prints_without_a_terminal_and_with_the_prompt_option() {
    let table = [
        ("hi", true, false, Form::Interactive),
        ("hi", false, false, Form::Whole),
        ("hi", true, true, Form::Whole),
        ("-p hi", true, false, Form::Whole),
        ("-p hi -o json", false, false, Form::Whole),
        ("-p hi -o stream-json", true, false, Form::Lines),
        ("mcp list", false, false, Form::Other),
    ];
    for (line, to_terminal, ci, form) in table {
        assert_eq!(intent(line, to_terminal, ci).form, form, "{line}");
    }
    let named = intent("-p hi -m gemini-2.5-flash-lite", false, false);
    assert_eq!(
        (named.model.as_deref(), named.names_model, named.repeatable),
        (Some("flash-lite"), true, true)
    );
    assert!(!intent("-p hi --session-id mine", false, false).repeatable);
}

#[test]
fn a_limit_is_read_from_each_form_but_never_from_the_models_answer() {
    let message = "You have exhausted your daily quota on this model.";
    let text = format!(
        "Error when talking to Gemini API Full report available at: /x.json TerminalQuotaError: {message}\n    \
         at classifyGoogleError (file:///opt/chunk.js:1:16)\n"
    );
    let object = format!(
        "{{\n  \"session_id\": \"x\",\n  \"error\": {{\n    \"message\": \"{message}\",\n    \"code\": 429\n  }}\n}}\n"
    );
    let line =
        format!(r#"{{"type":"result","status":"error","error":{{"message":"[API Error: {message}]"}}}}"#);
    let verdict = |captured: &Captured, code: i32| {
        let plan = LaunchPlan { prints_json: true, ..LaunchPlan::default() };
        let evidence = Gemini.collect(&plan, captured, &now());
        let now = now();
        Gemini
            .judge(&Case { exit: Exit::Code(code), evidence: &evidence, more: &[], model: None, now: &now })
            .verdict
    };
    let captured = |whole: &str, lines: &[&str], stderr: &str| Captured {
        whole: Some(whole.into()),
        lines: lines.iter().map(|line| (*line).into()).collect(),
        progressed: false,
        stderr: stderr.into(),
    };
    for (captured, code) in [
        (captured("I will\n", &[], &text), 1),
        (captured("", &[], &object), 173),
        (captured("", &[&line], ""), 173),
    ] {
        assert!(
            matches!(verdict(&captured, code), Verdict::UsageLimit { resets_at: Some(_), .. }),
            "{captured:?}"
        );
        let shown =
            [captured.whole.clone().unwrap(), captured.stderr.clone(), captured.lines.concat()].concat();
        assert_ne!(Gemini.examine(&shown, &now()), Evidence::default(), "{captured:?}");
    }
    assert_eq!(verdict(&captured(&format!("{message}\n"), &[], ""), 1), Verdict::AgentFailed);
    assert_eq!(verdict(&captured(&format!("{message}\n"), &[], ""), 0), Verdict::Succeeded);
}

#[test]
fn an_answer_outweighs_an_error_on_standard_error() {
    let message = "You have exhausted your daily quota on this model.";
    let sample = format!(
        "{{\n  \"session_id\": \"x\",\n  \"error\": {{ \"message\": \"{message}\", \"code\": 429 }}\n}}\n"
    );
    let answer = "{\n  \"session_id\": \"x\",\n  \"response\": \"hi\",\n  \"stats\": {}\n}\n";
    let judged = |prints_json: bool, out: &str, stderr: &str, code: i32| {
        let captured = Captured { whole: Some(out.into()), stderr: stderr.into(), ..Captured::default() };
        let plan = LaunchPlan { prints_json, ..LaunchPlan::default() };
        let evidence = Gemini.collect(&plan, &captured, &now());
        let now = now();
        Gemini
            .judge(&Case { exit: Exit::Code(code), evidence: &evidence, more: &[], model: None, now: &now })
            .verdict
    };
    for (prints_json, out, stderr, code, verdict) in [
        (false, &sample[..], "", 1, Verdict::AgentFailed),
        (false, &sample, "", 0, Verdict::Succeeded),
        (false, "hi", &sample, 1, Verdict::AgentFailed),
        (true, answer, &sample, 1, Verdict::AgentFailed),
        (true, "", &sample, 0, Verdict::Succeeded),
    ] {
        assert_eq!(judged(prints_json, out, stderr, code), verdict, "{out} {stderr} {code}");
    }
}
