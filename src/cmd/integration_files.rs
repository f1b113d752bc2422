//! The files of other programs that call kage, and how to recognize the lines that call it. `init` writes
//! these lines, `doctor` checks them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::probe::{Answer, ask, withheld_variables};
use crate::paths::Paths;
use crate::shell::Shell;

/// The file that an interactive shell reads. Sources: bash(1), zsh(1) and fish's documentation.
pub(super) fn start_up_file(shell: Shell, paths: &Paths) -> PathBuf {
    match shell {
        Shell::Bash => paths.home.join(".bashrc"),
        Shell::Zsh => named("ZDOTDIR").unwrap_or_else(|| zsh_dir(paths)).join(".zshrc"),
        Shell::Fish => user_config(paths).join("fish/config.fish"),
    }
}

/// The directory of zsh's start-up files. A file that zsh reads earlier may set ZDOTDIR without exporting it.
/// Only zsh can evaluate that file, so zsh is asked.
fn zsh_dir(paths: &Paths) -> PathBuf {
    let earlier = [paths.home.join(".zshenv"), "/etc/zsh/zshenv".into(), "/etc/zshenv".into()];
    let sets_dir =
        |file: &PathBuf| fs::read(file).is_ok_and(|text| text.windows(7).any(|word| word == b"ZDOTDIR"));
    if earlier.iter().any(sets_dir)
        && let Answer::Said(dir) =
            ask(Path::new("zsh"), &["-c", "print -r -- ${ZDOTDIR:-$HOME}"], &withheld_variables(paths))
        && Path::new(&dir).is_absolute()
    {
        return dir.into();
    }
    paths.home.clone()
}

/// A line that makes a login shell of bash read `.bashrc`.
pub(super) const READ_BASHRC: &str = "[ -f ~/.bashrc ] && . ~/.bashrc";

/// The file that a login shell of bash reads instead of `.bashrc`, or `None` if that file reads `.bashrc`.
/// Login shells run in tmux, over ssh and in the terminal of macOS. Source: bash(1), INVOCATION.
pub(super) fn login_file_without_bashrc(paths: &Paths) -> Option<PathBuf> {
    let all = [".bash_profile", ".bash_login", ".profile"].map(|name| paths.home.join(name));
    let Some(file) = all.iter().find(|file| file.is_file()) else { return Some(all[0].clone()) };
    let text = String::from_utf8_lossy(&fs::read(file).ok()?).into_owned();
    let is_enough = |line: &str| line.contains("bashrc") || called_kage(line, "init bash").is_some();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    (!lines.any(is_enough)).then(|| file.clone())
}

/// The config file of tmux: the older path if it exists, otherwise the path that tmux has read since 3.1.
/// Source: tmux(1).
pub(super) fn tmux_conf(paths: &Paths) -> PathBuf {
    let older = paths.home.join(".tmux.conf");
    if older.exists() { older } else { user_config(paths).join("tmux/tmux.conf") }
}

/// kage's file in the directory from which direnv reads extensions. Source: direnv-stdlib(1), and the
/// beginning of `direnv stdlib`.
pub(super) fn direnv_file(paths: &Paths) -> PathBuf {
    named("DIRENV_CONFIG").unwrap_or_else(|| user_config(paths).join("direnv")).join("lib/kage.sh")
}

/// Whether a file exists and is executable.
pub(super) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}

fn user_config(paths: &Paths) -> PathBuf {
    let config = named("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    config.unwrap_or_else(|| paths.home.join(".config"))
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the kage that a line calls with these arguments (`init zsh`): a path or just the name. `init`
/// without a shell is for the shell that reads the line. A comment calls nothing.
pub(super) fn called_kage(line: &str, words: &str) -> Option<PathBuf> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let at = call_of(line, words).or_else(|| call_of(line, "init").filter(|_| words != "init tmux"))?;
    let before = &line[..at];
    let word = match before.chars().next_back() {
        Some(quote @ ('"' | '\'')) => before[..before.len() - 1].rsplit(quote).next().unwrap_or_default(),
        _ => before.rsplit([' ', '\t', '(', '<', '`', '"', '\'', ';', '&', '|']).next().unwrap_or_default(),
    };
    (Path::new(word).file_name()? == "kage").then(|| PathBuf::from(word))
}

/// The position of these arguments after `kage`. `init` followed by another word is a different call.
fn call_of(line: &str, words: &str) -> Option<usize> {
    let ends = |rest: &str| {
        let rest = if words == "init" { rest.trim_start() } else { rest };
        rest.chars().next().is_none_or(|next| !next.is_ascii_alphanumeric())
    };
    line.match_indices(&format!(" {words}")).find_map(|(at, found)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        (before.ends_with("kage") && ends(&line[at + found.len()..])).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_calls_kage_is_recognized_in_all_its_forms() {
        let path = |text: &str| Some(PathBuf::from(text));
        for (line, words, kage) in [
            (r#"eval "$(kage init zsh)""#, "init zsh", path("kage")),
            (r#"eval "$('/opt/my tools/kage' init bash)""#, "init bash", path("/opt/my tools/kage")),
            (r#"eval "$(/usr/bin/kage init bash --no-x)""#, "init bash", path("/usr/bin/kage")),
            ("kage init fish | source", "init fish", path("kage")),
            ("command -v kage >/dev/null && source <(kage init zsh)", "init zsh", path("kage")),
            (r#"run-shell "'/opt/kage' init tmux | sh""#, "init tmux", path("/opt/kage")),
            (r#""$HOME/bin/kage" init zsh | source"#, "init zsh", path("$HOME/bin/kage")),
            (r#"eval "$(kage init)""#, "init zsh", path("kage")),
            ("kage init | source", "init fish", path("kage")),
            ("eval \"$(kage init --alias claude)\"", "init bash", path("kage")),
            ("run-shell 'kage init | sh'", "init tmux", None),
            ("kage init bash", "init zsh", None),
            ("kage init zshx", "init zsh", None),
            ("notkage init zsh", "init zsh", None),
            ("  # kage init zsh", "init zsh", None),
            ("alias k=kage", "init zsh", None),
        ] {
            assert_eq!(called_kage(line, words), kage, "{line}");
        }
    }
}
