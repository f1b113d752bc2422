//! The command that opens a file at a line in the user's editor. Called for hints and for the fixes of the
//! doctor.

use std::env;
use std::path::Path;

use crate::text::quoted;

/// Editors that do not support `+LINE`, and the flag before `FILE:LINE` that they take instead.
const OTHERS: [(&str, &str); 7] = [
    ("code", "--goto "),
    ("code-insiders", "--goto "),
    ("codium", "--goto "),
    ("cursor", "--goto "),
    ("hx", ""),
    ("subl", ""),
    ("zed", ""),
];

/// The command that opens a file at a line. It contains the name of the editor, because not every shell
/// supports `${EDITOR:-vi}`.
pub(super) fn open_at(file: &Path, line: usize) -> String {
    let named = |name| env::var(name).ok().map(|editor| editor.trim().to_owned());
    let editor = ["VISUAL", "EDITOR"].into_iter().filter_map(named).find(|editor| !editor.is_empty());
    command(editor.as_deref().unwrap_or("vi"), file, line)
}

fn command(editor: &str, file: &Path, line: usize) -> String {
    let program = editor.split_whitespace().next().and_then(|word| word.rsplit('/').next());
    let file = file.display();
    match OTHERS.iter().find(|(other, _)| Some(*other) == program) {
        Some((_, flag)) => format!("{editor} {flag}{}", quoted(&format!("{file}:{line}"))),
        None => format!("{editor} +{line} {}", quoted(&file.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_editor_gets_the_line_in_its_own_syntax() {
        let opened = |editor: &str, file: &str| command(editor, Path::new(file), 12);
        assert_eq!(opened("vi", "/a/b"), "vi +12 /a/b");
        assert_eq!(opened("emacs -nw", "/a b"), "emacs -nw +12 '/a b'");
        assert_eq!(opened("/usr/bin/code --wait", "/a b"), "/usr/bin/code --wait --goto '/a b:12'");
        assert_eq!(opened("hx", "/a"), "hx /a:12");
    }
}
