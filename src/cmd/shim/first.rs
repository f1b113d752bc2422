//! Whether a shell finds a shim first on PATH, and the start-up line that ensures it.

use std::env;
use std::path::Path;

use crate::paths::Paths;
use crate::shell::Shell;

/// Whether a program's name is found first in the directory of the shims. PATH may name it through a link.
pub(super) fn is_first(program: &str, shims: &Path) -> bool {
    let found = which::which_all(program).into_iter().flatten().next();
    let dir = found.as_deref().and_then(Path::parent).and_then(|dir| dir.canonicalize().ok());
    dir.is_some() && dir == shims.canonicalize().ok()
}

/// The line for the start-up file of the user's shell.
pub(super) fn line_for_start_up_file(paths: &Paths) -> String {
    let shell = env::var_os("SHELL").unwrap_or_default();
    let is_fish = Path::new(&shell).file_name().is_some_and(|name| name == "fish");
    let dir = paths.shims.to_string_lossy();
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "/._-+ ".contains(c));
    let below_home = paths.shims.strip_prefix(&paths.home).ok().and_then(Path::to_str);
    let below_home = below_home.filter(|rest| plain(rest)).map(|rest| format!("$HOME/{rest}"));
    if is_fish {
        let dir = below_home.map_or_else(|| Shell::Fish.quoted(&dir), |dir| format!("\"{dir}\""));
        // `--move` puts it first even if PATH already contains it, as in a shell started from another shell.
        return format!("fish_add_path --path --move --prepend {dir}");
    }
    match below_home {
        Some(dir) => format!("export PATH=\"{dir}:$PATH\""),
        None => format!("export PATH={}:\"$PATH\"", Shell::Bash.quoted(&dir)),
    }
}
