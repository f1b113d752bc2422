//! A private session bus with a real gnome-keyring-daemon, separate from the user's own.

// Each suite uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::wait_until;

/// The programs that a session needs on PATH.
pub const PROGRAMS: [&str; 4] = ["dbus-run-session", "gnome-keyring-daemon", "secret-tool", "dbus-send"];

/// The password of the keyrings. With an empty one they would not be encrypted.
const PASSWORD: &str = "test";
const SERVICE: &str = "org.freedesktop.secrets";
const ACTIVATABLE: &str = "exec cat >/dev/null";
/// The shell waits for the end of its input, which comes at the end of the test even if the test fails. It
/// continues a stopped daemon, which would otherwise not notice that the bus is gone.
const UNLOCKED: &str = r#"
    printf %s "$PASSWORD" | gnome-keyring-daemon --foreground --unlock --components=secrets \
        --control-directory="$XDG_RUNTIME_DIR/keyring" >/dev/null &
    cat >/dev/null
    kill -CONT $!
    kill $!
    wait
"#;
/// A bus without service directories starts nothing on demand.
const LISTENING: &str = r#"<busconfig><type>session</type><listen>LISTEN</listen>
    <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
    <allow own="*"/></policy></busconfig>"#;

/// A running `dbus-run-session`; dropping this value ends it.
pub struct Session {
    child: Child,
    home: PathBuf,
    pub address: String,
}

impl Session {
    /// A session with the login keyring of `home` unlocked; it is created at first use.
    pub fn unlocked(home: &Path) -> Self {
        let session = Self::start(home, &[], UNLOCKED);
        wait_until("the keyring is on the bus", || session.daemon().is_some());
        session
    }

    /// Like `unlocked`, on a bus that listens at another address.
    pub fn unlocked_at(home: &Path, listen: &str) -> Self {
        let session = Self::configured(home, &LISTENING.replace("LISTEN", listen), UNLOCKED);
        wait_until("the keyring is on the bus", || session.daemon().is_some());
        session
    }

    /// A session whose keyring was never unlocked. The bus starts its daemon on demand.
    pub fn never_unlocked(home: &Path) -> Self {
        Self::start(home, &[], ACTIVATABLE)
    }

    /// A bus that has no secret service and cannot start one.
    pub fn without_service(home: &Path) -> Self {
        Self::configured(home, &LISTENING.replace("LISTEN", "unix:tmpdir=/tmp"), ACTIVATABLE)
    }

    fn configured(home: &Path, config: &str, script: &str) -> Self {
        fs::create_dir_all(home).unwrap();
        let path = home.join("bus.conf");
        fs::write(&path, config).unwrap();
        Self::start(home, &[&format!("--config-file={}", path.display())], script)
    }

    fn start(home: &Path, options: &[&str], script: &str) -> Self {
        let runtime = home.join("run");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&runtime).unwrap();
        let script = format!("echo \"$DBUS_SESSION_BUS_ADDRESS\"\n{script}");
        let mut command = quiet(home, "dbus-run-session");
        command.args(options).args(["--", "sh", "-c", &script]).env("PASSWORD", PASSWORD);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { child, home: home.to_owned(), address: address.trim().to_owned() }
    }

    /// The process that provides the secret service, if there is one.
    pub fn daemon(&self) -> Option<Pid> {
        let owner = ["org.freedesktop.DBus.GetConnectionUnixProcessID", &format!("string:{SERVICE}")];
        let reply = self.send("org.freedesktop.DBus", "/", &owner);
        let pid = reply.split_whitespace().skip_while(|word| *word != "uint32").nth(1)?;
        Pid::from_raw(pid.parse().ok()?)
    }

    pub fn lock(&self) {
        let keyring = "array:objpath:/org/freedesktop/secrets/collection/login";
        let reply =
            self.send(SERVICE, "/org/freedesktop/secrets", &["org.freedesktop.Secret.Service.Lock", keyring]);
        assert!(reply.contains("collection/login"), "not locked: {reply}");
    }

    /// Stops the daemon, as a debugger or a suspended machine would, until the returned value is dropped.
    pub fn stop(&self) -> Stopped {
        let pid = self.daemon().unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Stopped(pid)
    }

    /// Stores a secret as another program would, with one more attribute.
    pub fn store(&self, name: &str, extra: &str, secret: &str) {
        let mut command = self.command("secret-tool");
        command.args(["store", "--label=other", "service", "kage", "username", name, "extra", extra]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "not stored");
    }

    /// Kills the daemon without a chance to clean up.
    pub fn crash(&self) {
        let pid = self.daemon().unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        wait_until("the bus has seen the daemon die", || self.daemon() != Some(pid));
    }

    /// The secret of a name, as a program other than kage sees it.
    pub fn lookup(&self, name: &str) -> Option<String> {
        let mut command = self.command("secret-tool");
        let found = command.args(["lookup", "service", "kage", "username", name]).output().unwrap();
        found.status.success().then(|| String::from_utf8(found.stdout).unwrap())
    }

    fn send(&self, destination: &str, path: &str, message: &[&str]) -> String {
        let mut command = self.command("dbus-send");
        command.args(["--session", "--print-reply", &format!("--dest={destination}"), path]).args(message);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = quiet(&self.home, program);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A second panic would abort the whole suite. Without these checks the session still ends, because
        // its input is closed.
        if !std::thread::panicking() {
            wait_until("the session ends", || self.child.try_wait().unwrap().is_some());
            wait_until("nothing of the session runs", || living(&self.home).is_empty());
        }
    }
}

/// A stopped daemon; dropping this continues it.
pub struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A program in the session's environment, without a display, so that nothing can prompt.
fn quiet(home: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LANG", "C.UTF-8");
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home.join("run")).stderr(Stdio::null());
    command
}

/// The processes that have the home of a session in their environment; a zombie has no environment.
fn living(home: &Path) -> Vec<PathBuf> {
    let mark = format!("HOME={}\0", home.display()).into_bytes();
    let has_mark = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|part| part == mark)
    };
    fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(has_mark).collect()
}
