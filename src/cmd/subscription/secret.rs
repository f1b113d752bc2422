//! Secrets that belong to an edit of the config: both are written or neither, and old secrets are removed.

use anyhow::Result;

use crate::config::edit::{self, Edit};
use crate::credentials::{self, Backend};
use crate::engine::Context;
use crate::error::Failure;
use crate::paths::Paths;
use crate::pool::{Name, Source};
use crate::report;
use crate::secret::Secret;

/// Runs a function on the backend of a source and prints the notices of the backend.
pub(super) fn with_backend<T>(
    source: &Source,
    paths: &Paths,
    act: impl FnOnce(&dyn Backend) -> Result<T>,
) -> Result<T> {
    let backend = credentials::backend(source, paths);
    let done = act(backend.as_ref());
    report::notices(backend.take_notices());
    done
}

/// Edits the config and stores a secret, both or neither. The secret is stored after the edit, while the
/// config is locked: if two processes add the same name, the second fails before it can overwrite the secret
/// of the first.
pub(super) fn edit_with_secret(
    context: &Context,
    name: &Name,
    source: &Source,
    secret: Option<&Secret>,
    change: impl FnOnce(&mut edit::Draft) -> Result<()>,
) -> Result<()> {
    let mut edit = Edit::begin(&context.paths)?;
    change(&mut edit.draft)?;
    edit.check()?;
    if let Some(secret) = secret {
        with_backend(source, &context.paths, |backend| backend.set(name, secret))?;
    }
    edit.write().inspect_err(|_| {
        if secret.is_some() {
            forget_secret(source, name, &context.paths);
        }
    })
}

/// Removes a secret from its old location or name, because a secret is stored only once. If the old location
/// is a keychain that is not available, this only warns: moving the secret away is how the user solves that
/// problem.
pub(super) fn forget_secret(old: &Source, name: &Name, paths: &Paths) {
    if let Err(refused) = credentials::forget(old, name, paths) {
        let hint = refused.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        report::warn(format_args!("{refused:#}{hint}"));
    }
}
