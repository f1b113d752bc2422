//! `kage demo`: shows a failover in a temporary home, with invented subscriptions. Each step runs the real
//! command with this program; only the agent is a stand-in.

mod agent;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::report;

pub(super) use agent::run as stand_in_agent;

const SUBSCRIPTIONS: [(&str, &str, &[&str]); 3] = [
    ("work-premium", "sk-ant-oat01-demo-work-premium--429five", &["--priority", "150", "--tags", "backend"]),
    ("work-basic", "sk-ant-oat01-demo-work-basic--ok", &["--priority", "100", "--tags", "backend"]),
    ("personal", "sk-ant-oat01-demo-personal--ok", &["--priority", "50"]),
];

const PROMPT: &str = "Why does the login test fail?";

const NEXT: &str = "
The demo is finished, and its temporary home is deleted. To use kage with your own subscriptions:

  kage setup                            # adds the first subscription and sets up your shell
  kage subscription add personal        # once for each other subscription
  kage exec -- claude
";

/// Runs all steps and returns the exit status.
pub(super) fn run() -> Result<i32> {
    let demo = DemoHome::build()?;
    report::print("Three subscriptions. Their secrets are in an encrypted file, not in the config.\n")?;
    for (name, secret, flags) in SUBSCRIPTIONS {
        let words =
            ["subscription", "add", name, "--credential", "file"].into_iter().chain(flags.iter().copied());
        demo.kage(&words.collect::<Vec<_>>(), Some(secret), 0)?;
    }
    report::print("\nRuns in the namespace backend may use only two of them.\n")?;
    let pair = "work-premium,work-basic";
    demo.kage(&["subscription", "route", "--namespace", "backend", "--subscriptions", pair], None, 0)?;
    report::print("\nThe run gets work-premium, which hits its limit. kage continues on the other one.\n")?;
    demo.kage(&["exec", "-n", "backend", "--", "claude", "-p", PROMPT], None, 0)?;
    report::print("\nThe pool at a glance, and which subscription the next run would get.\n")?;
    demo.kage(&["status"], None, 0)?;
    demo.kage(&["why", "-n", "backend"], None, 0)?;
    report::print(NEXT)?;
    Ok(0)
}

/// A temporary home that is removed at the end, and a PATH on which `claude` is the stand-in.
struct DemoHome {
    home: PathBuf,
    kage: PathBuf,
}

impl DemoHome {
    fn build() -> Result<Self> {
        let kage = env::current_exe().context("could not find the path of kage")?;
        let home = env::temp_dir().join(format!("kage-demo-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&home)
            .with_context(|| format!("could not create {}", home.display()))?;
        let demo = Self { home, kage };
        let bin = demo.home.join("bin");
        fs::create_dir(&bin)?;
        let claude = bin.join("claude");
        let quoted = demo.kage.to_string_lossy().replace('\'', r"'\''");
        fs::write(&claude, format!("#!/bin/sh\nexec '{quoted}' stand-in-agent \"$@\"\n"))?;
        fs::set_permissions(&claude, fs::Permissions::from_mode(0o755))?;
        Ok(demo)
    }

    /// Shows a command, runs it, and fails if its exit status is not the expected one.
    fn kage(&self, words: &[&str], stdin: Option<&str>, expected: i32) -> Result<()> {
        report::print(&format!("\n$ kage {}\n", shown(words)))?;
        let mut command = Command::new(&self.kage);
        command.args(words).current_dir(&self.home).env_clear().env("HOME", &self.home);
        command.env("PATH", path_with(&self.home.join("bin")));
        for kept in ["LANG", "LC_ALL", "LC_CTYPE", "TERM", "NO_COLOR", "TZ", "TMPDIR"] {
            command.envs(env::var_os(kept).map(|value| (kept, value)));
        }
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().context("could not start kage")?;
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).context("could not pass the demo's secret to kage")?;
        }
        let status = child.wait().context("could not wait for kage")?;
        if status.code() != Some(expected) {
            bail!("a step of the demo failed ({status}; expected exit status {expected})");
        }
        Ok(())
    }
}

impl Drop for DemoHome {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn path_with(dir: &Path) -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    let dirs = [dir.to_owned()].into_iter().chain(env::split_paths(&rest));
    env::join_paths(dirs).unwrap_or_else(|_| dir.into())
}

/// The command as it would be typed.
fn shown(words: &[&str]) -> String {
    let word = |word: &&str| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
