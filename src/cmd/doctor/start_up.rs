//! The start-up files of the shells, and the lines in them that concern kage.

use std::fs;
use std::path::{Path, PathBuf};

use super::Scene;
use crate::cmd::places::{called, start_up_file};
use crate::shell::{MARK, Shell};

/// No function that starts an agent is longer.
const LONGEST: usize = 40;

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

/// An alias or a function of a program's name.
pub(super) struct Own<'a> {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) is_alias: bool,
    /// What it does, from the name on.
    body: Vec<&'a str>,
}

/// Those of the three shells for which kage has functions. Sources: bash(1), zsh(1), and fish's documentation.
pub(super) fn files(scene: &Scene) -> Vec<StartUp> {
    let home = |name: &str| (Shell::Bash, scene.paths.home.join(name));
    let [bash, zsh, fish] =
        [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| start_up_file(shell, &scene.paths));
    let beside_zsh = [".zprofile", ".zshenv", ".zlogin"].map(|name| (Shell::Zsh, zsh.with_file_name(name)));
    let conf = fs::read_dir(fish.with_file_name("conf.d")).into_iter().flatten().flatten();
    let conf = conf.map(|entry| (Shell::Fish, entry.path()));
    let is_fish = |path: &Path| path.extension().is_some_and(|extension| extension == "fish");
    let mut all = vec![(Shell::Bash, bash), (Shell::Zsh, zsh), (Shell::Fish, fish)];
    all.extend([".bash_aliases", ".bash_profile", ".bash_login", ".profile"].map(home));
    all.extend(beside_zsh);
    all.extend(conf.filter(|(_, path)| is_fish(path)));
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

    /// Whether a line has this in it, and is no comment.
    pub(super) fn says(&self, words: &str) -> bool {
        self.lines().any(|(_, line)| line.contains(words))
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

    /// The aliases and functions that have the name of a program.
    pub(super) fn own(&self, program: &str) -> Vec<Own<'_>> {
        let lines: Vec<_> = self.lines().collect();
        let own = lines.iter().enumerate().filter_map(|(at, &(line, text))| {
            if let Some(value) = alias(text, program) {
                return Some(Own { line, is_alias: true, body: vec![value] });
            }
            let rest = function(text, program)?;
            // Its end is the first line that begins like one.
            let is_end = |text: &str| text.starts_with('}') || text.trim_end() == "end";
            let ends_here = rest.trim_end().ends_with('}') || rest.split_whitespace().last() == Some("end");
            let more = lines[at + 1..].iter().map(|(_, text)| *text).take_while(|text| !is_end(text));
            let more = more.take(if ends_here { 0 } else { LONGEST });
            Some(Own { line, is_alias: false, body: [rest].into_iter().chain(more).collect() })
        });
        own.collect()
    }
}

impl Own<'_> {
    /// Whether it starts the agent through kage.
    pub(super) fn calls_kage(&self) -> bool {
        self.body.iter().any(|line| line.contains("kage") && line.contains(" exec "))
    }

    /// Whether it starts the program past kage's function, or past the shim where there is one.
    pub(super) fn goes_past(&self, program: &str, has_shim: bool) -> bool {
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

/// What an alias of this name stands for.
fn alias<'a>(line: &'a str, program: &str) -> Option<&'a str> {
    let name = line.strip_prefix("alias ")?.trim_start().trim_start_matches("-- ");
    name.strip_prefix(program)?.strip_prefix(['=', ' '])
}

/// What follows the head of a function of this name: `claude() {`, `function claude`.
fn function<'a>(line: &'a str, program: &str) -> Option<&'a str> {
    let named = line.strip_prefix("function ").map(str::trim_start);
    let rest = named.unwrap_or(line).strip_prefix(program)?;
    let is_head = match named {
        Some(_) => rest.is_empty() || rest.starts_with([' ', '(', ';', '{']),
        None => rest.trim_start().starts_with("()"),
    };
    is_head.then_some(rest)
}

/// The program of an alias, behind the variables that are set for it. An alias for its own name stands in front
/// of the function, and does not take its place.
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

    fn past(text: &str, has_shim: bool) -> Option<usize> {
        let file = StartUp { shell: Shell::Bash, file: PathBuf::new(), text: text.into() };
        file.own("claude").iter().find(|own| own.goes_past("claude", has_shim)).map(|own| own.line)
    }

    #[test]
    fn an_alias_counts_where_it_goes_past_kage() {
        assert_eq!(past("a\nalias claude=/opt/claude\n", false), Some(2));
        assert_eq!(past("alias claude 'command claude'", false), Some(1));
        assert_eq!(past("alias claude 'command claude'", true), None);
        for other in [
            "# alias claude=x",
            "alias claude='kage exec -- claude'",
            "alias claude2=x",
            "claude=x",
            "alias claude='claude -v'",
            "alias claude='IS_DEMO=1 claude'",
        ] {
            assert_eq!(past(other, false), None, "{other}");
        }
    }

    #[test]
    fn a_function_counts_where_it_goes_past_kage() {
        for bypass in [
            "\nclaude() { /opt/claude \"$@\"; }\n",
            "\nfunction claude {\n  cd ~\n  command claude \"$@\"\n}\n",
            "\nfunction claude --wraps claude\n  command claude $argv\nend\n",
        ] {
            assert_eq!(past(bypass, false), Some(2), "{bypass}");
        }
        for other in [
            "claude() { kage exec -- claude \"$@\"; }",
            "claude() {\n  kage exec -- claude\n}\nx() { command claude; }",
            "function claude-x; /opt/claude; end",
            "claude() { echo claude; }",
        ] {
            assert_eq!(past(other, false), None, "{other}");
        }
    }
}
