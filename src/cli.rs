//! The clap definitions of the command line, without logic. The doc comments are the help texts: `help` joins
//! the lines of each paragraph and leaves indented lines as they are.

// The doc comments are shown in terminals, which do not render Markdown.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

mod setup;
mod shell;
mod shim;
mod subscription;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::pool::{Level, Name};

pub(crate) use setup::{Setup, ShellChoice};
pub(crate) use shell::{Init, Prompt, Target};
pub(crate) use shim::{Install, ListShims, RemoveShims, RunAs, Shim};
pub(crate) use subscription::{
    Add, Credential, Dollars, Fields, List, Number, Remove, Route, SecretInput, Set, Subscription,
};
pub(crate) use usage::{By, Period, Usage};

/// Run the real coding agent on a subscription from your pool
///
/// kage chooses a subscription that is ready, starts the unmodified agent with that subscription's
/// credential, checks how the agent ends, and records what it used.
///
/// Exit status: 0 success, 1 failure, 2 usage or config error. `exec`, `detect` and `doctor` have their own.
///
/// Examples:
///   kage setup
///   kage exec -- claude
///   kage exec -n backend -- claude -p "run the tests"
///   kage status
///   kage why -n backend
#[derive(Debug, Parser)]
#[command(name = "kage", version, verbatim_doc_comment)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// `exec` alone, which must start fast: building the definitions of all verbs takes longer than parsing.
#[derive(Debug, Parser)]
#[command(name = "kage")]
enum ExecAlone {
    Exec(Exec),
}

impl Cli {
    /// Parses the words of a command line. All errors, also those of `exec`, come from the full definitions.
    pub(crate) fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        if words.get(1).is_some_and(|verb| verb == "exec")
            && let Ok(ExecAlone::Exec(exec)) = ExecAlone::try_parse_from(words)
        {
            return Ok(Self { verb: Verb::Exec(exec) });
        }
        Self::try_parse_from(words)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Exec(Exec),
    Setup(Setup),
    Status(Status),
    Usage(Usage),
    Why(Why),
    /// List the running agents
    ///
    /// Shows for each agent the process id of the kage that started it (send TERM to that process to end
    /// both), the subscription, the namespace, the agent, the tmux pane, how long it has run on that
    /// subscription, and its directory. A narrow terminal shows fewer columns. --json adds the level, the
    /// conversation and `status`: the refusal that stopped the conversation, if any.
    ///
    /// Examples:
    ///   kage ps
    ///   kage ps --json | jq -r '.leases[].pane'
    #[command(verbatim_doc_comment)]
    Ps(Json),
    #[command(subcommand, alias = "sub")]
    Subscription(Subscription),
    Init(Init),
    #[command(subcommand)]
    Shim(Shim),
    Prompt(Prompt),
    Doctor(Doctor),
    Detect(Detect),
    /// Print counters and gauges for Prometheus, as OpenMetrics text
    ///
    /// The counters cover the whole ledger: runs, attempts by verdict, tokens by model and kind, and their
    /// API-equivalent cost. The gauges show the current status, the running agents, and the utilization and
    /// the seconds to the reset of each window. To feed the textfile collector of node_exporter, run the last
    /// example every minute.
    ///
    /// Examples:
    ///   kage metrics
    ///   kage metrics >kage.prom.new && mv kage.prom.new kage.prom
    #[command(verbatim_doc_comment)]
    Metrics,
    /// Show how kage works, with example subscriptions in a temporary home
    ///
    /// Reads and changes none of your files, and leaves nothing behind.
    ///
    /// Examples:
    ///   kage demo
    #[command(verbatim_doc_comment)]
    Demo,
    Statusline(Statusline),
    /// Record what a running agent reports; called by the agent
    ///
    /// `kage exec` adds this command to the settings of a claude session at the terminal, as a hook for
    /// SessionStart, UserPromptSubmit, StopFailure and SessionEnd, in addition to your own hooks. It reads
    /// the agent's report from standard input, records which conversation is running and whether its
    /// subscription was refused, so that other runs avoid that subscription, and wakes the kage that started
    /// the agent. It prints nothing and never fails: problems are logged to hook.log in the state directory
    /// (~/.local/state/kage).
    ///
    /// Exit status: 0, even if something is wrong.
    ///
    /// Examples:
    ///   echo '{"hook_event_name":"SessionStart","session_id":"1"}' | kage hook
    #[command(verbatim_doc_comment)]
    Hook,
    #[command(hide = true)]
    RunAs(RunAs),
    /// Print a secret to a pipe; called by kage
    #[command(hide = true)]
    FetchFromKeychain {
        name: Name,
        /// How long to wait, in milliseconds
        timeout: Option<u64>,
    },
    /// Write the completion scripts and the man pages into a directory
    #[command(hide = true)]
    Generate {
        dir: PathBuf,
    },
    /// The agent that `kage demo` runs
    #[command(hide = true)]
    StandInAgent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Run an agent on a subscription from the pool
///
/// A known agent (`claude`, `codex`, `gemini` or an agent from your config) also gets the arguments that kage
/// needs to follow it. Any other program (`env`, a script that calls claude) gets the credential in its
/// environment and no extra arguments.
///
/// If an agent in print mode (`claude -p`) is refused because of a usage limit, its credential, its
/// organization or billing, kage continues on the next subscription and prints only the final answer.
///
/// If a claude session at the terminal hits its usage limit, kage reports it and, 3 seconds later, continues
/// the conversation on the next subscription in the same terminal. To stay on the old one, enter a prompt
/// before that. Set `interactive` in `[failover]` of the config to "auto" (the default, described here),
/// "ask" or "off". kage judges sessions of other agents only after they end; for them, "auto" works like
/// "ask".
///
/// With --replace kage becomes the agent, like `exec` in a shell. The subscription stays reserved while the
/// agent runs. The next `kage exec`, `status` or `usage` reads the agent's records to learn what the agent
/// used and whether it was refused.
///
/// Exit status: the agent's, or one of kage's: 2 usage or config error, 75 no subscription is ready,
/// 125 kage failed before the agent started, 126 cannot execute, 127 not found.
///
/// Examples:
///   kage exec -- claude
///   kage exec -n backend -p high -- claude -p "run the tests"
///   kage exec -s work-premium --dry-run -- claude
#[derive(Debug, Default, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub ask: RequestArgs,
    /// Use only this subscription
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<Name>,
    /// The agent whose credential an unknown program gets [default: claude]
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Keep a variable that kage would remove (repeatable)
    #[arg(long, value_name = "VARIABLE")]
    pub keep_env: Vec<String>,
    /// Maximum retries after a refused attempt; 0 for none [default: from the config, or 3]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// If no subscription is ready, wait for one, at most this long [without a value: forever]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = wait_limit, default_missing_value = "forever")]
    pub wait: Option<WaitLimit>,
    /// Become the agent; kage does not watch it and never retries
    #[arg(long, conflicts_with = "retries")]
    pub replace: bool,
    /// Show what would run, and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How long a run may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitLimit(pub Option<jiff::SignedDuration>);

fn wait_limit(text: &str) -> Result<WaitLimit, String> {
    if text == "forever" {
        return Ok(WaitLimit(None));
    }
    let span = text.parse::<jiff::Span>().ok();
    let duration = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    let duration = duration.filter(jiff::SignedDuration::is_positive);
    duration
        .map(|duration| WaitLimit(Some(duration)))
        .ok_or("expected a duration such as `90s` or `2h`".into())
}

/// The request of a run to the pool
#[derive(Debug, Default, Args)]
pub(crate) struct RequestArgs {
    /// The kind of work [default: KAGE_NAMESPACE, else the project's, else none]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<Name>,
    /// The importance: high, normal or batch [default: KAGE_PRIORITY, else the project's, else normal]
    #[arg(short, long, value_name = "LEVEL")]
    pub priority: Option<Level>,
    /// Only subscriptions with all these tags (repeatable)
    #[arg(short, long = "tag", value_name = "A,B", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Run even if a budget is used up
    #[arg(long)]
    pub over_budget: bool,
}

/// Show which subscription a run would get, and why
///
/// Changes nothing. The answer comes from the code that also chooses for a run.
///
/// Examples:
///   kage why
///   kage why -n backend -p high
///   kage why --agent codex --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Why {
    #[command(flatten)]
    pub ask: RequestArgs,
    /// The agent of the run
    #[arg(long, value_name = "AGENT", default_value = "claude")]
    pub agent: String,
    #[command(flatten)]
    pub form: Json,
}

/// Show what kage concludes from the saved output of an agent
///
/// Reads the output of an agent (text, JSON, JSON lines), one of its transcripts, or the input of its hook.
/// Shows the verdict, its scope, when the limit ends, and the line and the rule that decided it. Changes
/// nothing.
///
/// Without --agent every agent is tried, claude first; records are checked before text. Text counts only if
/// the run failed, and only if a whole line is an error message of the agent. Most saved output comes from
/// failed runs, so the exit status is assumed to be 1 unless --exit is given.
///
/// Exit status: 0 no limit, 10 usage limit, 11 throttled, 12 overloaded, 13 authentication, organization or
/// billing; 2 usage error, or nothing to read.
///
/// Examples:
///   claude -p "run the tests" >out; kage detect --exit $? out
///   kage detect --json ~/.claude/projects/*/SESSION.jsonl
///   kage detect --at 2026-11-22T10:00:00Z old-output.txt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Detect {
    /// The agent that wrote the output [default: the first one that fits]
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// The exit status of the run
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub exit: i32,
    /// When the output was printed, for reset times without a date [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    #[command(flatten)]
    pub form: Json,
    /// The saved output; `-` is standard input [default: -]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Show the pool at a glance
///
/// Shows each subscription with its status and today's tokens, how full the windows of its plan are, when
/// they reset and when they were last read. Then it shows the running agents.
///
/// --watch redraws this every second, on the alternate screen, until `q`, ^D or ^C.
///
/// --format tmux prints one short line for tmux's status line, such as `2/3 42%`: how many subscriptions are
/// active, and the utilization of the fullest window among them or, if none is active, when the first one is
/// ready again. With -s that subscription comes first, with its own window: `work 17% 2/3`. An empty pool
/// prints nothing. It never fails: `kage: !` means that the config or the state could not be read, and
/// `kage status` shows why. `kage init tmux` adds it to the status line.
///
/// Examples:
///   kage status
///   kage status --watch
///   kage status --json | jq -r '.subscriptions[] | select(.status == "active") | .name'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Status {
    #[command(flatten)]
    pub form: Json,
    /// Redraw every second
    #[arg(short, long, conflicts_with_all = ["json", "format", "subscription"])]
    pub watch: bool,
    /// A table, JSON, or a segment for tmux's status line
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, conflicts_with = "json")]
    pub format: Form,
    /// In the tmux segment, show this subscription first
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<String>,
}

/// The output format of `kage status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    #[default]
    Text,
    Json,
    Tmux,
}

/// Show what is wrong with the setup, and the command that fixes it
///
/// Checks the config, the state, each credential, the agents and their settings, the environment, the shell,
/// tmux and direnv. Changes nothing, except that it writes a test secret and removes it again. Runs each
/// agent only with --version, and each credential command as a run would.
///
/// Each finding has a code that scripts can check. Exit status: 0 no problems, 1 warnings, 2 errors.
///
/// Examples:
///   kage doctor
///   kage doctor --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub form: Json,
}

/// The output format
#[derive(Debug, Args)]
pub(crate) struct Json {
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Print the subscription and its usage, for the agent's status line
///
/// Claude Code runs this command if its settings (~/.claude/settings.json) contain:
///
///   "statusLine": { "type": "command", "command": "kage statusline" }
///
/// It prints, for example, `work · 5h 42% (1h 12m) · 7d 17% (3d)`: the subscription, how full each window of
/// its plan is, and the time until the window resets. To show your own status line after it, add your
/// command; it gets the same input:
///
///   "statusLine": { "type": "command", "command": "kage statusline -- ~/.claude/mine.sh" }
///
/// If the agent was not started by `kage exec`, kage prints nothing of its own. kage records the utilization
/// that it reads here and uses it to choose subscriptions for later runs. Exit status: 0, or that of your
/// command; if your command fails, Claude Code does not show the line at all.
///
/// Examples:
///   kage statusline
///   kage statusline -- ~/.claude/mine.sh
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Statusline {
    /// Your own status line command, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[cfg(test)]
mod tests;
