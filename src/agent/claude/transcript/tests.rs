use std::fs::File;

use serde_json::json;

use super::*;
use crate::agent::Kind;

const SESSION: &str = "0a1b2c3d-0000-4000-8000-000000000001";

/// A directory of projects with one session in it.
struct Scene {
    dir: tempfile::TempDir,
    cwd: PathBuf,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), cwd: "/home/user/my_project.x+y".into() }
    }

    fn append(&self, file: &str, rows: &[Value]) {
        use std::io::Write as _;
        let path = self.dir.path().join("-home-user-my-project-x-y").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        for row in rows {
            writeln!(file, "{row}").unwrap();
        }
    }

    fn watch(&self, began: &str) -> Watch {
        watch(self.dir.path().to_owned(), Some(SESSION.into()), &self.cwd, began.parse().unwrap())
    }
}

fn evidence_of(watch: &Watch) -> Evidence {
    read(watch, &TimeZone::UTC).unwrap_or_default()
}

fn main_file() -> String {
    format!("{SESSION}.jsonl")
}

fn answer(at: &str, id: &str, output: u64) -> Value {
    json!({
        "type": "assistant", "timestamp": at, "requestId": format!("req_{id}"), "isSidechain": false,
        "message": { "id": id, "model": "claude-sonnet-5-5", "content": [{ "type": "text", "text": "hi" }],
            "usage": { "input_tokens": 10, "output_tokens": output, "cache_read_input_tokens": 200,
                "cache_creation_input_tokens": 30,
                "cache_creation": { "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20 } } },
    })
}

fn limit(at: &str, window: &str) -> Value {
    json!({
        "type": "assistant", "timestamp": at, "isSidechain": false, "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "resetsAt": 1_795_352_400, "rateLimitType": window,
            "isUsingOverage": false },
        "message": { "id": "x", "model": "<synthetic>", "usage": { "input_tokens": 0 },
            "content": [{ "type": "text", "text": "You've hit your 5-hour limit · resets 1pm (UTC)" }] },
    })
}

const BEFORE: &str = "2026-11-22T09:59:59.999Z";
const BEGAN: &str = "2026-11-22T10:00:00.123456Z";
const AFTER: &str = "2026-11-22T10:00:00.123Z";

#[test]
fn an_answer_of_several_blocks_counts_once() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[answer(AFTER, "m1", 1), answer(AFTER, "m1", 34), answer(AFTER, "m2", 5)]);
    let usage = evidence_of(&watch).usage;
    assert_eq!(usage.requests, 2);
    let count = usage.models()["claude-sonnet-5-5"];
    assert_eq!((count.input_tokens, count.output_tokens), (20, 39));
    assert_eq!(
        (count.cache_read_tokens, count.cache_write_5m_tokens, count.cache_write_1h_tokens),
        (400, 20, 40)
    );
}

#[test]
fn the_most_complete_row_of_an_answer_counts_in_any_order_and_file() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[answer(AFTER, "m1", 34), answer(AFTER, "m1", 1), answer(AFTER, "m2", 1)]);
    scene.append(&format!("{SESSION}/subagents/agent-1.jsonl"), &[answer(AFTER, "m2", 5)]);
    let usage = evidence_of(&watch).usage;
    assert_eq!((usage.requests, usage.total().input_tokens, usage.total().output_tokens), (2, 20, 39));
}

#[test]
fn an_answer_without_an_id_counts() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let without = |pointer: &str, key: &str| {
        let mut row = answer(AFTER, "m1", 5);
        row.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
        row
    };
    let mut alone = without("", "requestId");
    alone["message"].as_object_mut().unwrap().remove("id");
    let rows = [without("", "requestId"), without("/message", "id"), alone.clone(), alone];
    scene.append(&main_file(), &[&rows[..], &rows[..2]].concat());
    assert_eq!(evidence_of(&watch).usage.total().output_tokens, 20);
}

#[test]
fn subagents_are_found_down_to_the_maximum_depth() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[answer(AFTER, "m1", 1)]);
    for (id, path) in [("m2", "subagents/group/a"), ("m3", "flows/one/deep/er/b"), ("m4", "a/b/c/d/e/f")] {
        scene.append(&format!("{SESSION}/{path}.jsonl"), &[answer(AFTER, id, 2)]);
    }
    let inside = scene.dir.path().join("-home-user-my-project-x-y").join(SESSION);
    std::os::unix::fs::symlink(&inside, inside.join("again")).unwrap();
    assert_eq!(evidence_of(&watch).usage.total().output_tokens, 5);
}

#[test]
fn the_tokens_of_subagents_count_but_not_their_errors() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[answer(AFTER, "m1", 1)]);
    let subagent = format!("{SESSION}/subagents/agent-1.jsonl");
    scene.append(&subagent, &[answer(AFTER, "m2", 2), limit(AFTER, "five_hour")]);
    let evidence = evidence_of(&watch);
    assert_eq!(evidence.usage.total().output_tokens, 3);
    assert_eq!(evidence.errors, []);
}

#[test]
fn only_rows_appended_during_the_attempt_count() {
    let scene = Scene::new();
    scene.append(&main_file(), &[answer(AFTER, "old", 100), limit(AFTER, "five_hour")]);
    let watch = scene.watch(BEGAN);
    // A fork copies old rows with their old timestamps.
    scene.append(
        &main_file(),
        &[answer(BEFORE, "copied", 100), limit(BEFORE, "five_hour"), answer(AFTER, "new", 7)],
    );
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.usage.total().output_tokens, evidence.errors.len()), (7, 0));
}

#[test]
fn a_copy_of_another_sessions_answer_does_not_count_even_during_the_attempt() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let of = |requested_by: &str, mut row: Value| {
        (row["sessionId"], row["requestSessionId"]) = (json!(SESSION), json!(requested_by));
        row
    };
    let other = "0a1b2c3d-0000-4000-8000-00000000000f";
    let copies = [of(other, answer(AFTER, "m1", 100)), of(other, limit(AFTER, "five_hour"))];
    scene.append(&main_file(), &[&copies[..], &[of(SESSION, answer(AFTER, "m2", 7))]].concat());
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.usage.total().output_tokens, evidence.errors.len()), (7, 0));
}

#[test]
fn a_limit_is_read_with_its_window_and_reset_time() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[answer(AFTER, "m1", 1), limit(AFTER, "five_hour")]);
    let [error] = &evidence_of(&watch).errors[..] else { panic!("expected exactly one error") };
    assert!(error.kind == Kind::UsageLimit && !error.answered_since);
    assert_eq!(error.window.as_ref().map(|window| window.name.as_str()), Some("five_hour"));
    assert_eq!(error.resets_at, Some("2026-11-22T13:00:00Z".parse().unwrap()));
    assert_eq!(error.text, "You've hit your 5-hour limit · resets 1pm (UTC)");
}

#[test]
fn an_answer_after_an_error_shows_that_the_error_is_over() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[limit(AFTER, "five_hour"), answer(AFTER, "m1", 1)]);
    assert!(evidence_of(&watch).errors[0].answered_since);
}

#[test]
fn overage_and_throttling_are_not_usage_limits() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let mut overage = limit(AFTER, "five_hour");
    overage["quotaLimits"]["isUsingOverage"] = json!(true);
    overage.as_object_mut().unwrap().remove("apiError");
    let mut bare = limit(AFTER, "five_hour");
    bare.as_object_mut().unwrap().retain(|key, _| key != "apiError" && key != "quotaLimits");
    bare["message"]["content"][0]["text"] = json!("API Error: Request rejected (429) · slow down");
    scene.append(&main_file(), &[overage, bare]);
    let errors = evidence_of(&watch).errors;
    assert_eq!(errors.iter().map(|error| error.kind).collect::<Vec<_>>(), [Kind::Throttled, Kind::Throttled]);
}

#[test]
fn a_limit_without_a_recorded_window_is_recognized_by_its_text() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let mut row = limit(AFTER, "five_hour");
    row.as_object_mut().unwrap().retain(|key, _| key != "apiError" && key != "quotaLimits");
    scene.append(&main_file(), &[row]);
    let error = &evidence_of(&watch).errors[0];
    assert_eq!(
        (error.kind, error.resets_at),
        (Kind::UsageLimit, Some("2026-11-22T13:00:00Z".parse().unwrap()))
    );
}

#[test]
fn malformed_counts_do_not_hide_a_row() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let mut odd = limit(AFTER, "five_hour");
    odd["message"]["usage"] = json!({ "input_tokens": null, "output_tokens": 1.5 });
    let mut half = answer(AFTER, "m1", 3);
    half["message"]["usage"]["input_tokens"] = Value::Null;
    scene.append(&main_file(), &[odd, half]);
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.errors.len(), evidence.usage.total().tokens()), (1, 3));
}

#[test]
fn broken_and_unknown_rows_are_skipped() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    let odd = [
        json!({ "type": "assistant" }),
        json!({ "type": "future", "assistant": "assistant", "timestamp": AFTER }),
        json!("\"assistant\""),
        json!({ "type": "user", "timestamp": AFTER, "message": { "content": "You've hit your 5-hour limit" } }),
    ];
    scene.append(&main_file(), &odd);
    let path = scene.dir.path().join("-home-user-my-project-x-y").join(main_file());
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"\xff\xfe \"assistant\"\n{\"type\":\"assistant\",\n");
    bytes.extend(answer(AFTER, "m1", 3).to_string().bytes());
    bytes.extend(b"\n{\"type\":\"assistant\",\"times");
    fs::write(&path, bytes).unwrap();
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.usage.total().output_tokens, evidence.errors.len()), (3, 0));
}

#[test]
fn a_session_in_a_folder_with_another_name_is_found() {
    let scene = Scene::new();
    let watch = Watch { cwd: "/a/link/to/it".into(), ..scene.watch(BEGAN) };
    scene.append(&main_file(), &[answer(AFTER, "m1", 3)]);
    assert_eq!(evidence_of(&watch).usage.requests, 1);
}

#[test]
fn the_latest_session_is_the_one_written_last() {
    let scene = Scene::new();
    assert_eq!(latest(scene.dir.path(), &scene.cwd), None);
    let older = "0a1b2c3d-0000-4000-8000-00000000000f";
    for (session, second) in [(older, 1), (SESSION, 2)] {
        scene.append(&format!("{session}.jsonl"), &[]);
        let path = scene.dir.path().join("-home-user-my-project-x-y").join(format!("{session}.jsonl"));
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(latest(scene.dir.path(), &scene.cwd).as_deref(), Some(SESSION));
}

#[test]
fn another_conversation_supersedes_an_error() {
    const OTHER: &str = "0a1b2c3d-0000-4000-8000-000000000002";
    let scene = Scene::new();
    let mut watch = scene.watch(BEGAN);
    let visit = |session: &str| Visit { session: session.into(), since: watch.began, until: None };
    let visits = [visit(SESSION), visit(OTHER)];
    scene.append(&main_file(), &[limit(AFTER, "five_hour")]);
    scene.append(&format!("{OTHER}.jsonl"), &[json!({ "type": "system" })]);
    watch.visits = visits[..1].to_vec();
    assert_eq!(evidence_of(&watch).final_errors().errors.len(), 1);
    watch.visits = visits.to_vec();
    let evidence = evidence_of(&watch);
    assert_eq!((evidence.errors.len(), evidence.final_errors().errors.len()), (1, 0));
}

#[test]
fn a_limit_is_not_final_if_the_conversation_continued_after_it() {
    let scene = Scene::new();
    let watch = scene.watch(BEGAN);
    scene.append(&main_file(), &[limit(AFTER, "seven_day_opus"), answer(AFTER, "m1", 1)]);
    assert!(evidence_of(&watch).final_errors().errors.is_empty());
    scene.append(&main_file(), &[limit(AFTER, "five_hour")]);
    assert_eq!(evidence_of(&watch).final_errors().errors.len(), 1);
}
