//! The commands of the fixes, in the syntax of the user's shell.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::Scene;
use crate::shell::Shell;
use crate::text::quoted;

/// A path as one word of a command.
pub(super) fn word(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// The command that makes a file of kage usable again. A directory in place of the file was not created by
/// kage and is moved away.
pub(super) fn make_usable(file: &Path, scene: &Scene) -> String {
    if file.is_dir() {
        return format!("mv {0} {0}.old", word(file));
    }
    let part = inaccessible_part(file, Access::READ_OK | Access::WRITE_OK);
    regain_access(&part.unwrap_or_else(|| file.to_owned()), scene)
}

/// The first part of a path that the user may not access: a parent directory, or the path itself.
pub(super) fn inaccessible_part(path: &Path, wanted: Access) -> Option<PathBuf> {
    let mut parents: Vec<_> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    parents.reverse();
    let is_denied = |path: &Path, wanted| access(path, wanted) == Err(Errno::ACCESS);
    let dir = parents.into_iter().find(|dir| is_denied(dir, Access::EXEC_OK));
    dir.or_else(|| is_denied(path, wanted).then_some(path)).map(Path::to_owned)
}

/// The command that gives the user access to a file or a directory again. Files created by `sudo kage` belong
/// to root, and only root can change their owner.
pub(super) fn regain_access(path: &Path, scene: &Scene) -> String {
    let quoted = word(path);
    let (whole, bits) = if path.is_dir() { ("-R ", "rwx") } else { ("", "rw") };
    if is_own(path) {
        return format!("chmod u+{bits} {quoted}");
    }
    let user = match scene.shell() {
        Some(Shell::Fish) => "(id -un)",
        _ => "\"$(id -un)\"",
    };
    format!("sudo chown {whole}{user} {quoted}")
}

pub(super) fn is_own(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|known| known.uid() == geteuid().as_raw())
}

/// The command that removes variables from the environment.
pub(super) fn unset(names: &str, scene: &Scene) -> String {
    match scene.shell() {
        Some(Shell::Fish) => format!("set -e {names}"),
        _ => format!("unset {names}"),
    }
}

/// The command that asks for the passphrase without echo.
pub(super) fn ask_passphrase(scene: &Scene) -> &'static str {
    match scene.shell() {
        Some(Shell::Fish) => "read -sgx -P 'Passphrase: ' KAGE_PASSPHRASE",
        _ => "printf 'Passphrase: '; read -rs KAGE_PASSPHRASE; export KAGE_PASSPHRASE",
    }
}
