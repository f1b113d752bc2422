//! One line in a file of the user's: added once, replaced where it has changed, and taken away again.
//!
//! The file stays what it is otherwise: its mode, its link from elsewhere, each of its other bytes. What it
//! was lies beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cmd::places::called;
use crate::cmd::prompt;
use crate::error::{self, Failure, Status};
use crate::files;
use crate::report;
use crate::shell::MARK;

/// Where a line belongs.
pub(super) struct Place {
    pub file: PathBuf,
    /// What stands behind the program's name in a line that does the same, also in one that the user wrote.
    pub names: String,
}

/// How the line of a file compares with the one it should have.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Written by the user, on this line.
    Own(usize),
    Added,
}

impl Place {
    /// Adds the line, if the user wants it; the answer is whether it is new there.
    pub(super) fn add(&self, line: &str, yes: bool) -> Result<bool> {
        let text = self.read()?;
        let shown = self.file.display();
        if let Found::Own(at) = find(&text, &self.names) {
            error::say(format_args!("{shown}:{at} does that already"));
            return Ok(false);
        }
        let wanted = with(&text, &self.names, line);
        if wanted == text {
            error::say(format_args!("{shown} has the line already"));
            return Ok(false);
        }
        ask(&format!("Add this line to {shown}?\n\n    {line}\n\n"), &self.file, "--print-rc", yes)?;
        self.write(&wanted)?;
        error::say(format_args!("added one line to {shown}"));
        Ok(true)
    }

    /// Whether such a line is there, by whomever.
    pub(super) fn is_there(&self) -> bool {
        self.read().is_ok_and(|text| find(&text, &self.names) != Found::Nothing)
    }

    /// Takes the line away.
    pub(super) fn remove(&self, yes: bool) -> Result<()> {
        let text = self.read()?;
        let shown = self.file.display();
        match find(&text, &self.names) {
            Found::Nothing => error::say(format_args!("{shown} has no such line")),
            Found::Own(at) => {
                let message = format!("{shown}:{at} was not written by kage, and stays");
                let hint = format!("${{EDITOR:-vi}} +{at} {}", report::quoted(&shown.to_string()));
                return Err(Failure::new(Status::Failed, message).hint(hint).into());
            }
            Found::Added => {
                ask(&format!("Take kage's line out of {shown}?"), &self.file, "--yes", yes)?;
                self.write(&without(&text, &self.names))?;
                error::say(format_args!("took one line out of {shown}"));
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<String> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(text),
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(refused) => Err(refused).with_context(|| format!("could not read {}", self.file.display())),
        }
    }

    /// The file that a link leads to is written, so that a link into a dotfile repository stays one.
    fn write(&self, text: &str) -> Result<()> {
        let file = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        let could_not = || format!("could not write {}", self.file.display());
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(could_not)?;
        }
        if file.exists() {
            let copy = files::sibling(&file, ".before-kage");
            fs::copy(&file, &copy).with_context(|| format!("could not write {}", copy.display()))?;
        }
        files::replace_named(&file, text.as_bytes()).with_context(could_not)
    }
}

/// Asks whether a file may be changed; no is a failure. `instead` is what to give where nobody can be asked.
pub(super) fn ask(question: &str, file: &Path, instead: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !report::can_ask() {
        let message = format!("nobody can be asked whether to change {}", file.display());
        return Err(Failure::usage(message).hint(instead).into());
    }
    if prompt::agrees(question)? {
        return Ok(());
    }
    Err(Failure::new(Status::Failed, "nothing changed").hint(instead).into())
}

fn is_added(line: &str, names: &str) -> bool {
    called(line, names).is_some() && line.trim_end().ends_with(MARK)
}

fn find(text: &str, names: &str) -> Found {
    let mut lines = text.lines().enumerate().filter(|(_, line)| called(line, names).is_some());
    match lines.next() {
        None => Found::Nothing,
        Some((_, line)) if is_added(line, names) => Found::Added,
        Some((at, _)) => Found::Own(at + 1),
    }
}

/// The text with the line: in the place of one that kage added, else at the end.
fn with(text: &str, names: &str, line: &str) -> String {
    let mut seen = false;
    let mut result = String::with_capacity(text.len() + line.len() + 2);
    for known in text.split_inclusive('\n') {
        if !is_added(known, names) {
            result.push_str(known);
        } else if !seen {
            seen = true;
            result.push_str(line);
            result.push('\n');
        }
    }
    if !seen {
        if !result.is_empty() && !result.ends_with('\n') {
            result.push('\n');
        }
        result.push_str(line);
        result.push('\n');
    }
    result
}

fn without(text: &str, names: &str) -> String {
    text.split_inclusive('\n').filter(|line| !is_added(line, names)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "eval \"$('/opt/kage' init zsh)\" # added by kage";

    #[test]
    fn a_line_is_added_once_and_taken_away_without_a_trace() {
        for text in ["", "alias ll='ls -l'\n", "# kage init zsh\n\nexport A=1\n"] {
            let once = with(text, "init zsh", LINE);
            assert_eq!(once, format!("{text}{LINE}\n"));
            assert_eq!(with(&once, "init zsh", LINE), once);
            assert_eq!(without(&once, "init zsh"), text);
        }
        assert_eq!(with("no end", "init zsh", LINE), format!("no end\n{LINE}\n"));
    }

    #[test]
    fn a_line_for_another_path_is_replaced_where_it_stands() {
        let old = "first\neval \"$('/old/kage' init zsh)\" # added by kage\nlast\n";
        assert_eq!(with(old, "init zsh", LINE), format!("first\n{LINE}\nlast\n"));
    }

    #[test]
    fn the_users_own_line_is_seen_and_left_alone() {
        let own = "first\neval \"$(kage init zsh)\"\n";
        assert_eq!(find(own, "init zsh"), Found::Own(2));
        assert_eq!(find(own, "init bash"), Found::Nothing);
        assert_eq!(without(own, "init zsh"), own);
        assert_eq!(find("  # eval \"$(kage init zsh)\"\n", "init zsh"), Found::Nothing);
        assert_eq!(find("\"$HOME/bin/kage\" init zsh | source", "init zsh"), Found::Own(1));
    }
}
