//! The arguments of `kage init` and `kage prompt`.

use clap::{Args, ValueEnum};

/// Print or install kage's integration with a shell, direnv or tmux
///
/// For bash, zsh and fish: a function for each agent that has a subscription. The function runs the agent
/// with `kage exec`. Commands that need no subscription, such as `claude --version` and `claude mcp`, still
/// call the agent directly, and so does `command claude`. Inside an agent that kage runs, the functions do
/// not start kage a second time. In a startup file:
///
///   eval "$(kage init zsh)"            # bash and zsh
///   kage init fish | source            # fish
///
/// --install adds that line, once, and keeps a copy of the original file (NAME.before-kage).
///
/// For tmux: the segment of `kage status --format tmux` in the status line (it replaces `#{kage}` in your
/// status-left or status-right, or else is appended to status-right); a popup of `kage status --watch` on
/// prefix u (set `@kage_popup_key` to another key, or to none); and, if you show pane borders or set
/// `@kage_pane_border` to on, the subscription and namespace of each pane's agent in its border. --install
/// adds a line to your tmux.conf.
///
/// For direnv: `use kage NAMESPACE [LEVEL]` for your .envrc files. --install writes a file to direnv's lib
/// directory.
///
/// Examples:
///   kage init --install
///   kage init bash --alias claude,codex
///   kage init fish --uninstall
///   kage init direnv --install
///   kage init tmux --install
// Each bool is a flag.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Init {
    /// The shell, or direnv or tmux [default: the shell in SHELL]
    #[arg(value_enum, value_name = "TARGET")]
    pub target: Option<Target>,
    /// The agents, with or without a subscription [default: those with one]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub alias: Vec<String>,
    /// Print the line for the startup file
    #[arg(long, conflicts_with_all = ["install", "uninstall"])]
    pub print_rc: bool,
    /// Install the integration
    #[arg(long)]
    pub install: bool,
    /// Remove what --install added
    #[arg(long, conflicts_with_all = ["install", "alias"])]
    pub uninstall: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What kage integrates with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Bash,
    Zsh,
    Fish,
    Direnv,
    Tmux,
}

/// Print the namespace for a shell prompt
///
/// If runs in this directory have a namespace, prints the namespace, the level unless it is normal, and, if
/// no subscription is ready, when the first one will be: `backend`, `backend batch`, `backend (ready 13:00)`.
/// Otherwise prints nothing. It never fails, never waits and does not open the keychain. It does not report
/// problems with the config; other commands do. In a prompt:
///
///   PS1='\w $(kage prompt)\$ '                             # bash
///   setopt prompt_subst; RPROMPT='$(kage prompt)'          # zsh
///   function fish_right_prompt; kage prompt; end           # fish
///
/// Exit status: 0, even if something is wrong.
///
/// Examples:
///   kage prompt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Prompt {}
