//! What beside the chosen credential says who Gemini CLI asks: variables, `.env` files, its settings.
//! Measured on 0.61.0.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde_json::Value;

use crate::agent::{Effect, Grant, Job, LaunchPlan, Setting};

/// The variable that carries a key.
pub(super) const KEY: &str = "GEMINI_API_KEY";
/// The directory in which the agent's own directory lies.
const HOME: &str = "GEMINI_CLI_HOME";
/// What the settings call an API key.
const BY_KEY: &str = "gemini-api-key";

/// The variable of the address for Google logins, and the agent's own address.
const ENDPOINT: &str = "CODE_ASSIST_ENDPOINT";
const OWN_ENDPOINT: &str = "https://cloudcode-pa.googleapis.com";

/// By these the agent takes another credential, another provider or another address. Not among them are
/// `GOOGLE_APPLICATION_CREDENTIALS` and `GOOGLE_CLOUD_PROJECT`: without one of the others they do not count,
/// and the tools that the agent runs may need them.
const COMPETING: [&str; 11] = [
    ENDPOINT,
    "GEMINI_API_KEY",
    "GEMINI_API_KEY_AUTH_MECHANISM",
    "GEMINI_CLI_CUSTOM_HEADERS",
    "GEMINI_CLI_USE_COMPUTE_ADC",
    "GOOGLE_API_KEY",
    "GOOGLE_CLOUD_ACCESS_TOKEN",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_USE_GCA",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_VERTEX_BASE_URL",
];

/// Whether a variable would compete with the chosen subscription.
pub(super) fn competes(name: &str) -> bool {
    COMPETING.contains(&name)
}

/// Takes what competes with the credential out of the child's environment, and puts the subscription's own
/// variables in.
pub(super) fn plan(args: Vec<OsString>, job: &Job<'_>) -> LaunchPlan {
    let mut plan = LaunchPlan::new(args, job, competes, HOME);
    silence_env_file(job, &mut plan);
    warn_of_settings(job, &mut plan);
    plan
}

/// The agent's own directory, with its settings and its records.
pub(super) fn own_dir(job: &Job<'_>) -> PathBuf {
    let home = match job.grant {
        Grant::Home(home) => home.to_owned(),
        Grant::Secret(..) => {
            let chosen = job.variable(HOME).filter(|home| !home.is_empty());
            chosen.map_or_else(|| job.home.to_owned(), PathBuf::from)
        }
    };
    home.join(".gemini")
}

/// The agent reads a `.env` file of the project or of the user by itself. A variable that is set, be it to
/// nothing, is not taken from there. The agent's reader of such files takes more than a strict one would (a byte
/// order mark, any white space, any encoding), so none of them decides what is set; they only tell what to report.
fn silence_env_file(job: &Job<'_>, plan: &mut LaunchPlan) {
    let files: Vec<_> =
        env_files(job.cwd, &own_dir(job), job.home).filter_map(|file| fs::read(file).ok()).collect();
    if files.is_empty() {
        return;
    }
    for name in COMPETING {
        let carries_the_secret = name == KEY && matches!(job.grant, Grant::Secret(..));
        let is_set = plan.set.iter().any(|(known, _)| known == name);
        if carries_the_secret || is_set || job.keeps(name) {
            continue;
        }
        plan.set.push((name.to_owned(), neutral(name).into()));
        if files.iter().any(|file| names(file, name)) {
            plan.switched_off.push(format!("`{name}`"));
        }
    }
}

/// What a variable is set to where it must say nothing.
fn neutral(name: &str) -> &'static str {
    // The agent takes any value for the address, also an empty one.
    if name == ENDPOINT { OWN_ENDPOINT } else { "" }
}

/// Every file that the agent may read: it takes the nearest one, unless the directory is not trusted.
fn env_files(cwd: &Path, own_dir: &Path, home: &Path) -> impl Iterator<Item = PathBuf> {
    let upwards = cwd.ancestors().flat_map(|dir| [dir.join(".gemini/.env"), dir.join(".env")]);
    upwards.chain([own_dir.join(".env"), home.join(".gemini/.env"), home.join(".env")])
}

/// Whether the name stands in a file as a word.
fn names(file: &[u8], name: &str) -> bool {
    let is_of_name =
        |byte: Option<&u8>| byte.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    memmem::find_iter(file, name).any(|at| {
        let before = at.checked_sub(1).and_then(|at| file.get(at));
        !is_of_name(before) && !is_of_name(file.get(at + name.len()))
    })
}

/// A way to log in that is chosen in the settings beats a key in the environment, and nothing on the
/// command line or in the environment beats the settings.
fn warn_of_settings(job: &Job<'_>, plan: &mut LaunchPlan) {
    if let Some((file, chosen)) = other_login(job) {
        plan.warnings.push(format!(
            "`{LOGIN}` in {} is `{chosen}`, so the agent will not use this subscription's key; make it `{BY_KEY}`",
            file.display()
        ));
    }
}

/// The file that chooses another way to log in than by the key, and which.
fn other_login(job: &Job<'_>) -> Option<(PathBuf, String)> {
    if matches!(job.grant, Grant::Home(_)) {
        return None;
    }
    let system = job.variable("GEMINI_CLI_SYSTEM_SETTINGS_PATH").map(PathBuf::from);
    let files = [system.unwrap_or_else(|| SYSTEM_SETTINGS.into()), own_dir(job).join("settings.json")];
    let mut chosen = files.into_iter().filter_map(|file| chosen_login(&file).map(|chosen| (file, chosen)));
    chosen.next().filter(|(_, chosen)| chosen != BY_KEY)
}

/// What in the agent's files would win over the credential.
pub(super) fn that_matter(job: &Job<'_>) -> Vec<Setting> {
    let login = other_login(job).map(|(file, _)| {
        let key = LOGIN.rsplit('.').next().unwrap_or(LOGIN).to_owned();
        Setting { file, key, effect: Effect::Wins }
    });
    let own_dir = own_dir(job);
    let files = env_files(job.cwd, &own_dir, job.home).filter_map(|file| {
        let bytes = fs::read(&file).ok()?;
        Some((file, bytes))
    });
    let named = files.flat_map(|(file, bytes)| {
        let carries_the_secret = |name: &str| name == KEY && matches!(job.grant, Grant::Secret(..));
        let named =
            COMPETING.into_iter().filter(move |name| !carries_the_secret(name) && names(&bytes, name));
        let setting = move |name: &str| Setting {
            file: file.clone(),
            key: name.to_owned(),
            effect: Effect::SwitchedOff,
        };
        named.map(setting).collect::<Vec<_>>()
    });
    login.into_iter().chain(named).collect()
}

/// The setting that chooses how the agent logs in.
const LOGIN: &str = "security.auth.selectedType";

const SYSTEM_SETTINGS: &str = if cfg!(target_os = "macos") {
    "/Library/Application Support/GeminiCli/settings.json"
} else {
    "/etc/gemini-cli/settings.json"
};

fn chosen_login(file: &Path) -> Option<String> {
    let settings: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    settings.pointer("/security/auth/selectedType")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
