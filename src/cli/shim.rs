//! What can be typed about shims.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::Json;

/// Put kage under an agent's name, for scripts, cron and editors
///
/// A shim is a small script with an agent's name in a directory of its own (~/.local/share/kage/shims). Whoever
/// calls `claude` and finds it first on PATH runs the real one, further back on PATH, as `kage exec -- claude`
/// would. KAGE_NAMESPACE and KAGE_PRIORITY say what for. What needs no subscription (`claude --version`,
/// `claude mcp`) and what an agent calls that runs already goes straight to the real one.
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

/// Write the shims of some agents, or write them anew
///
/// Where the directory is not first on PATH, the line that puts it there is printed.
///
/// Examples:
///   kage shim install
///   kage shim install claude codex
///   kage shim install --force claude
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Install {
    /// These agents [default: those that have a subscription]
    #[arg(value_name = "AGENT")]
    pub agents: Vec<String>,
    /// Also in the place of a file that is no shim
    #[arg(long)]
    pub force: bool,
}

/// Take shims away
///
/// Examples:
///   kage shim remove
///   kage shim remove claude
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RemoveShims {
    /// Of these agents [default: all]
    #[arg(value_name = "AGENT")]
    pub agents: Vec<String>,
}

/// List the shims: what each calls, and whether it comes first
///
/// For each: the kage that it calls, the real program behind it, and whether a shell finds the shim before
/// that.
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

/// Do what an agent would, on a subscription; called by its shim
#[derive(Debug, Args)]
pub(crate) struct RunAs {
    /// The name of its program
    #[arg(value_name = "PROGRAM")]
    pub program: OsString,
    /// Its arguments, as they are
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub args: Vec<OsString>,
}
