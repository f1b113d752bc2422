//! Gemini CLI. Facts that are not in its documentation were measured on 0.61.0.

mod arguments;
mod environment;
mod printed;
mod record;
mod refusal;
mod telemetry;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use jiff::Zoned;

use self::arguments::{Conversation, Invocation, Session};
use super::{
    Agent, Captured, Case, Evidence, Form, InstallInfo, Intent, Job, LaunchPlan, Line, Marker, Opening,
    Patience, Resumed, SecretKind, Setting, Work, records, verdict,
};
use crate::pool::{Outcome, Usage};
use crate::secret::Secret;
use crate::text::in_single_quotes;
use refusal::MARKERS;

pub(super) struct Gemini;

/// The API key of a project, from Google AI Studio.
static API_KEY: SecretKind = SecretKind {
    prefix: "AIza",
    variable: environment::KEY,
    descriptor: None,
    model: None,
    lifetime_days: None,
};

/// Disables the relaunch of the agent. Without it, the agent starts itself a second time to get more memory,
/// and the first process, which is the one that kage can signal, ignores INT, HUP and TERM. With it, there is
/// one process, which these signals end.
const NO_RELAUNCH: &str = "GEMINI_CLI_NO_RELAUNCH";

/// The model families; a name that contains another one comes first.
const FAMILIES: [&str; 3] = ["flash-lite", "flash", "pro"];

/// Source: the help of 0.61.0.
const MAINTENANCE: [&str; 16] = [
    "--delete-session",
    "--help",
    "--list-extensions",
    "--list-sessions",
    "--version",
    "-h",
    "-l",
    "-v",
    "extension",
    "extensions",
    "gemma",
    "hook",
    "hooks",
    "mcp",
    "skill",
    "skills",
];

impl Agent for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn maintenance_commands(&self) -> &'static [&'static str] {
        &MAINTENANCE
    }

    fn trial(&self) -> Option<&'static [&'static str]> {
        Some(&["--skip-trust", "-p", "Answer with the one word: ready"])
    }

    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind> {
        let rest = secret.expose().strip_prefix(API_KEY.prefix)?;
        (!rest.is_empty() && !rest.contains(' ')).then_some(&API_KEY)
    }

    fn default_kind(&self) -> &'static SecretKind {
        &API_KEY
    }

    fn secret_formats(&self) -> &'static str {
        "AIza... (a Gemini API key)"
    }

    fn how_to_get(&self) -> &'static str {
        "create a key at https://aistudio.google.com/apikey with that account, and copy it"
    }

    fn competes(&self, variable: &str) -> bool {
        environment::competes(variable)
    }

    fn settings(&self, job: &Job<'_>) -> Vec<Setting> {
        environment::relevant_settings(job)
    }

    fn install_info(&self) -> Option<&'static InstallInfo> {
        Some(&InstallInfo {
            install: "npm install -g @google/gemini-cli",
            update: "npm install -g @google/gemini-cli@latest",
            measured: [0, 61, 0],
            oldest: None,
        })
    }

    fn login_hint(&self, home: &Path) -> Option<String> {
        Some(format!("GEMINI_CLI_HOME={} gemini", in_single_quotes(&home.display().to_string())))
    }

    fn is_logged_in(&self, home: &Path) -> Option<bool> {
        // A newer agent may store the login encrypted, in the second file.
        let files = ["oauth_creds.json", "gemini-credentials.json"];
        Some(files.into_iter().any(|file| home.join(".gemini").join(file).exists()))
    }

    fn read(
        &self,
        args: &[OsString],
        environment: &dyn Fn(&str) -> Option<OsString>,
        to_terminal: bool,
    ) -> Intent {
        let Invocation::Conversation(conversation) = arguments::read(args) else { return Intent::default() };
        let model = conversation.model.clone().or_else(|| environment("GEMINI_MODEL"));
        let at_terminal = to_terminal && !is_automated(environment);
        Intent {
            form: form(&conversation, at_terminal),
            names_model: model.is_some(),
            model: model.and_then(|model| family(&model.to_string_lossy())),
            repeatable: conversation.session == Session::Unset,
            not_resumable: conversation
                .worktree
                .then_some("`--worktree` gives each attempt its own directory"),
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
        let mut plan = environment::plan(args, job);
        match arguments::read(&plan.args) {
            Invocation::Conversation(conversation) if job.is_agent => {
                plan_conversation(&conversation, job, &mut plan);
            }
            _ => {}
        }
        plan
    }

    fn resume_args(&self, args: &[OsString], session: &str, prompt: &str) -> Option<Vec<OsString>> {
        Some(arguments::resume_args(args, session, prompt))
    }

    fn can_resume(&self, session: &str, job: &Job<'_>) -> bool {
        let projects = environment::own_dir(job).join("tmp");
        !record::watch(projects, session.to_owned(), job.cwd, job.began).lengths.is_empty()
    }

    fn errors_on_stderr(&self) -> bool {
        true
    }

    fn useless_retry(&self) -> Option<fn(&[u8]) -> bool> {
        Some(refusal::is_useless_retry)
    }

    fn classifier(&self) -> fn(&[u8]) -> Line {
        printed::classify
    }

    fn collect(&self, plan: &LaunchPlan, captured: &Captured, now: &Zoned) -> Evidence {
        let watch = plan.watch.as_ref();
        let whole = captured.whole.as_deref().filter(|_| plan.prints_json);
        let printed = printed::read(captured.lines.iter().map(Vec::as_slice).chain(whole), now);
        let ending = printed::ending(&captured.stderr).filter(|_| plan.prints_json);
        let ending = printed::read(ending.into_iter(), now);
        let recorded = watch.and_then(|watch| record::read(watch, now.time_zone()));
        let known = recorded.is_some() || printed.known || ending.known;
        let record::Recorded { mut evidence, answered } = recorded.unwrap_or_default();
        evidence.usage = more_complete(printed.usage, evidence.usage);
        if !plan.prints_json {
            telemetry::add_utility_usage(plan, &mut evidence.usage, now);
        }
        evidence.model = evidence.model.or(printed.model);
        let session = printed.session.or(ending.session);
        evidence.session = evidence.session.or(session.filter(|_| watch.is_none()));
        if captured.progressed || printed.work == Work::Done {
            evidence.work = Work::Done;
        } else if !known && watch.is_none() {
            evidence.work = Work::Unknown;
        }
        evidence.errors = printed.error.into_iter().collect();
        // After an answer, errors on standard error are from a tool, or the agent recovered from them.
        if !answered && !printed.answered {
            evidence.if_failed = printed.error_in_object.or(ending.error_in_object);
            evidence.said = refusal::rendered(&captured.stderr, now);
        }
        evidence
    }

    fn examine(&self, text: &[u8], now: &Zoned) -> Evidence {
        let records = records::of(text, |_, _| false).unwrap_or_default();
        let printed = printed::read(records.into_iter().chain(printed::saved_ending(text)), now);
        let recorded = record::examine(text, now.time_zone());
        if printed.known || recorded != Evidence::default() {
            let errors = printed.error.into_iter().collect();
            return Evidence { errors, if_failed: printed.error_in_object, ..recorded };
        }
        Evidence { said: refusal::saved_error_lines(text), ..recorded }
    }

    fn markers(&self) -> &'static [Marker] {
        &MARKERS
    }

    fn judge(&self, case: &Case<'_>) -> Outcome {
        let Evidence { usage, readings, .. } = case.evidence;
        if refusal::is_own_status(case.exit) {
            let without_errors =
                Evidence { usage: usage.clone(), readings: readings.clone(), ..Evidence::default() };
            let mut outcome = verdict::judge(&Case { evidence: &without_errors, ..*case }, || &MARKERS);
            refusal::complete(&mut outcome, case);
            return outcome;
        }
        let mut outcome = verdict::judge(case, || &MARKERS);
        refusal::complete(&mut outcome, case);
        outcome
    }
}

/// Prefers the printed usage, which includes every request, even those with which the agent chooses a model.
/// Records include only the requests of the conversation, but may be the only source.
fn more_complete(printed: Usage, recorded: Usage) -> Usage {
    if printed.slices.is_empty() {
        return recorded;
    }
    Usage { requests: printed.requests.max(recorded.requests), ..printed }
}

/// Returns the form of the output. Without a terminal the agent always prints. It prints text while the model
/// produces it, and the text of a failed attempt would precede that of the next attempt. So kage holds text
/// until the end, like an object.
fn form(conversation: &Conversation, at_terminal: bool) -> Form {
    match &conversation.output {
        _ if !conversation.prints && at_terminal => Form::Interactive,
        Some(output) if output == "stream-json" => Form::Lines,
        _ => Form::Whole,
    }
}

/// Whether a variable of a CI system is set, which makes the agent print even at a terminal.
fn is_automated(environment: &dyn Fn(&str) -> Option<OsString>) -> bool {
    ["CI", "GITHUB_ACTIONS"].into_iter().any(|name| environment(name).is_some_and(|value| value == "true"))
}

/// Returns the model family in a model's name or alias.
fn family(model: &str) -> Option<String> {
    let model = model.to_ascii_lowercase();
    FAMILIES.into_iter().find(|family| model.contains(family)).map(str::to_owned)
}

/// Plans a conversation, with a session id by which its records are found.
fn plan_conversation(conversation: &Conversation, job: &Job<'_>, plan: &mut LaunchPlan) {
    let output = conversation.output.as_deref().and_then(OsStr::to_str);
    plan.prints_json = matches!(output, Some("json" | "stream-json"));
    let projects = environment::own_dir(job).join("tmp");
    let session = match &conversation.session {
        Session::Unset => Some(add_session_id(plan)),
        Session::Given(id) | Session::Resumed(id) => Some(id.clone()),
        Session::Latest => record::latest(&projects, job.cwd),
        Session::Unknown => None,
    };
    plan.watch = session.map(|session| record::watch(projects, session, job.cwd, job.began));
    if let Some(model) = job.model {
        plan.args.splice(0..0, ["--model".into(), model.into()]);
    }
    // With a model that the user names, the agent does not ask for one.
    if conversation.prints && !plan.prints_json && conversation.model.is_none() && job.model.is_none() {
        telemetry::plan(job, plan);
    }
    if (conversation.prints || job.patience != Patience::Own) && job.variable(NO_RELAUNCH).is_none() {
        plan.set.push((NO_RELAUNCH.into(), "1".into()));
    }
}

/// Chooses the id of a new session and adds it to the arguments.
fn add_session_id(plan: &mut LaunchPlan) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    plan.args.splice(0..0, ["--session-id", &id].map(OsString::from));
    id
}

#[cfg(test)]
mod tests;
