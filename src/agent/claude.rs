//! Claude Code. Measured on 2.1.330; what is not in its documentation was read off its behaviour.

mod arguments;
mod environment;
mod settings;
mod transcript;
mod verdict;

use std::ffi::OsString;
use std::path::PathBuf;

use self::arguments::{Conversation, Invocation, Session};
use super::{Agent, Evidence, Exit, Grant, Intent, Job, LaunchPlan, Resumed, SecretKind, Watch};
use crate::pool::Outcome;
use crate::secret::Secret;

pub(super) struct Claude;

/// The credential of a subscription, from `claude setup-token`.
static SETUP_TOKEN: SecretKind = SecretKind {
    prefix: "sk-ant-oat01-",
    variable: "CLAUDE_CODE_OAUTH_TOKEN",
    descriptor: "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
};

static API_KEY: SecretKind = SecretKind {
    prefix: "sk-ant-api03-",
    variable: "ANTHROPIC_API_KEY",
    descriptor: "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
};

impl Agent for Claude {
    fn name(&self) -> &'static str {
        "claude"
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

    fn looks(&self) -> &'static str {
        "sk-ant-oat01-... (a subscription's token) or sk-ant-api03-... (an API key)"
    }

    fn how_to_get(&self) -> &'static str {
        "run `claude setup-token`, log in with that account, and copy the token it prints"
    }

    fn read(&self, args: &[OsString], environment: &dyn Fn(&str) -> Option<OsString>) -> Intent {
        let Invocation::Conversation(conversation) = arguments::read(args) else { return Intent::default() };
        let model = conversation.model.clone().or_else(|| environment("ANTHROPIC_MODEL"));
        Intent {
            model: model.and_then(|model| verdict::family(&model.to_string_lossy())),
            resumes: match conversation.session {
                Session::Resumed(id) => Some(Resumed::Session(id)),
                Session::Latest => Some(Resumed::Latest),
                _ => None,
            },
        }
    }

    fn prepare(&self, job: &Job<'_>) -> LaunchPlan {
        let mut plan = LaunchPlan { args: job.args.to_vec(), ..LaunchPlan::default() };
        let inherited = job.environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
        for (name, value) in inherited {
            if environment::competes(name) && !value.is_empty() && !job.keeps(name) {
                plan.remove.push(name.to_owned());
            }
        }
        if let Grant::Home(home) = job.grant {
            plan.set.push(("CLAUDE_CONFIG_DIR".into(), home.into()));
        }
        let own = job.own_env.iter().map(|(name, value)| (name.clone(), value.into()));
        plan.set.extend(own);
        match arguments::read(job.args) {
            Invocation::Conversation(conversation) if job.is_agent => {
                converse(&conversation, job, &mut plan);
            }
            Invocation::Other if job.is_agent => {}
            _ => settings::guard_other_program(job, &config_dir(job), &mut plan),
        }
        plan
    }

    fn collect(&self, watch: &Watch) -> Evidence {
        transcript::read(watch)
    }

    fn judge(&self, exit: Exit, evidence: &Evidence) -> Outcome {
        verdict::judge(exit, evidence)
    }
}

/// A conversation gets a session id, by which its records are found, and settings that keep the
/// user's other credentials from winning. In front of the user's own arguments: an option that takes
/// any number of values would swallow what comes behind it.
fn converse(conversation: &Conversation, job: &Job<'_>, plan: &mut LaunchPlan) {
    let config = config_dir(job);
    settings::neutralise(conversation, job, &config, plan);
    let projects = config.join("projects");
    let session = match &conversation.session {
        Session::Unset => Some(begin(&[], plan)),
        Session::Given(id) | Session::Resumed(id) => Some(id.clone()),
        // With nothing to go on with, the agent begins a new session, and a fork is one whose id may be given.
        Session::Latest => {
            transcript::latest(&projects, job.cwd).or_else(|| Some(begin(&["--fork-session"], plan)))
        }
        Session::Unknown => None,
    };
    plan.watch = session.map(|session| transcript::watch(projects, session, job.cwd, job.began));
}

/// Gives the session that begins an id, behind the options that allow it.
fn begin(options: &[&str], plan: &mut LaunchPlan) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let more = options.iter().copied().chain(["--session-id", &id]).map(OsString::from);
    plan.args.splice(0..0, more.collect::<Vec<_>>());
    id
}

/// Where the child keeps its settings and transcripts. An empty variable is the current directory to it.
fn config_dir(job: &Job<'_>) -> PathBuf {
    match job.grant {
        Grant::Home(home) => home.to_owned(),
        Grant::Secret(..) => {
            job.variable("CLAUDE_CONFIG_DIR").map_or_else(|| job.home.join(".claude"), PathBuf::from)
        }
    }
}
