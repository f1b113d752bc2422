//! A file that only kage writes, in a directory that another program reads. A file that kage did not write is
//! left unchanged.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::line::{ask, link_target};
use crate::error::{Failure, Status};
use crate::files;
use crate::report;
use crate::text::quoted;

/// A file of kage, and how it is recognized.
pub(super) struct OwnFile {
    pub file: PathBuf,
    /// The beginning of every version of the file.
    pub begins: &'static str,
}

impl OwnFile {
    /// Writes the file, or replaces an older version.
    pub(super) fn put(&self, text: &str, yes: bool) -> Result<()> {
        let shown = self.file.display();
        let known = self.read()?;
        if known.as_deref() == Some(text) {
            report::say(format_args!("{shown} is already up to date"));
            return Ok(());
        }
        let question = if known.is_some() { "Replace" } else { "Write" };
        ask(&format!("{question} {shown}?"), &self.file, "kage init direnv --install --yes", yes)?;
        // The target of a link is written, so that a link into a dotfiles repository remains a link.
        let file = link_target(&self.file)?;
        let could_not = || format!("could not write {shown}");
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(could_not)?;
        }
        files::replace_named(&file, text.as_bytes()).with_context(could_not)?;
        report::say(format_args!("wrote {shown}"));
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(&self, yes: bool) -> Result<()> {
        let shown = self.file.display();
        if self.read()?.is_none() {
            report::say(format_args!("{shown} does not exist"));
            return Ok(());
        }
        ask(&format!("Remove {shown}?"), &self.file, "kage init direnv --uninstall --yes", yes)?;
        fs::remove_file(&self.file).with_context(|| format!("could not remove {shown}"))?;
        report::say(format_args!("removed {shown}"));
        Ok(())
    }

    /// Reads the file. Fails if kage did not write it.
    fn read(&self) -> Result<Option<String>> {
        let shown = self.file.display();
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why).with_context(|| format!("could not read {shown}")),
        };
        match String::from_utf8(bytes) {
            Ok(text) if text.starts_with(self.begins) => Ok(Some(text)),
            _ => {
                let path = quoted(&shown.to_string());
                let message = format!("{shown} was not written by kage and is left unchanged");
                Err(Failure::new(Status::Failed, message).hint(format!("mv {path} {path}.mine")).into())
            }
        }
    }
}
