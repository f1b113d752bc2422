//! The fast path to a secret: a plain session of the Secret Service in kage's own process, with a real
//! gnome-keyring-daemon and with buses that send invalid answers.

// Other systems have a different keychain.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::dice::{Dice, seed};
use crate::false_bus::{FalseBus, Message, Script};
use crate::secret_service::{PROGRAMS, Session};
use crate::support::{Call, Ran, Sandbox, has_all, token, wait_until};
use rustix::process::{Pid, Signal, geteuid, kill_process};

const SHOW: &str = "printf %s \"$CLAUDE_CODE_OAUTH_TOKEN\"";

/// A home with subscriptions whose secrets are in the keychain.
fn sandbox(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let row =
        |name: &&str| format!("[subscriptions.pool.\"{name}\"]\ncredential = {{ from = \"keychain\" }}\n");
    sandbox.config(&names.iter().map(row).collect::<String>());
    sandbox
}

fn on_bus(call: Call, sandbox: &Sandbox, address: &str) -> Call {
    call.env("XDG_RUNTIME_DIR", sandbox.path("no-bus")).env("DBUS_SESSION_BUS_ADDRESS", address)
}

/// Runs an agent that prints its token.
fn show(sandbox: &Sandbox, name: &str, address: &str) -> Call {
    on_bus(sandbox.kage(["exec", "-s", name, "--", "sh", "-c", SHOW]), sandbox, address)
}

fn keep(sandbox: &Sandbox, name: &str, secret: &str, address: &str) {
    let call = sandbox.kage(["subscription", "credential", name, "--force"]);
    on_bus(call, sandbox, address).stdin(secret).run().success();
}

/// The system calls of a kage whose agent prints its token.
struct Trace {
    ran: Ran,
    calls: String,
}

impl Trace {
    fn of(sandbox: &Sandbox, name: &str, address: &str) -> Self {
        let log = sandbox.path("trace");
        let kage = crate::support::kage();
        let args =
            ["-f", "-s", "4096", "-e", "trace=execve,clone,clone3,fork,vfork,sendto,socket,close,flock"];
        let mut call = on_bus(sandbox.call("strace".as_ref(), args), sandbox, address);
        call.command.arg("-o").arg(&log).arg(kage).args(["exec", "-s", name, "--", "sh", "-c", SHOW]);
        let ran = call.run();
        Self { ran, calls: fs::read_to_string(log).unwrap() }
    }

    fn lines<'a>(&'a self, part: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        // The resumed part of an interrupted line is not a new call.
        let calls = self.calls.lines().enumerate().filter(|(_, line)| !line.contains("resumed>"));
        calls.filter(move |(_, line)| line.contains(part))
    }

    fn has(&self, part: &str) -> bool {
        self.lines(part).next().is_some()
    }
}

#[test]
fn a_secret_comes_over_a_plain_session_without_another_process() {
    if !has_all(&PROGRAMS) || !has_all(&["strace"]) {
        return;
    }
    let sandbox = sandbox(&["work"]);
    let session = Session::unlocked(&sandbox.path("keyring"));
    keep(&sandbox, "work", &token("work"), &session.address);
    let trace = Trace::of(&sandbox, "work", &session.address);
    assert_eq!(trace.ran.stdout(), token("work"));
    let at = |part: &str| {
        let found: Vec<_> = trace.lines(part).map(|(at, _)| at).collect();
        assert_eq!(found.len(), 1, "{part} in:\n{}", trace.calls);
        found[0]
    };
    // kage starts one process, the agent, and no thread.
    let agent = at(" clone");
    let requested = at("OpenSession");
    assert_eq!(at("SearchItems"), requested, "both requests are in one write");
    assert!(trace.has("plain") && !trace.has("dh-ietf1024"), "{}", trace.calls);
    let opened = at("SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK");
    let fd = trace.calls.lines().nth(opened).unwrap().rsplit("= ").next().unwrap();
    let closes = format!("close({fd})");
    let closed = trace.lines(&closes).map(|(at, _)| at).find(|&at| at > requested).unwrap();
    assert!(opened < requested && requested < closed && closed < agent, "{}", trace.calls);
}

#[test]
fn every_kind_of_local_address_is_supported() {
    if !has_all(&PROGRAMS) || !has_all(&["strace"]) {
        return;
    }
    let sandbox = sandbox(&["work"]);
    let listen = format!("unix:abstract={}", sandbox.path("hidden").display());
    for session in
        [Session::unlocked(&sandbox.path("keyring")), Session::unlocked_at(&sandbox.path("other"), &listen)]
    {
        keep(&sandbox, "work", &token("work"), &session.address);
        let (way, guid) = session.address.split_once(',').unwrap();
        let (key, path) = way.split_once('=').unwrap();
        assert_eq!(key == "unix:abstract", listen == way, "{}", session.address);
        let escaped = format!("{key}={}", path.replace('/', "%2f"));
        let second =
            format!("unix:path=/nonexistent/bus;unix:abstract=/nonexistent;{way};tcp:host=localhost");
        for address in [&session.address, way, &escaped, &format!("{escaped},{guid}"), &second] {
            let trace = Trace::of(&sandbox, "work", address);
            assert_eq!(trace.ran.stdout(), token("work"), "{address}");
            assert!(!trace.has("fetch-from-keychain"), "{address}:\n{}", trace.calls);
        }
        // A guid of another bus.
        let other = format!("{way},guid=00000000000000000000000000000000");
        let refused = show(&sandbox, "work", &other).run().status(125).is_one_line_and_a_hint();
        refused.prints("").mentions("the keychain failed");
    }
}

#[test]
fn secrets_of_all_kinds_are_read_unchanged() {
    if !has_all(&PROGRAMS) || !has_all(&["strace"]) {
        return;
    }
    let sandbox = sandbox(&["work", "äpfel", "работа", "large"]);
    let session = Session::unlocked(&sandbox.path("keyring"));
    let large = "x".repeat(60 * 1024);
    // The last one is stored as text; kage stores bytes.
    for (name, secret) in [("äpfel", "sk-ünï"), ("работа", "sk-2"), ("large", &large), ("work", "sk-text")]
    {
        if name == "work" {
            session.store(name, "none", secret);
        } else {
            keep(&sandbox, name, secret, &session.address);
        }
        let trace = Trace::of(&sandbox, name, &session.address);
        assert_eq!(trace.ran.stdout(), secret, "{name}");
        assert!(!trace.has("fetch-from-keychain"), "{name}:\n{}", trace.calls);
    }
}

#[test]
fn unusable_secrets_are_refused_with_the_usual_messages() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = sandbox(&["none", "empty", "lines", "two"]);
    let session = Session::unlocked(&sandbox.path("keyring"));
    session.store("empty", "1", "");
    session.store("lines", "1", "a\nb");
    session.store("two", "1", "one");
    session.store("two", "2", "other");
    for (name, words) in [
        ("none", "the keychain has no secret for `none`, or was never unlocked"),
        ("empty", "the keychain's secret for `empty` is unusable: it is empty"),
        ("lines", "the keychain's secret for `lines` is unusable: it has more than one line"),
        ("two", "the keychain failed: Entry is matched by 2 credentials"),
    ] {
        let ran = show(&sandbox, name, &session.address).run().status(125).prints("");
        ran.is_one_line_and_a_hint().mentions(words);
    }
}

/// Starts a kage that waits for its token from a service that does not answer.
fn waiting(sandbox: &Sandbox, address: &str) -> Child {
    let mut command = show(sandbox, "work", address).command;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let fds = format!("/proc/{}/fd", child.id());
    let is_socket = |entry: fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    wait_until("kage has connected", || fs::read_dir(&fds).unwrap().flatten().any(is_socket));
    child
}

#[test]
fn a_daemon_that_crashes_during_a_request_causes_one_line() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = sandbox(&["work"]);
    let session = Session::unlocked(&sandbox.path("keyring"));
    keep(&sandbox, "work", &token("work"), &session.address);
    let begun = Instant::now();
    let stopped = session.stop();
    let kage = waiting(&sandbox, &session.address);
    session.crash();
    drop(stopped);
    let output = kage.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(125), 2), "{said}");
    assert!(said.contains("is locked") || said.contains("never unlocked"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "kage took {:?}", begun.elapsed());
}

#[test]
fn a_wait_for_the_keychain_can_be_interrupted() {
    if !has_all(&PROGRAMS) {
        return;
    }
    let sandbox = sandbox(&["work"]);
    let session = Session::unlocked(&sandbox.path("keyring"));
    keep(&sandbox, "work", &token("work"), &session.address);
    let _stopped = session.stop();
    let kage = waiting(&sandbox, &session.address);
    kill_process(Pid::from_child(&kage), Signal::TERM).unwrap();
    let output = kage.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::TERM.as_raw()), "{output:?}");
}

/// The correct answers of a service that has one secret.
fn valid_answers(secret: &[u8]) -> Vec<Message> {
    vec![
        Message::answer(1, "s").text(":1.7"),
        Message::signal(),
        Message::answer(2, "vo").variant("").text("/org/freedesktop/secrets/session/s1"),
        Message::answer(3, "aoao").texts(&["/org/freedesktop/secrets/collection/login/1"]).texts(&[]),
        Message::answer(4, "(oayays)").text("/session/s1").bytes(b"").bytes(secret).text("no/such; type"),
    ]
}

fn joined(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::to_vec).collect()
}

const OK: &[u8] = b"OK 0123456789abcdef0123456789abcdef\r\n";

#[test]
fn answers_in_any_order_and_byte_order_are_read() {
    let sandbox = sandbox(&["work"]);
    let swapped = || valid_answers(b"sk-1").into_iter().map(Message::big_endian).collect::<Vec<_>>();
    let mut reordered = valid_answers(b"sk-1");
    reordered.swap(0, 3);
    for messages in [valid_answers(b"sk-1"), swapped(), reordered] {
        // Also byte by byte, as from a slow bus.
        for piece in [usize::MAX, 1, 7] {
            let bytes = [OK, &joined(&messages)].concat();
            let bus = FalseBus::at(&sandbox.path("bus"), vec![Script::Say(bytes, piece)]);
            show(&sandbox, "work", &bus.address).run().success().prints("sk-1");
            assert_eq!(bus.connections(), 1);
        }
    }
}

#[test]
fn a_bus_of_another_user_is_not_asked_for_a_plain_secret() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can make a bus of another user");
        return;
    }
    let sandbox = sandbox(&["work"]);
    let bytes = [OK, &joined(&valid_answers(b"sk-1"))].concat();
    let bus = FalseBus::of_nobody(&sandbox.path("bus"), vec![Script::Say(bytes, usize::MAX)]);
    let ran = show(&sandbox, "work", &bus.address).run().status(125).prints("");
    ran.is_one_line_and_a_hint();
    // kage connects twice: the fast path leaves without a request, then the helper process connects.
    assert!(bus.connections() > 1, "{}", bus.connections());
}

/// Answers that are each wrong in one way.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let good = || valid_answers(b"sk-1");
    let after_ok = |messages: &[u8]| [OK, messages].concat();
    let with = |at: usize, message: Message| {
        let mut messages = good();
        messages[at] = message;
        after_ok(&joined(&messages))
    };
    let huge = u32::MAX.to_le_bytes();
    let patched = |at: usize, bytes: &[u8]| {
        let mut message = good()[0].to_vec();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        after_ok(&message)
    };
    let whole = after_ok(&joined(&good()));
    vec![
        ("nothing", Vec::new()),
        ("refusal", b"REJECTED EXTERNAL\r\n".to_vec()),
        ("no line", b"OK ".repeat(4096)),
        ("no text", b"OK \xff\xfe\r\n".to_vec()),
        ("half a message", whole[..OK.len() + 30].to_vec()),
        ("all but the last byte", whole[..whole.len() - 1].to_vec()),
        ("huge body", patched(4, &huge)),
        ("huge header", patched(12, &huge)),
        ("huge both", [patched(4, &huge), huge.to_vec()].concat()),
        ("another version", patched(3, &[9])),
        ("another byte order", patched(0, b"x")),
        ("error", with(2, Message::error(2))),
        ("locked", with(3, Message::answer(3, "aoao").texts(&[]).texts(&["/a"]))),
        ("both", with(3, Message::answer(3, "aoao").texts(&["/a"]).texts(&["/b"]))),
        ("huge array", with(3, Message::answer(3, "aoao").raw(&huge))),
        ("array of nothing", with(3, Message::answer(3, "aoao").raw(&4_u32.to_le_bytes()).raw(&huge))),
        ("huge text", with(2, Message::answer(2, "vo").variant("").raw(&huge))),
        ("text without text", with(2, Message::answer(2, "vo").variant("").bytes(b"\xff\xff"))),
        ("another type", with(4, Message::answer(4, "s").text("sk-1"))),
        ("no body", with(4, Message::answer(4, "(oayays)"))),
        ("short body", with(4, Message::answer(4, "(oayays)").text("/s").bytes(b"").raw(&huge))),
        ("more than any secret", with(4, Message::answer(4, "(oayays)").text("/s").bytes(&[b'x'; 1 << 20]))),
    ]
}

#[test]
fn an_invalid_answer_of_a_bus_is_reported_in_one_line() {
    let sandbox = sandbox(&["work"]);
    let mut dice = Dice::new(seed());
    let noise = |length: usize, dice: &mut Dice| -> Vec<u8> {
        (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect()
    };
    let mut cases = garbage();
    for _ in 0..20 {
        cases.push(("noise", noise(600, &mut dice)));
        cases.push(("noise after the line", [OK, &noise(600, &mut dice)].concat()));
        let mut one_off = [OK, &joined(&valid_answers(b""))].concat();
        let at = usize::try_from(dice.below(one_off.len() as u64)).unwrap();
        one_off[at] = noise(1, &mut dice)[0];
        cases.push(("a wrong byte", one_off));
    }
    for (case, bytes) in cases {
        let bus = FalseBus::at(&sandbox.path("bus"), vec![Script::Say(bytes.clone(), usize::MAX)]);
        // Allocating a claimed length without a check would need more memory than this.
        let script = "ulimit -v 1000000; exec \"$0\" exec -s work -- true";
        let call = sandbox.call("/bin/sh".as_ref(), ["-c", script]);
        let mut call = on_bus(call, &sandbox, &bus.address);
        call.command.arg(crate::support::kage());
        let begun = Instant::now();
        let ran = call.run();
        assert!(begun.elapsed() < Duration::from_secs(9), "{case} took {:?}: {bytes:?}", begun.elapsed());
        assert_eq!(ran.output.status.code(), Some(125), "{case}: {}\n{bytes:?}", ran.stderr());
        ran.prints("").is_one_line_and_a_hint();
    }
}

#[test]
fn kage_gives_up_in_time_on_a_bus_that_is_silent_or_never_stops_sending() {
    let sandbox = sandbox(&["work"]);
    let drip = joined(&vec![Message::signal(); 2]);
    for scripts in [
        vec![Script::Hang],
        vec![Script::Forever([OK, &Message::signal().to_vec()].concat(), Message::signal().to_vec())],
        // The fast path fails late and the helper process hangs: both share one time limit.
        vec![
            Script::Late(Duration::from_secs(4), [OK, &drip, b"rubbish, and more of it"].concat()),
            Script::Hang,
        ],
    ] {
        let bus = FalseBus::at(&sandbox.path("bus"), scripts);
        let begun = Instant::now();
        let ran = show(&sandbox, "work", &bus.address).run().status(125).is_one_line_and_a_hint();
        ran.prints("").mentions("the keychain did not answer within 10 s");
        let took = begun.elapsed().as_secs_f64();
        assert!((9.0..13.0).contains(&took), "kage took {took} s");
    }
}
