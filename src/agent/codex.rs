//! Codex. Facts that are not in its documentation were measured on 0.171.0.

mod arguments;
mod environment;
mod printed;
mod refusal;
mod rollout;
mod sessions;
mod settings;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use self::arguments::{Conversation, Invocation, Session};
use super::{
    Agent, Captured, Evidence, Form, Grant, InstallInfo, Intent, Job, LaunchPlan, Line, Marker, Opening,
    Resumed, SecretKind, Setting, Work, records,
};
use crate::secret::Secret;
use crate::text::in_single_quotes;
use refusal::MARKERS;

pub(super) struct Codex;

/// An API key. The agent uses it only in `codex exec`, where it overrides the login.
static API_KEY: SecretKind = SecretKind {
    prefix: "sk-",
    variable: "CODEX_API_KEY",
    descriptor: None,
    model: None,
    lifetime_days: None,
};

/// The prefix of another provider's keys.
const ANTHROPIC_PREFIX: &str = "sk-ant-";

/// Source: the help of 0.171.0.
const MAINTENANCE: [&str; 20] = [
    "--help",
    "--version",
    "-V",
    "-h",
    "archive",
    "completion",
    "debug",
    "delete",
    "doctor",
    "features",
    "help",
    "login",
    "logout",
    "mcp",
    "migrate-nfs-db",
    "migrate-rollouts",
    "plugin",
    "sandbox",
    "unarchive",
    "update",
];

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn maintenance_commands(&self) -> &'static [&'static str] {
        &MAINTENANCE
    }

    fn trial(&self) -> Option<&'static [&'static str]> {
        Some(&["exec", "--skip-git-repo-check", "Answer with the one word: ready"])
    }

    /// Any word can be a key: the keys of compatible providers have their own formats.
    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind> {
        let text = secret.expose();
        let is_one_word = !text.is_empty() && !text.contains(char::is_whitespace);
        (is_one_word && !text.starts_with(ANTHROPIC_PREFIX)).then_some(&API_KEY)
    }

    fn default_kind(&self) -> &'static SecretKind {
        &API_KEY
    }

    fn secret_formats(&self) -> &'static str {
        "sk-... (an API key); a ChatGPT plan needs a login directory"
    }

    fn how_to_get(&self) -> &'static str {
        "create an API key at https://platform.openai.com/api-keys; for a ChatGPT plan use a login directory"
    }

    fn competes(&self, variable: &str) -> bool {
        environment::competes(variable)
    }

    fn settings(&self, job: &Job<'_>) -> Vec<Setting> {
        let takes_key = matches!(job.grant, Grant::Secret(..));
        takes_key.then(|| settings::competing_setting(&home(job))).flatten().into_iter().collect()
    }

    fn install_info(&self) -> Option<&'static InstallInfo> {
        Some(&InstallInfo {
            install: "npm install -g @openai/codex",
            update: "npm install -g @openai/codex@latest",
            measured: [0, 171, 0],
            oldest: None,
        })
    }

    fn login_hint(&self, home: &Path) -> Option<String> {
        // The agent does not create the directory.
        let home = in_single_quotes(&home.display().to_string());
        Some(format!("mkdir -p {home} && CODEX_HOME={home} codex login"))
    }

    fn is_logged_in(&self, home: &Path) -> Option<bool> {
        // The config can move the login into the keychain.
        let config = fs::read_to_string(home.join("config.toml")).unwrap_or_default();
        (!config.contains("cli_auth_credentials_store")).then(|| home.join("auth.json").exists())
    }

    fn read(
        &self,
        args: &[OsString],
        _environment: &dyn Fn(&str) -> Option<OsString>,
        _to_terminal: bool,
    ) -> Intent {
        let Invocation::Conversation(conversation) = arguments::read(args) else { return Intent::default() };
        Intent {
            form: form(&conversation),
            names_model: conversation.model.is_some(),
            model: conversation.model.as_ref().map(|model| model.to_string_lossy().to_lowercase()),
            repeatable: matches!(conversation.session, Session::New | Session::Review),
            not_resumable: if conversation.is_ephemeral {
                Some("`--ephemeral` leaves nothing to resume")
            } else if conversation.session == Session::Review {
                Some("a review cannot be resumed")
            } else {
                None
            },
            stays_open: false,
            resumes: match conversation.session {
                Session::Resumed(id) => Some(Resumed::Session(id)),
                Session::Latest => Some(Resumed::Latest),
                _ => None,
            },
        }
    }

    fn prepare(&self, job: &Job<'_>) -> LaunchPlan {
        let args = match job.opening {
            Opening::AsTyped => job.args.to_vec(),
            Opening::Resuming { session, prompt } => arguments::resume_args(job.args, session, prompt),
        };
        let mut plan = LaunchPlan::new(args, job, environment::competes, "CODEX_HOME");
        let home = home(job);
        match arguments::read(&plan.args) {
            Invocation::Conversation(conversation) if job.is_agent => {
                prepare_conversation(conversation, job, &home, &mut plan);
            }
            Invocation::Other if job.is_agent => {}
            _ if matches!(job.grant, Grant::Secret(..)) => settings::guard_other_program(&home, &mut plan),
            _ => {}
        }
        plan
    }

    fn resume_args(&self, args: &[OsString], session: &str, prompt: &str) -> Option<Vec<OsString>> {
        Some(arguments::resume_args(args, session, prompt))
    }

    /// A login directory contains only its own conversations, unless `sessions` links to those of another.
    fn can_resume(&self, session: &str, job: &Job<'_>) -> bool {
        sessions::exists(&home(job).join("sessions"), session)
    }

    fn classifier(&self) -> fn(&[u8]) -> Line {
        printed::classify
    }

    fn collect(&self, plan: &LaunchPlan, captured: &Captured, now: &Zoned) -> Evidence {
        let watch = plan.watch.as_ref();
        let printed = printed::read(captured.lines.iter().map(Vec::as_slice), now);
        let session = printed.as_ref().and_then(|printed| printed.session.clone());
        let session = session.or_else(|| printed::session(&captured.stderr));
        let recorded = watch.and_then(|watch| rollout::read(watch, session.as_deref(), now.time_zone()));
        // If no record is known to be this attempt's, any new record may contain its work.
        let unread = recorded.is_none() && watch.is_none_or(sessions::any_since);
        let printed_anything = printed.is_some();
        let mut evidence = recorded.or(printed.clone()).unwrap_or_default();
        if evidence.errors.is_empty() {
            evidence.errors = printed.map(|printed| printed.errors).unwrap_or_default();
        }
        if captured.progressed {
            evidence.work = Work::Done;
        } else if unread && !printed_anything {
            evidence.work = Work::Unknown;
        }
        // Standard error contains the log of the whole run, so its text may come from a tool.
        if evidence.work != Work::Done && evidence.errors.is_empty() {
            evidence.said = printed::error_lines(&captured.stderr);
        }
        evidence
    }

    fn examine(&self, text: &[u8], now: &Zoned) -> Evidence {
        let Some(records) = records::of(text, |_, _| false) else {
            return Evidence { said: printed::saved_error_lines(text), ..Evidence::default() };
        };
        let recorded = rollout::examine(text, now.time_zone());
        if recorded != Evidence::default() {
            return recorded;
        }
        if !printed::are_events(&records) {
            return Evidence::default();
        }
        printed::read(records.into_iter(), now).unwrap_or_default()
    }

    fn markers(&self) -> &'static [Marker] {
        &MARKERS
    }
}

fn form(conversation: &Conversation) -> Form {
    match conversation {
        Conversation { prints: false, .. } => Form::Interactive,
        Conversation { as_lines: true, .. } => Form::Lines,
        _ => Form::Whole,
    }
}

/// Adds the options for the model and the credential, and plans how to find the records. The agent accepts no
/// id for a new conversation, so its records are found by directory and time, and later by the id that it
/// prints.
fn prepare_conversation(conversation: Conversation, job: &Job<'_>, home: &Path, plan: &mut LaunchPlan) {
    if let Some(model) = job.model {
        let at = conversation.options_at;
        plan.args.splice(at..at, ["--model".into(), model.into()]);
    }
    if matches!(job.grant, Grant::Secret(..)) {
        settings::override_config(&conversation, home, plan);
    }
    if conversation.is_ephemeral {
        return;
    }
    let records = home.join("sessions");
    let cwd = conversation.cwd.map_or_else(|| job.cwd.to_owned(), |dir| job.cwd.join(dir));
    let session = match conversation.session {
        Session::Resumed(id) => Some(id),
        Session::Latest => sessions::latest(&records, &cwd),
        _ => None,
    };
    plan.watch = Some(sessions::watch(records, session, cwd, job.began));
}

/// The child's directory of settings, login and records.
fn home(job: &Job<'_>) -> PathBuf {
    match job.grant {
        Grant::Home(home) => home.to_owned(),
        Grant::Secret(..) => {
            let chosen = job.variable("CODEX_HOME").filter(|home| !home.is_empty());
            chosen.map_or_else(|| job.home.join(".codex"), PathBuf::from)
        }
    }
}

#[cfg(test)]
mod tests;
