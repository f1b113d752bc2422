//! What can be typed. The doc comments are the help: `help` joins the lines of a paragraph, and leaves lines that are
//! indented as they are. There is no logic here.

// The doc comments are shown in terminals, where Markdown would only be noise.
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

/// Runs the real coding agent on a subscription from your pool
///
/// kage picks a subscription that has room, starts the genuine agent with that subscription's credential,
/// watches how it ends, and keeps the books.
///
/// Exit status: 0 done, 1 not done, 2 wrong usage or config. `kage exec` and `kage detect` have more.
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

/// The one verb that must cost nothing, without the definitions of all others: those take longer to build than to
/// use.
#[derive(Debug, Parser)]
#[command(name = "kage")]
enum ExecAlone {
    Exec(Exec),
}

impl Cli {
    /// What was typed. A refusal, also of `exec`, is one of the whole command line.
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
    /// List the agents that run
    ///
    /// For each: the process id of its kage (a TERM there ends both), its subscription, namespace and agent,
    /// the tmux pane, for how long it has run on that subscription, and where. A narrow terminal does without
    /// some of that. --json adds the level, the conversation, and in `status` the refusal it stands at, if any.
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
    /// Counters of all that is in the ledger: runs, attempts by verdict, tokens by model and kind, and their
    /// API-equivalent cost; gauges of now: status, running agents, utilisation and seconds to reset of each
    /// window. The last example is for the textfile collector of node_exporter, every minute.
    ///
    /// Examples:
    ///   kage metrics
    ///   kage metrics >kage.prom.new && mv kage.prom.new kage.prom
    #[command(verbatim_doc_comment)]
    Metrics,
    /// Show the main job with invented accounts, in a throwaway home
    ///
    /// Nothing of yours is read or changed, and nothing is left.
    ///
    /// Examples:
    ///   kage demo
    #[command(verbatim_doc_comment)]
    Demo,
    Statusline(Statusline),
    /// Take in what a running agent tells; called by the agent
    ///
    /// `kage exec` puts this command into the settings of a claude session at the terminal, as a hook for
    /// SessionStart, UserPromptSubmit, StopFailure and SessionEnd, beside your own hooks. It reads what the
    /// agent tells on standard input, notes which conversation runs and whether its subscription was refused,
    /// so that other runs avoid it from then on, and wakes the kage beside the agent. It prints nothing and
    /// never fails: problems are in hook.log in the state directory (~/.local/state/kage).
    ///
    /// Exit status: 0, also where something is wrong.
    ///
    /// Examples:
    ///   echo '{"hook_event_name":"SessionStart","session_id":"1"}' | kage hook
    #[command(verbatim_doc_comment)]
    Hook,
    #[command(hide = true)]
    RunAs(RunAs),
    /// Print a secret into a pipe; called by kage
    #[command(hide = true)]
    FetchFromKeychain {
        name: Name,
        patience: Option<u64>,
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
/// A known agent (`claude`, `codex`, `gemini`, those of your config) runs as itself. Any other program (`env`,
/// a script that calls claude) gets the credential in its environment and no arguments.
///
/// Where an agent that prints (`claude -p`) is refused, for its limit, its credential, its organisation or its
/// bill, kage goes on with the next subscription, and only the answer is printed.
///
/// Where a claude session at the terminal hits its usage limit, kage says so, and 3 s later goes on with the
/// conversation on the next subscription, in the same terminal. A prompt meanwhile keeps you where you are;
/// `interactive` in `[failover]` of the config is "auto" for this, "ask" or "off". Other agents' sessions are
/// judged when they have ended: then "auto" asks too.
///
/// With --replace kage becomes the agent, as `exec` in a shell does. Its subscription is taken for as long as it
/// runs; what it used and whether it was refused the next kage reads from its records.
///
/// Exit status: the agent's own. kage's: 2 wrong usage or config, 75 no subscription is ready,
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
    pub ask: Ask,
    /// Use this subscription or none
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<Name>,
    /// Run a program that is not an agent as this one [default: claude]
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Keep a variable that kage would remove (repeatable)
    #[arg(long, value_name = "VARIABLE")]
    pub keep_env: Vec<String>,
    /// Attempts that may follow one that was refused; 0 for none [default: the config's, 3]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Where no subscription is ready, wait for the first that is, at most so long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = patience, default_missing_value = "forever")]
    pub wait: Option<Patience>,
    /// Become the agent: nothing stays beside it, and no other attempt follows
    #[arg(long, conflicts_with = "retries")]
    pub replace: bool,
    /// Say what would run, and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How long a run may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub Option<jiff::SignedDuration>);

fn patience(text: &str) -> Result<Patience, String> {
    if text == "forever" {
        return Ok(Patience(None));
    }
    let span = text.parse::<jiff::Span>().ok();
    let duration = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    let duration = duration.filter(jiff::SignedDuration::is_positive);
    duration
        .map(|duration| Patience(Some(duration)))
        .ok_or("expected a duration such as `90s` or `2h`".into())
}

/// What a run asks of the pool
#[derive(Debug, Default, Args)]
pub(crate) struct Ask {
    /// The kind of work [default: KAGE_NAMESPACE, the project's, none]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<Name>,
    /// How important it is: high, normal or batch [default: KAGE_PRIORITY, the project's, normal]
    #[arg(short, long, value_name = "LEVEL")]
    pub priority: Option<Level>,
    /// Only subscriptions with all these tags (repeatable)
    #[arg(short, long = "tag", value_name = "A,B", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Also where a budget is used up
    #[arg(long)]
    pub over_budget: bool,
}

/// Say which subscription a run would get, and why not another
///
/// Changes nothing. The answer comes from the code that chooses.
///
/// Examples:
///   kage why
///   kage why -n backend -p high
///   kage why --agent codex --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Why {
    #[command(flatten)]
    pub ask: Ask,
    /// For this agent
    #[arg(long, value_name = "AGENT", default_value = "claude")]
    pub agent: String,
    #[command(flatten)]
    pub form: Json,
}

/// Say what kage concludes from a saved output of an agent
///
/// Reads what an agent printed (text, JSON, JSON lines), one of its transcripts, or the input of its hook:
/// the verdict, what it covers, when it ends, and by which line and rule. Changes nothing.
///
/// Without --agent every agent is tried, its records before its words, claude first. Text counts only of a
/// run that failed, and only where it is an agent's error message as a whole; outputs are mostly saved of
/// runs that failed, so the exit status is taken for 1 unless --exit says otherwise.
///
/// Exit status: 0 no limit, 10 usage limit, 11 throttled, 12 overloaded, 13 authentication, organisation or
/// billing; 2 wrong usage, or nothing to read.
///
/// Examples:
///   claude -p "run the tests" >out; kage detect --exit $? out
///   kage detect --json ~/.claude/projects/*/SESSION.jsonl
///   kage detect --at 2026-11-22T10:00:00Z old-output.txt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Detect {
    /// The agent it is of [default: whichever fits]
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// The exit status of the run
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub exit: i32,
    /// When it was printed, for reset times without a date [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    #[command(flatten)]
    pub form: Json,
    /// What was saved; `-` is standard input [default: -]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Show the pool at a glance
///
/// Each subscription with its status and today's tokens, how full the windows of its plan are, when they reset
/// and when that was last read, and the agents that run.
///
/// --watch draws it anew each second, on a screen of its own, until `q`, ^D or ^C.
///
/// --format tmux is one short line for tmux's status line, such as `2/3 42%`: how many subscriptions are active,
/// and how full the fullest window of theirs is, or where none is active, when the first is back. With -s that
/// subscription stands in front, with its own window: `work 17% 2/3`. An empty pool prints nothing. It never
/// fails: `kage: !` says that the config or the state cannot be read, and `kage status` why. `kage init tmux`
/// puts it there.
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
    /// Draw it anew each second
    #[arg(short, long, conflicts_with_all = ["json", "format", "subscription"])]
    pub watch: bool,
    /// As a table, as JSON, or as a segment of tmux's status line
    #[arg(long, value_enum, value_name = "FORM", default_value_t, conflicts_with = "json")]
    pub format: Form,
    /// In a segment, this one first
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<String>,
}

/// How the pool is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    #[default]
    Text,
    Json,
    Tmux,
}

/// Say what is wrong with the setup, and the command that mends it
///
/// Looks at the config, the state, each credential, the agents and their settings, the environment, the
/// shell, tmux and direnv. Changes nothing: what it writes to try a place out is taken away again. The agents
/// are only asked for their version. A credential command is run, as it is for a run.
///
/// Each finding has a code for programs. Exit status: 0 all is well, 1 warnings, 2 errors.
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

/// How an answer is printed
#[derive(Debug, Args)]
pub(crate) struct Json {
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Print the subscription and its usage, for the agent's status line
///
/// Claude Code calls this while it runs, by its settings (~/.claude/settings.json):
///
///   "statusLine": { "type": "command", "command": "kage statusline" }
///
/// It prints, for example, `work · 5h 42% (1h 12m) · 7d 17% (3d)`: the subscription, how full each window of
/// its plan is, and the time to its reset. A status line of yours goes on behind it, with the same input:
///
///   "statusLine": { "type": "command", "command": "kage statusline -- ~/.claude/mine.sh" }
///
/// Without `kage exec` around the agent it prints nothing of its own. What it sees of the usage is kept, and
/// counts when the next run chooses. Exit status: 0, or that of the command behind it; where that one fails,
/// Claude Code shows none of the line.
///
/// Examples:
///   kage statusline
///   kage statusline -- ~/.claude/mine.sh
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Statusline {
    /// A status line of your own, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[cfg(test)]
mod tests;
