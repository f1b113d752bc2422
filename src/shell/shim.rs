//! A shim: a script with an agent's name that calls kage instead.
//!
//! Called by `kage shim` and by the search for the real agent. It is a script, not a link: the shell would
//! silently skip a link to a removed kage on `PATH`, and the agent would run with the user's own login.

use super::Shell;

/// The beginning of every shim, and of no other file.
const BEGINNING: &[u8] = b"#!/bin/sh\n# kage shim";

/// Returns the script for an agent's program and a kage at this path.
pub fn text(kage: &str, program: &str) -> String {
    // The quoting of bash is valid in every POSIX shell.
    let kage = Shell::Bash.quoted(kage);
    include_str!("../../shell/shim.sh").replace("@agent@", program).replace("@kage@", &kage)
}

/// Whether a file with this beginning is a shim, of any version of kage.
pub fn is_shim(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING)
}

/// The number of bytes that `is_shim` needs.
pub const ENOUGH: usize = BEGINNING.len();

/// The path of the kage that a shim calls.
pub fn kage_of(text: &str) -> Option<String> {
    let quoted = text.lines().find_map(|line| line.strip_prefix("kage='"))?.strip_suffix('\'')?;
    Some(quoted.replace(r"'\''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_recognized_and_its_kage_is_read_from_it() {
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
