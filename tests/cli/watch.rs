//! `kage status --watch`: what it shows, what it writes, and how it restores the terminal.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{Shell, wait_until_gone, wait_until_stopped};
use crate::support::{CONFIG, Sandbox, has_all, kage, pool, wait_until};
use crate::tmux::{Pane, Tmux};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};

const STATE: &str = "home/.local/state/kage/state.json";
const TITLE: &str = "Subscription Pool Status";
/// What the pane shows before kage starts.
const BEFORE: &str = "what was there before";

/// Writes a state with this number of tokens today, as if a run had been booked.
fn spend(sandbox: &Sandbox, tokens: u64) {
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let resets_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
    let personal = json!({
        "today": { "date": today, "runs": 1, "tokens": { "input_tokens": tokens } },
        "utilization": { "five_hour": { "value": 0.42, "resets_at": resets_at, "read_at": jiff::Timestamp::now() } },
    });
    let state: Value = json!({ "version": 1, "state": { "subscriptions": { "personal": personal } } });
    std::fs::create_dir_all(sandbox.path(STATE).parent().unwrap()).unwrap();
    let new = sandbox.write("home/.local/state/kage/state.new", &state.to_string());
    std::fs::rename(new, sandbox.path(STATE)).unwrap();
}

fn tmux(sandbox: &Sandbox) -> Tmux {
    Tmux::start(sandbox.kage(["ps"]), sandbox.path("tmux"))
}

fn start_watching(pane: &Pane<'_>) -> String {
    pane.enter(&format!("echo '{BEFORE}'; {} status --watch; echo status=$?", kage().display()));
    pane.shows(TITLE)
}

/// The kage that runs in the pane.
fn watching(pane: &Pane<'_>) -> Pid {
    let mut found = None;
    wait_until("kage in the pane", || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pane.pid()));
        let child = children.unwrap_or_default().split_whitespace().next().and_then(|pid| pid.parse().ok());
        found = child.and_then(Pid::from_raw);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn it_shows_the_pool_and_its_changes() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    spend(&sandbox, 1_626);
    let tmux = tmux(&sandbox);
    let pane = tmux.first();
    let screen = start_watching(&pane);
    assert!(
        screen.contains("1,626 tokens today") && screen.contains("personal  5h ████▎░░░░░  42%"),
        "{screen}"
    );
    assert!(!screen.contains(BEFORE), "{screen}");

    spend(&sandbox, 2_000_000);
    pane.shows("2,000,000 tokens today");
    let config = sandbox.read(CONFIG);
    sandbox.config(&format!("{config}\n[subscriptions.pool.another]\n"));
    pane.shows("another");

    // A file that cannot be read is reported, and the last known values stay.
    sandbox.config("[");
    let screen = pane.shows("config.toml");
    assert!(screen.contains("2,000,000 tokens today"), "{screen}");
    sandbox.config(&config);
    wait_until("the config to be read again", || !pane.screen().contains("config.toml"));
    let state = sandbox.read(STATE);
    sandbox.write(STATE, "{");
    let screen = pane.shows("state.json is damaged");
    assert!(screen.contains("2,000,000 tokens today"), "{screen}");
    sandbox.write(STATE, &state);
    wait_until("the state to be read again", || !pane.screen().contains("damaged"));

    pane.press("q");
    let screen = pane.shows("status=0");
    assert!(screen.contains(BEFORE) && !screen.contains(TITLE), "{screen}");
}

/// A way to end it.
type End = fn(&Pane<'_>);

#[test]
fn every_way_to_end_it_restores_the_screen_and_the_modes() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let tmux = tmux(&sandbox);
    let pane = tmux.first();
    let before = pane.prints("stty -g");
    let ends: [(&str, End); 6] = [
        ("status=0", |pane| pane.press("q")),
        ("status=0", |pane| pane.press("C-d")),
        ("", |pane| pane.press("C-c")), // bash does not run the rest of the list
        ("status=143", |pane| kill_process(watching(pane), Signal::TERM).unwrap()),
        ("status=129", |pane| kill_process(watching(pane), Signal::HUP).unwrap()),
        ("status=131", |pane| pane.press("C-\\")),
    ];
    for (status, end) in ends {
        start_watching(&pane);
        assert_eq!(pane.cursor(), "0", "the cursor is hidden");
        end(&pane);
        pane.is_at_the_prompt();
        let screen = pane.shows(status);
        assert!(screen.contains(BEFORE) && !screen.contains(TITLE), "{screen}");
        assert_eq!(pane.cursor(), "1", "the cursor is back");
        assert_eq!(pane.prints("stty -g"), before, "{status}");
    }
}

#[test]
fn it_adapts_to_the_size_of_its_window() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    spend(&sandbox, 1_626);
    let tmux = tmux(&sandbox);
    let pane = tmux.first();
    start_watching(&pane);
    pane.resizes(58, 8); // what a popup of 60x10 has inside
    pane.shows("2/2 active, 1,626 tokens today");
    let expected = "\
2/2 active, 1,626 tokens today
personal      active  1,626 tokens
work-premium  active  0 tokens
personal  5h ████▎░░░░░  42%  resets in 3h";
    let screen: Vec<_> = pane.screen().lines().map(|line| line.trim_end().to_owned()).collect();
    assert!(screen.join("\n").starts_with(expected), "{screen:?}");
    pane.resizes(30, 3);
    wait_until("the smaller output", || pane.screen().contains("2 more lines; enlarge the term"));
    pane.resizes(100, 30);
    pane.shows("│ work-premium │");
    pane.press("q");
    pane.shows("status=0");
}

#[test]
fn it_can_be_stopped_and_continued() {
    let sandbox = pool();
    for mut shell in Shell::each(&sandbox) {
        let before = shell.run("stty -g");
        shell.send("kage status --watch");
        shell.until("\u{1b}[?1049h");
        shell.until("work-premium");
        shell.control('z');
        shell.until("\u{1b}[?25h\u{1b}[?1049l");
        shell.prompt();
        assert_eq!(shell.run("stty -g"), before, "{}", shell.name);
        shell.send("fg");
        shell.until("\u{1b}[?1049h");
        shell.until(TITLE);
        shell.until("work-premium");
        shell.session.send("q").unwrap();
        shell.session.flush().unwrap();
        shell.until("\u{1b}[?25h\u{1b}[?1049l");
        shell.prompt();
        assert_eq!(shell.run("stty -g"), before, "{}", shell.name);
        shell.leave();
    }
}

#[test]
fn after_a_stop_from_outside_it_draws_the_screen_again() {
    if !has_all(&["tmux", "bash"]) {
        return;
    }
    let sandbox = pool();
    let tmux = tmux(&sandbox);
    let pane = tmux.first();
    let before = pane.prints("stty -g");
    start_watching(&pane);
    let kage = watching(&pane);
    kill_process(kage, Signal::STOP).unwrap();
    wait_until_stopped(kage);
    pane.is_at_the_prompt();
    pane.enter("clear; fg");
    pane.shows(TITLE);
    pane.press("q");
    wait_until_gone(kage);
    pane.is_at_the_prompt();
    let screen = pane.screen();
    assert!(screen.contains(BEFORE) && !screen.contains(TITLE), "{screen}");
    assert_eq!(pane.prints("stty -g"), before);
}

/// kage on its own terminal. Everything that is written to the terminal is kept.
struct Watched {
    terminal: OwnedFd,
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Watched {
    fn start(sandbox: &Sandbox) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let mut call = sandbox.kage(["status", "--watch"]).env("TERM", "xterm");
        let open =
            || Stdio::from(File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap());
        let child = call.command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, keeper) = (File::from(terminal.try_clone().unwrap()), Arc::clone(&written));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                keeper.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        Self { terminal, child, written }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// How often it has slept, and its processor time in ticks.
    fn spent(&self) -> (u64, u64) {
        let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap();
        let status = read("status");
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        let stat = read("stat");
        let times = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        (
            line.split_whitespace().nth(1).unwrap().parse().unwrap(),
            times.map(|ticks| ticks.parse::<u64>().unwrap()).sum(),
        )
    }

    /// Quits it. Returns everything that it wrote.
    fn quit(mut self) -> String {
        File::from(self.terminal.try_clone().unwrap()).write_all(b"q").unwrap();
        assert!(self.child.wait().unwrap().success());
        wait_until("the end of the alternate screen", || self.text().ends_with("\u{1b}[?25h\u{1b}[?1049l"));
        self.text()
    }
}

#[test]
fn an_idle_watch_costs_almost_nothing_and_does_not_flicker() {
    let sandbox = pool();
    let watched = Watched::start(&sandbox);
    wait_until("the first frame", || watched.text().ends_with("\u{1b}[?2026l"));
    let first = watched.text();
    assert!(first.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?2026h\u{1b}[1;1H"), "{first:?}");
    let modes = tcgetattr(&watched.terminal).unwrap();
    assert!(!modes.local_modes.contains(rustix::termios::LocalModes::ECHO));

    let (slept, ticks) = watched.spent();
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(4)); // the time that is measured
    let (slept_since, ticks_since) = watched.spent();
    let seconds = begun.elapsed().as_secs();
    assert_eq!(watched.text(), first, "without a change nothing is written");
    assert!(slept_since - slept <= seconds + 2, "it woke {} times in {seconds} s", slept_since - slept);
    assert!(ticks_since - ticks <= 10, "{} ticks in {seconds} s", ticks_since - ticks);

    spend(&sandbox, 7);
    wait_until("the changed frame", || watched.text().len() > first.len());
    let change = watched.text()[first.len()..].to_owned();
    assert!(change.starts_with("\u{1b}[?2026h") && change.contains("7 tokens today"), "{change:?}");
    assert!(!change.contains("work-premium"), "unchanged text is not written again: {change:?}");
    let all = watched.quit();
    assert!(!all.contains("\u{1b}[2J"), "the screen is never cleared: {all:?}");
}

#[test]
fn closing_the_terminal_ends_it() {
    let sandbox = pool();
    let Watched { terminal, mut child, written } = Watched::start(&sandbox);
    wait_until("the first frame", || !written.lock().unwrap().is_empty());
    drop(terminal);
    // The reader also keeps it open, until it has read something.
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
}

#[test]
fn without_a_terminal_it_is_refused() {
    let sandbox = pool();
    let refused = "kage: --watch needs a terminal\nhint: kage status\n";
    sandbox.kage(["status", "--watch"]).run().status(2).says(refused).prints("");
    sandbox.kage(["sub", "status", "-w"]).run().status(2).says(refused).prints("");
    sandbox.kage(["status", "--watch", "--json"]).run().status(2).is_one_line_and_a_hint();
}
