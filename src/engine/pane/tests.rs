//! Against a real tmux with a server of its own: the test calls itself again inside one of its panes.

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
    /// `None` where there is no tmux, which only CI makes a failure.
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

    /// The options of the pane, each line a name and a value.
    fn options(&self) -> String {
        let shown = self.tmux(&["show-options", "-p"]);
        String::from_utf8(shown.stdout).unwrap()
    }

    fn value(&self, option: &str) -> String {
        let shown = self.tmux(&["show-options", "-p", "-v", "-q", option]);
        String::from_utf8(shown.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    /// Lets the test in the pane go on.
    fn pass(&self, step: &str) {
        fs::write(self.dir.path().join(step), "").unwrap();
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        wait_for(|| format!("{what}\n{}\n{}", self.options(), log()), is_so);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn wait_for(what: impl Fn() -> String, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 30, "waited in vain for: {}", what());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the outer test lets this one go on.
fn await_step(dir: &Path, step: &str) {
    wait_for(|| step.to_owned(), || dir.join(step).exists());
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// What a value must not mean anything of to tmux.
const ODD: [&str; 7] = ["a;b", "a;", "a\\;", ";", "#{pane_id}", "%H:%M", "-x #[fg=red]"];

#[test]
fn a_run_marks_its_pane_and_takes_the_marks_away() {
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
    let Some(server) = Server::start("a_run_marks_its_pane_and_takes_the_marks_away") else { return };
    let shows = |subscription: &str, namespace: &str, status: &str| {
        let values = [SUBSCRIPTION, NAMESPACE, STATUS].map(|option| server.value(option));
        values == [subscription, namespace, status]
    };
    server.wait_for("the marks", || shows("work", "backend", "active"));
    server.pass("shown");
    server.wait_for("the marks of another subscription", || shows("spare", "", "active"));
    assert!(!server.options().contains(NAMESPACE), "{}", server.options());
    server.pass("moved");
    for (at, odd) in ODD.into_iter().enumerate() {
        server.wait_for(odd, || shows("spare", "", odd));
        server.pass(&format!("odd{at}"));
    }
    server.wait_for("the end", || server.dir.path().join("dropped").exists());
    assert_eq!(server.options(), "");
}

#[test]
fn a_server_that_wakes_after_the_run_takes_the_marks_away() {
    if let Some(dir) = env::var_os(ALONE).map(PathBuf::from) {
        let mut pane = Pane::here(Vec::new()).unwrap();
        pane.show(&name("work"), None, "active");
        await_step(&dir, "stopped");
        pane.status("limited");
        drop(pane);
        fs::write(dir.join("dropped"), "").unwrap();
        return;
    }
    let Some(server) = Server::start("a_server_that_wakes_after_the_run_takes_the_marks_away") else {
        return;
    };
    server.wait_for("the marks", || server.value(STATUS) == "active");
    let pid = String::from_utf8(server.tmux(&["display-message", "-p", "#{pid}"]).stdout).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    server.pass("stopped");
    // Nothing is asked of the server meanwhile, and it wakes whether that works or not.
    let dropped = server.dir.path().join("dropped");
    let begun = Instant::now();
    while !dropped.exists() && begun.elapsed() < PATIENCE * 5 {
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(pid, Signal::CONT).unwrap();
    assert!(dropped.exists(), "the end waited for the server");
    server.wait_for("no marks", || server.options().is_empty());
}

#[test]
fn a_message_is_shown_as_it_is() {
    const TEXT: &str = "work: 5h limit; 42% of #{pane_id} %H #(date) \u{1b}[31m;";
    if let Some(dir) = env::var_os(ALONE).map(PathBuf::from) {
        await_step(&dir, "looked at");
        Pane::here(Vec::new()).unwrap().message(TEXT);
        return;
    }
    let Some(server) = Server::start("a_message_is_shown_as_it_is") else { return };
    let mut attach = server.command();
    attach.arg("attach").env("TERM", "xterm").stdin(Stdio::inherit());
    let mut client = rexpect::session::spawn_command(attach, Some(30_000)).unwrap();
    server.wait_for("a client", || !server.tmux(&["list-clients"]).stdout.is_empty());
    server.pass("looked at");
    client.exp_string("work: 5h limit; 42% of #{pane_id} %H #(date)  [31m;").unwrap();
}

/// A tmux of this pane that is a script.
fn stand_in(dir: &TempDir, script: &str) -> Pane {
    let program = dir.path().join("tmux");
    fs::write(&program, format!("#!/bin/sh\ncd '{}'\n{script}\n", dir.path().display())).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    Pane::at(program, "%1".into())
}

#[test]
fn the_commands_take_effect_in_their_order_and_nobody_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let script = "[ -e begun ] || { : >begun; while [ ! -e go ]; do sleep 0.01; done; }; echo \"$*\" >>log";
    let mut pane = stand_in(&dir, script);
    pane.show(&name("work"), None, "active");
    pane.status("limited");
    pane.message("moved on");
    assert!(!dir.path().join("log").exists(), "somebody waited");
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
fn a_server_that_hangs_costs_a_moment_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut pane = stand_in(&dir, "exec sleep 4");
    let begun = Instant::now();
    pane.show(&name("work"), None, "active");
    for _ in 0..100 {
        pane.status("limited");
    }
    assert!(pane.started.len() <= MOST);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    drop(pane);
    assert!((PATIENCE..PATIENCE * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn without_tmux_nothing_happens() {
    let begun = Instant::now();
    let mut pane = Pane::at("/nonexistent/tmux".into(), "%1".into());
    pane.show(&name("work"), None, "active");
    pane.status("limited");
    drop(pane);
    drop(Pane::at("/bin/false".into(), "%1".into()));
    assert!(begun.elapsed() < PATIENCE);
    assert!(is_id("%0") && is_id("%12") && !is_id("%") && !is_id("1") && !is_id("%1;") && !is_id(""));
}
