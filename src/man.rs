//! The man pages, made of the definitions of the command line and of what only a page has room for.
//!
//! Called by `kage generate`. `clap_mangen` renders names, options and lists of verbs; the text of a help is laid
//! out here, since its examples must stay as they are.

mod page;

use std::io::{self, Write};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use self::page::{Help, entries, marked, prose, section, tidy};
use crate::cli::Cli;

/// What kage's own status means where a help does not say it.
const EXIT_STATUS: &str = "0 done, 1 not done, 2 wrong usage or configuration.";

const ENVIRONMENT: [(&str, &str); 11] = [
    ("KAGE_CONFIG", "The config file, in place of the one below."),
    ("KAGE_STATE_DIR", "The directory of state and ledger, in place of the one below."),
    ("KAGE_NAMESPACE", "The namespace of runs without `-n`."),
    ("KAGE_PRIORITY", "The level of runs without `-p`: high, normal or batch."),
    ("KAGE_IDENTITY", "The file with the key of the encrypted credentials, in place of the one below."),
    (
        "KAGE_PASSPHRASE, KAGE_PASSPHRASE_FILE, KAGE_PASSPHRASE_COMMAND",
        "The passphrase of the encrypted credentials, the file that has it, or a shell command that prints it. \
         `KAGE_PASSPHRASE` itself does not reach an agent.",
    ),
    ("KAGE_SUBSCRIPTION", "Set by `kage exec` for the agent: the subscription that it runs on."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_DATA_HOME", "Where the files below are."),
    ("NO_COLOR", "No colours."),
    ("COLUMNS", "The width of a help where there is no terminal; 100 without it, which is also the most."),
    ("TZ", "The time zone of days and reset times."),
];

const FILES: [(&str, &str); 6] = [
    (
        "~/.config/kage/config.toml",
        "The definitions: subscriptions, routes, strategy, namespaces. Yours to edit.",
    ),
    ("~/.config/kage/identity", "The key of the encrypted credentials, where they have no passphrase."),
    ("~/.local/share/kage/credentials", "The encrypted credentials, for those that are not in a keychain."),
    ("~/.local/share/kage/shims/", "kage under the agents' names, for PATH."),
    (
        "~/.local/state/kage/state.json",
        "Limits, health and running agents; the latest changes are in state.log beside it.",
    ),
    ("~/.local/state/kage/usage/", "The ledger: a line for every attempt."),
];

/// A page for each verb that is shown, by the name of its file. No date: a page changes when kage does.
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
    // The date is left empty.
    let mut text =
        format!(".TH {} 1 \"\" \"kage {}\" \"kage manual\"\n", name(command), env!("CARGO_PKG_VERSION"));
    text += &tidy(rendered(|out| man.render_name_section(out)));
    text += &section("SYNOPSIS", &synopsis(command));
    text += &section("DESCRIPTION", &prose(&help.description));
    text += &tidy(rendered(|out| man.render_options_section(out)));
    if shown(command).next().is_some() {
        text += &tidy(rendered(|out| man.render_subcommands_section(out)));
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
    String::from_utf8(text).expect("what is rendered is text")
}

/// The usage of the help, with the words to type in bold.
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

/// The page above, its siblings, and those below.
fn see_also(command: &Command, parent: Option<&Command>) -> String {
    let others = parent.into_iter().flat_map(|parent| [parent].into_iter().chain(shown(parent)));
    let others = others.chain(shown(command)).filter(|other| name(other) != name(command));
    others.map(|other| marked(&format!("`{}`(1)", name(other)))).collect::<Vec<_>>().join(",\n")
}
