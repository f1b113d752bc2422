//! The commands of the mends, each in the words of the user's own shell.

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

/// The command by which a file of kage's can be opened again: nothing else makes directories in their places.
pub(super) fn reopen(file: &Path, scene: &Scene) -> String {
    let place = word(file);
    if file.is_dir() {
        return format!("mv {place} {place}.old");
    }
    let refuses = refusing(file, Access::READ_OK | Access::WRITE_OK).unwrap_or_else(|| file.to_owned());
    take_back(&refuses, scene)
}

/// The first part of a path that the user may not use: a directory on the way, else the path itself.
pub(super) fn refusing(path: &Path, wanted: Access) -> Option<PathBuf> {
    let mut way: Vec<_> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    way.reverse();
    let is_refused = |path: &Path, wanted| access(path, wanted) == Err(Errno::ACCESS);
    let dir = way.into_iter().find(|dir| is_refused(dir, Access::EXEC_OK));
    dir.or_else(|| is_refused(path, wanted).then_some(path)).map(Path::to_owned)
}

/// The command by which the user may use a file or a directory again. What `sudo kage` has made is root's, and
/// only root can give it back.
pub(super) fn take_back(path: &Path, scene: &Scene) -> String {
    let place = word(path);
    let (whole, bits) = if path.is_dir() { ("-R ", "rwx") } else { ("", "rw") };
    if is_own(path) {
        return format!("chmod u+{bits} {place}");
    }
    let user = match scene.shell() {
        Some(Shell::Fish) => "(id -un)",
        _ => "\"$(id -un)\"",
    };
    format!("sudo chown {whole}{user} {place}")
}

pub(super) fn is_own(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|known| known.uid() == geteuid().as_raw())
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
