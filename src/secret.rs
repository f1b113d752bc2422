//! The secret of a subscription: text that is wiped when dropped and cannot be printed.

use zeroize::Zeroizing;

/// The variable with kage's own secret. Neither agents nor other programs that kage starts need it.
pub const PASSPHRASE: &str = "KAGE_PASSPHRASE";

/// Words in the names of variables that hold secrets.
const WORDS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];

/// Whether the name of a variable suggests that it holds a secret.
pub(crate) fn is_secret_name(variable: &str) -> bool {
    let name = variable.to_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Prevents core dumps. Also prevents other processes of the user from reading the memory and environment of
/// this process. Called before this process reads a secret. `execve` restores the default for an agent that
/// this process starts. Source: `PR_SET_DUMPABLE(2const)`.
pub fn make_undumpable() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // On a kernel that does not support this, the process stays readable like any other.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// A secret. It has no `Debug` and no `Display`; only the code that passes it on calls `expose`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Parses a secret that was typed, piped or printed: one line, with or without its line break.
    /// The error is a clause about the secret that does not repeat it.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let mut text = Zeroizing::new(String::from_utf8(bytes).map_err(|refused| {
            drop(Zeroizing::new(refused.into_bytes()));
            "it is not valid UTF-8"
        })?);
        while text.ends_with(['\n', '\r', ' ', '\t']) {
            text.pop();
        }
        if text.is_empty() {
            Err("it is empty")
        } else if text.contains(['\n', '\r']) {
            Err("it has more than one line")
        } else if text.chars().any(char::is_control) {
            Err("it contains control characters")
        } else {
            Ok(Self(text))
        }
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_of_text() {
        let parse =
            |text: &str| Secret::parse(text.as_bytes().to_vec()).map(|secret| secret.expose().to_owned());
        assert_eq!(parse("sk-1\n"), Ok("sk-1".into()));
        assert_eq!(parse("\r\n"), Err("it is empty"));
        assert_eq!(parse("a\nb"), Err("it has more than one line"));
        assert_eq!(parse("a\u{1b}b"), Err("it contains control characters"));
        assert!(Secret::parse(vec![0xff]).is_err());
    }
}
