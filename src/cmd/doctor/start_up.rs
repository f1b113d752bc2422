//! The start-up files of the shells, and the lines in them that concern kage.

use std::fs;
use std::path::PathBuf;

use super::Scene;
use crate::cmd::places::{called, start_up_file};
use crate::shell::{MARK, Shell};

/// A start-up file that is there.
pub(super) struct StartUp {
    pub(super) shell: Shell,
    pub(super) file: PathBuf,
    text: String,
}

/// A line that calls `kage init`.
pub(super) struct Call {
    /// Counted from 1.
    pub(super) line: usize,
    /// The kage that it names: a path, or the name alone.
    pub(super) kage: PathBuf,
    /// Whether `kage init` wrote it, and can write it anew.
    pub(super) is_added: bool,
}

/// Those of the three shells for which kage has functions.
pub(super) fn files(scene: &Scene) -> Vec<StartUp> {
    let paths = &scene.paths;
    let all = [
        (Shell::Bash, start_up_file(Shell::Bash, paths)),
        (Shell::Bash, paths.home.join(".bash_aliases")),
        (Shell::Zsh, start_up_file(Shell::Zsh, paths)),
        (Shell::Fish, start_up_file(Shell::Fish, paths)),
    ];
    let read = all.into_iter().filter_map(|(shell, file)| {
        let text = String::from_utf8_lossy(&fs::read(&file).ok()?).into_owned();
        Some(StartUp { shell, file, text })
    });
    read.collect()
}

impl StartUp {
    /// The lines that are no comments, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with('#'))
    }

    /// The lines by which the shell gets kage's functions.
    pub(super) fn calls(&self) -> Vec<Call> {
        let words = format!("init {}", self.shell);
        let calls = self.lines().filter_map(|(line, text)| {
            let kage = called(text, &words)?;
            Some(Call { line, kage, is_added: text.trim_end().ends_with(MARK) })
        });
        calls.collect()
    }

    /// Whether the user has a function or an alias that starts agents through kage.
    pub(super) fn has_own(&self) -> bool {
        self.lines().any(|(_, line)| line.contains("kage exec "))
    }

    /// The line of an alias for a program that goes past kage.
    pub(super) fn alias(&self, program: &str) -> Option<usize> {
        let is_alias = |line: &str| {
            let name = line.strip_prefix("alias ").map(|rest| rest.trim_start().trim_start_matches("-- "));
            name.and_then(|name| name.strip_prefix(program))
                .and_then(|rest| rest.strip_prefix(['=', ' ']))
                .is_some_and(|value| !value.contains("kage") && first_word(value) != program)
        };
        self.lines().find(|(_, line)| is_alias(line)).map(|(at, _)| at)
    }
}

/// An alias for its own name stands in front of the function, and does not take its place.
fn first_word(value: &str) -> &str {
    value.trim_start_matches(['\'', '"', ' ']).split([' ', '\'', '"']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_counts_where_it_goes_past_kage() {
        let alias = |text: &str| {
            StartUp { shell: Shell::Bash, file: PathBuf::new(), text: text.into() }.alias("claude")
        };
        assert_eq!(alias("a\nalias claude=/opt/claude\n"), Some(2));
        assert_eq!(alias("alias claude 'command claude'"), Some(1));
        for other in [
            "# alias claude=x",
            "alias claude='kage exec -- claude'",
            "alias claude2=x",
            "claude=x",
            "alias claude='claude -v'",
        ] {
            assert_eq!(alias(other), None, "{other}");
        }
    }
}
