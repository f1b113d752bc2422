//! A file that is kage's as a whole, in a directory that another program reads.
//!
//! One that somebody else wrote stays.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::line::{ask, target};
use crate::error::{Failure, Status};
use crate::files;
use crate::report;
use crate::text::quoted;

/// Where it belongs, and by what it is known.
pub(super) struct OwnFile {
    pub file: PathBuf,
    /// The beginning of every version of it.
    pub begins: &'static str,
}

impl OwnFile {
    /// Writes it, or a newer text in its place.
    pub(super) fn put(&self, text: &str, yes: bool) -> Result<()> {
        let shown = self.file.display();
        let known = self.read()?;
        if known.as_deref() == Some(text) {
            report::say(format_args!("{shown} is there already"));
            return Ok(());
        }
        let question = if known.is_some() { "Replace" } else { "Write" };
        ask(&format!("{question} {shown}?"), &self.file, "kage init direnv --install --yes", yes)?;
        // What a link leads to is written, so that a link into a dotfile repository stays one.
        let file = target(&self.file)?;
        let could_not = || format!("could not write {shown}");
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).with_context(could_not)?;
        }
        files::replace_named(&file, text.as_bytes()).with_context(could_not)?;
        report::say(format_args!("wrote {shown}"));
        Ok(())
    }

    /// Takes it away.
    pub(super) fn remove(&self, yes: bool) -> Result<()> {
        let shown = self.file.display();
        if self.read()?.is_none() {
            report::say(format_args!("{shown} is not there"));
            return Ok(());
        }
        ask(&format!("Remove {shown}?"), &self.file, "kage init direnv --uninstall --yes", yes)?;
        fs::remove_file(&self.file).with_context(|| format!("could not remove {shown}"))?;
        report::say(format_args!("removed {shown}"));
        Ok(())
    }

    /// What is there; a file of somebody else's is a failure.
    fn read(&self) -> Result<Option<String>> {
        let shown = self.file.display();
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(refused) => return Err(refused).with_context(|| format!("could not read {shown}")),
        };
        match String::from_utf8(bytes) {
            Ok(text) if text.starts_with(self.begins) => Ok(Some(text)),
            _ => {
                let path = quoted(&shown.to_string());
                let message = format!("{shown} was not written by kage, and stays");
                Err(Failure::new(Status::Failed, message).hint(format!("mv {path} {path}.mine")).into())
            }
        }
    }
}
