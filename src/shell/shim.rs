//! A shim: a script under an agent's name that calls kage in its place.
//!
//! Called by `kage shim`, and by whoever looks for the real agent. A script and no link: a link whose kage is
//! gone would be passed over on `PATH` without a word, and the agent would run on the user's own login.

use super::Shell;

/// How each shim begins, and nothing else.
const BEGINNING: &[u8] = b"#!/bin/sh\n# kage shim";

/// The script for an agent's program, and a kage at this path.
pub fn text(kage: &str, program: &str) -> String {
    // Bash quotes as every POSIX shell does.
    let kage = Shell::Bash.quoted(kage);
    include_str!("../../shell/shim.sh").replace("@agent@", program).replace("@kage@", &kage)
}

/// Whether a file that begins like this is a shim, of whichever kage.
pub fn is_shim(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING)
}

/// How much of a file `is_shim` wants to see.
pub const ENOUGH: usize = BEGINNING.len();

/// The kage that a shim calls.
pub fn kage_of(text: &str) -> Option<String> {
    let quoted = text.lines().find_map(|line| line.strip_prefix("kage='"))?.strip_suffix('\'')?;
    Some(quoted.replace(r"'\''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_again_and_tells_its_kage() {
        for kage in ["/opt/kage", "/home/o'brien/my bin/kage"] {
            let text = text(kage, "claude");
            assert!(is_shim(text.as_bytes()), "{text}");
            assert_eq!(kage_of(&text).as_deref(), Some(kage));
            assert!(!text.contains("@agent@") && !text.contains("@kage@"), "{text}");
        }
        for other in ["", "#!/bin/sh\nexec claude # kage shim\n", "#!/bin/sh\n"] {
            assert!(!is_shim(other.as_bytes()), "{other}");
        }
    }
}
