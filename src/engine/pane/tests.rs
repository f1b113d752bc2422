//! Tests with a real tmux and its own server: each test runs itself again inside a pane of that server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::*;

const ALONE: &str = "KAGE_TEST_ALONE";

/// A tmux server with one session, whose pane runs a test and then waits.
struct Server {
    dir: TempDir,
}

impl Server {
    /// Starts a server; `None` if tmux is not installed. In CI a missing tmux is a failure.
    fn start(test: &str) -> Option<Self> {
        if which::which("tmux").is_err() {
            assert!(env::var("CI").as_deref() != Ok("true"), "tmux is not installed");
            eprintln!("SKIPPED: tmux is not installed");
            return None;
        }
        let server = Self { dir: tempfile::tempdir().unwrap() };
        let own = env::current_exe().unwrap();
        let (dir, own) = (server.dir.path().display(), own.display());
        let test = format!("'{own}' --exact engine::pane::tests::{test} --nocapture");
        let script = format!("{ALONE}='{dir}' {test} >'{dir}/log' 2>&1; exec sleep 60");
        assert!(server.tmux(&["new-session", "-d", "-x", "200", "-y", "20", &script]).status.success());
        Some(server)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", "kage", "-f", "/dev/null"]).env("TMUX_TMPDIR", self.dir.path());
        command.env_remove("TMUX").env_remove("TMUX_PANE").stdin(Stdio::null());
        command
    }

    fn tmux(&self, words: &[&str]) -> Output {
        self.command().args(words).output().unwrap()
    }

    /// Returns the options of the pane, one name and value per line.
    fn options(&self) -> String {
        let shown = self.tmux(&["show-options", "-p"]);
        String::from_utf8(shown.stdout).unwrap()
    }

    fn value(&self, option: &str) -> String {
        let shown = self.tmux(&["show-options", "-p", "-v", "-q", option]);
        String::from_utf8(shown.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    /// Lets the test in the pane continue.
    fn allow(&self, step: &str) {
        fs::write(self.dir.path().join(step), "").unwrap();
    }

    fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        wait_for(|| format!("{what}\n{}\n{}", self.options(), log()), condition);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn wait_for(what: impl Fn() -> String, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed().as_secs() < 30, "timed out waiting for: {}", what());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the outer test lets this one continue.
fn await_step(dir: &Path, step: &str) {
    wait_for(|| step.to_owned(), || dir.join(step).exists());
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Values with characters that are special to tmux. tmux must keep them literally.
const ODD: [&str; 7] = ["a;b", "a;", "a\\;", ";", "#{pane_id}", "%H:%M", "-x #[fg=red]"];

#[test]
fn a_run_marks_its_pane_and_removes_the_marks() {
    if let Some(dir) = env::var_os(ALONE).map(PathBuf::from) {
        let mut pane = Pane::here(Vec::new()).unwrap();
        pane.show(&name("work"), Some(&name("backend")), "active");
        await_step(&dir, "shown");
        pane.show(&name("spare"), None, "active");
        await_step(&dir, "moved");
        for (at, odd) in ODD.into_iter().enumerate() {
            pane.status("not the last");
            pane.status(odd);
            await_step(&dir, &format!("odd{at}"));
        }
        pane.status("not the last");
        drop(pane);
        fs::write(dir.join("dropped"), "").unwrap();
        return;
    }
    let Some(server) = Server::start("a_run_marks_its_pane_and_removes_the_marks") else { return };
    let shows = |subscription: &str, namespace: &str, status: &str| {
        let values = [SUBSCRIPTION, NAMESPACE, STATUS].map(|option| server.value(option));
        values == [subscription, namespace, status]
    };
    server.wait_for("the marks", || shows("work", "backend", "active"));
    server.allow("shown");
    server.wait_for("the marks of another subscription", || shows("spare", "", "active"));
    assert!(!server.options().contains(NAMESPACE), "{}", server.options());
    server.allow("moved");
    for (at, odd) in ODD.into_iter().enumerate() {
        server.wait_for(odd, || shows("spare", "", odd));
        server.allow(&format!("odd{at}"));
    }
    server.wait_for("the end", || server.dir.path().join("dropped").exists());
    assert_eq!(server.options(), "");
}

#[test]
fn a_stopped_server_removes_the_marks_when_it_continues_after_the_run() {
    if let Some(dir) = env::var_os(ALONE).map(PathBuf::from) {
        let mut pane = Pane::here(Vec::new()).unwrap();
        pane.show(&name("work"), None, "active");
        await_step(&dir, "stopped");
        pane.status("limited");
        drop(pane);
        fs::write(dir.join("dropped"), "").unwrap();
        return;
    }
    let Some(server) = Server::start("a_stopped_server_removes_the_marks_when_it_continues_after_the_run")
    else {
        return;
    };
    server.wait_for("the marks", || server.value(STATUS) == "active");
    let pid = String::from_utf8(server.tmux(&["display-message", "-p", "#{pid}"]).stdout).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    server.allow("stopped");
    // The test does not query the server while it is stopped, and continues it even if the wait fails.
    let dropped = server.dir.path().join("dropped");
    let begun = Instant::now();
    while !dropped.exists() && begun.elapsed() < END_LIMIT * 5 {
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(pid, Signal::CONT).unwrap();
    assert!(dropped.exists(), "the end of the run waited for the server");
    server.wait_for("the removal of the marks", || server.options().is_empty());
}

#[test]
fn a_message_is_shown_literally() {
    const TEXT: &str = "work: 5h limit; 42% of #{pane_id} %H #(date) \u{1b}[31m;";
    if let Some(dir) = env::var_os(ALONE).map(PathBuf::from) {
        await_step(&dir, "looked at");
        Pane::here(Vec::new()).unwrap().message(TEXT);
        return;
    }
    let Some(server) = Server::start("a_message_is_shown_literally") else { return };
    let mut attach = server.command();
    attach.arg("attach").env("TERM", "xterm").stdin(Stdio::inherit());
    let mut client = rexpect::session::spawn_command(attach, Some(30_000)).unwrap();
    server.wait_for("a client", || !server.tmux(&["list-clients"]).stdout.is_empty());
    server.allow("looked at");
    client.exp_string("work: 5h limit; 42% of #{pane_id} %H #(date)  [31m;").unwrap();
}

/// Returns a pane whose tmux is a script.
fn pane_with_script(dir: &TempDir, script: &str) -> Pane {
    let program = dir.path().join("tmux");
    fs::write(&program, format!("#!/bin/sh\ncd '{}'\n{script}\n", dir.path().display())).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    Pane::at(program, "%1".into())
}

#[test]
fn commands_take_effect_in_order_and_kage_waits_for_none() {
    let dir = tempfile::tempdir().unwrap();
    let script = "[ -e begun ] || { : >begun; while [ ! -e go ]; do sleep 0.01; done; }; echo \"$*\" >>log";
    let mut pane = pane_with_script(&dir, script);
    pane.show(&name("work"), None, "active");
    pane.status("limited");
    pane.message("moved on");
    assert!(!dir.path().join("log").exists(), "kage waited for a command");
    fs::write(dir.path().join("go"), "").unwrap();
    drop(pane);
    let set = "set-option -p -t %1 --";
    let unset = "set-option -pu -t %1 --";
    let expected = [
        format!("{set} {SUBSCRIPTION} work ; {unset} {NAMESPACE} ; {set} {STATUS} active"),
        format!("{set} {STATUS} limited"),
        "display-message -d 4000 -t %1 -- moved on".to_owned(),
        format!("{unset} {SUBSCRIPTION} ; {unset} {NAMESPACE} ; {unset} {STATUS}"),
    ];
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_server_that_hangs_delays_the_end_only_until_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut pane = pane_with_script(&dir, "exec sleep 4");
    let begun = Instant::now();
    pane.show(&name("work"), None, "active");
    for _ in 0..100 {
        pane.status("limited");
    }
    assert!(pane.started.len() <= MAX_RUNNING);
    assert!(begun.elapsed() < END_LIMIT, "{:?}", begun.elapsed());
    drop(pane);
    assert!((END_LIMIT..END_LIMIT * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_missing_or_failing_tmux_does_not_matter() {
    let begun = Instant::now();
    let mut pane = Pane::at("/nonexistent/tmux".into(), "%1".into());
    pane.show(&name("work"), None, "active");
    pane.status("limited");
    drop(pane);
    drop(Pane::at("/bin/false".into(), "%1".into()));
    assert!(begun.elapsed() < END_LIMIT);
    assert!(is_id("%0") && is_id("%12") && !is_id("%") && !is_id("1") && !is_id("%1;") && !is_id(""));
}
