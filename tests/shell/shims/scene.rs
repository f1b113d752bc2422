//! A pool, an agent on PATH, and a shim in front of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::support::{Call, Sandbox};

/// The directory of the shims.
pub(crate) const SHIMS: &str = "home/.local/share/kage/shims";

/// The answer of the stand-in agent.
pub(crate) const ANSWER: &str = "The test compares a local time with UTC; freeze the clock and it passes.\n";

/// An agent that prints its path, arguments, subscription, token and process id.
const PRINTING: &str = r#"#!/bin/sh
printf '%s %s on %s, %s' "$0" "$*" "${KAGE_SUBSCRIPTION:-no subscription}" "${CLAUDE_CODE_OAUTH_TOKEN:-no token}"
echo " $$"
"#;

/// A pool of one, the stand-in agent, and its shim.
pub(crate) fn shimmed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.stand_in_claude();
    install(&sandbox);
    sandbox
}

/// Like `shimmed`, with the agent [`PRINTING`].
pub(crate) fn printing() -> Sandbox {
    let sandbox = shimmed();
    sandbox.program("claude", PRINTING);
    sandbox
}

pub(crate) fn install(sandbox: &Sandbox) {
    sandbox.kage(["shim", "install", "claude"]).run().success();
}

/// A PATH of these directories and those of the system.
pub(crate) fn path(dirs: &[&Path]) -> String {
    let dirs = dirs.iter().map(|dir| dir.to_str().unwrap());
    dirs.chain(["/usr/local/bin", "/usr/bin", "/bin"]).collect::<Vec<_>>().join(":")
}

/// The PATH of a user who has set up the shims.
pub(crate) fn set_up(sandbox: &Sandbox) -> String {
    path(&[&sandbox.path(SHIMS), &sandbox.path("bin")])
}

/// The path of the shim.
pub(crate) fn shim(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(SHIMS).join("claude")
}

/// `claude` as a shell finds it, with these arguments.
pub(crate) fn claude<S: AsRef<OsStr>>(sandbox: &Sandbox, args: impl IntoIterator<Item = S>) -> Call {
    let words = ["-c", "exec claude \"$@\"", "sh"].map(Into::into).into_iter();
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    sandbox.call(Path::new("/bin/sh"), words.chain(args)).env("PATH", set_up(sandbox))
}
