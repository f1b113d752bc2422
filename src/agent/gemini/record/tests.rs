use std::fs::File;

use serde_json::json;

use super::*;

const SESSION: &str = "0a1b2c3d-0000-4000-8000-000000000001";
const BEGAN: &str = "2026-11-22T10:00:00Z";

/// A directory of projects with one session in it.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        scene.append(MAIN, &[head_of(SESSION, BEGAN)]);
        fs::write(scene.0.path().join("shop/.project_root"), "/home/user/Shop\n").unwrap();
        scene
    }

    fn append(&self, file: &str, rows: &[Value]) {
        use std::io::Write as _;
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        for row in rows {
            writeln!(file, "{row}").unwrap();
        }
    }

    fn watch(&self, session: &str) -> Watch {
        let cwd = Path::new("/home/user/Shop");
        watch(self.0.path().to_owned(), session.to_owned(), cwd, BEGAN.parse().unwrap())
    }
}

const MAIN: &str = "shop/chats/session-2026-11-22T10-00-0a1b2c3d.jsonl";

fn head_of(session: &str, at: &str) -> Value {
    json!({ "sessionId": session, "projectHash": "x", "startTime": at, "kind": "main" })
}

fn answer(id: &str, at: &str) -> Value {
    json!({
        "id": id, "timestamp": at, "type": "gemini", "content": "hi", "model": "gemini-3.8-flash",
        "tokens": { "input": 100, "output": 20, "cached": 60, "thoughts": 5, "tool": 3, "total": 128 },
    })
}

fn one() -> TokenCount {
    TokenCount {
        input_tokens: 43,
        output_tokens: 25,
        cache_read_tokens: 60,
        reasoning_tokens: 5,
        ..TokenCount::default()
    }
}

#[test]
fn an_answer_that_is_written_several_times_counts_once() {
    let scene = Scene::new();
    let watch = scene.watch(SESSION);
    let later = "2026-11-22T10:00:05Z";
    scene
        .append(MAIN, &[answer("a", later), json!({ "$set": { "lastUpdated": later } }), answer("a", later)]);
    let evidence = read(&watch, &TimeZone::UTC).unwrap().evidence;
    assert_eq!(evidence.usage.models(), BTreeMap::from([("gemini-3.8-flash", one())]));
    assert_eq!((evidence.usage.requests, evidence.work), (1, Work::Done));
    assert_eq!(
        (evidence.session.as_deref(), evidence.model.as_deref()),
        (Some(SESSION), Some("gemini-3.8-flash"))
    );
}

#[test]
fn earlier_rows_and_rows_repeated_by_a_resumed_session_are_not_counted() {
    let scene = Scene::new();
    scene.append(MAIN, &[answer("old", "2026-11-22T10:00:01Z")]);
    let watch = scene.watch(SESSION);
    let repeated = json!({ "$set": { "messages": [answer("old", "2026-11-22T10:00:09Z")] } });
    let user = json!({ "id": "u", "timestamp": "2026-11-22T10:00:09Z", "type": "user", "content": [] });
    scene.append(MAIN, &[repeated, user, answer("older", "2026-11-22T09:00:00Z")]);
    let evidence = read(&watch, &TimeZone::UTC).unwrap().evidence;
    assert_eq!((evidence.usage.requests, evidence.work), (0, Work::None));
}

#[test]
fn subagents_count_and_other_sessions_do_not() {
    let scene = Scene::new();
    let other = "0a1b2c3d-1111-4000-8000-000000000001";
    let later = "2026-11-22T10:00:05Z";
    scene.append(
        "shop/chats/session-2026-11-22T10-01-0a1b2c3d.jsonl",
        &[head_of(other, later), answer("x", later)],
    );
    let watch = scene.watch(SESSION);
    scene.append(&format!("shop/chats/{SESSION}/sub.jsonl"), &[head_of("sub", later), answer("s", later)]);
    assert_eq!(read(&watch, &TimeZone::UTC).unwrap().evidence.usage.models()["gemini-3.8-flash"], one());
    assert!(read(&scene.watch("ffffffff-1111-4000-8000-000000000001"), &TimeZone::UTC).is_none());
}

#[test]
fn the_latest_session_belongs_to_the_working_directory() {
    let scene = Scene::new();
    let projects = scene.0.path();
    let later = "1b2c3d4e-0000-4000-8000-000000000001";
    scene.append(
        "shop/chats/session-2026-11-22T11-00-1b2c3d4e.jsonl",
        &[head_of(later, "2026-11-22T11:00:00Z")],
    );
    scene.append(
        "other/chats/session-2026-11-22T12-00-9b2c3d4e.jsonl",
        &[head_of("x", "2026-11-22T12:00:00Z")],
    );
    assert_eq!(latest(projects, Path::new("/home/user/Shop")).as_deref(), Some(later));
    assert_eq!(latest(projects, Path::new("/home/user")), None);
}

#[test]
fn saved_rows_are_read() {
    let text = format!("{}\nno json\n{}\n", head_of(SESSION, BEGAN), answer("a", BEGAN));
    assert_eq!(examine(text.as_bytes(), &TimeZone::UTC).usage.requests, 1);
}

#[test]
fn a_conversation_is_answered_if_it_ends_with_an_answer_without_tool_calls() {
    let row = |of: &str, content: Value, tools: Value| json!({ "id": of, "timestamp": "2026-11-22T10:00:05Z", "type": of, "content": content, "toolCalls": tools });
    for (rows, answered) in [
        (vec![row("user", json!("hi"), json!([])), row("gemini", json!("Hello"), json!([]))], true),
        (vec![row("gemini", json!("Hello"), json!([])), row("user", json!("more"), json!([]))], false),
        (vec![row("gemini", json!("I look"), json!([{ "name": "ls" }]))], false),
        (vec![row("gemini", json!(""), Value::Null)], false),
    ] {
        let scene = Scene::new();
        let watch = scene.watch(SESSION);
        scene.append(MAIN, &rows);
        assert_eq!(read(&watch, &TimeZone::UTC).unwrap().answered, answered, "{rows:?}");
    }
}
