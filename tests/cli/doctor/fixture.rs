//! A home without problems. A test creates a problem in it and then runs the fix exactly as the doctor prints
//! it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{CONFIG, Call, Sandbox, has_all, kage};

/// An agent that prints its version, updates itself, logs in, and fails at everything else.
const CLAUDE: &str = r#"#!/bin/sh
version=2.1.332
case "$1" in
--version) echo "$version (Claude Code)" ;;
update) sed -i 's/^version=.*/version=2.1.331/' "$0" ;;
/login) mkdir -p "$CLAUDE_CONFIG_DIR" && touch "$CLAUDE_CONFIG_DIR/.credentials.json" ;;
*) echo 'Not logged in · Please run /login'; exit 1 ;;
esac
"#;
/// An editor that runs the sed command in `EDIT` on the line at which it is opened, or else deletes that
/// line.
const EDITOR: &str = "#!/bin/sh\nsed -i \"${1#+}${EDIT:-d}\" \"$2\"\n";
const BASHRC: &str = "# mine\neval \"$(kage init bash)\"\n";

pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    variables: Vec<(String, String)>,
    is_unprivileged: bool,
    doctor: Option<String>,
}

impl Fixture {
    /// A pool of one subscription with its secret in the file; the agent, the editor and kage in `PATH`.
    pub(crate) fn healthy() -> Self {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]);
        let fixture = Self { sandbox, variables: Vec::new(), is_unprivileged: false, doctor: None };
        fixture.install_claude();
        fixture.sandbox.program("editor", EDITOR);
        std::os::unix::fs::symlink(kage(), fixture.sandbox.path("bin/kage")).unwrap();
        fixture.sandbox.write("home/.bashrc", BASHRC);
        fixture.sandbox.write("home/.profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n");
        fixture.with("EDITOR", "editor").with("SHELL", "/bin/bash")
    }

    /// Makes this the user's shell. The fixes run in it.
    pub(crate) fn in_shell(self, shell: &str) -> Self {
        fs::remove_file(self.sandbox.path("home/.bashrc")).unwrap();
        match shell {
            "fish" => self.sandbox.write("home/.config/fish/config.fish", "kage init fish | source\n"),
            "zsh" => self.sandbox.write("home/.zshrc", "eval \"$(kage init zsh)\"\n"),
            other => panic!("the fixture has no start-up file for {other}"),
        };
        self.with("SHELL", format!("/usr/bin/{shell}"))
    }

    /// Runs this kage as the doctor instead of the first one in `PATH`.
    pub(crate) fn with_doctor(mut self, kage: &Path) -> Self {
        self.doctor = Some(kage.display().to_string());
        self
    }

    /// The program of the user's shell, or `bash` if that shell is not supported or not installed.
    fn shell(&self) -> &str {
        let shell = self.variables.iter().rev().find(|(name, _)| name == "SHELL");
        let name = shell.and_then(|(_, path)| path.rsplit('/').next());
        name.filter(|name| ["zsh", "fish"].contains(name) && has_all(&[name])).unwrap_or("bash")
    }

    pub(crate) fn install_claude(&self) -> PathBuf {
        self.sandbox.program("claude", CLAUDE)
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_str().unwrap().to_owned()));
        self
    }

    /// Runs the doctor as a user who is bound by permissions, even if root runs the tests.
    pub(crate) fn unprivileged(mut self) -> Self {
        if rustix::process::getuid().is_root() && !self.is_unprivileged {
            fs::remove_file(self.sandbox.path("bin/kage")).unwrap();
            fs::copy(kage(), self.sandbox.path("bin/kage")).unwrap();
            self.is_unprivileged = true;
            self.chown_to_user();
        }
        self
    }

    /// Like `unprivileged`, but root owns this path, as after `sudo kage`. `None` if the tests do not run as
    /// root.
    pub(crate) fn unprivileged_except(self, inside: &str) -> Option<Self> {
        let is_root = rustix::process::getuid().is_root();
        is_root.then(|| {
            let fixture = self.unprivileged();
            fixture.chown(inside, "0:0");
            fixture
        })
    }

    /// Gives the whole sandbox to the unprivileged user.
    pub(crate) fn chown_to_user(&self) {
        if self.is_unprivileged {
            self.chown("", "65534:65534");
        }
    }

    /// Changes the owner of a path and of everything below it, as `sudo chown -R` does.
    pub(crate) fn chown(&self, inside: &str, owner: &str) {
        let path = self.sandbox.path(inside);
        self.sandbox
            .call("chown".as_ref(), ["-R".as_ref(), owner.as_ref(), path.as_os_str()])
            .run()
            .success();
    }

    /// Changes the owner of a directory without its contents.
    pub(crate) fn chown_one(&self, inside: &str, owner: &str) {
        let path = self.sandbox.path(inside);
        self.sandbox.call("chown".as_ref(), [owner.as_ref(), path.as_os_str()]).run().success();
    }

    /// Adds lines to the config.
    pub(crate) fn config(&self, lines: &str) -> &Self {
        let text = self.sandbox.read(CONFIG);
        self.sandbox.config(&format!("{text}\n{lines}\n"));
        self
    }

    pub(crate) fn mode(&self, inside: &str, mode: u32) -> &Self {
        fs::set_permissions(self.sandbox.path(inside), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn sh(&self, script: &str) -> Call {
        let call = if self.is_unprivileged {
            let words = ["--reuid=65534", "--regid=65534", "--clear-groups", self.shell(), "-c", script];
            self.sandbox.call("setpriv".as_ref(), words)
        } else {
            self.sandbox.call(self.shell().as_ref(), ["-c", script])
        };
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// Returns the findings of `kage doctor`. Checks that they agree with its exit status.
    pub(crate) fn findings(&self) -> Findings {
        self.after("", "", "d")
    }

    /// Returns the findings after a command in the same shell.
    fn after(&self, command: &str, stdin: &str, edit: &str) -> Findings {
        let command = if command.is_empty() { ":" } else { command };
        let kage = self.doctor.as_deref().unwrap_or("kage");
        let script = match self.shell() {
            "fish" => format!("begin; {command}\nend >&2 && {kage} doctor --json"),
            _ => format!("{{ {command}\n}} >&2 && {kage} doctor --json"),
        };
        let ran = self.sh(&script).env("EDIT", edit).stdin(stdin).run();
        assert!(command != ":" || ran.stderr().is_empty(), "{}", ran.stderr());
        let read = serde_json::from_str::<Value>(&ran.stdout());
        let read =
            read.unwrap_or_else(|why| panic!("{why} after `{command}`: {}{}", ran.stdout(), ran.stderr()));
        assert_eq!(read["schema"], 1);
        let findings = Findings(read["findings"].as_array().unwrap().clone());
        let worst = findings.0.iter().map(|one| match one["severity"].as_str() {
            Some("ok") => 0,
            Some("warning") => 1,
            Some("error") => 2,
            other => panic!("{other:?} is no severity"),
        });
        let worst = worst.max().unwrap();
        ran.status(worst);
        findings
    }

    /// Checks that there is exactly one problem, with this severity and code.
    pub(crate) fn finds(&self, severity: &str, code: &str) -> Problem<'_> {
        let found = self.findings();
        let problems = found.problems();
        let [problem] = problems[..] else { panic!("expected `{code}` alone: {problems:#?}") };
        assert_eq!((&problem["severity"], &problem["code"]), (&severity.into(), &code.into()), "{problem:#}");
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let (message, fix) = (text("message"), text("fix"));
        assert!(!fix.is_empty() && !message.contains('\n') && !fix.contains('\n'), "{problem:#}");
        Problem { fixture: self, message, fix }
    }

    pub(crate) fn assert_no_problems(&self) {
        self.findings().assert_no_problems("in the fixture");
    }
}

/// All findings.
pub(crate) struct Findings(pub(crate) Vec<Value>);

impl Findings {
    pub(crate) fn problems(&self) -> Vec<&Value> {
        self.0.iter().filter(|one| one["severity"] != "ok").collect()
    }

    pub(crate) fn assert_no_problems(&self, context: &str) {
        let problems = self.problems();
        assert!(problems.is_empty(), "problems {context}: {problems:#?}");
        assert!(self.0.iter().all(|one| one["fix"].is_null()), "{:#?}", self.0);
    }

    pub(crate) fn message(&self, code: &str) -> String {
        let found = self.0.iter().find(|one| one["code"] == code);
        found.unwrap_or_else(|| panic!("no `{code}` in {:#?}", self.0))["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// A problem with its fix.
pub(crate) struct Problem<'a> {
    fixture: &'a Fixture,
    pub(crate) message: String,
    pub(crate) fix: String,
}

impl Problem<'_> {
    /// Checks that the message contains this.
    pub(crate) fn mentions(self, part: &str) -> Self {
        assert!(self.message.contains(part), "no `{part}` in: {}", self.message);
        self
    }

    /// Checks that the fix is exactly this command.
    pub(crate) fn has_fix(self, fix: &str) -> Self {
        assert_eq!(self.fix, fix);
        self
    }

    /// Runs the fix, and checks that no problem remains.
    pub(crate) fn apply_fix(self) {
        self.run_fix("", "d");
    }

    /// Like `apply_fix`, for a fix that asks for a secret.
    pub(crate) fn apply_fix_with(self, secret: &str) {
        self.run_fix(secret, "d");
    }

    /// Like `apply_fix`, for a fix that opens an editor. This sed command changes the line.
    pub(crate) fn apply_fix_by_editing(self, sed: &str) {
        assert!(self.fix.starts_with("editor +"), "{}", self.fix);
        self.run_fix("", sed);
    }

    /// For a fix that would use the network or change the machine: `apply` does the same in the sandbox.
    pub(crate) fn fix_manually(self, apply: impl FnOnce(&Fixture)) {
        apply(self.fixture);
        self.fixture.findings().assert_no_problems("after the manual fix");
    }

    fn run_fix(self, stdin: &str, edit: &str) {
        self.fixture.after(&self.fix, stdin, edit).assert_no_problems(&format!("after `{}`", self.fix));
    }
}
