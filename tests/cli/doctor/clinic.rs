//! A home in which all is well, until a test plants a fault; and the mend, typed as the doctor says it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{CONFIG, Call, Sandbox, has_all, kage};

/// An agent that tells its version, learns a newer one, logs in, and is refused all else.
const CLAUDE: &str = r#"#!/bin/sh
version=2.1.330
case "$1" in
--version) echo "$version (Claude Code)" ;;
update) sed -i 's/^version=.*/version=2.1.331/' "$0" ;;
/login) mkdir -p "$CLAUDE_CONFIG_DIR" && touch "$CLAUDE_CONFIG_DIR/.credentials.json" ;;
*) echo 'Not logged in · Please run /login'; exit 1 ;;
esac
"#;
/// An editor that does one thing to the line it is sent to: what `EDIT` says, or away with it.
const EDITOR: &str = "#!/bin/sh\nsed -i \"${1#+}${EDIT:-d}\" \"$2\"\n";
const BASHRC: &str = "# mine\neval \"$(kage init bash)\"\n";

pub(crate) struct Clinic {
    pub(crate) sandbox: Sandbox,
    variables: Vec<(String, String)>,
    as_nobody: bool,
    doctor: Option<String>,
}

impl Clinic {
    /// A pool of one subscription, its secret in the file; the agent, the editor and kage on PATH.
    pub(crate) fn healthy() -> Self {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]);
        let clinic = Self { sandbox, variables: Vec::new(), as_nobody: false, doctor: None };
        clinic.install_claude();
        clinic.sandbox.program("editor", EDITOR);
        std::os::unix::fs::symlink(kage(), clinic.sandbox.path("bin/kage")).unwrap();
        clinic.sandbox.write("home/.bashrc", BASHRC);
        clinic.sandbox.write("home/.profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n");
        clinic.with("EDITOR", "editor").with("SHELL", "/bin/bash")
    }

    /// For a user of this shell, in which the mends are typed then.
    pub(crate) fn in_shell(self, shell: &str) -> Self {
        fs::remove_file(self.sandbox.path("home/.bashrc")).unwrap();
        match shell {
            "fish" => self.sandbox.write("home/.config/fish/config.fish", "kage init fish | source\n"),
            "zsh" => self.sandbox.write("home/.zshrc", "eval \"$(kage init zsh)\"\n"),
            other => panic!("{other} is no shell of the clinic"),
        };
        self.with("SHELL", format!("/usr/bin/{shell}"))
    }

    /// The kage that is asked, whatever comes first on PATH.
    pub(crate) fn asking(mut self, kage: &Path) -> Self {
        self.doctor = Some(kage.display().to_string());
        self
    }

    /// The program of the user's shell: `bash`, where kage has no functions for it.
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

    /// As somebody whom permissions bind, also where the tests are run by root.
    pub(crate) fn of_somebody(mut self) -> Self {
        if rustix::process::getuid().is_root() && !self.as_nobody {
            fs::remove_file(self.sandbox.path("bin/kage")).unwrap();
            fs::copy(kage(), self.sandbox.path("bin/kage")).unwrap();
            self.as_nobody = true;
            self.chown_to_somebody();
        }
        self
    }

    /// The same, with a place that root has made, as `sudo kage` does; `None` where the tests are not root's.
    pub(crate) fn of_somebody_but(self, inside: &str) -> Option<Self> {
        let is_root = rustix::process::getuid().is_root();
        is_root.then(|| {
            let clinic = self.of_somebody();
            clinic.chown(inside, "0:0");
            clinic
        })
    }

    /// Gives all of it to the somebody.
    pub(crate) fn chown_to_somebody(&self) {
        if self.as_nobody {
            self.chown("", "65534:65534");
        }
    }

    /// What `sudo chown` does.
    pub(crate) fn chown(&self, inside: &str, owner: &str) {
        let path = self.sandbox.path(inside);
        self.sandbox
            .call("chown".as_ref(), ["-R".as_ref(), owner.as_ref(), path.as_os_str()])
            .run()
            .success();
    }

    /// The same of one directory, without what is in it.
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
        let call = if self.as_nobody {
            let words = ["--reuid=65534", "--regid=65534", "--clear-groups", self.shell(), "-c", script];
            self.sandbox.call("setpriv".as_ref(), words)
        } else {
            self.sandbox.call(self.shell().as_ref(), ["-c", script])
        };
        self.variables.iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// What `kage doctor` says, which must agree with its exit status.
    pub(crate) fn examine(&self) -> Findings {
        self.after("", "", "d")
    }

    /// The same after a command, in the same shell.
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

    /// The one fault there is.
    pub(crate) fn finds(&self, severity: &str, code: &str) -> Fault<'_> {
        let found = self.examine();
        let faults = found.faults();
        let [fault] = faults[..] else { panic!("expected `{code}` alone: {faults:#?}") };
        assert_eq!((&fault["severity"], &fault["code"]), (&severity.into(), &code.into()), "{fault:#}");
        let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        let (message, fix) = (text("message"), text("fix"));
        assert!(!fix.is_empty() && !message.contains('\n') && !fix.contains('\n'), "{fault:#}");
        Fault { clinic: self, message, fix }
    }

    pub(crate) fn is_well(&self) {
        self.examine().are_well("of itself");
    }
}

/// All findings.
pub(crate) struct Findings(pub(crate) Vec<Value>);

impl Findings {
    pub(crate) fn faults(&self) -> Vec<&Value> {
        self.0.iter().filter(|one| one["severity"] != "ok").collect()
    }

    pub(crate) fn are_well(&self, why: &str) {
        let faults = self.faults();
        assert!(faults.is_empty(), "not mended by {why}: {faults:#?}");
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

/// A fault with its mend.
pub(crate) struct Fault<'a> {
    clinic: &'a Clinic,
    pub(crate) message: String,
    pub(crate) fix: String,
}

impl Fault<'_> {
    /// The message has this in it.
    pub(crate) fn saying(self, part: &str) -> Self {
        assert!(self.message.contains(part), "no `{part}` in: {}", self.message);
        self
    }

    /// The mend is this, as it is typed.
    pub(crate) fn fixed_by(self, fix: &str) -> Self {
        assert_eq!(self.fix, fix);
        self
    }

    /// Types the mend; all is well then.
    pub(crate) fn mended(self) {
        self.typed("", "d");
    }

    /// The same for one that asks for a secret.
    pub(crate) fn mended_with(self, secret: &str) {
        self.typed(secret, "d");
    }

    /// The same for one that opens an editor, in which the line is changed so.
    pub(crate) fn mended_by_editing(self, sed: &str) {
        assert!(self.fix.starts_with("editor +"), "{}", self.fix);
        self.typed("", sed);
    }

    /// For a mend that would use the network, or change the machine.
    pub(crate) fn mended_by_hand(self, hand: impl FnOnce(&Clinic)) {
        hand(self.clinic);
        self.clinic.examine().are_well("hand");
    }

    fn typed(self, stdin: &str, edit: &str) {
        self.clinic.after(&self.fix, stdin, edit).are_well(&self.fix);
    }
}
