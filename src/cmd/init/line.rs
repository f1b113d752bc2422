//! One line in a file of the user: adds it once, replaces an older version of it, and removes it.
//!
//! Everything else is preserved: the mode of the file, links to it, and all its other bytes. A copy of the
//! original is kept next to the file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cmd::editor::open_at;
use crate::cmd::integration_files::called_kage;
use crate::cmd::question;
use crate::error::{Failure, Status};
use crate::files;
use crate::report;
use crate::shell::MARK;
use crate::text::quoted;

/// A line that calls kage, and the file that it belongs to.
pub(super) struct StartUpLine {
    pub file: PathBuf,
    /// The arguments of kage that identify the line, such as `init zsh`, also in a line that the user wrote.
    pub call: String,
}

/// The line that a file already contains.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A line of the user, with its number, counted from 1.
    ByUser(usize),
    ByKage,
}

impl StartUpLine {
    /// Adds the line if the user agrees. Returns whether it was added.
    pub(super) fn add(&self, line: &str, yes: bool) -> Result<bool> {
        let text = self.read()?;
        let shown = self.file.display();
        if let Found::ByUser(at) = find(&text, &self.call) {
            report::say(format_args!("{shown}:{at} already loads kage"));
            return Ok(false);
        }
        let wanted = with_line(&text, &self.call, line);
        if wanted == text {
            report::say(format_args!("{shown} already has this line"));
            return Ok(false);
        }
        let question = format!("Add this line to {shown}?\n\n    {line}\n\n");
        ask(&question, &self.file, &format!("kage {} --install --yes", self.call), yes)?;
        self.write(&text, &wanted)?;
        report::say(format_args!("added one line to {shown}"));
        Ok(true)
    }

    /// Whether the file contains such a line, written by kage or by the user.
    pub(super) fn exists(&self) -> bool {
        self.read().is_ok_and(|text| find(&text, &self.call) != Found::Nothing)
    }

    /// Removes the line of kage. A line of the user is left unchanged.
    pub(super) fn remove(&self, yes: bool) -> Result<()> {
        let text = self.read()?;
        let shown = self.file.display();
        let left = without_line(&text, &self.call);
        if left != text {
            let instead = format!("kage {} --uninstall --yes", self.call);
            ask(&format!("Remove kage's line from {shown}?"), &self.file, &instead, yes)?;
            self.write(&text, &left)?;
            report::say(format_args!("removed one line from {shown}"));
        }
        match find(&left, &self.call) {
            Found::ByUser(at) => {
                let message = format!("{shown}:{at} was not written by kage and is left unchanged");
                Err(Failure::new(Status::Failed, message).hint(open_at(&self.file, at)).into())
            }
            _ if left == text => {
                report::say(format_args!("{shown} does not have kage's line"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read(&self) -> Result<Vec<u8>> {
        match fs::read(&self.file) {
            Ok(text) => Ok(text),
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(why) => Err(why).with_context(|| format!("could not read {}", self.file.display())),
        }
    }

    /// Writes the target of a link, so that a link into a dotfiles repository remains a link. A copy of the
    /// file as it was without kage is kept next to it.
    fn write(&self, before: &[u8], text: &[u8]) -> Result<()> {
        let file = link_target(&self.file)?;
        let could_not = || format!("could not write {}", self.file.display());
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(could_not)?;
        }
        if file.exists() && without_line(before, &self.call) == before {
            let copy = files::sibling(&file, ".before-kage");
            fs::copy(&file, &copy).with_context(|| format!("could not write {}", copy.display()))?;
        }
        files::replace_named(&file, text).with_context(could_not)
    }
}

/// Returns the target of a link, or the path itself. Fails for a dangling link, which must not be replaced by
/// a file: its repository may not be checked out yet.
pub(super) fn link_target(file: &Path) -> Result<PathBuf, Failure> {
    let dangling = || {
        let link = fs::read_link(file).unwrap_or_default();
        let message = format!("{} is a link to {}, which does not exist", file.display(), link.display());
        Failure::new(Status::Failed, message).hint(format!("ls -l {}", quoted(&file.display().to_string())))
    };
    match fs::canonicalize(file) {
        Ok(file) => Ok(file),
        Err(_) if file.is_symlink() => Err(dangling()),
        Err(_) => Ok(file.to_owned()),
    }
}

/// Asks whether a file may be changed. A no is an error. `instead` is the command that needs no answer.
pub(super) fn ask(question: &str, file: &Path, instead: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !report::can_ask() {
        let message = format!("cannot ask whether to change {}: there is no terminal", file.display());
        return Err(Failure::usage(message).hint(instead).into());
    }
    if question::confirm(question, true)? {
        return Ok(());
    }
    Err(Failure::new(Status::Failed, "nothing changed").hint(instead).into())
}

/// Whether kage wrote a line, under any name of the program.
fn is_added(line: &[u8], call: &str) -> bool {
    let line = String::from_utf8_lossy(line);
    line.trim_end().ends_with(MARK) && line.contains(&format!(" {call}"))
}

/// Finds the first line that makes this call.
fn find(text: &[u8], call: &str) -> Found {
    for (at, line) in lines(text).enumerate() {
        if is_added(line, call) {
            return Found::ByKage;
        }
        if called_kage(&String::from_utf8_lossy(line), call).is_some() {
            return Found::ByUser(at + 1);
        }
    }
    Found::Nothing
}

/// Returns the text with the line, which replaces an earlier line of kage or is appended.
fn with_line(text: &[u8], call: &str, line: &str) -> Vec<u8> {
    let line = [line.as_bytes(), b"\n"].concat();
    let mut seen = false;
    let mut result = Vec::with_capacity(text.len() + line.len() + 1);
    for known in lines(text) {
        if !is_added(known, call) {
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

fn without_line(text: &[u8], call: &str) -> Vec<u8> {
    lines(text).filter(|line| !is_added(line, call)).flatten().copied().collect()
}

/// The lines with their line ends. They may contain any bytes.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "eval \"$('/opt/kage' init zsh)\" # added by kage";
    const CALL: &str = "init zsh";

    #[test]
    fn a_line_is_added_once_and_removed_completely() {
        for text in [&b""[..], b"alias ll='ls -l'\n", b"# kage init zsh\n\nexport A=1\n", b"caf\xe9\r\n"] {
            let once = with_line(text, CALL, LINE);
            assert_eq!(once, [text, LINE.as_bytes(), b"\n"].concat());
            assert_eq!(with_line(&once, CALL, LINE), once);
            assert_eq!(without_line(&once, CALL), text);
        }
        assert_eq!(with_line(b"no end", CALL, LINE), format!("no end\n{LINE}\n").as_bytes());
    }

    #[test]
    fn a_line_for_another_path_is_replaced_in_place() {
        for kage in ["/old/kage", "/old/kage-0.1"] {
            let old = format!("first\neval \"$('{kage}' init zsh)\" # added by kage\nlast\n");
            assert_eq!(with_line(old.as_bytes(), CALL, LINE), format!("first\n{LINE}\nlast\n").as_bytes());
        }
    }

    #[test]
    fn the_users_own_line_is_found_and_left_unchanged() {
        let own = b"first\neval \"$(kage init zsh)\"\n";
        assert_eq!(find(own, CALL), Found::ByUser(2));
        assert_eq!(find(own, "init bash"), Found::Nothing);
        assert_eq!(without_line(own, CALL), own);
        assert_eq!(find(b"  # eval \"$(kage init zsh)\"\n", CALL), Found::Nothing);
    }
}
