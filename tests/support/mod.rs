//! What every suite needs: a sandbox with its own home, calls of kage in it, and checks of the output.

// Each suite uses its part, and a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::wrong_self_convention)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

#[path = "state.rs"]
mod state;

/// A fresh home with nothing in its environment but PATH, HOME, a UTF-8 locale and UTC.
pub struct Sandbox {
    dir: TempDir,
    zone: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kage-test-").tempdir().unwrap();
        // On macOS the temporary directory is below a link. Agents name directories by their real path.
        let sandbox = Self { dir, zone: "UTC".into() };
        for inside in ["home", "bin", "work"] {
            fs::create_dir(sandbox.path(inside)).unwrap();
        }
        sandbox
    }

    /// The same sandbox in a zone where it is before noon, so that the day does not end soon.
    pub fn in_the_morning(mut self) -> Self {
        let hour = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
        // The sign is inverted: `Etc/GMT+3` is three hours west of Greenwich.
        self.zone = if hour < 12 { "UTC".into() } else { format!("Etc/GMT+{}", hour - 11) };
        self
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// A path in the sandbox: `home/...`, `bin/...` (on PATH), `work` (the working directory of kage).
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(inside)
    }

    pub fn write(&self, inside: &str, text: &str) -> PathBuf {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    pub fn config(&self, text: &str) -> &Self {
        self.write(CONFIG, text);
        self
    }

    /// An executable on the sandbox's PATH.
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(&format!("bin/{name}"), text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Installs kage's built-in stand-in agent as `claude` on PATH.
    pub fn stand_in_claude(&self) -> &Self {
        self.program("claude", &format!("#!/bin/sh\nexec '{}' stand-in-agent \"$@\"\n", kage().display()));
        self
    }

    /// Adds a subscription whose secret is in the encrypted file. The token carries the name.
    pub fn add(&self, name: &str, flags: &[&str]) -> &Self {
        self.add_with(name, &format!("{name}--ok"), flags)
    }

    /// Like `add`, with a token that ends in `tail`. Stand-ins choose their behavior by it.
    pub fn add_with(&self, name: &str, tail: &str, flags: &[&str]) -> &Self {
        let add =
            ["subscription", "add", name, "--credential", "file"].into_iter().chain(flags.iter().copied());
        self.kage(add).stdin(&token(tail)).run().success();
        self
    }

    /// kage with these arguments, in `work`.
    pub fn kage<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call {
        self.call(&kage(), args)
    }

    /// Any program in the sandbox's environment.
    pub fn call<S: AsRef<OsStr>>(&self, program: &Path, args: impl IntoIterator<Item = S>) -> Call {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("bin").display());
        command.env_clear().env("PATH", path).env("HOME", self.path("home"));
        command.env("LANG", "C.UTF-8").env("TZ", &self.zone).current_dir(self.path("work")).args(args);
        Call { command, stdin: None }
    }

    /// The state as JSON: the last complete `state.json` with the changes of `state.log` applied.
    pub fn state(&self) -> serde_json::Value {
        let read = |name: &str| self.read(&format!("home/.local/state/kage/{name}"));
        let mut whole: serde_json::Value = serde_json::from_str(&read("state.json")).unwrap_or_default();
        let log = read("state.log");
        let mut lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut changes = lines.by_ref().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        if changes.next().is_some_and(|head| !head["of"].is_null() && head["of"] == whole["id"]) {
            changes.for_each(|change| state::apply(&change, &mut whole["state"]));
        }
        whole["state"].take()
    }

    /// Every line of the ledger. A line that is not JSON fails the test.
    pub fn ledger(&self) -> Vec<serde_json::Value> {
        let months = fs::read_dir(self.path("home/.local/state/kage/usage")).into_iter().flatten().flatten();
        let months =
            months.map(|month| month.path()).filter(|path| path.extension().is_some_and(|is| is == "jsonl"));
        let text: String = months.map(|month| fs::read_to_string(month).unwrap()).collect();
        let row =
            |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why} in the ledger: {line}"));
        text.lines().map(row).collect()
    }

    /// `kage status --json`.
    pub fn status(&self) -> serde_json::Value {
        let shown = self.kage(["status", "--json"]).run().success();
        serde_json::from_str(&shown.stdout()).unwrap()
    }

    /// One subscription in `kage status --json`.
    pub fn status_of(&self, name: &str) -> serde_json::Value {
        let all = self.status();
        let found = all["subscriptions"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no `{name}` in {all:#}"))
    }
}

/// The path of the config in the sandbox.
pub const CONFIG: &str = "home/.config/kage/config.toml";

/// A sandbox with two subscriptions.
pub fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work-premium", &["--priority", "150", "--tags", "backend"]);
    sandbox.add("personal", &["--priority", "50"]);
    sandbox
}

/// An invented token. Its end selects the behavior of a stand-in.
pub fn token(tail: &str) -> String {
    format!("sk-ant-oat01-invented-{tail}")
}

/// Returns `part` and checks that the README or a page in docs/ contains it literally.
pub fn documented(part: &str) -> &str {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let is_there = |page: PathBuf| fs::read_to_string(page).unwrap().contains(part);
    assert!(pages.chain([root.join("README.md")]).any(is_there), "no page says: {part}");
    part
}

/// The program under test.
pub fn kage() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kage"))
}

/// Copies the program under test to `to`. Another process (`cp`) writes the file: if this process had it open
/// for writing, a child that another test forks at that time would inherit the open file, and the copy could
/// not be executed (`ETXTBSY`).
pub fn copy_kage(to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg(kage()).arg(to).status().unwrap().success());
}

/// A command that is about to run.
pub struct Call {
    pub command: Command,
    stdin: Option<Vec<u8>>,
}

impl Call {
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.as_bytes().to_vec());
        self
    }

    pub fn run(self) -> Ran {
        let shown = format!("{:?}", self.command);
        let mut command = assert_cmd::Command::from_std(self.command);
        let output = command.write_stdin(self.stdin.unwrap_or_default()).output();
        Ran { output: output.unwrap_or_else(|why| panic!("could not run {shown}: {why}")), shown }
    }
}

/// The result of a command.
pub struct Ran {
    pub output: Output,
    shown: String,
}

impl Ran {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn status(self, expected: i32) -> Self {
        let got = self.output.status.code();
        assert_eq!(got, Some(expected), "{}\n{}{}", self.shown, self.stdout(), self.stderr());
        self
    }

    pub fn success(self) -> Self {
        self.status(0)
    }

    /// Standard output, exactly.
    pub fn prints(self, expected: &str) -> Self {
        assert_eq!(self.stdout(), expected, "{}\n{}", self.shown, self.stderr());
        self
    }

    /// Standard error, exactly.
    pub fn says(self, expected: &str) -> Self {
        assert_eq!(self.stderr(), expected, "{}", self.shown);
        self
    }

    /// Standard error contains `part`.
    pub fn mentions(self, part: &str) -> Self {
        assert!(self.stderr().contains(part), "{}\nno `{part}` in: {}", self.shown, self.stderr());
        self
    }

    /// Standard error is one message and one hint, as for every refusal.
    pub fn is_one_line_and_a_hint(self) -> Self {
        let text = self.stderr();
        let lines: Vec<_> = text.lines().collect();
        let fits =
            matches!(lines[..], [line, hint] if line.starts_with("kage: ") && hint.starts_with("hint: "));
        assert!(fits, "{}\n{text}", self.shown);
        self
    }
}

/// Whether all programs are installed. A missing one fails the test under CI and is reported elsewhere.
pub fn has_all(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| which(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    missing_is_failure(&format!("{missing:?} not installed; bash tests/run.sh installs what is needed"));
    false
}

/// The directory of the agents: where `bash tests/run.sh` installs them, or the one that `tests/agents.sh` names.
pub fn agents() -> PathBuf {
    let pinned = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin");
    std::env::var_os("KAGE_TEST_AGENTS").map_or_else(pinned, PathBuf::from)
}

/// Reports what is missing. Under CI this is a failure.
pub fn missing_is_failure(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what}");
    eprintln!("SKIPPED: {what}");
}

fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

/// Waits until a condition holds, for at most 30 seconds.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 30, "timed out waiting for: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
