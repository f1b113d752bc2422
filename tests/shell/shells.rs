//! `kage init` in real shells at a terminal: the functions, what they pass on, and the line in a start-up file.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod files;
mod functions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Sandbox, copy_kage, has_all, kage, pool, readme};
use crate::tmux::{Pane, Tmux};

/// A shell, as its user starts it and writes in it.
struct Shell {
    name: &'static str,
    start_up_file: &'static str,
    /// Before the integration: options that break careless scripts, aliases, and the prompt that tests wait for.
    strict: &'static str,
    /// After it: an interactive shell that ends at the first failure is of no use.
    calm: &'static str,
    status: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell {
        name: "bash",
        start_up_file: "home/.bashrc",
        strict: "set -euo pipefail\nPS1='ready> '\nalias claude='claude'\n",
        calm: "set +e\n",
        status: "$?",
    },
    Shell {
        name: "zsh",
        start_up_file: "home/.zshrc",
        strict: "setopt err_exit no_unset pipe_fail warn_create_global extended_glob interactive_comments\n\
                 PS1='ready> '\nalias claude='claude'\nalias -g -- --help='--help | cat'\nalias -g -- -h='-h | cat'\n",
        calm: "unsetopt err_exit\n",
        status: "$?",
    },
    Shell {
        name: "fish",
        start_up_file: "home/.config/fish/config.fish",
        strict: "set -g fish_greeting\nfunction fish_prompt\n    echo -n 'ready> '\nend\n",
        calm: "",
        status: "$status",
    },
];

impl Shell {
    fn all() -> impl Iterator<Item = &'static Self> {
        SHELLS.iter().filter(|shell| has_all(&[shell.name]))
    }

    /// What a user writes by hand, from the README.
    fn line(&self) -> String {
        let line = match self.name {
            "fish" => readme("kage init fish | source").to_owned(),
            name => readme("eval \"$(kage init zsh)\"").replace("zsh", name),
        };
        format!("{line}\n")
    }

    /// A start-up file that loads kage as often as `lines` says.
    fn sets_up(&self, sandbox: &Sandbox, lines: &str) {
        sandbox.write(self.start_up_file, &format!("{}{lines}{}", self.strict, self.calm));
    }

    /// One word, for this shell.
    fn quoted(&self, word: &str) -> String {
        match self.name {
            "fish" => format!("'{}'", word.replace('\\', r"\\").replace('\'', r"\'")),
            _ => format!("'{}'", word.replace('\'', r"'\''")),
        }
    }

    /// What `kage init` prints.
    fn rendered(&self, sandbox: &Sandbox, flags: &[&str]) -> String {
        sandbox.kage(["init", self.name].iter().chain(flags)).run().success().says("").stdout()
    }
}

/// Two accounts of claude, one of an agent that gets no arguments from kage, and kage on PATH. The agents say on
/// which subscription they run.
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

/// A program of the suite's own that looks at a text, such as shellcheck.
fn approves(program: &str, flags: &[&str], file: &Path) {
    let ran = Command::new(program).args(flags).arg(file).output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ran.status.success(), "{program} {flags:?}: {said}\n{}", fs::read_to_string(file).unwrap());
}

/// A kage whose path is hard to quote.
fn oddly_placed(sandbox: &Sandbox) -> PathBuf {
    let odd = sandbox.path("it's a \"$HOME\" *dir/kage");
    copy_kage(&odd);
    odd
}

fn pane<'a>(tmux: &'a Tmux, shell: &Shell) -> Pane<'a> {
    tmux.window(&[shell.name])
}
