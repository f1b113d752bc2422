//! What can be typed to set a shell up.

use clap::{Args, ValueEnum};

/// Print what a shell, direnv or tmux needs, or set it up
///
/// For bash, zsh and fish: a function for each agent that has a subscription, which runs it with `kage exec`.
/// `command claude` is the agent itself, and so are `claude --version`, `claude mcp` and whatever else needs no
/// subscription. Inside an agent that kage runs nothing is wrapped a second time. In a start-up file:
///
///   eval "$(kage init zsh)"            # bash and zsh
///   kage init fish | source            # fish
///
/// --install puts that line there, once, and keeps a copy of the file as it was (NAME.before-kage).
///
/// For tmux: the segment of `kage status --format tmux` in the status line (in the place of `#{kage}` in your
/// status-left or status-right, else behind status-right), a popup of `kage status --watch` on prefix u
/// (`@kage_popup_key` is another key, or none), and on the borders of panes, where you show them or set
/// `@kage_pane_border` to on, the subscription and namespace of the agent in it. --install adds a line to your
/// tmux.conf.
///
/// For direnv: `use kage NAMESPACE [LEVEL]`, for your .envrc files. --install writes it into direnv's lib
/// directory.
///
/// Examples:
///   kage init --install
///   kage init bash --alias claude,codex
///   kage init fish --uninstall
///   kage init direnv --install
///   kage init tmux --install
// Each is a flag of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Init {
    /// What it is for [default: the shell in SHELL]
    #[arg(value_enum, value_name = "FOR")]
    pub target: Option<Target>,
    /// These agents, also without a subscription of theirs
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub alias: Vec<String>,
    /// Print the line for the start-up file
    #[arg(long, conflicts_with_all = ["install", "uninstall"])]
    pub print_rc: bool,
    /// Put it where it belongs
    #[arg(long)]
    pub install: bool,
    /// Take that away again
    #[arg(long, conflicts_with_all = ["install", "alias"])]
    pub uninstall: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Bash,
    Zsh,
    Fish,
    Direnv,
    Tmux,
}

/// Print the namespace, for a shell's prompt
///
/// Where a run would have a namespace: that, the level if it is not normal, and in brackets that no subscription
/// is ready for it, or when the first is: `backend`, `backend batch`, `backend (ready 13:00)`. Elsewhere it prints
/// nothing. It never fails, waits for nothing and asks no keychain; what is wrong with the config is told by
/// the verbs that need it. In a prompt:
///
///   PS1='\w $(kage prompt)\$ '                             # bash
///   setopt prompt_subst; RPROMPT='$(kage prompt)'          # zsh
///   function fish_right_prompt; kage prompt; end           # fish
///
/// Exit status: 0, also where something is wrong.
///
/// Examples:
///   kage prompt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Prompt {}
