//! The scripts that teach a shell to ask kage, from the files in shell/.
//!
//! Called by `kage generate`, and by whatever sets up a shell.

/// A shell that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    pub(crate) const ALL: [Self; 5] = [Self::Bash, Self::Zsh, Self::Fish, Self::Elvish, Self::Powershell];

    /// The name by which its own directories of completions know the script.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "kage.bash",
            Self::Zsh => "_kage",
            Self::Fish => "kage.fish",
            Self::Elvish => "kage.elv",
            Self::Powershell => "kage.ps1",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../shell/complete.bash"),
            Self::Zsh => include_str!("../../shell/complete.zsh"),
            Self::Fish => include_str!("../../shell/complete.fish"),
            Self::Elvish => include_str!("../../shell/complete.elv"),
            Self::Powershell => include_str!("../../shell/complete.ps1"),
        }
    }
}

/// Stands in the files for the program that the shell asks.
const PROGRAM: &str = "@KAGE@";

/// The script that makes a shell ask `program` what fits behind `kage`. The program is a word of that shell's
/// language: a path must have been quoted for it.
pub(crate) fn registration(shell: Shell, program: &str) -> String {
    shell.template().replace(PROGRAM, program)
}
