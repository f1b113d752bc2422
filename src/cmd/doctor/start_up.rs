//! The start-up files of the shells, and the lines in them that concern kage.

use std::fs;
use std::path::{Path, PathBuf};

use super::Scene;

/// A start-up file that is there.
pub(super) struct StartUp {
    pub(super) shell: &'static str,
    pub(super) file: PathBuf,
    text: String,
}

/// A line that calls `kage init`.
pub(super) struct Call {
    /// Counted from 1.
    pub(super) line: usize,
    /// The kage that it names: a path, or the name alone.
    pub(super) kage: PathBuf,
}

/// Those of the three shells for which kage has functions.
pub(super) fn files(scene: &Scene) -> Vec<StartUp> {
    let home = &scene.paths.home;
    let zsh = scene.variable("ZDOTDIR").map_or_else(|| home.clone(), PathBuf::from);
    let fish = scene.xdg("XDG_CONFIG_HOME", ".config").join("fish/config.fish");
    let all = [
        ("bash", home.join(".bashrc")),
        ("bash", home.join(".bash_aliases")),
        ("zsh", zsh.join(".zshrc")),
        ("fish", fish),
    ];
    let read = all.into_iter().filter_map(|(shell, file)| {
        let text = String::from_utf8_lossy(&fs::read(&file).ok()?).into_owned();
        Some(StartUp { shell, file, text })
    });
    read.collect()
}

impl StartUp {
    /// The lines that are no comments, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with('#'))
    }

    /// The lines by which the shell gets kage's functions.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.lines().filter_map(|(line, text)| Some(Call { line, kage: called(text, self.shell)? })).collect()
    }

    /// Whether the user has a function or an alias that starts agents through kage.
    pub(super) fn has_own(&self) -> bool {
        self.lines().any(|(_, line)| line.contains("kage exec "))
    }

    /// The line of an alias for a program that goes past kage.
    pub(super) fn alias(&self, program: &str) -> Option<usize> {
        let is_alias = |line: &str| {
            let name = line.strip_prefix("alias ").map(|rest| rest.trim_start().trim_start_matches("-- "));
            name.and_then(|name| name.strip_prefix(program))
                .is_some_and(|rest| rest.starts_with(['=', ' ']) && !rest.contains("kage"))
        };
        self.lines().find(|(_, line)| is_alias(line)).map(|(at, _)| at)
    }
}

/// The kage in front of `init SHELL`.
fn called(line: &str, shell: &str) -> Option<PathBuf> {
    let behind = |at: usize| line[at..].chars().next().is_none_or(|next| !next.is_ascii_alphanumeric());
    let at = line.match_indices(&format!(" init {shell}")).find_map(|(at, found)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        (before.ends_with("kage") && behind(at + found.len())).then_some(at)
    })?;
    let before = &line[..at];
    let word = match before.chars().next_back() {
        Some(quote @ ('"' | '\'')) => before[..before.len() - 1].rsplit(quote).next().unwrap_or_default(),
        _ => before.rsplit([' ', '\t', '(', '<', '`', '"', '\'', ';', '&', '|']).next().unwrap_or_default(),
    };
    (Path::new(word).file_name()? == "kage").then(|| PathBuf::from(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_calls_kage_init_is_known_in_its_many_forms() {
        let path = |text: &str| Some(PathBuf::from(text));
        for (line, shell, kage) in [
            (r#"eval "$(kage init zsh)""#, "zsh", path("kage")),
            (r#"eval "$('/opt/my tools/kage' init bash)""#, "bash", path("/opt/my tools/kage")),
            (r#"eval "$(/usr/bin/kage init bash --no-x)""#, "bash", path("/usr/bin/kage")),
            ("kage init fish | source", "fish", path("kage")),
            ("command -v kage >/dev/null && source <(kage init zsh)", "zsh", path("kage")),
            ("kage init bash", "zsh", None),
            ("kage init zshx", "zsh", None),
            ("notkage init zsh", "zsh", None),
            ("alias k=kage", "zsh", None),
        ] {
            assert_eq!(called(line, shell), kage, "{line}");
        }
    }

    #[test]
    fn an_alias_counts_where_it_goes_past_kage() {
        let alias =
            |text: &str| StartUp { shell: "bash", file: PathBuf::new(), text: text.into() }.alias("claude");
        assert_eq!(alias("a\nalias claude=/opt/claude\n"), Some(2));
        assert_eq!(alias("alias claude 'command claude'"), Some(1));
        for other in ["# alias claude=x", "alias claude='kage exec -- claude'", "alias claude2=x", "claude=x"]
        {
            assert_eq!(alias(other), None, "{other}");
        }
    }
}
