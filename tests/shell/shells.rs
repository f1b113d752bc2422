//! `kage init` in real shells at a terminal: the functions, their arguments, and the line in a startup file.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod files;
mod functions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Sandbox, copy_kage, documented, has_all, kage, pool};
use crate::tmux::{Pane, Tmux};

/// A shell and its startup file.
struct Shell {
    name: &'static str,
    startup_file: &'static str,
    /// Lines before the integration: options that break careless scripts, aliases, and the prompt that the
    /// tests wait for.
    before: &'static str,
    /// Lines after it: an interactive shell must not exit at the first failure.
    after: &'static str,
    status: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell {
        name: "bash",
        startup_file: "home/.bashrc",
        before: "set -euo pipefail\nPS1='ready> '\nalias claude='claude'\n",
        after: "set +e\n",
        status: "$?",
    },
    Shell {
        name: "zsh",
        startup_file: "home/.zshrc",
        before: "setopt err_exit no_unset pipe_fail warn_create_global extended_glob interactive_comments\n\
                 PS1='ready> '\nalias claude='claude'\nalias -g -- --help='--help | cat'\nalias -g -- -h='-h | cat'\n",
        after: "unsetopt err_exit\n",
        status: "$?",
    },
    Shell {
        name: "fish",
        startup_file: "home/.config/fish/config.fish",
        before: "set -g fish_greeting\nfunction fish_prompt\n    echo -n 'ready> '\nend\n",
        after: "",
        status: "$status",
    },
];

impl Shell {
    fn all() -> impl Iterator<Item = &'static Self> {
        SHELLS.iter().filter(|shell| has_all(&[shell.name]))
    }

    /// The line from the README that a user adds manually.
    fn line(&self) -> String {
        let line = match self.name {
            "fish" => documented("kage init fish | source").to_owned(),
            name => documented("eval \"$(kage init zsh)\"").replace("zsh", name),
        };
        format!("{line}\n")
    }

    /// Writes a startup file with these lines.
    fn set_up(&self, sandbox: &Sandbox, lines: &str) {
        sandbox.write(self.startup_file, &format!("{}{lines}{}", self.before, self.after));
    }

    /// A word quoted for this shell.
    fn quoted(&self, word: &str) -> String {
        match self.name {
            "fish" => format!("'{}'", word.replace('\\', r"\\").replace('\'', r"\'")),
            _ => format!("'{}'", word.replace('\'', r"'\''")),
        }
    }

    /// The output of `kage init`.
    fn rendered(&self, sandbox: &Sandbox, flags: &[&str]) -> String {
        sandbox.kage(["init", self.name].iter().chain(flags)).run().success().says("").stdout()
    }
}

/// Two subscriptions for claude, one for an agent to which kage adds no arguments, and kage on PATH. The
/// agents print the subscription they run on.
fn home() -> Sandbox {
    let sandbox = pool();
    sandbox.write(
        crate::support::CONFIG,
        &format!(
            "{}\n[agents.plain]\ncredential_env = \"PLAIN_KEY\"\n",
            sandbox.read(crate::support::CONFIG)
        ),
    );
    sandbox.add("other", &["--agent", "plain"]);
    std::os::unix::fs::symlink(kage(), sandbox.path("bin/kage")).unwrap();
    sandbox.program("plain", include_str!("shells/plain.sh"));
    sandbox.program(
        "claude",
        "#!/bin/sh\nfor last; do :; done\necho \"claude on ${KAGE_SUBSCRIPTION:-its own login}: ${last-}\"\n",
    );
    sandbox
}

fn tmux(sandbox: &Sandbox) -> Tmux {
    Tmux::start(sandbox.kage(["ps"]), sandbox.path("tmux"))
}

/// Checks a file with a linter such as shellcheck.
fn check_with(program: &str, flags: &[&str], file: &Path) {
    let ran = Command::new(program).args(flags).arg(file).output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ran.status.success(), "{program} {flags:?}: {said}\n{}", fs::read_to_string(file).unwrap());
}

/// A copy of kage at a path that is hard to quote.
fn kage_at_odd_path(sandbox: &Sandbox) -> PathBuf {
    let odd = sandbox.path("it's a \"$HOME\" *dir/kage");
    copy_kage(&odd);
    odd
}

fn pane<'a>(tmux: &'a Tmux, shell: &Shell) -> Pane<'a> {
    tmux.window(&[shell.name])
}
