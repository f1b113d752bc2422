//! The arguments of `kage setup`.

use clap::{Args, ValueEnum};

use super::SecretInput;
use crate::pool::Name;

/// Set up the first subscription and your shell, and do a test run
///
/// Asks what it needs to know and shows what it does; each answer can be given as a flag instead. --yes gives
/// the default answer to every question except the secret, which is read from standard input if that is
/// not a terminal. An existing subscription or startup line is left as it is.
///
/// Exit status: 0, or 1 if a step failed, including the test run.
///
/// Examples:
///   kage setup
///   kage setup --name client-acme --credential file
///   pass show claude/work | kage setup --yes --name work --shell none --no-test
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Setup {
    /// The agent that the subscription is for
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// The name of the subscription
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,
    #[command(flatten)]
    pub secret: SecretInput,
    /// The shell to set up [default: the shell in SHELL]
    #[arg(long, value_enum)]
    pub shell: Option<ShellChoice>,
    /// Skip the test run
    #[arg(long)]
    pub no_test: bool,
    /// Ask only for the secret
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellChoice {
    Bash,
    Zsh,
    Fish,
    None,
}
