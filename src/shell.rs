//! What a shell, direnv and tmux are given: the files of `shell/`, with the program's path and the agents' names put in.
//!
//! Called by `kage init` and `kage generate`. Text in, text out; nothing of the crate.

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

/// An agent that becomes a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function<'a> {
    /// The name of its program, and of the function.
    pub program: &'a str,
    /// First arguments with which it runs as it is.
    pub maintenance: &'a [&'a str],
}

/// The scripts that complete kage, by the names under which each shell's own directory has them; for bash, zsh,
/// fish, elvish and PowerShell.
pub const COMPLETIONS: [(&str, &str); 5] = [
    ("kage.bash", include_str!("../shell/complete.bash")),
    ("_kage", include_str!("../shell/complete.zsh")),
    ("kage.fish", include_str!("../shell/complete.fish")),
    ("kage.elv", include_str!("../shell/complete.elv")),
    ("kage.ps1", include_str!("../shell/complete.ps1")),
];

/// Stands in each file for the path of kage, quoted for its shell.
pub const PROGRAM: &str = "@kage@";
/// What direnv reads; it calls no program, so no path is put in.
pub const DIRENV: &str = include_str!("../shell/direnv.sh");
/// By this the file is known for kage's, whatever its version.
pub const DIRENV_BEGINS: &str = "# kage for direnv:";

/// What the tmux server is told, for a kage at this path.
pub fn tmux(kage: &str) -> String {
    let shell = Shell::Bash;
    include_str!("../shell/kage.tmux").replace("@kage@", &shell.quoted(&word(kage)))
}

/// The line for tmux's configuration. It is silent where kage has gone.
pub fn tmux_line(kage: &str) -> String {
    let kage = word(kage);
    let command = format!("if [ -x {kage} ]; then {kage} init tmux | sh; fi");
    // What tmux replaces between double quotes, and in what it runs. Source: tmux(1), PARSING SYNTAX, FORMATS.
    let escaped = command.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
    let escaped = without_formats(&escaped);
    format!("run-shell \"{escaped}\" {MARK}")
}

/// Each `#` twice, but for those in front of a `[`: tmux leaves them all to who draws styles, and nobody draws here.
fn without_formats(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for piece in text.split_inclusive('[') {
        let before = piece.strip_suffix('[').unwrap_or(piece);
        let kept = if before.len() < piece.len() { before.trim_end_matches('#').len() } else { before.len() };
        plain.push_str(&before[..kept].replace('#', "##"));
        plain.push_str(&piece[kept..]);
    }
    plain
}

/// A path as a word on a shell's command line, with quotes where it needs them.
fn word(path: &str) -> String {
    if path.chars().all(is_plain) { path.to_owned() } else { Shell::Bash.quoted(path) }
}

/// Stands before the part of a file that is there once for each agent. Each function stands alone: an agent may
/// know the user's functions without their helpers.
const EACH: &str = "#@each\n";

impl Shell {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The shell of a program's path, such as `SHELL` holds one.
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

    /// A text as one word, which stands for nothing but itself.
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

    /// The functions, and the completion of kage's own words, for a kage at this path.
    pub fn integration(self, kage: &str, functions: &[Function<'_>]) -> String {
        let program = self.quoted(kage);
        let (once, each) = self.source().split_once(EACH).expect("each file of a shell has one");
        let mut text = once.to_owned();
        for function in functions {
            // Quoted, since an alias of the user's may have the name of an option.
            let words: Vec<_> = function.maintenance.iter().map(|word| self.quoted(word)).collect();
            let words = words.join(if self == Self::Fish { " " } else { " | " });
            text.push('\n');
            let each = each.replace("@agent@", function.program).replace("@maintenance@", &words);
            // Last, since a path may have anything in it.
            text.push_str(&each.replace(PROGRAM, &program));
        }
        text.push('\n');
        text.push_str(&self.completion().replace(PROGRAM, &program));
        text
    }

    /// The line for its start-up file. It is silent where kage has gone.
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

/// Ends each line that kage adds to a file of the user's.
pub const MARK: &str = "# added by kage";

/// Whether a shell takes the name of a program for the name of a function.
pub fn can_be_function(program: &str) -> bool {
    program.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && program.chars().all(|letter| is_plain(letter) && letter != '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_itself() {
        assert_eq!(Shell::Bash.quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(Shell::Fish.quoted(r"/a b\it's"), r"'/a b\\it\'s'");
    }

    #[test]
    fn a_path_means_nothing_but_itself_to_tmux_and_the_shell_behind_it() {
        let line = "run-shell \"if [ -x /opt/kage ]; then /opt/kage init tmux | sh; fi\" # added by kage";
        assert_eq!(tmux_line("/opt/kage"), line);
        let odd = tmux_line(r#"/a "b" $c #d \e/it's/kage"#);
        assert!(odd.contains(r#"then '/a \"b\" \$c ##d \\e/it'\\''s/kage' init"#), "{odd}");
        assert!(tmux_line("/a#b##[c[#d").contains("then '/a##b##[c[##d' init"));
        assert!(tmux("/opt/kage").contains("\nkage='/opt/kage'\n"));
        assert!(tmux("/a b/kage").contains("\nkage=''\\''/a b/kage'\\'''\n"));
    }

    #[test]
    fn what_direnv_reads_is_known_for_kages() {
        assert!(DIRENV.starts_with(DIRENV_BEGINS));
    }

    #[test]
    fn every_token_is_replaced_and_each_agent_has_its_function() {
        let functions = [
            Function { program: "claude", maintenance: &["--version", "mcp"] },
            Function { program: "codex", maintenance: &["login"] },
        ];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = shell.integration("/opt/kage", &functions);
            let tokens = [PROGRAM, "@agent@", "@maintenance@", "@each"];
            assert!(tokens.iter().all(|token| !text.contains(token)), "a token is left: {text}");
            for function in &functions {
                assert!(text.contains(&format!("\nfunction {}", function.program)), "{text}");
            }
        }
    }
}
