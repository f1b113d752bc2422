//! The arguments of `kage shim`, and of the hidden verb that a shim calls.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::Json;

/// Run agents through kage from scripts, cron and editors
///
/// A shim is a small script with an agent's name in a separate directory (~/.local/share/kage/shims). If that
/// directory comes first on PATH, calling `claude` runs the real claude, found later on PATH, as `kage exec
/// -- claude` would. KAGE_NAMESPACE and KAGE_PRIORITY set the namespace and the level. Commands that need no
/// subscription (`claude --version`, `claude mcp`), and calls from an agent that kage already runs, go
/// straight to the real claude.
///
/// Examples:
///   kage shim install claude
///   kage shim list
///   kage shim remove
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Shim {
    Install(Install),
    Remove(RemoveShims),
    List(ListShims),
}

/// Install the shims of agents
///
/// If the directory is not first on PATH, prints the line that puts it there.
///
/// Examples:
///   kage shim install
///   kage shim install claude codex
///   kage shim install --force claude
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Install {
    /// The agents [default: those that have a subscription]
    #[arg(value_name = "AGENT")]
    pub agents: Vec<String>,
    /// Replace a file that is not a shim
    #[arg(long)]
    pub force: bool,
}

/// Remove shims
///
/// Examples:
///   kage shim remove
///   kage shim remove claude
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RemoveShims {
    /// The agents [default: all]
    #[arg(value_name = "AGENT")]
    pub agents: Vec<String>,
}

/// List the shims and what each one calls
///
/// Shows for each shim the kage that it calls, the real program that kage would run, and whether a shell
/// finds the shim before that program.
///
/// Examples:
///   kage shim list
///   kage shim list --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ListShims {
    #[command(flatten)]
    pub form: Json,
}

/// Run an agent on a subscription; called by the agent's shim
#[derive(Debug, Args)]
pub(crate) struct RunAs {
    /// The name of the agent's program
    #[arg(value_name = "PROGRAM")]
    pub program: OsString,
    /// The agent's arguments, unchanged
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub args: Vec<OsString>,
}
