//! The man pages, generated from the clap definitions and from texts that only a man page contains.
//!
//! Called by `kage generate`. `clap_mangen` renders names, options and lists of verbs. The long help is
//! rendered here, because its examples must keep their lines.

mod page;

use std::io::{self, Write};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use self::page::{Help, entries, marked, prose, section, tidied};
use crate::cli::Cli;

/// The exit statuses of a verb whose help does not list them.
const EXIT_STATUS: &str = "0 success, 1 failure, 2 usage or config error.";

const ENVIRONMENT: [(&str, &str); 11] = [
    ("KAGE_CONFIG", "The config file, instead of the default below."),
    ("KAGE_STATE_DIR", "The directory of the state and the ledger, instead of the default below."),
    ("KAGE_NAMESPACE", "The namespace of runs without `-n`."),
    ("KAGE_PRIORITY", "The level of runs without `-p`: high, normal or batch."),
    ("KAGE_IDENTITY", "The identity file, instead of the default below."),
    (
        "KAGE_PASSPHRASE, KAGE_PASSPHRASE_FILE, KAGE_PASSPHRASE_COMMAND",
        "The passphrase of the encrypted credentials, a file that contains it, or a shell command that \
         prints it. `KAGE_PASSPHRASE` is not passed on to agents.",
    ),
    ("KAGE_SUBSCRIPTION", "Set by `kage exec` for the agent: the subscription that it runs on."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_DATA_HOME", "The parent directories of the files below."),
    ("NO_COLOR", "If set, kage prints no colors."),
    ("COLUMNS", "The width of the help if there is no terminal. The default and the maximum are 100."),
    ("TZ", "The time zone of days and reset times."),
];

const FILES: [(&str, &str); 6] = [
    (
        "~/.config/kage/config.toml",
        "The definitions: subscriptions, routes, strategy, namespaces. You may edit this file.",
    ),
    (
        "~/.config/kage/identity",
        "The identity file: the key of the encrypted credentials, unless they have a passphrase.",
    ),
    ("~/.local/share/kage/credentials", "The encrypted credentials of `--credential file`."),
    ("~/.local/share/kage/shims/", "The shims: scripts with the names of agents, for use on PATH."),
    (
        "~/.local/state/kage/state.json",
        "Limits, health and running agents. The latest changes are in state.log in the same directory.",
    ),
    ("~/.local/state/kage/usage/", "The ledger: one line per attempt."),
];

/// Returns the file name and text of a page for each visible verb. The pages have no date, because they
/// change only with kage.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    walk(&root, None, &mut pages);
    pages
}

fn walk(command: &Command, parent: Option<&Command>, pages: &mut Vec<(String, String)>) {
    pages.push((format!("{}.1", name(command)), page(command, parent)));
    for verb in shown(command) {
        walk(verb, Some(command), pages);
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// `kage-subscription-add`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&Command>) -> String {
    let man =
        Man::new(command.clone()).source(concat!("kage ", env!("CARGO_PKG_VERSION"))).manual("kage manual");
    let help = Help::of(command);
    // The third argument, the date, is empty.
    let mut text =
        format!(".TH {} 1 \"\" \"kage {}\" \"kage manual\"\n", name(command), env!("CARGO_PKG_VERSION"));
    text += &tidied(rendered(|out| man.render_name_section(out)));
    text += &section("SYNOPSIS", &synopsis(command));
    text += &section("DESCRIPTION", &prose(&help.description));
    text += &tidied(rendered(|out| man.render_options_section(out)));
    if shown(command).next().is_some() {
        text += &tidied(rendered(|out| man.render_subcommands_section(out)));
    }
    text += &section("EXIT STATUS", &prose(help.exit_status.as_deref().unwrap_or(EXIT_STATUS)));
    if parent.is_none() {
        text += &section("ENVIRONMENT", &entries(&ENVIRONMENT));
        text += &section("FILES", &entries(&FILES));
    }
    text += &section("EXAMPLES", &prose(&help.examples));
    text + &section("SEE ALSO", &see_also(command, parent))
}

fn rendered(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).expect("writing to memory does not fail");
    String::from_utf8(text).expect("clap_mangen writes UTF-8")
}

/// The usage line of the help, with the command's name in bold.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let typed = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let lines = usage.lines().map(|line| match line.trim().strip_prefix(typed) {
        Some(rest) => marked(&format!("`{typed}`{rest}")),
        None => marked(line.trim()),
    });
    lines.collect::<Vec<_>>().join("\n.br\n")
}

/// The pages of the parent, the siblings and the subcommands.
fn see_also(command: &Command, parent: Option<&Command>) -> String {
    let others = parent.into_iter().flat_map(|parent| [parent].into_iter().chain(shown(parent)));
    let others = others.chain(shown(command)).filter(|other| name(other) != name(command));
    others.map(|other| marked(&format!("`{}`(1)", name(other)))).collect::<Vec<_>>().join(",\n")
}
