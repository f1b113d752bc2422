//! A secret beside the config: stored with an edit, both or neither, and left behind without a trace.

use anyhow::Result;

use crate::config::edit::{self, Edit};
use crate::credentials::{self, Backend};
use crate::engine::Context;
use crate::error::Failure;
use crate::paths::Paths;
use crate::pool::{Name, Source};
use crate::report;
use crate::secret::Secret;

/// Does something with a place for secrets, and says what it has to report.
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

/// Edits the config and stores a secret, both or neither. The secret follows the edit, under the config's
/// lock: of two kages that want one name the second is refused before it touches the secret of the first.
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
            leave(source, name, &context.paths);
        }
    })
}

/// A secret is in one place only. But the old place may be a keychain that cannot be reached, and to move
/// away is the way out of that: so this warns, and the move stands.
pub(super) fn leave(old: &Source, name: &Name, paths: &Paths) {
    if let Err(refused) = credentials::forget(old, name, paths) {
        let hint = refused.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        report::warn(format_args!("{refused:#}{hint}"));
    }
}
