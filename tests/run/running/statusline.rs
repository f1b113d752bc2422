//! `kage statusline`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::running::Running;
use crate::support::{CONFIG, Sandbox};

const STATE: &str = "home/.local/state/kage/state.json";

/// Claude Code's input for a status line.
fn input(session: &str, five_hour: u32, seven_day: u32) -> String {
    let at = |minutes: i64| Timestamp::now().as_second() + minutes * 60;
    json!({
        "session_id": session,
        "cwd": "/srv",
        "model": { "id": "claude-sonnet-5-5", "display_name": "Sonnet" },
        "rate_limits": {
            "five_hour": { "used_percentage": five_hour, "resets_at": at(72) },
            "seven_day": { "used_percentage": seven_day, "resets_at": at(3 * 24 * 60) },
        },
    })
    .to_string()
}

impl Running {
    /// An agent whose hooks have reported a session.
    fn in_session(session: &str) -> Self {
        let running = Self::start();
        running.edit(|state| {
            state["leases"][0]["visits"] = json!([{ "session": session, "since": Timestamp::now() }]);
        });
        running
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut state = self.sandbox.state();
        edit(&mut state);
        self.sandbox.write(STATE, &json!({ "version": 1, "state": state }).to_string());
    }

    fn draw(&self, input: &str, args: &str) -> crate::running::Called {
        self.sandbox.write("work/input", input);
        self.call(&format!("exec \"$KAGE\" statusline {args} <input"))
    }

    /// The stored utilization of a window, 0.0-1.0.
    fn utilization(&self, window: &str) -> Option<f64> {
        self.sandbox.state()["subscriptions"]["work"]["utilization"][window]["value"].as_f64()
    }

    /// Inode and length of the state's files, which change with each write.
    fn state_file(&self) -> (u64, u64) {
        let metadata = |inside| fs::metadata(self.sandbox.path(inside)).expect("there is a state");
        (metadata(STATE).ino(), metadata("home/.local/state/kage/state.log").len())
    }
}

#[test]
fn the_line_shows_and_records_the_utilization_of_the_windows() {
    let running = Running::in_session("a");
    let drawn = running.draw(&input("a", 42, 17), "");
    assert_eq!(drawn.out, "work · 5h 42% (1h 12m) · 7d 17% (3d)\n");
    assert_eq!((drawn.err.as_str(), drawn.status.as_str()), ("", "0"));
    let stored = ["five_hour", "seven_day"].map(|window| running.utilization(window));
    assert_eq!(stored, [Some(0.42), Some(0.17)]);

    let written = running.state_file();
    running.draw(&input("a", 42, 17), "");
    running.draw(&input("a", 40, 17), ""); // an older reading
    assert_eq!(running.state_file(), written, "a known utilization is not written again");

    let before_the_first_answer = running.draw("{\"session_id\":\"a\"}", "");
    assert_eq!(before_the_first_answer.out, "work · 5h 42% (1h 12m) · 7d 17% (3d)\n", "from the state");

    let near = "work · \u{1b}[33m5h 95% (1h 12m)\u{1b}[0m · 7d 17% (3d)\n";
    assert_eq!(running.draw(&input("a", 95, 17), "").out, near);
    assert_eq!(running.utilization("five_hour"), Some(0.95));
    running.sandbox.write("work/input", &input("a", 95, 17));
    let plain = running.call("NO_COLOR=1 \"$KAGE\" statusline <input");
    assert_eq!(plain.out, "work · 5h 95% (1h 12m) · 7d 17% (3d)\n");
    running.end();
}

#[test]
fn nothing_is_recorded_that_may_belong_to_another_login() {
    let running = Running::in_session("a");
    running.draw(&input("b", 42, 17), "");
    assert_eq!(running.utilization("five_hour"), None, "another conversation");

    // A pane of a tmux server that was started below kage has kage's variables but is not below it.
    let run = running.sandbox.state()["leases"][0]["id"].as_str().unwrap().to_owned();
    let outside = || running.sandbox.kage(["statusline"]).env("KAGE_RUN", &run);
    outside().env("KAGE_SUBSCRIPTION", "work").stdin(&input("a", 42, 17)).run().success().prints("").says("");
    assert_eq!(running.utilization("five_hour"), None, "another process tree");

    running.sandbox.write("work/input", &input("a", 42, 17));
    let moved_on = running.call("KAGE_SUBSCRIPTION=former \"$KAGE\" statusline <input");
    assert_eq!(moved_on.out, "work\n");
    assert_eq!(running.utilization("five_hour"), None, "another subscription");
    running.end();
}

#[test]
fn with_any_input_it_shows_the_known_values() {
    let running = Running::in_session("a");
    let huge = format!("{{\"session_id\":\"a\",\"x\":\"{}\"}}", "x".repeat(2 << 20));
    for given in ["", "nonsense", "[]", "\u{0}", huge.as_str()] {
        let drawn = running.draw(given, "");
        let said = (drawn.out.as_str(), drawn.err.as_str(), drawn.status.as_str());
        assert_eq!(said, ("work\n", "", "0"), "{given:.20}");
    }
    let begun = Instant::now();
    let drawn = running.call("mkfifo endless; exec \"$KAGE\" statusline <>endless");
    assert_eq!((drawn.out.as_str(), drawn.status.as_str()), ("work\n", "0"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let lock = File::create(running.sandbox.path("home/.local/state/kage/state.lock")).unwrap();
    lock.lock().unwrap();
    let begun = Instant::now();
    let drawn = running.draw(&input("a", 42, 17), "");
    assert_eq!(drawn.out, "work · 5h 42% (1h 12m) · 7d 17% (3d)\n");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(running.utilization("five_hour"), None);
    drop(lock);

    running.sandbox.config("broken = [");
    let drawn = running.draw(&input("a", 42, 17), "-- echo mine");
    assert_eq!((drawn.out.as_str(), drawn.status.as_str()), ("mine\n", "0"));
    fs::remove_file(running.sandbox.path(CONFIG)).unwrap();
    running.end();
}

#[test]
fn the_users_own_status_line_is_shown_after_it() {
    let running = Running::in_session("a");
    let given = input("a", 42, 17);
    let drawn = running.draw(&given, "-- sh -c 'cat; exit 3'");
    assert_eq!(drawn.out, format!("work · 5h 42% (1h 12m) · 7d 17% (3d) │ {given}"));
    assert_eq!(drawn.status, "3");
    assert_eq!(running.utilization("five_hour"), Some(0.42));

    let long = format!("{{\"session_id\":\"a\",\"x\":\"{}\"}}", "x".repeat(200_000));
    let counted = running.draw(&long, "-- wc -c").out;
    assert_eq!(counted.rsplit(' ').next().unwrap().trim(), long.len().to_string());

    for (program, why) in [("./none", "`./none` was not found"), ("./input", "cannot execute `./input`")] {
        let drawn = running.draw(&given, &format!("-- {program}"));
        assert_eq!(drawn.out, "work · 5h 42% (1h 12m) · 7d 17% (3d)\n");
        assert!(
            drawn.err.starts_with(&format!("kage: {why}")) && drawn.err.lines().count() == 1,
            "{}",
            drawn.err
        );
        assert_eq!(drawn.status, "0");
    }
    running.end();
}

#[test]
fn outside_a_run_of_kage_it_adds_nothing() {
    let sandbox = Sandbox::new();
    sandbox.kage(["statusline"]).stdin("{}").run().success().prints("").says("");
    let wrapped = sandbox.kage(["statusline", "--", "sh", "-c", "cat; exit 3"]);
    wrapped.stdin("{\"a\":1}").run().status(3).prints("{\"a\":1}").says("");
    let ended = sandbox.kage(["statusline"]).env("KAGE_RUN", "gone").env("KAGE_SUBSCRIPTION", "work");
    ended.stdin("{}").run().success().prints("").says("");
}
