//! An agent's own login directory. kage never reads, copies or refreshes the login in it.

use std::path::PathBuf;

use anyhow::Result;

use super::Backend;
use crate::error::{Failure, Status};
use crate::pool::Name;
use crate::secret::Secret;

/// A login directory such as `~/.claude-work`.
pub(super) struct Login(pub(super) PathBuf);

impl Login {
    fn refusal(&self) -> Failure {
        let dir = self.0.display();
        Failure::new(
            Status::Failed,
            format!("the login in {dir} belongs to the agent; kage stores no secret for it"),
        )
        .hint("log in with the agent itself")
    }
}

impl Backend for Login {
    fn get(&self, _: &Name) -> Result<Secret> {
        Err(self.refusal().into())
    }

    fn set(&self, _: &Name, _: &Secret) -> Result<()> {
        Err(self.refusal().into())
    }

    fn remove(&self, _: &Name) -> Result<bool> {
        Ok(false)
    }

    fn has(&self, _: &Name) -> Result<bool> {
        Ok(self.0.is_dir())
    }

    fn list(&self) -> Result<Vec<Name>> {
        Ok(Vec::new())
    }
}
