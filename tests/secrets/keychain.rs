//! The keychain backend with a real gnome-keyring-daemon. `secret-tool` reads the keyring independently of
//! kage, which shows that no mock is used.

// Other systems have a different keychain.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use crate::secret_service::{PROGRAMS, Session};
use crate::support::{Call, Ran, Sandbox, has_all, token};

const ALTERNATIVE: &str = "kage subscription credential work --credential file";

/// A home with kage, and a session bus.
struct Machine {
    // Dropped first: its files are in the sandbox.
    session: Session,
    sandbox: Sandbox,
}

impl Machine {
    /// `None` if the suite cannot run here.
    fn new() -> Option<Self> {
        has_all(&PROGRAMS)
            .then(Sandbox::new)
            .map(|sandbox| Self { session: Session::unlocked(&sandbox.path("keyring")), sandbox })
    }

    /// A new bus for the same keyring file, as after a new login without a password.
    fn without_unlocking(self) -> Self {
        let Self { session, sandbox } = self;
        drop(session);
        Self { session: Session::never_unlocked(&sandbox.path("keyring")), sandbox }
    }

    /// A new bus with the keyring unlocked.
    fn unlocking(self) -> Self {
        let Self { session, sandbox } = self;
        drop(session);
        Self { session: Session::unlocked(&sandbox.path("keyring")), sandbox }
    }

    fn kage(&self, args: &[&str]) -> Call {
        on_bus(&self.sandbox, &self.session.address, args)
    }

    fn add(&self, name: &str) -> &Self {
        self.kage(&["subscription", "add", name]).stdin(&token(name)).run().success();
        self
    }

    /// The token that an agent gets.
    fn given(&self) -> String {
        let script = "printf %s \"$CLAUDE_CODE_OAUTH_TOKEN\"";
        self.kage(&["exec", "--", "sh", "-c", script]).run().success().says("").stdout()
    }

    fn config(&self) -> String {
        self.sandbox.read("home/.config/kage/config.toml")
    }

    /// Everything that kage wrote to its home.
    fn written(&self) -> String {
        let grep = self.sandbox.call("grep".as_ref(), ["-rh", "", "."]).cwd(self.sandbox.path("home"));
        grep.run().stdout()
    }

    fn check_no_lease(&self) {
        assert_eq!(self.sandbox.state()["leases"], serde_json::Value::Null, "a lease was left");
    }
}

/// kage on this bus, never on that of the user who runs the tests.
fn on_bus(sandbox: &Sandbox, address: &str, args: &[&str]) -> Call {
    let call = sandbox.kage(args).env("XDG_RUNTIME_DIR", sandbox.path("no-bus"));
    call.env("DBUS_SESSION_BUS_ADDRESS", address)
}

/// Runs a command that must end without waiting for the keychain.
fn run_promptly(call: Call) -> Ran {
    let begun = Instant::now();
    let ran = call.run();
    assert!(begun.elapsed() < Duration::from_secs(5), "the command took {:?}", begun.elapsed());
    ran
}

#[test]
fn a_secret_is_in_the_real_keyring_from_add_until_remove() {
    let Some(machine) = Machine::new() else { return };
    let held = |name: &str| machine.session.lookup(name);
    let (first, second) = (token("work"), token("second"));

    let added = machine.kage(&["subscription", "add", "work"]).stdin(&first).run().success();
    added.says("kage: added `work`; its secret is in the keychain\n");
    assert_eq!((held("work"), machine.given()), (Some(first.clone()), first.clone()));

    machine.kage(&["subscription", "credential", "work"]).stdin(&second).run().success();
    assert_eq!((held("work"), machine.given()), (Some(second.clone()), second.clone()));

    machine.kage(&["subscription", "rename", "work", "client"]).run().success();
    assert_eq!((held("work"), held("client")), (None, Some(second.clone())));
    assert_eq!(machine.given(), second);

    let written = machine.written();
    assert!(written.contains("client") && !written.contains("sk-ant"), "{written}");

    machine.kage(&["subscription", "remove", "client", "--force"]).run().success();
    assert_eq!(held("client"), None);
    assert!(!machine.written().contains("sk-ant"));
}

#[test]
fn a_locked_keyring_is_reported_and_nothing_is_written() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").session.lock();
    let before = machine.config();

    run_promptly(machine.kage(&["exec", "--", "true"])).status(125).says(
        "kage: the keychain is locked\n\
         hint: unlock it, or store this secret in kage's encrypted file: \
         kage subscription credential work --credential file (`add` has the same option)\n",
    );
    machine.check_no_lease();

    let add = machine.kage(&["subscription", "add", "second"]).stdin(&token("second"));
    run_promptly(add).status(1).is_one_line_and_a_hint().mentions("the keychain is locked").mentions("`add`");
    assert_eq!(machine.config(), before);

    let rename = machine.kage(&["subscription", "rename", "work", "client"]);
    run_promptly(rename).status(1).is_one_line_and_a_hint().mentions("the keychain is locked");
    assert_eq!(machine.config(), before);
}

#[test]
fn a_secret_can_move_out_of_a_locked_keyring_with_a_warning() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").session.lock();
    let other = token("other");
    let moved = machine.kage(&["subscription", "credential", "work", "--credential", "file"]).stdin(&other);
    run_promptly(moved).success().mentions("updated the credential of `work` (file)").mentions(
        "warning: the secret of `work` may still be in the keychain (the keychain is locked); \
         to remove it: secret-tool clear service kage username work",
    );
    assert_eq!(machine.given(), other);
    let machine = machine.unlocking();
    assert_eq!(machine.session.lookup("work"), Some(token("work")), "as the warning said");
}

#[test]
fn removing_from_a_locked_keyring_fails_only_for_the_secret() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").session.lock();
    run_promptly(machine.kage(&["subscription", "remove", "work", "--force"])).status(1).says(
        "kage: removed `work`\n\
         kage: the secret of `work` may still be in the keychain (the keychain is locked)\n\
         hint: to remove it: secret-tool clear service kage username work\n",
    );
    assert!(!machine.config().contains("work"));
}

#[test]
fn a_missing_bus_is_reported_and_nothing_is_written() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = Sandbox::new();
    let add = ["subscription", "add", "work"];
    let cause = "the keychain is not available: there is no session bus";
    let unset = || {
        let mut call = on_bus(&sandbox, "", &add);
        call.command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        call
    };
    let at = |address: &str| on_bus(&sandbox, address, &add);
    for call in [unset(), at(""), at("unix:path=/nonexistent/bus"), at("nonsense"), at("autolaunch:")] {
        let ran = run_promptly(call.stdin(&token("work"))).status(1).is_one_line_and_a_hint();
        let ran = ran.mentions(cause).mentions(ALTERNATIVE);
        assert!(!ran.stderr().contains("unlock"), "nothing can be unlocked: {}", ran.stderr());
        assert!(!sandbox.path("home/.config").exists(), "something was written");
    }
    sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    let exec = on_bus(&sandbox, "unix:path=/nonexistent/bus", &["exec", "--", "true"]);
    run_promptly(exec).status(125).is_one_line_and_a_hint().mentions(cause).mentions(ALTERNATIVE);
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
}

#[test]
fn a_bus_without_a_secret_service_is_reported_and_nothing_is_written() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = Sandbox::new();
    let session = Session::without_service(&sandbox.path("keyring"));
    let kage = |args: &[&str]| on_bus(&sandbox, &session.address, args);
    let cause = "the keychain is not available: no Secret Service runs on the session bus";
    let add = kage(&["subscription", "add", "work"]).stdin(&token("work"));
    run_promptly(add).status(1).is_one_line_and_a_hint().mentions(cause).mentions(ALTERNATIVE);
    assert!(!sandbox.path("home/.config").exists(), "something was written");
    sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    let exec = kage(&["exec", "--", "true"]);
    run_promptly(exec).status(125).is_one_line_and_a_hint().mentions(cause).mentions(ALTERNATIVE);
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
}

#[test]
fn a_missing_entry_is_reported_as_missing_or_never_unlocked() {
    let Some(machine) = Machine::new() else { return };
    machine.sandbox.config("[subscriptions.pool.work]\ncredential = { from = \"keychain\" }\n");
    let both = "kage: the keychain has no secret for `work`, or was never unlocked\n\
                hint: unlock it, or: kage subscription credential work\n";
    run_promptly(machine.kage(&["exec", "--", "true"])).status(125).says(both);
    machine.check_no_lease();
    let shown = machine.kage(&["subscription", "show", "work"]).run().success().stdout();
    assert!(shown.contains("keychain (missing, or never unlocked)"), "{shown}");

    let before = machine.config();
    machine.kage(&["subscription", "rename", "work", "client"]).run().status(1).says(both);
    assert_eq!(machine.config(), before);
    machine.kage(&["subscription", "remove", "work", "--force"]).run().status(1).says(
        "kage: removed `work`\n\
         kage: the secret of `work` may still be in the keychain (it was not found, or the keychain was never \
         unlocked)\n\
         hint: to remove it: secret-tool clear service kage username work\n",
    );
}

#[test]
fn a_keyring_that_was_never_unlocked_loses_no_secret() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").add("second");
    let machine = machine.without_unlocking();
    let before = machine.config();
    let is_reported =
        |ran: &Ran| ["never unlocked", "is locked"].iter().any(|part| ran.stderr().contains(part));

    let exec = run_promptly(machine.kage(&["exec", "-s", "work", "--", "true"])).status(125);
    assert!(is_reported(&exec.is_one_line_and_a_hint()));
    let rename = run_promptly(machine.kage(&["subscription", "rename", "work", "client"])).status(1);
    assert!(is_reported(&rename.is_one_line_and_a_hint()));
    assert_eq!(machine.config(), before);
    let remove = run_promptly(machine.kage(&["subscription", "remove", "second", "--force"]));
    assert!(is_reported(&remove), "{}", remove.stderr());

    let machine = machine.unlocking();
    assert_eq!(machine.session.lookup("work"), Some(token("work")));
    assert_eq!(machine.kage(&["exec", "--", "true"]).run().status(0).stderr(), "");
}

#[test]
fn add_to_a_keyring_that_does_not_exist_is_refused() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = Sandbox::new();
    let session = Session::never_unlocked(&sandbox.path("keyring"));
    let add = on_bus(&sandbox, &session.address, &["subscription", "add", "work"]).stdin(&token("work"));
    let refused = run_promptly(add).status(1).is_one_line_and_a_hint();
    refused.mentions("the keychain is locked").mentions(ALTERNATIVE);
    assert!(!sandbox.path("home/.config").exists(), "something was written");
}

#[test]
fn all_kages_give_up_on_a_hanging_keychain_at_the_same_time() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work");
    let before = machine.config();
    let stopped = machine.session.stop();
    let gives_up = |call: Call, status: i32| {
        let begun = Instant::now();
        let ran = call.run().status(status).is_one_line_and_a_hint();
        ran.mentions("the keychain did not answer within 10 s").mentions("--credential file");
        let took = begun.elapsed().as_secs_f64();
        assert!((9.0..14.0).contains(&took), "kage took {took} s");
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| gives_up(machine.kage(&["exec", "--", "true"]), 125));
        }
        let add = machine.kage(&["subscription", "add", "second"]).stdin(&token("second"));
        scope.spawn(|| gives_up(add, 1));
    });
    machine.check_no_lease();
    assert_eq!(machine.config(), before);
    drop(stopped);
    machine.kage(&["subscription", "reset", "work"]).run().success();
    assert_eq!((machine.given(), machine.session.lookup("second")), (token("work"), None));
}

#[test]
fn a_keyring_that_crashed_is_started_again_and_is_locked() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").session.crash();
    let ran = run_promptly(machine.kage(&["exec", "--", "true"])).status(125).is_one_line_and_a_hint();
    let said = ran.stderr();
    assert!(said.contains("is locked") || said.contains("never unlocked"), "{said}");
    machine.check_no_lease();
}

#[test]
fn sixty_four_concurrent_runs_do_not_crash_the_daemon() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work");
    let daemon = machine.session.daemon();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| machine.kage(&["exec", "--", "true"]).run().success().says(""));
        }
    });
    assert!(daemon.is_some());
    assert_eq!(machine.session.daemon(), daemon, "the daemon crashed");
    machine.check_no_lease();
}

#[test]
fn stored_names_are_listed_and_a_moved_secret_leaves_the_keyring() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work").add("second");
    let list = || {
        let shown = machine.kage(&["subscription", "credential", "--list"]).run().success().stdout();
        let is_frame = |letter: char| !letter.is_ascii_alphanumeric();
        let words =
            |line: &str| line.split(is_frame).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let mut rows: Vec<_> = shown.lines().map(words).filter(|row| row.ends_with("yes")).collect();
        rows.sort();
        rows
    };
    assert_eq!(list(), ["second keychain yes", "work keychain yes"]);
    let moved = machine.kage(&["subscription", "credential", "work", "--credential", "file"]);
    moved.stdin(&token("moved")).run().success();
    assert_eq!(machine.session.lookup("work"), None);
    assert_eq!(list(), ["second keychain yes", "work file yes"]);
    machine.kage(&["subscription", "remove", "second", "--force"]).run().success();
    assert_eq!(machine.given(), token("moved"));

    let back = machine.kage(&["subscription", "credential", "work", "--credential", "keychain"]);
    back.stdin(&token("back")).run().success();
    assert_eq!((machine.session.lookup("work"), machine.given()), (Some(token("back")), token("back")));
    machine.session.lock();
    let refused = run_promptly(machine.kage(&["subscription", "credential", "--list"])).status(1);
    let hint = refused.is_one_line_and_a_hint().mentions("the keychain is locked").stderr();
    assert!(hint.contains("credential NAME --credential file"), "{hint}");
}

#[test]
fn while_the_agent_runs_kage_has_no_keychain_thread_or_socket() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work");
    // The agent inspects its parent after the process that fetched the secret has had time to end.
    let script = "ls /proc/$PPID/task | wc -l; ls -l /proc/$PPID/fd | grep -c socket";
    let ran = machine.kage(&["exec", "--", "sh", "-c", script]).run().success();
    // One thread, and the two sockets that kage uses to wait for signals.
    ran.prints("1\n2\n");
}

#[test]
fn the_secret_is_only_printed_to_a_pipe() {
    let Some(machine) = Machine::new() else { return };
    machine.add("work");
    machine.kage(&["fetch-from-keychain", "work"]).run().success().prints(&token("work"));
    machine
        .kage(&["fetch-from-keychain", "other"])
        .run()
        .status(1)
        .prints("")
        .mentions("has no secret for `other`");
    let call = machine.kage(&["fetch-from-keychain", "work"]);
    let mut terminal = rexpect::session::spawn_command(call.command, Some(20_000)).unwrap();
    assert_eq!(terminal.exp_eof().unwrap().trim(), "a secret is not printed to a terminal");
}
