//! The commands of the mends, each in the words of the user's own shell.

use std::path::Path;

use super::Scene;
use crate::report;
use crate::shell::Shell;

/// A path as one word of a command.
pub(super) fn word(path: &Path) -> String {
    report::quoted(&path.display().to_string())
}

/// The command by which a file of kage's can be opened again: nothing else makes directories in their places.
pub(super) fn reopen(file: &Path) -> String {
    let place = word(file);
    if file.is_dir() { format!("mv {place} {place}.old") } else { format!("chmod u+rw {place}") }
}

/// Takes variables out of the environment.
pub(super) fn unset(names: &str, scene: &Scene) -> String {
    match scene.shell() {
        Some(Shell::Fish) => format!("set -e {names}"),
        _ => format!("unset {names}"),
    }
}

/// Asks for the passphrase, which is not seen while it is typed.
pub(super) fn ask_passphrase(scene: &Scene) -> &'static str {
    match scene.shell() {
        Some(Shell::Fish) => "read -sgx -P 'Passphrase: ' KAGE_PASSPHRASE",
        _ => "printf 'Passphrase: '; read -rs KAGE_PASSPHRASE; export KAGE_PASSPHRASE",
    }
}
