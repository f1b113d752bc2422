//! The secret of a subscription: text that is wiped when dropped and cannot be printed.

use zeroize::Zeroizing;

/// The variable with kage's own secret: no agent needs it, and no other program that kage starts.
pub const PASSPHRASE: &str = "KAGE_PASSPHRASE";

/// Words in the name of a variable that holds a secret.
const WORDS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];

/// Whether the name of a variable looks like that of a secret.
pub(crate) fn is_name_of_one(variable: &str) -> bool {
    let name = variable.to_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Called before this process has a secret. From then on no other process of the user's can read its memory or its
/// environment, and the system writes no core dump of it. An agent that it starts is as the user has it: `execve`
/// sets this back. Source: `PR_SET_DUMPABLE(2const)`.
pub fn close_process() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel without it leaves the process as any other is.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// A credential. It has no `Debug` and no `Display`; `expose` is for the place that hands it over.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes what was typed, piped or printed: one line, with or without its line break.
    /// The error is a clause about the secret that does not repeat it.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let mut text = Zeroizing::new(String::from_utf8(bytes).map_err(|refused| {
            drop(Zeroizing::new(refused.into_bytes()));
            "it is not text"
        })?);
        while text.ends_with(['\n', '\r', ' ', '\t']) {
            text.pop();
        }
        if text.is_empty() {
            Err("it is empty")
        } else if text.contains(['\n', '\r']) {
            Err("it has more than one line")
        } else if text.chars().any(char::is_control) {
            Err("it has control characters")
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
        assert_eq!(parse("a\u{1b}b"), Err("it has control characters"));
        assert!(Secret::parse(vec![0xff]).is_err());
    }
}
