//! The start-up files of the shells, and the lines in them that concern kage.

use std::fs;
use std::path::{Path, PathBuf};

use super::Scene;
use crate::cmd::integration_files::{called_kage, start_up_file};
use crate::shell::{MARK, Shell};

/// The maximum number of lines of a function that are examined.
const LONGEST: usize = 40;

/// An existing start-up file.
pub(super) struct StartUp {
    pub(super) shell: Shell,
    pub(super) file: PathBuf,
    text: String,
}

/// A line that calls `kage init`.
pub(super) struct Call {
    /// Counted from 1.
    pub(super) line: usize,
    /// The kage in the line: a path or just the name.
    pub(super) kage: PathBuf,
    /// Whether `kage init` wrote the line and can rewrite it.
    pub(super) is_added: bool,
}

/// The user's alias or function with the name of a program.
pub(super) struct Override<'a> {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) is_alias: bool,
    /// Its text after the name, in lines.
    body: Vec<&'a str>,
}

/// The start-up files of bash, zsh and fish. Sources: bash(1), zsh(1) and fish's documentation.
pub(super) fn files(scene: &Scene) -> Vec<StartUp> {
    let home = |name: &str| (Shell::Bash, scene.paths.home.join(name));
    let [bash, zsh, fish] =
        [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| start_up_file(shell, &scene.paths));
    let other_zsh = [".zprofile", ".zshenv", ".zlogin"].map(|name| (Shell::Zsh, zsh.with_file_name(name)));
    let conf = fs::read_dir(fish.with_file_name("conf.d")).into_iter().flatten().flatten();
    let conf = conf.map(|entry| (Shell::Fish, entry.path()));
    let is_fish = |path: &Path| path.extension().is_some_and(|extension| extension == "fish");
    let mut all = vec![(Shell::Bash, bash), (Shell::Zsh, zsh), (Shell::Fish, fish)];
    all.extend([".bash_aliases", ".bash_profile", ".bash_login", ".profile"].map(home));
    all.extend(other_zsh);
    all.extend(conf.filter(|(_, path)| is_fish(path)));
    let read = all.into_iter().filter_map(|(shell, file)| {
        let text = String::from_utf8_lossy(&fs::read(&file).ok()?).into_owned();
        Some(StartUp { shell, file, text })
    });
    read.collect()
}

impl StartUp {
    /// The lines that are not comments, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with('#'))
    }

    /// Whether a line that is not a comment contains this text.
    pub(super) fn mentions(&self, words: &str) -> bool {
        self.lines().any(|(_, line)| line.contains(words))
    }

    /// The lines that load kage's functions.
    pub(super) fn calls(&self) -> Vec<Call> {
        let words = format!("init {}", self.shell);
        let calls = self.lines().filter_map(|(line, text)| {
            let kage = called_kage(text, &words)?;
            Some(Call { line, kage, is_added: text.trim_end().ends_with(MARK) })
        });
        calls.collect()
    }

    /// The aliases and functions with the name of a program.
    pub(super) fn overrides(&self, program: &str) -> Vec<Override<'_>> {
        let lines: Vec<_> = self.lines().collect();
        let found = lines.iter().enumerate().filter_map(|(at, &(line, text))| {
            if let Some(value) = alias(text, program) {
                return Some(Override { line, is_alias: true, body: vec![value] });
            }
            let rest = function(text, program)?;
            // The function ends at the first line that looks like an end.
            let is_end = |text: &str| text.starts_with('}') || text.trim_end() == "end";
            let ends_here = rest.trim_end().ends_with('}') || rest.split_whitespace().last() == Some("end");
            let more = lines[at + 1..].iter().map(|(_, text)| *text).take_while(|text| !is_end(text));
            let more = more.take(if ends_here { 0 } else { LONGEST });
            Some(Override { line, is_alias: false, body: [rest].into_iter().chain(more).collect() })
        });
        found.collect()
    }
}

impl Override<'_> {
    /// Whether it starts the agent through kage.
    pub(super) fn calls_kage(&self) -> bool {
        self.body.iter().any(|line| line.contains("kage") && line.contains(" exec "))
    }

    /// Whether it starts the program without kage's function, and without the shim if there is one.
    pub(super) fn bypasses_kage(&self, program: &str, has_shim: bool) -> bool {
        if self.body.iter().any(|line| line.contains("kage")) {
            return false;
        }
        if self.is_alias {
            let word = self.body.first().and_then(|value| first_word(value)).unwrap_or_default();
            return word != program && !(has_shim && word == "command");
        }
        let mut before = "";
        self.body.iter().flat_map(|line| line.split_whitespace()).any(|word| {
            let word = word.trim_matches(['"', '\'', ';', '(', ')', '{', '}']);
            let by_path =
                word.contains('/') && Path::new(word).file_name().is_some_and(|name| name == program);
            let by_command = word == program && before == "command" && !has_shim;
            before = word;
            by_path || by_command
        })
    }
}

/// The value of an alias with this name.
fn alias<'a>(line: &'a str, program: &str) -> Option<&'a str> {
    let name = line.strip_prefix("alias ")?.trim_start().trim_start_matches("-- ");
    name.strip_prefix(program)?.strip_prefix(['=', ' '])
}

/// The text after the head of a function with this name: `claude() {`, `function claude`.
fn function<'a>(line: &'a str, program: &str) -> Option<&'a str> {
    let named = line.strip_prefix("function ").map(str::trim_start);
    let rest = named.unwrap_or(line).strip_prefix(program)?;
    let is_head = match named {
        Some(_) => rest.is_empty() || rest.starts_with([' ', '(', ';', '{']),
        None => rest.trim_start().starts_with("()"),
    };
    is_head.then_some(rest)
}

/// The program of an alias, after its variable assignments. An alias that calls its own name still leads to
/// kage's function.
fn first_word(value: &str) -> Option<&str> {
    let is_variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        })
    };
    let words = value.split([' ', '\'', '"']).filter(|word| !word.is_empty());
    words.into_iter().find(|word| !is_variable(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bypass(text: &str, has_shim: bool) -> Option<usize> {
        let file = StartUp { shell: Shell::Bash, file: PathBuf::new(), text: text.into() };
        file.overrides("claude").iter().find(|one| one.bypasses_kage("claude", has_shim)).map(|one| one.line)
    }

    #[test]
    fn an_alias_counts_only_if_it_bypasses_kage() {
        assert_eq!(bypass("a\nalias claude=/opt/claude\n", false), Some(2));
        assert_eq!(bypass("alias claude 'command claude'", false), Some(1));
        assert_eq!(bypass("alias claude 'command claude'", true), None);
        for other in [
            "# alias claude=x",
            "alias claude='kage exec -- claude'",
            "alias claude2=x",
            "claude=x",
            "alias claude='claude -v'",
            "alias claude='IS_DEMO=1 claude'",
        ] {
            assert_eq!(bypass(other, false), None, "{other}");
        }
    }

    #[test]
    fn a_function_counts_only_if_it_bypasses_kage() {
        for text in [
            "\nclaude() { /opt/claude \"$@\"; }\n",
            "\nfunction claude {\n  cd ~\n  command claude \"$@\"\n}\n",
            "\nfunction claude --wraps claude\n  command claude $argv\nend\n",
        ] {
            assert_eq!(bypass(text, false), Some(2), "{text}");
        }
        for other in [
            "claude() { kage exec -- claude \"$@\"; }",
            "claude() {\n  kage exec -- claude\n}\nx() { command claude; }",
            "function claude-x; /opt/claude; end",
            "claude() { echo claude; }",
        ] {
            assert_eq!(bypass(other, false), None, "{other}");
        }
    }
}
