//! Claude Code. Facts that are not in its documentation were measured on 2.1.332.

mod arguments;
mod environment;
mod hook;
mod message;
mod printed;
mod refusal;
mod saved;
mod settings;
mod statusline;
mod transcript;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, Zoned};

use self::arguments::{Conversation, Invocation, Session};
use super::{
    Agent, Captured, Evidence, Form, Grant, HookEvent, InstallInfo, Intent, Job, Kind, LaunchPlan, Line,
    Marker, Opening, Patience, ProviderError, Resumed, SecretKind, Setting, StatuslineReading, Work, markers,
    said,
};
use crate::secret::Secret;
use crate::text::in_single_quotes;
use refusal::MARKERS;

pub(super) struct Claude;

/// The variable for how many times the agent retries a request. By default it retries for three minutes.
const RETRIES: &str = "CLAUDE_CODE_MAX_RETRIES";

/// The credential of a subscription, from `claude setup-token`.
static SETUP_TOKEN: SecretKind = SecretKind {
    prefix: "sk-ant-oat01-",
    variable: "CLAUDE_CODE_OAUTH_TOKEN",
    descriptor: Some("CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"),
    model: Some("sonnet"),
    lifetime_days: Some(365),
};

static API_KEY: SecretKind = SecretKind {
    prefix: "sk-ant-api03-",
    variable: "ANTHROPIC_API_KEY",
    descriptor: Some("CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR"),
    model: Some("opus"),
    lifetime_days: None,
};

static INSTALL: InstallInfo = InstallInfo {
    install: "npm install -g @anthropic-ai/claude-code",
    update: "claude update",
    measured: [2, 1, 332],
    // Source: its changelog, fixed in 2.1.225.
    oldest: Some(([2, 1, 225], "lets a stored login override the credential of the run")),
};

/// Source: the help of 2.1.332.
const MAINTENANCE: [&str; 22] = [
    "--help",
    "--version",
    "-h",
    "-v",
    "attach",
    "auth",
    "auto-mode",
    "doctor",
    "gateway",
    "import",
    "install",
    "kill",
    "logs",
    "mcp",
    "plugin",
    "plugins",
    "purge",
    "rm",
    "setup-token",
    "stop",
    "update",
    "upgrade",
];

impl Agent for Claude {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn maintenance_commands(&self) -> &'static [&'static str] {
        &MAINTENANCE
    }

    fn trial(&self) -> Option<&'static [&'static str]> {
        Some(&["-p", "Answer with the one word: ready"])
    }

    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind> {
        let looks_like = |kind: &&SecretKind| {
            secret
                .expose()
                .strip_prefix(kind.prefix)
                .is_some_and(|rest| !rest.is_empty() && !rest.contains(' '))
        };
        [&SETUP_TOKEN, &API_KEY].into_iter().find(looks_like)
    }

    fn default_kind(&self) -> &'static SecretKind {
        &SETUP_TOKEN
    }

    fn secret_formats(&self) -> &'static str {
        "sk-ant-oat01-... (a subscription token) or sk-ant-api03-... (an API key)"
    }

    fn how_to_get(&self) -> &'static str {
        "run `claude setup-token`, log in with that account, and copy the token it prints"
    }

    fn login_hint(&self, home: &Path) -> Option<String> {
        Some(format!("CLAUDE_CONFIG_DIR={} claude /login", in_single_quotes(&home.display().to_string())))
    }

    fn is_logged_in(&self, home: &Path) -> Option<bool> {
        // On macOS the login is in the keychain. Source: code.claude.com/docs/en/authentication.
        (!cfg!(target_os = "macos")).then(|| home.join(".credentials.json").exists())
    }

    fn install_info(&self) -> Option<&'static InstallInfo> {
        Some(&INSTALL)
    }

    fn settings(&self, job: &Job<'_>) -> Vec<Setting> {
        settings::relevant(job, &config_dir(job))
    }

    fn competes(&self, variable: &str) -> bool {
        environment::competes(variable)
    }

    fn harmful_variables(&self) -> &'static [&'static str] {
        &["CLAUDE_CODE_ATTRIBUTION_HEADER=0"]
    }

    fn read(
        &self,
        args: &[OsString],
        environment: &dyn Fn(&str) -> Option<OsString>,
        to_terminal: bool,
    ) -> Intent {
        let Invocation::Conversation(conversation) = arguments::read(args) else { return Intent::default() };
        let model = conversation.model.clone().or_else(|| environment("ANTHROPIC_MODEL"));
        Intent {
            form: form(&conversation, to_terminal),
            names_model: model.is_some(),
            model: model.and_then(|model| refusal::family(&model.to_string_lossy())),
            repeatable: conversation.session == Session::Unset,
            stays_open: conversation.input_is_lines,
            not_resumable: conversation
                .is_ephemeral
                .then_some("`--no-session-persistence` leaves nothing to resume"),
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
        let mut plan = LaunchPlan::new(args, job, environment::competes, "CLAUDE_CONFIG_DIR");
        let models = environment::gateway_models(&plan.remove, job.environment);
        plan.remove.extend(models.into_iter().filter(|name| !job.keeps(name)));
        // Two retries take 2 seconds, five take 18.
        let retries = match job.patience {
            Patience::Short => Some("2"),
            Patience::Bounded => Some("5"),
            Patience::Own => None,
        };
        if let Some(retries) = retries.filter(|_| job.variable(RETRIES).is_none()) {
            plan.set.push((RETRIES.into(), retries.into()));
        }
        match arguments::read(&plan.args) {
            Invocation::Conversation(conversation) if job.is_agent => {
                prepare_conversation(&conversation, job, &mut plan);
            }
            Invocation::Other if job.is_agent => {}
            _ => settings::guard_other_program(job, &config_dir(job), &mut plan),
        }
        plan
    }

    fn resume_args(&self, args: &[OsString], session: &str, prompt: &str) -> Option<Vec<OsString>> {
        Some(arguments::resume_args(args, session, prompt))
    }

    fn can_resume(&self, session: &str, job: &Job<'_>) -> bool {
        let projects = config_dir(job).join("projects");
        !transcript::watch(projects, Some(session.to_owned()), job.cwd, job.began).lengths.is_empty()
    }

    fn classifier(&self) -> fn(&[u8]) -> Line {
        printed::classify
    }

    fn collect(&self, plan: &LaunchPlan, captured: &Captured, now: &Zoned) -> Evidence {
        let watch = plan.watch.as_ref();
        let whole = captured.whole.as_deref().unwrap_or_default();
        let object = Some(whole).filter(|_| plan.prints_json);
        let lines = captured.lines.iter().map(Vec::as_slice).chain(object);
        let printed = printed::read(lines, now);
        let recorded = watch.and_then(|watch| transcript::read(watch, now.time_zone()));
        let known = recorded.is_some() || printed.is_some();
        let is_recorded = recorded.is_some();
        let mut evidence = recorded.unwrap_or_default();
        // An answer may quote an error. The transcript shows whether there was an answer.
        let answered = evidence.work == Work::Done && captured.lines.is_empty();
        if let Some(printed) = printed {
            evidence.readings = printed.readings;
            if !is_recorded {
                evidence.usage = printed.usage;
            }
            evidence.model = evidence.model.or(printed.model);
            if printed.work == Work::Done {
                evidence.work = Work::Done;
            }
            if evidence.errors.is_empty() && !answered {
                evidence.errors = printed.errors;
            }
        }
        if captured.progressed {
            evidence.work = Work::Done;
        } else if !known && watch.is_none() {
            // There is no transcript, and plain text does not show whether work was done.
            evidence.work = Work::Unknown;
        }
        // After recorded work, the printed text is the answer, not an error.
        if evidence.work != Work::Done {
            evidence.said = error_lines(whole, &captured.stderr, now);
        }
        evidence
    }

    fn examine(&self, text: &[u8], now: &Zoned) -> Evidence {
        saved::examine(text, now)
    }

    fn read_statusline(&self, input: &[u8]) -> Option<StatuslineReading> {
        statusline::read(input)
    }

    fn markers(&self) -> &'static [Marker] {
        &MARKERS
    }

    fn hooked_pid_variable(&self) -> Option<&'static str> {
        Some("CLAUDE_PID")
    }

    fn parse_hook(&self, input: &[u8]) -> Option<HookEvent> {
        hook::parse(input)
    }

    fn evidence_at_end(&self, record: &Path, since: Timestamp, now: &Zoned) -> Evidence {
        transcript::read_end(record, since, now.time_zone())
    }
}

/// The lines that may be an error message: the only line of standard output. If that is empty, an error about
/// the arguments may be on standard error.
fn error_lines(out: &[u8], err: &[u8], now: &Zoned) -> Vec<String> {
    if let Some(message) = message::sole_message(out) {
        return message::forms(message);
    }
    if said::non_blank(out).next().is_some() {
        return Vec::new();
    }
    let mut lines = said::last_lines(err, 3);
    let is_startup = |error: ProviderError| error.kind == Kind::Startup;
    lines.retain(|line| markers::read(line, &[&MARKERS], now).is_none_or(is_startup));
    lines
}

/// The form of its output. If standard output is not a terminal, the agent prints even without `--print`.
fn form(conversation: &Conversation, to_terminal: bool) -> Form {
    match &conversation.output {
        _ if !conversation.prints && to_terminal => Form::Interactive,
        Some(output) if output == "stream-json" => Form::Lines,
        _ => Form::Whole,
    }
}

/// Adds a session id, which identifies the records of the conversation, and settings that keep the agent from
/// the user's other credentials. They come before the user's own arguments: an option that accepts any number
/// of values would swallow the arguments after it.
fn prepare_conversation(conversation: &Conversation, job: &Job<'_>, plan: &mut LaunchPlan) {
    let config = config_dir(job);
    settings::add_to_plan(conversation, job, &config, plan);
    if conversation.is_bare && matches!(job.grant, Grant::Secret(kind, _) if *kind == SETUP_TOKEN) {
        plan.ignores_credential = true;
        plan.warnings.push("with `--bare`, claude accepts an API key but no subscription token".into());
    }
    let output = conversation.output.as_deref().and_then(OsStr::to_str);
    plan.prints_json = matches!(output, Some("json" | "stream-json"));
    let projects = config.join("projects");
    let session = match &conversation.session {
        Session::Unset => Some(assign_session_id(&[], plan)),
        Session::Given(id) | Session::Resumed(id) => Some(id.clone()),
        // If there is nothing to continue, the agent begins a new session. With `--fork-session` it accepts
        // an id for it.
        Session::Latest => transcript::latest(&projects, job.cwd)
            .or_else(|| Some(assign_session_id(&["--fork-session"], plan))),
        Session::Unknown => None,
    };
    let session = session.filter(|_| !conversation.is_ephemeral);
    // Hooks report every conversation, including one that the user chooses inside the agent.
    if session.is_some() || job.hook.is_some() {
        plan.watch = Some(transcript::watch(projects, session, job.cwd, job.began));
    }
    if let Some(model) = job.model {
        plan.args.splice(0..0, ["--model".into(), model.into()]);
    }
}

/// Chooses the id of a new session and passes it to the agent, after the options that allow it.
fn assign_session_id(options: &[&str], plan: &mut LaunchPlan) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let more = options.iter().copied().chain(["--session-id", &id]).map(OsString::from);
    plan.args.splice(0..0, more.collect::<Vec<_>>());
    id
}

/// The child's directory of settings and transcripts. If the variable is empty, the agent uses the current
/// directory.
fn config_dir(job: &Job<'_>) -> PathBuf {
    match job.grant {
        Grant::Home(home) => home.to_owned(),
        Grant::Secret(..) => {
            job.variable("CLAUDE_CONFIG_DIR").map_or_else(|| job.home.join(".claude"), PathBuf::from)
        }
    }
}

#[cfg(test)]
mod tests;
