//! The scripts for shells, direnv and tmux: the files of `shell/` with the program's path and the agents'
//! names inserted.
//!
//! Called by `kage init` and `kage generate`. Pure text functions, independent of the rest of the crate.

pub mod shim;

use std::fmt;

use crate::text::{for_fish, in_single_quotes, is_plain};

/// A shell that kage has functions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A shell function for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function<'a> {
    /// The name of its program, and of the function.
    pub program: &'a str,
    /// First arguments with which the agent is called directly.
    pub maintenance: &'a [&'a str],
}

/// The completion scripts for bash, zsh, fish, elvish and PowerShell, with the file names that each shell
/// expects.
pub const COMPLETIONS: [(&str, &str); 5] = [
    ("kage.bash", include_str!("../shell/complete.bash")),
    ("_kage", include_str!("../shell/complete.zsh")),
    ("kage.fish", include_str!("../shell/complete.fish")),
    ("kage.elv", include_str!("../shell/complete.elv")),
    ("kage.ps1", include_str!("../shell/complete.ps1")),
];

/// The placeholder in each file for the path of kage, quoted for its shell.
pub const PROGRAM: &str = "@kage@";
/// The script for direnv. It calls no program, so it needs no path.
pub const DIRENV: &str = include_str!("../shell/direnv.sh");
/// How the script for direnv begins in every version of kage.
pub const DIRENV_BEGINS: &str = "# kage for direnv:";

/// Returns the script that sets up the tmux server, for a kage at this path.
pub fn tmux(kage: &str) -> String {
    let shell = Shell::Bash;
    include_str!("../shell/kage.tmux").replace("@kage@", &shell.quoted(&word(kage)))
}

/// Returns the line for tmux's configuration. It does nothing if kage is missing.
pub fn tmux_line(kage: &str) -> String {
    let kage = word(kage);
    let command = format!("if [ -x {kage} ]; then {kage} init tmux | sh; fi");
    // tmux expands these characters in double quotes, and formats in the command that it runs. Source:
    // tmux(1), PARSING SYNTAX, FORMATS.
    let escaped = command.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
    let escaped = escape_formats(&escaped);
    format!("run-shell \"{escaped}\" {MARK}")
}

/// Doubles each `#`, except before a `[`: tmux leaves those to the code that draws styles, and here nothing
/// is drawn.
fn escape_formats(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for piece in text.split_inclusive('[') {
        let before = piece.strip_suffix('[').unwrap_or(piece);
        let kept = if before.len() < piece.len() { before.trim_end_matches('#').len() } else { before.len() };
        plain.push_str(&before[..kept].replace('#', "##"));
        plain.push_str(&piece[kept..]);
    }
    plain
}

/// A path as one word of a shell command, quoted if necessary.
fn word(path: &str) -> String {
    if path.chars().all(is_plain) { path.to_owned() } else { Shell::Bash.quoted(path) }
}

/// Marks the start of the part of a file that is repeated for each agent. Each function is self-contained,
/// because an agent may load the user's functions without their helpers.
const EACH: &str = "#@each\n";

impl Shell {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// Returns the shell for the path of its program, such as the value of `SHELL`.
    pub fn of_program(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        [Self::Bash, Self::Zsh, Self::Fish].into_iter().find(|shell| shell.name() == name)
    }

    fn source(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../shell/kage.bash"),
            Self::Zsh => include_str!("../shell/kage.zsh"),
            Self::Fish => include_str!("../shell/kage.fish"),
        }
    }

    /// Quotes a text as one literal word.
    pub fn quoted(self, text: &str) -> String {
        match self {
            Self::Bash | Self::Zsh => in_single_quotes(text),
            Self::Fish => for_fish(text),
        }
    }

    fn completion(self) -> &'static str {
        match self {
            Self::Bash => COMPLETIONS[0].1,
            Self::Zsh => COMPLETIONS[1].1,
            Self::Fish => COMPLETIONS[2].1,
        }
    }

    /// Returns the functions, and the completion script of kage, for a kage at this path.
    pub fn integration(self, kage: &str, functions: &[Function<'_>]) -> String {
        let program = self.quoted(kage);
        let (once, each) = self.source().split_once(EACH).expect("each shell file contains the marker");
        let mut text = once.to_owned();
        for function in functions {
            // Quoted, because the user may have an alias with the same name as an option.
            let words: Vec<_> = function.maintenance.iter().map(|word| self.quoted(word)).collect();
            let words = words.join(if self == Self::Fish { " " } else { " | " });
            text.push('\n');
            let each = each.replace("@agent@", function.program).replace("@maintenance@", &words);
            // Last, because the path may contain any text, including a placeholder.
            text.push_str(&each.replace(PROGRAM, &program));
        }
        text.push('\n');
        text.push_str(&self.completion().replace(PROGRAM, &program));
        text
    }

    /// Returns the line for the shell's start-up file. It does nothing if kage is missing.
    pub fn line(self, kage: &str, aliases: &[String]) -> String {
        let kage = self.quoted(kage);
        let name = self.name();
        let flags =
            if aliases.is_empty() { String::new() } else { format!(" --alias {}", aliases.join(",")) };
        match self {
            Self::Bash | Self::Zsh => {
                format!("if [ -x {kage} ]; then eval \"$({kage} init {name}{flags})\"; fi {MARK}")
            }
            Self::Fish => format!("if test -x {kage}; {kage} init {name}{flags} | source; end {MARK}"),
        }
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The end of each line that kage adds to a file of the user.
pub const MARK: &str = "# added by kage";

/// Whether the name of a program is a valid function name in all shells.
pub fn can_be_function(program: &str) -> bool {
    program.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && program.chars().all(|letter| is_plain(letter) && letter != '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_literally() {
        assert_eq!(Shell::Bash.quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(Shell::Fish.quoted(r"/a b\it's"), r"'/a b\\it\'s'");
    }

    #[test]
    fn a_path_is_literal_for_tmux_and_for_the_shell_that_tmux_calls() {
        let line = "run-shell \"if [ -x /opt/kage ]; then /opt/kage init tmux | sh; fi\" # added by kage";
        assert_eq!(tmux_line("/opt/kage"), line);
        let odd = tmux_line(r#"/a "b" $c #d \e/it's/kage"#);
        assert!(odd.contains(r#"then '/a \"b\" \$c ##d \\e/it'\\''s/kage' init"#), "{odd}");
        assert!(tmux_line("/a#b##[c[#d").contains("then '/a##b##[c[##d' init"));
        assert!(tmux("/opt/kage").contains("\nkage='/opt/kage'\n"));
        assert!(tmux("/a b/kage").contains("\nkage=''\\''/a b/kage'\\'''\n"));
    }

    #[test]
    fn the_direnv_script_begins_as_declared() {
        assert!(DIRENV.starts_with(DIRENV_BEGINS));
    }

    #[test]
    fn every_placeholder_is_replaced_and_each_agent_has_a_function() {
        let functions = [
            Function { program: "claude", maintenance: &["--version", "mcp"] },
            Function { program: "codex", maintenance: &["login"] },
        ];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = shell.integration("/opt/kage", &functions);
            let placeholders = [PROGRAM, "@agent@", "@maintenance@", "@each"];
            assert!(placeholders.iter().all(|one| !text.contains(one)), "a placeholder is left: {text}");
            for function in &functions {
                assert!(text.contains(&format!("\nfunction {}", function.program)), "{text}");
            }
        }
    }
}
