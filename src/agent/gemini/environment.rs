//! Sources of Gemini CLI's credential and provider besides the chosen subscription: variables, `.env` files
//! and its settings. Measured on 0.61.0.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde_json::Value;

use crate::agent::{Effect, Grant, Job, LaunchPlan, Setting};

/// The variable with the API key.
pub(super) const KEY: &str = "GEMINI_API_KEY";
/// The variable with the parent of the agent's own directory.
const HOME: &str = "GEMINI_CLI_HOME";
/// The value in the settings that means an API key.
const BY_KEY: &str = "gemini-api-key";

/// The variable that sets the address for Google logins, and the agent's default.
const ENDPOINT: &str = "CODE_ASSIST_ENDPOINT";
const OWN_ENDPOINT: &str = "https://cloudcode-pa.googleapis.com";

/// Variables that make the agent use another credential, provider or address.
/// `GOOGLE_APPLICATION_CREDENTIALS` and `GOOGLE_CLOUD_PROJECT` are not in the list: they have no effect
/// without one of the others, and the tools that the agent runs may need them.
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

/// Removes variables that compete with the credential from the child's environment, and adds the
/// subscription's own variables.
pub(super) fn plan(args: Vec<OsString>, job: &Job<'_>) -> LaunchPlan {
    let mut plan = LaunchPlan::new(args, job, competes, HOME);
    override_env_files(job, &mut plan);
    warn_about_settings(job, &mut plan);
    plan
}

/// Returns the agent's own directory, with its settings and its records.
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

/// Sets all competing variables if there is a `.env` file. The agent reads a `.env` file of the project or
/// the user, but does not use a value from it if the variable is set, even to an empty string. The agent's
/// parser accepts more than a strict one (a byte order mark, any white space, any encoding), so kage does not
/// parse the files: it sets all the variables, and reports those whose name is in a file.
fn override_env_files(job: &Job<'_>, plan: &mut LaunchPlan) {
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
        if files.iter().any(|file| contains_name(file, name)) {
            plan.switched_off.push(format!("`{name}`"));
        }
    }
}

/// Returns the value that makes a variable have no effect.
fn neutral(name: &str) -> &'static str {
    // The agent accepts any value as the address, even an empty one.
    if name == ENDPOINT { OWN_ENDPOINT } else { "" }
}

/// Returns every `.env` file that the agent may read. It reads the nearest one, unless the directory is not
/// trusted.
fn env_files(cwd: &Path, own_dir: &Path, home: &Path) -> impl Iterator<Item = PathBuf> {
    let upwards = cwd.ancestors().flat_map(|dir| [dir.join(".gemini/.env"), dir.join(".env")]);
    upwards.chain([own_dir.join(".env"), home.join(".gemini/.env"), home.join(".env")])
}

/// Whether a file contains the name as a whole word.
fn contains_name(file: &[u8], name: &str) -> bool {
    let is_name_byte =
        |byte: Option<&u8>| byte.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    memmem::find_iter(file, name).any(|at| {
        let before = at.checked_sub(1).and_then(|at| file.get(at));
        !is_name_byte(before) && !is_name_byte(file.get(at + name.len()))
    })
}

/// Warns about a login method in the settings. This method overrides a key in the environment, and neither
/// the command line nor the environment can override it.
fn warn_about_settings(job: &Job<'_>, plan: &mut LaunchPlan) {
    if let Some((file, chosen)) = other_login(job) {
        plan.warnings.push(format!(
            "`{LOGIN}` in {} is `{chosen}`, so the agent ignores this subscription's key; \
             set it to `{BY_KEY}`",
            file.display()
        ));
    }
}

/// Returns the settings file that selects a login method other than the API key, and that method.
fn other_login(job: &Job<'_>) -> Option<(PathBuf, String)> {
    if matches!(job.grant, Grant::Home(_)) {
        return None;
    }
    let files = [system_settings(job), own_dir(job).join("settings.json")];
    let mut chosen = files.into_iter().filter_map(|file| chosen_login(&file).map(|chosen| (file, chosen)));
    chosen.next().filter(|(_, chosen)| chosen != BY_KEY)
}

fn system_settings(job: &Job<'_>) -> PathBuf {
    let named = job.variable("GEMINI_CLI_SYSTEM_SETTINGS_PATH");
    named.map_or_else(|| SYSTEM_SETTINGS.into(), PathBuf::from)
}

/// Whether a settings file of the agent mentions telemetry.
pub(super) fn has_telemetry(job: &Job<'_>) -> bool {
    let project = job.cwd.join(".gemini/settings.json");
    let files = [system_settings(job), own_dir(job).join("settings.json"), project];
    files.iter().filter_map(|file| fs::read(file).ok()).any(|bytes| contains_name(&bytes, "telemetry"))
}

/// Returns the settings in the agent's files that would override the credential.
pub(super) fn relevant_settings(job: &Job<'_>) -> Vec<Setting> {
    let login = other_login(job).map(|(file, _)| {
        let key = LOGIN.rsplit('.').next().unwrap_or(LOGIN).to_owned();
        Setting { file, key, effect: Effect::Overrides }
    });
    let own_dir = own_dir(job);
    let files = env_files(job.cwd, &own_dir, job.home).filter_map(|file| {
        let bytes = fs::read(&file).ok()?;
        Some((file, bytes))
    });
    let named = files.flat_map(|(file, bytes)| {
        let carries_the_secret = |name: &str| name == KEY && matches!(job.grant, Grant::Secret(..));
        let named = COMPETING
            .into_iter()
            .filter(move |name| !carries_the_secret(name) && contains_name(&bytes, name));
        let setting = move |name: &str| Setting {
            file: file.clone(),
            key: name.to_owned(),
            effect: Effect::SwitchedOff,
        };
        named.map(setting).collect::<Vec<_>>()
    });
    login.into_iter().chain(named).collect()
}

/// The setting that selects the login method.
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
