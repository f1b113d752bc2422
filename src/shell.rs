//! What a shell is given: the files of `shell/`, with the program's path and the agents' names put in.
//!
//! Called by `kage init`. Text in, text out; nothing of the crate.

use std::fmt;

/// A shell that kage has functions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// An agent that becomes a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    /// The name of its program, and of the function.
    pub program: &'a str,
    /// First arguments with which it runs as it is.
    pub upkeep: &'a [&'a str],
}

/// Stands before the part of a file that is there once for each agent.
const EACH: &str = "#@each\n";

impl Shell {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The shell of a program's path, such as `SHELL` holds one.
    pub(crate) fn of_program(path: &str) -> Option<Self> {
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
    pub(crate) fn quoted(self, text: &str) -> String {
        match self {
            Self::Bash | Self::Zsh => format!("'{}'", text.replace('\'', r"'\''")),
            // As fish_indent has it: quotes only where they are needed.
            Self::Fish if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
            Self::Fish => format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
        }
    }

    /// The functions, for a kage at this path.
    pub(crate) fn functions(self, kage: &str, functions: &[Function<'_>]) -> String {
        let (once, each) = self.source().split_once(EACH).expect("each file of a shell has one");
        let mut text = once.replace("@kage@", &self.quoted(kage));
        for function in functions {
            // Quoted, since an alias of the user's may have the name of an option.
            let words: Vec<_> = function.upkeep.iter().map(|word| self.quoted(word)).collect();
            let words = words.join(if self == Self::Fish { " " } else { " | " });
            text.push('\n');
            text.push_str(&each.replace("@agent@", function.program).replace("@upkeep@", &words));
        }
        text
    }

    /// The line for its start-up file. It is silent where kage has gone.
    pub(crate) fn line(self, kage: &str, aliases: &[String]) -> String {
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
pub(crate) const MARK: &str = "# added by kage";

/// Whether a shell takes the name of a program for the name of a function.
pub(crate) fn can_be_function(program: &str) -> bool {
    program.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && program.chars().all(|letter| is_plain(letter) && letter != '/')
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '+' | '/')
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
    fn every_token_is_replaced_and_each_agent_has_its_function() {
        let functions = [
            Function { program: "claude", upkeep: &["--version", "mcp"] },
            Function { program: "codex", upkeep: &["login"] },
        ];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = shell.functions("/opt/kage", &functions);
            assert!(!text.replace("\"$@\"", "").contains('@'), "a token is left: {text}");
            for function in &functions {
                assert!(text.contains(&format!("\nfunction {}", function.program)), "{text}");
            }
        }
    }
}
