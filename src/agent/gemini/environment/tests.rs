use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use jiff::Timestamp;

use super::*;
use crate::agent::{Agent as _, Opening};
use crate::pool::Delivery;

/// A temporary directory with a home and a project.
#[derive(Default)]
struct Scene {
    dir: Option<tempfile::TempDir>,
    environment: Vec<(OsString, OsString)>,
    own_env: BTreeMap<String, String>,
    keep: Vec<String>,
    login: Option<PathBuf>,
}

impl Scene {
    fn new() -> Self {
        Self { dir: Some(tempfile::tempdir().unwrap()), ..Self::default() }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().join(inside)
    }

    fn write(&self, inside: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(inside).parent().unwrap()).unwrap();
        fs::write(self.path(inside), text).unwrap();
        self
    }

    fn plan(&self) -> LaunchPlan {
        let key = super::super::Gemini.default_kind();
        super::super::Gemini.prepare(&Job {
            args: &["-p".into(), "hi".into()],
            is_agent: true,
            opening: Opening::AsTyped,
            model: None,
            patience: crate::agent::Patience::Own,
            grant: self.login.as_deref().map_or(Grant::Secret(key, Delivery::Env), Grant::Home),
            own_env: &self.own_env,
            keep: &self.keep,
            cwd: &self.path("project/inner"),
            home: &self.path("home"),
            environment: &self.environment,
            settings_file: &self.path("merged.json"),
            hook: None,
            began: Timestamp::now(),
        })
    }
}

fn value<'a>(plan: &'a LaunchPlan, name: &str) -> Option<&'a OsStr> {
    let mut set = plan.set.iter().filter(|(known, _)| known == name);
    let found = set.next().map(|(_, value)| value.as_os_str());
    assert!(set.next().is_none(), "{name} is set twice");
    found
}

#[test]
fn competing_variables_are_removed_unless_they_are_kept() {
    let mut scene = Scene::new();
    let names =
        ["GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT", "PATH"];
    scene.environment = names.map(|name| (name.into(), "x".into())).to_vec();
    scene.environment.push(("GOOGLE_GEMINI_BASE_URL".into(), "".into()));
    scene.keep = vec!["GOOGLE_API_KEY".into()];
    assert_eq!(scene.plan().remove, ["GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"]);
}

#[test]
fn an_env_file_cannot_set_competing_variables() {
    let mut scene = Scene::new();
    scene.own_env = BTreeMap::from([("GOOGLE_GEMINI_BASE_URL".into(), "http://mine".into())]);
    let text = "# mine\nGEMINI_API_KEY=x\nexport GOOGLE_API_KEY='y'\nGEMINI_CLI_CUSTOM_HEADERS: z\n\
                GOOGLE_GEMINI_BASE_URL=http://theirs\nOTHER=1\n";
    scene.write("project/.env", text);
    scene.write("home/.gemini/.env", "GOOGLE_GENAI_USE_GCA=true");
    let plan = scene.plan();
    assert_eq!(
        plan.switched_off,
        ["`GEMINI_CLI_CUSTOM_HEADERS`", "`GOOGLE_API_KEY`", "`GOOGLE_GENAI_USE_GCA`"]
    );
    assert_eq!(value(&plan, "GOOGLE_API_KEY"), Some(OsStr::new("")));
    assert_eq!(value(&plan, "GOOGLE_GEMINI_BASE_URL"), Some(OsStr::new("http://mine")));
    assert_eq!(value(&plan, "GEMINI_API_KEY"), None);
    assert_eq!(value(&plan, ENDPOINT), Some(OsStr::new(OWN_ENDPOINT)));
}

#[test]
fn no_format_of_an_env_file_lets_a_variable_through() {
    for text in [
        &b"\xef\xbb\xbfGOOGLE_API_KEY=x"[..],
        b"A=1\rGOOGLE_API_KEY=x\r",
        b"NAME=M\xfcller\nGOOGLE_API_KEY=x\n",
        b"export\tGOOGLE_API_KEY=x\n",
    ] {
        let scene = Scene::new();
        scene.write("project/.env", "");
        fs::write(scene.path("project/.env"), text).unwrap();
        let plan = scene.plan();
        assert_eq!(value(&plan, "GOOGLE_API_KEY"), Some(OsStr::new("")), "{text:?}");
        assert_eq!(plan.switched_off, ["`GOOGLE_API_KEY`"], "{text:?}");
    }
    let scene = Scene::new();
    scene.write("project/.env", "MY_GOOGLE_API_KEY=x\nGOOGLE_API_KEYS=y\n");
    assert_eq!(scene.plan().switched_off, [] as [String; 0]);
}

#[test]
fn another_login_method_in_the_settings_causes_a_warning() {
    let scene = Scene::new();
    let settings = |login: &str| format!(r#"{{"security":{{"auth":{{"selectedType":"{login}"}}}}}}"#);
    scene.write("home/.gemini/settings.json", &settings("gemini-api-key"));
    assert_eq!(scene.plan().warnings, [] as [String; 0]);
    scene.write("home/.gemini/settings.json", &settings("oauth-personal"));
    let warnings = scene.plan().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("is `oauth-personal`"), "{warnings:?}");
}

#[test]
fn a_login_directory_becomes_the_agents_home() {
    let mut scene = Scene::new();
    scene.login = Some(scene.path("logins/two"));
    scene.write("project/.env", "GEMINI_API_KEY=x");
    let plan = scene.plan();
    assert_eq!(value(&plan, HOME), Some(scene.path("logins/two").as_os_str()));
    assert_eq!(value(&plan, KEY), Some(OsStr::new("")));
    assert_eq!(plan.watch.unwrap().records, scene.path("logins/two/.gemini/tmp"));
}
