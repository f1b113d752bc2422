//! One line in a file of the user's: added once, replaced where it has changed, and taken away again.
//!
//! The file stays what it is otherwise: its mode, its link from elsewhere, each of its other bytes. What it
//! was lies beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cmd::editor::open_at;
use crate::cmd::places::called;
use crate::cmd::question;
use crate::error::{Failure, Status};
use crate::files;
use crate::report;
use crate::shell::MARK;
use crate::text::quoted;

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
            report::say(format_args!("{shown}:{at} does that already"));
            return Ok(false);
        }
        let wanted = with(&text, &self.names, line);
        if wanted == text {
            report::say(format_args!("{shown} has the line already"));
            return Ok(false);
        }
        let question = format!("Add this line to {shown}?\n\n    {line}\n\n");
        ask(&question, &self.file, &format!("kage {} --install --yes", self.names), yes)?;
        self.write(&text, &wanted)?;
        report::say(format_args!("added one line to {shown}"));
        Ok(true)
    }

    /// Whether such a line is there, by whomever.
    pub(super) fn is_there(&self) -> bool {
        self.read().is_ok_and(|text| find(&text, &self.names) != Found::Nothing)
    }

    /// Takes the line away; one of the user's own stays.
    pub(super) fn remove(&self, yes: bool) -> Result<()> {
        let text = self.read()?;
        let shown = self.file.display();
        let left = without(&text, &self.names);
        if left != text {
            let instead = format!("kage {} --uninstall --yes", self.names);
            ask(&format!("Take kage's line out of {shown}?"), &self.file, &instead, yes)?;
            self.write(&text, &left)?;
            report::say(format_args!("took one line out of {shown}"));
        }
        match find(&left, &self.names) {
            Found::Own(at) => {
                let message = format!("{shown}:{at} was not written by kage, and stays");
                Err(Failure::new(Status::Failed, message).hint(open_at(&self.file, at)).into())
            }
            _ if left == text => {
                report::say(format_args!("{shown} has no such line"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read(&self) -> Result<Vec<u8>> {
        match fs::read(&self.file) {
            Ok(text) => Ok(text),
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(refused) => Err(refused).with_context(|| format!("could not read {}", self.file.display())),
        }
    }

    /// The file that a link leads to is written, so that a link into a dotfile repository stays one. What the file
    /// was without kage lies beside it from then on.
    fn write(&self, before: &[u8], text: &[u8]) -> Result<()> {
        let file = target(&self.file)?;
        let could_not = || format!("could not write {}", self.file.display());
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(could_not)?;
        }
        if file.exists() && without(before, &self.names) == before {
            let copy = files::sibling(&file, ".before-kage");
            fs::copy(&file, &copy).with_context(|| format!("could not write {}", copy.display()))?;
        }
        files::replace_named(&file, text).with_context(could_not)
    }
}

/// What a file is, if it is a link. One that leads nowhere, as where a repository is not there yet, is not to
/// become a file.
pub(super) fn target(file: &Path) -> Result<PathBuf, Failure> {
    let leads_nowhere = || {
        let link = fs::read_link(file).unwrap_or_default();
        let message = format!("{} is a link to {}, which is not there", file.display(), link.display());
        Failure::new(Status::Failed, message).hint(format!("ls -l {}", quoted(&file.display().to_string())))
    };
    match fs::canonicalize(file) {
        Ok(file) => Ok(file),
        Err(_) if file.is_symlink() => Err(leads_nowhere()),
        Err(_) => Ok(file.to_owned()),
    }
}

/// Asks whether a file may be changed; no is a failure. `instead` is what to type where nobody can be asked.
pub(super) fn ask(question: &str, file: &Path, instead: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !report::can_ask() {
        let message = format!("nobody can be asked whether to change {}", file.display());
        return Err(Failure::usage(message).hint(instead).into());
    }
    if question::agrees(question)? {
        return Ok(());
    }
    Err(Failure::new(Status::Failed, "nothing changed").hint(instead).into())
}

/// Whether kage wrote a line, by whatever name it was called then.
fn is_added(line: &[u8], names: &str) -> bool {
    let line = String::from_utf8_lossy(line);
    line.trim_end().ends_with(MARK) && line.contains(&format!(" {names}"))
}

/// The first line that does the same.
fn find(text: &[u8], names: &str) -> Found {
    for (at, line) in lines(text).enumerate() {
        if is_added(line, names) {
            return Found::Added;
        }
        if called(&String::from_utf8_lossy(line), names).is_some() {
            return Found::Own(at + 1);
        }
    }
    Found::Nothing
}

/// The text with the line: in the place of one that kage added, else at the end.
fn with(text: &[u8], names: &str, line: &str) -> Vec<u8> {
    let line = [line.as_bytes(), b"\n"].concat();
    let mut seen = false;
    let mut result = Vec::with_capacity(text.len() + line.len() + 1);
    for known in lines(text) {
        if !is_added(known, names) {
            result.extend_from_slice(known);
        } else if !seen {
            seen = true;
            result.extend_from_slice(&line);
        }
    }
    if !seen {
        if !result.is_empty() && !result.ends_with(b"\n") {
            result.push(b'\n');
        }
        result.extend_from_slice(&line);
    }
    result
}

fn without(text: &[u8], names: &str) -> Vec<u8> {
    lines(text).filter(|line| !is_added(line, names)).flatten().copied().collect()
}

/// The lines with their ends. They may hold any bytes.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "eval \"$('/opt/kage' init zsh)\" # added by kage";
    const NAMES: &str = "init zsh";

    #[test]
    fn a_line_is_added_once_and_taken_away_without_a_trace() {
        for text in [&b""[..], b"alias ll='ls -l'\n", b"# kage init zsh\n\nexport A=1\n", b"caf\xe9\r\n"] {
            let once = with(text, NAMES, LINE);
            assert_eq!(once, [text, LINE.as_bytes(), b"\n"].concat());
            assert_eq!(with(&once, NAMES, LINE), once);
            assert_eq!(without(&once, NAMES), text);
        }
        assert_eq!(with(b"no end", NAMES, LINE), format!("no end\n{LINE}\n").as_bytes());
    }

    #[test]
    fn a_line_for_another_path_is_replaced_where_it_stands() {
        for kage in ["/old/kage", "/old/kage-0.1"] {
            let old = format!("first\neval \"$('{kage}' init zsh)\" # added by kage\nlast\n");
            assert_eq!(with(old.as_bytes(), NAMES, LINE), format!("first\n{LINE}\nlast\n").as_bytes());
        }
    }

    #[test]
    fn the_users_own_line_is_seen_and_left_alone() {
        let own = b"first\neval \"$(kage init zsh)\"\n";
        assert_eq!(find(own, NAMES), Found::Own(2));
        assert_eq!(find(own, "init bash"), Found::Nothing);
        assert_eq!(without(own, NAMES), own);
        assert_eq!(find(b"  # eval \"$(kage init zsh)\"\n", NAMES), Found::Nothing);
    }
}
