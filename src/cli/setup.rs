//! What can be typed to set kage up.

use clap::{Args, ValueEnum};

use super::SecretInput;
use crate::pool::Name;

/// Walk through the first subscription, your shell, and a test run
///
/// Asks what it needs to know and says what it does; each answer can be given as a flag instead. --yes takes
/// the usual answer to every question but the credential, which is read from standard input where that is no
/// terminal. Nothing is done twice: a subscription or a line that is there already stays as it is.
///
/// Exit status: 0, or 1 where something could not be done, the test run included.
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
    /// The shell whose start-up file gets its line [default: that of SHELL]
    #[arg(long, value_enum)]
    pub shell: Option<ShellChoice>,
    /// Without a test run
    #[arg(long)]
    pub no_test: bool,
    /// Ask nothing but the credential
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
