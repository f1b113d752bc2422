use std::fs::File;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::agent::Kind;

const SESSION: &str = "01a20661-0000-7000-8000-000000000001";
const CHILD: &str = "01a20661-0000-7000-8000-000000000002";
const OTHER: &str = "01a20661-0000-7000-8000-000000000003";
const CWD: &str = "/home/user/project";

/// A directory of sessions.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Appends to the file of a session that began today.
    fn append(&self, id: &str, rows: &[Value]) {
        let today = Timestamp::now().strftime("%Y/%m/%d").to_string();
        let day = self.0.path().join(today);
        fs::create_dir_all(&day).unwrap();
        let path = day.join(format!("rollout-2026-11-22T10-00-00-{id}.jsonl"));
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        for row in rows {
            writeln!(file, "{row}").unwrap();
        }
    }

    fn watch(&self, session: Option<&str>) -> Watch {
        // The rows have the current time, and file times are coarse.
        let began = Timestamp::now() - jiff::SignedDuration::from_secs(1);
        sessions::watch(self.0.path().to_owned(), session.map(str::to_owned), PathBuf::from(CWD), began)
    }
}

fn row(kind: &str, payload: Value) -> Value {
    json!({ "timestamp": Timestamp::now().to_string(), "ordinal": 1, "type": kind, "payload": payload })
}

fn meta(id: &str, session: &str, cwd: &str) -> Value {
    let at = Timestamp::now().to_string();
    row(
        "session_meta",
        json!({ "id": id, "session_id": session, "timestamp": at, "cwd": cwd, "source": "exec" }),
    )
}

fn opening(id: &str) -> Vec<Value> {
    vec![meta(id, id, CWD), row("turn_context", json!({ "model": "gpt-6.1-sol", "cwd": CWD }))]
}

fn answer() -> Value {
    let usage = json!({ "input_tokens": 100, "cached_input_tokens": 40, "cache_write_input_tokens": 10,
        "output_tokens": 20, "reasoning_output_tokens": 5, "total_tokens": 120 });
    row("token_usage_record", json!({ "response_id": "r", "usage": usage }))
}

fn counted(used: f64, total: u64) -> Value {
    let tokens = json!({ "input_tokens": total, "cached_input_tokens": 0, "output_tokens": 1 });
    row(
        "event_msg",
        json!({ "type": "token_count",
            "info": { "total_token_usage": tokens, "last_token_usage": { "input_tokens": 7 } },
            "rate_limits": { "limit_id": "codex",
                "primary": { "used_percent": used, "window_minutes": 300, "resets_at": 1_795_349_597 },
                "secondary": { "used_percent": 12.0, "window_minutes": 43_200, "resets_at": null } } }),
    )
}

fn ended(error: Value) -> Value {
    row("event_msg", json!({ "type": "task_complete", "last_agent_message": null, "error": error }))
}

fn limit() -> Value {
    let text = "You\u{2019}ve hit your usage limit. Try again later.";
    ended(json!({ "message": text, "codex_error_info": "usage_limit_exceeded" }))
}

fn evidence_of(watch: &Watch) -> Evidence {
    read(watch, None, &TimeZone::UTC).unwrap()
}

#[test]
fn tokens_are_counted_by_model_and_cached_ones_separately() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    let rows = [
        opening(SESSION),
        vec![answer(), counted(37.5, 100), answer(), counted(38.0, 200), ended(Value::Null)],
    ];
    scene.append(SESSION, &rows.concat());
    let evidence = evidence_of(&watch);
    let count = TokenCount {
        input_tokens: 100,
        output_tokens: 40,
        cache_read_tokens: 80,
        cache_write_5m_tokens: 20,
        reasoning_tokens: 10,
        ..TokenCount::default()
    };
    assert_eq!(evidence.usage.requests, 2);
    assert_eq!(evidence.usage.models(), [("gpt-6.1-sol", count)].into());
    assert_eq!((evidence.session.as_deref(), evidence.work), (Some(SESSION), Work::Done));
    assert_eq!(evidence.model.as_deref(), Some("gpt-6.1-sol"));
    let resets_at = Timestamp::from_second(1_795_349_597).ok();
    assert_eq!(evidence.readings["five_hour"], Reading { value: 0.38, resets_at });
    assert_eq!(evidence.readings["43200_minutes"], Reading { value: 0.12, resets_at: None });
}

#[test]
fn a_repeated_running_total_is_not_counted_again() {
    let scene = Scene::new();
    scene.append(SESSION, &[opening(SESSION), vec![counted(1.0, 1000)]].concat());
    let watch = scene.watch(Some(SESSION));
    scene.append(SESSION, &[counted(2.0, 1000), counted(3.0, 1007)]);
    let usage = evidence_of(&watch).usage;
    assert_eq!(usage.requests, 1);
    assert_eq!(usage.models()["gpt-6.1-sol"].input_tokens, 7, "the tokens of the last answer");
}

#[test]
fn without_a_record_of_each_answer_the_running_totals_count() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    scene.append(
        SESSION,
        &[opening(SESSION), vec![counted(1.0, 7), counted(2.0, 7), counted(3.0, 14)]].concat(),
    );
    let evidence = evidence_of(&watch);
    assert_eq!(evidence.usage.models()["gpt-6.1-sol"].input_tokens, 14);
    assert_eq!(evidence.work, Work::Done);
}

#[test]
fn a_refused_turn_has_the_window_that_is_full() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    scene.append(SESSION, &[opening(SESSION), vec![counted(100.0, 0), limit()]].concat());
    let evidence = evidence_of(&watch);
    let [error] = &evidence.errors[..] else { panic!("{evidence:?}") };
    assert_eq!((error.kind, error.rule.as_ref()), (Kind::UsageLimit, "rollout"));
    assert_eq!(error.resets_at, Timestamp::from_second(1_795_349_597).ok());
    assert!(!error.answered_since);
}

#[test]
fn an_answer_after_an_error_shows_that_the_error_is_over() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    scene.append(SESSION, &[opening(SESSION), vec![limit(), answer()]].concat());
    assert!(evidence_of(&watch).errors[0].answered_since);
}

#[test]
fn a_tool_call_is_work_before_the_answer_is_complete() {
    for (item, work) in [
        (json!({ "type": "function_call", "name": "exec_command" }), Work::Done),
        (json!({ "type": "message", "role": "assistant" }), Work::Done),
        (json!({ "type": "message", "role": "user" }), Work::None),
        (json!({ "type": "additional_tools", "role": "developer" }), Work::None),
    ] {
        let scene = Scene::new();
        let watch = scene.watch(None);
        scene.append(SESSION, &[opening(SESSION), vec![row("response_item", item), limit()]].concat());
        assert_eq!(evidence_of(&watch).work, work);
    }
}

#[test]
fn only_the_new_rows_of_a_resumed_session_count() {
    let scene = Scene::new();
    scene.append(SESSION, &[opening(SESSION), vec![answer(), limit()]].concat());
    let watch = scene.watch(Some(SESSION));
    assert_eq!(evidence_of(&watch), Evidence { session: Some(SESSION.into()), ..Evidence::default() });
    scene.append(SESSION, &[row("turn_context", json!({ "model": "gpt-5" })), answer()]);
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.usage.requests, evidence.errors.len()), (1, 0));
}

#[test]
fn the_tokens_of_a_subagent_count_but_not_its_errors() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    scene.append(SESSION, &[opening(SESSION), vec![answer()]].concat());
    let child = row("turn_context", json!({ "model": "gpt-6-luna" }));
    scene.append(CHILD, &[meta(CHILD, SESSION, CWD), child, answer(), limit()]);
    let evidence = evidence_of(&watch);
    assert_eq!(evidence.usage.requests, 2);
    assert_eq!(evidence.usage.models().len(), 2);
    assert_eq!((evidence.errors.len(), evidence.session.as_deref()), (0, Some(SESSION)));
}

#[test]
fn the_first_new_session_in_the_directory_belongs_to_the_attempt() {
    let scene = Scene::new();
    let watch = scene.watch(None);
    scene.append(OTHER, &[meta(OTHER, OTHER, "/elsewhere"), answer()]);
    assert_eq!(read(&watch, None, &TimeZone::UTC), None);
    assert!(sessions::any_since(&watch));
    scene.append(SESSION, &opening(SESSION));
    std::thread::sleep(std::time::Duration::from_millis(2));
    scene.append(CHILD, &[opening(CHILD), vec![answer()]].concat());
    assert_eq!(evidence_of(&watch).session.as_deref(), Some(SESSION));
    // An id that the attempt printed is more reliable.
    let named = read(&watch, Some(CHILD), &TimeZone::UTC).unwrap();
    assert_eq!((named.session.as_deref(), named.usage.requests), (Some(CHILD), 1));
}

#[test]
fn the_latest_session_is_from_the_same_directory() {
    let scene = Scene::new();
    scene.append(SESSION, &opening(SESSION));
    scene.append(OTHER, &[meta(OTHER, OTHER, "/elsewhere")]);
    let latest = sessions::latest(scene.0.path(), Path::new(CWD));
    assert_eq!(latest.as_deref(), Some(SESSION));
}

#[test]
fn a_saved_record_has_the_same_error() {
    let rows = [opening(SESSION), vec![limit()]].concat();
    let rows = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let evidence = examine(rows.as_bytes(), &TimeZone::UTC);
    assert_eq!(evidence.errors[0].kind, Kind::UsageLimit);
}
