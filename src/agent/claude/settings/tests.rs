use std::collections::BTreeMap;
use std::ffi::OsString;

use jiff::Timestamp;

use super::*;
use crate::agent::Agent as _;
use crate::agent::claude::{Claude, SETUP_TOKEN};
use crate::pool::Delivery;

/// A home and a project with settings files, and a run in the project.
struct Scene {
    dir: tempfile::TempDir,
    own_env: BTreeMap<String, String>,
    keep: Vec<String>,
    deliver: Delivery,
    is_agent: bool,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home/.claude")).unwrap();
        fs::create_dir_all(dir.path().join("project/inner")).unwrap();
        Self { dir, own_env: BTreeMap::new(), keep: Vec::new(), deliver: Delivery::Env, is_agent: true }
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn user_settings(self, text: &str) -> Self {
        self.write("home/.claude/settings.json", text);
        self
    }

    fn plan(&self, args: &[&str]) -> LaunchPlan {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Claude.prepare(&Job {
            args: &args,
            is_agent: self.is_agent,
            opening: crate::agent::Opening::AsTyped,
            model: None,
            patience: crate::agent::Patience::Own,
            grant: Grant::Secret(&SETUP_TOKEN, self.deliver),
            own_env: &self.own_env,
            keep: &self.keep,
            cwd: &self.dir.path().join("project/inner"),
            home: &self.dir.path().join("home"),
            environment: &[],
            settings_file: &self.dir.path().join("merged.json"),
            hook: None,
            began: Timestamp::now(),
        })
    }

    /// The value of the only `--settings`, as JSON.
    fn settings(&self, args: &[&str]) -> Option<Value> {
        let plan = self.plan(args);
        let positions: Vec<_> = (0..plan.args.len()).filter(|&at| plan.args[at] == "--settings").collect();
        assert!(positions.len() < 2, "more than one --settings: {:?}", plan.args);
        let value = plan.args.get(*positions.first()? + 1).unwrap().to_str().unwrap();
        Some(serde_json::from_str(value).unwrap_or_else(|_| json!(value)))
    }
}

fn is_managed(plan: &LaunchPlan) -> bool {
    plan.set.contains(&(MANAGED_BY_HOST.to_owned(), "1".into()))
}

#[test]
fn without_competing_settings_only_the_session_id_is_added() {
    let scene = Scene::new().user_settings(r#"{"model":"opus","env":{"FOO":"1","ANTHROPIC_API_KEY":""}}"#);
    let plan = scene.plan(&["-p", "hi"]);
    assert_eq!(plan.args.len(), 4);
    assert_eq!((&plan.args[0], &plan.args[2]), (&"--session-id".into(), &"-p".into()));
    assert!(!is_managed(&plan));
}

#[test]
fn competing_keys_of_every_file_are_switched_off() {
    let scene = Scene::new().user_settings(r#"{"env":{"ANTHROPIC_API_KEY":"k"},"apiKeyHelper":"echo k"}"#);
    scene.write("project/.claude/settings.json", r#"{"env":{"ANTHROPIC_AUTH_TOKEN":"k"}}"#);
    scene.write(
        "project/inner/.claude/settings.local.json",
        r#"{"env":{"ANTHROPIC_BASE_URL":"http://evil"}}"#,
    );
    let expected = json!({
        "apiKeyHelper": "",
        "env": { "ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": "", "ANTHROPIC_BASE_URL": "" },
    });
    assert_eq!(scene.settings(&["-p", "hi"]), Some(expected));
}

#[test]
fn the_variable_that_kage_sets_is_never_cleared() {
    let mut scene = Scene::new()
        .user_settings(r#"{"env":{"CLAUDE_CODE_OAUTH_TOKEN":"k","ANTHROPIC_BASE_URL":"http://x"}}"#);
    scene.own_env.insert("ANTHROPIC_BASE_URL".into(), "http://gateway".into());
    assert!(is_managed(&scene.plan(&[])));
    assert_eq!(scene.settings(&[]), Some(json!({})));
    scene.deliver = Delivery::Fd;
    scene.own_env.clear();
    assert!(!is_managed(&scene.plan(&[])));
    let cleared = json!({ "env": { "CLAUDE_CODE_OAUTH_TOKEN": "", "ANTHROPIC_BASE_URL": "" } });
    assert_eq!(scene.settings(&[]), Some(cleared));
}

#[test]
fn the_users_own_settings_are_merged_in_place() {
    let scene = Scene::new().user_settings(r#"{"apiKeyHelper":"echo k"}"#);
    let own = r#"{"hooks":{"Stop":[]},"env":{"FOO":"1","ANTHROPIC_API_KEY":"k"}}"#;
    let merged = json!({ "apiKeyHelper": "", "hooks": { "Stop": [] }, "env": { "FOO": "1", "ANTHROPIC_API_KEY": "" } });
    assert_eq!(scene.settings(&["-p", "--settings", own, "hi"]), Some(merged.clone()));
    let joined = format!("--settings={own}");
    let plan = scene.plan(&["-p", &joined, "hi"]);
    assert_eq!((&plan.args[3], &plan.args[5]), (&"--settings".into(), &"hi".into()));
    assert_eq!(scene.settings(&["-p", &joined, "hi"]), Some(merged));
}

#[test]
fn settings_from_a_file_go_into_a_file_and_not_into_argv() {
    let scene = Scene::new().user_settings(r#"{"apiKeyHelper":"echo k"}"#);
    scene.write("project/inner/mine.json", r#"{"env":{"MY_SECRET":"s"}}"#);
    let plan = scene.plan(&["--settings", "mine.json"]);
    let (file, text) = plan.settings.clone().unwrap();
    assert_eq!(file, scene.dir.path().join("merged.json"));
    let merged: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(merged, json!({ "apiKeyHelper": "", "env": { "MY_SECRET": "s" } }));
    assert!(plan.args.contains(&file.into()), "{:?}", plan.args);
    assert!(!format!("{:?}", plan.args).contains("MY_SECRET"));
}

#[test]
fn settings_that_cannot_be_read_are_left_to_the_agent() {
    let scene = Scene::new().user_settings(r#"{"apiKeyHelper":"echo k"}"#);
    assert_eq!(scene.settings(&["--settings", "missing.json"]), Some(json!("missing.json")));
    assert_eq!(scene.settings(&["--settings", "{broken"]), Some(json!("{broken")));
}

#[test]
fn a_kept_variable_is_not_switched_off() {
    let mut scene = Scene::new().user_settings(r#"{"env":{"ANTHROPIC_BASE_URL":"http://mine"}}"#);
    scene.keep = vec!["ANTHROPIC_BASE_URL".into()];
    assert_eq!(scene.settings(&["-p", "hi"]), None);
}

#[test]
fn subcommands_and_other_programs_get_no_arguments() {
    let mut scene = Scene::new().user_settings(r#"{"env":{"ANTHROPIC_API_KEY":"k"}}"#);
    assert_eq!(scene.plan(&["mcp", "list"]).args, ["mcp", "list"]);
    scene.is_agent = false;
    let plan = scene.plan(&["-p", "hi"]);
    assert_eq!(plan.args, ["-p", "hi"]);
    assert!(is_managed(&plan) && plan.watch.is_none() && plan.warnings.is_empty());
    let scene = Scene { is_agent: false, ..Scene::new().user_settings(r#"{"apiKeyHelper":"echo k"}"#) };
    let plan = scene.plan(&[]);
    assert!(!is_managed(&plan));
    assert!(plan.warnings[0].contains("`apiKeyHelper` in"), "{:?}", plan.warnings);
}
