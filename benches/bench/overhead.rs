//! kage's overhead at the start of a program, in each mode and with each kind of credential, compared with
//! similar tools. Measures whole processes from spawn to wait.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::figures::{Kind, Measured, Row, rounded};
use crate::peers::{self, Ready};
use crate::rounds::{Contender, alternate};
use crate::secret_service::{PROGRAMS, Session};
use crate::support::{self, Sandbox, has_all, token};

/// How much to measure.
pub(crate) struct Extent {
    pub rounds: usize,
    pub subscriptions: usize,
    /// Other builds of kage, measured in the same rounds.
    pub other_builds: Vec<PathBuf>,
}

/// The highest acceptable ratios.
const REPLACED: f64 = 1.45;
const SPAWNED: f64 = 2.0;
const KEYCHAIN: f64 = 4.0;

const SPAWN: [&str; 3] = ["exec", "--", "true"];
const REPLACE: [&str; 4] = ["exec", "--replace", "--", "true"];

/// A row and the program that is measured for it.
struct Entry {
    row: Row,
    contender: Option<Contender>,
}

impl Entry {
    fn new(kind: Kind, name: impl Into<String>, note: &str, ready: Ready) -> Self {
        let (contender, missing) = match ready {
            Ok(command) => (Some(Contender::new(command)), String::new()),
            Err(why) => (None, why),
        };
        let (name, note, result) = (name.into(), note.to_owned(), Measured::Missing(missing));
        Self { row: Row { name, kind, note, at_terminal: false, target: None, result }, contender }
    }

    fn kage(words: &[&str], note: &str, ready: Ready) -> Self {
        Self::new(Kind::Kage, format!("kage {}", words.join(" ")), note, ready)
    }

    fn target(mut self, ratio: f64) -> Self {
        self.row.target = Some(ratio);
        self
    }

    fn at_terminal(mut self) -> Self {
        self.row.at_terminal = true;
        self.contender = self.contender.map(Contender::at_terminal);
        self
    }
}

pub(crate) fn measure(extent: &Extent) -> Vec<Row> {
    let file = pool(&SecretLocation::File, extent.subscriptions);
    let commands = pool(&SecretLocation::Command, extent.subscriptions);
    // The bus and its keyring must last as long as the rounds.
    let kept = Sandbox::new();
    let session = has_all(&PROGRAMS).then(|| Session::unlocked(&kept.path("keyring")));
    let keychain = session
        .as_ref()
        .map(|session| (pool(&SecretLocation::Keychain(session), extent.subscriptions), session));

    let mut entries = Vec::from(of_kage(&file, &commands));
    entries.push(from_keychain(keychain.as_ref().map(|(sandbox, session)| (sandbox, *session))));
    entries.extend(at_terminal(&file));
    entries.extend(of_other_builds(&file, &extent.other_builds));
    entries.extend(of_peers(&file));
    run(&mut entries, extent.rounds);
    entries.into_iter().map(|entry| entry.row).collect()
}

fn of_kage(file: &Sandbox, commands: &Sandbox) -> [Entry; 5] {
    // An agent without output. With this name and flag kage relays its output.
    std::fs::copy(which::which("true").unwrap(), file.path("bin/claude")).unwrap();
    let print = ["exec", "--", "claude", "-p"];
    let note = "secret from the encrypted file";
    let with = |sandbox: &Sandbox, words: &[&str]| Ok(kage(sandbox, words));
    [
        Entry::new(Kind::Base, "env true", "", Ok(env_true(file))),
        Entry::kage(&REPLACE, note, with(file, &REPLACE)).target(REPLACED),
        Entry::kage(&SPAWN, note, with(file, &SPAWN)).target(SPAWNED),
        Entry::kage(&print, "the same, its output relayed; claude is a copy of true", with(file, &print)),
        Entry::kage(&SPAWN, "secret from a command (sh, echo)", with(commands, &SPAWN)),
    ]
}

fn from_keychain(pool: Option<(&Sandbox, &Session)>) -> Entry {
    let command = pool.map(|(sandbox, session)| {
        let mut command = kage(sandbox, &SPAWN);
        on_bus(&mut command, session);
        command
    });
    let ready = command.ok_or_else(|| format!("needs {}", PROGRAMS.join(", ")));
    Entry::kage(&SPAWN, "secret from the Secret Service (gnome-keyring)", ready).target(KEYCHAIN)
}

fn at_terminal(file: &Sandbox) -> [Entry; 2] {
    let note = "attached, at its own terminal";
    let on_screen = |mut command: Command| {
        command.env("TERM", "xterm-256color");
        Ok(command)
    };
    [
        Entry::new(Kind::Base, "env true", "at its own terminal", on_screen(env_true(file))).at_terminal(),
        Entry::kage(&SPAWN, note, on_screen(kage(file, &SPAWN))).at_terminal().target(SPAWNED),
    ]
}

/// The statically linked build, and those given by `--beside`.
fn of_other_builds(file: &Sandbox, other_builds: &[PathBuf]) -> Vec<Entry> {
    let both = |program: Option<&Path>, note: &str| {
        let ready = |words: &[&str]| {
            let program = program.ok_or("needs a C library that can be linked statically")?;
            peers::tried(file.call(program, words).command)
        };
        [
            Entry::kage(&REPLACE, note, ready(&REPLACE)).target(REPLACED),
            Entry::kage(&SPAWN, note, ready(&SPAWN)).target(SPAWNED),
        ]
    };
    let linked = env::var_os("KAGE_STATIC").map(PathBuf::from);
    let linked = both(linked.as_deref(), "statically linked");
    let others = other_builds.iter().flat_map(|kage| both(Some(kage), &kage.display().to_string()));
    linked.into_iter().chain(others).collect()
}

fn of_peers(file: &Sandbox) -> [Entry; 7] {
    let peer = |name: &str, note: &str, ready| Entry::new(Kind::Peer, name, note, ready);
    let interpreter =
        |name: &str, ready| Entry::new(Kind::Interpreter, name, "a tool written for it takes longer", ready);
    [
        peer("sudo -E true", "", peers::sudo(file)),
        peer("mise exec -- true", "one variable in mise.toml", peers::mise(file)),
        peer("direnv exec DIR true", "one variable in .envrc", peers::direnv(file)),
        peer("sops exec-env FILE true", "one secret, sealed for an age identity", peers::sops(file)),
        peer("dotenvx run -- true", "one variable in .env", peers::dotenvx(file)),
        interpreter("python3 -c 0", peers::python(file)),
        interpreter("node -e 0", peers::node(file)),
    ]
}

fn run(entries: &mut [Entry], rounds: usize) {
    let mut contenders: Vec<_> = entries.iter_mut().filter_map(|entry| entry.contender.as_mut()).collect();
    alternate(&mut contenders, rounds);
    let base = |at_terminal| {
        let is_it = |entry: &&Entry| entry.row.kind == Kind::Base && entry.row.at_terminal == at_terminal;
        let base = entries.iter().find(is_it).and_then(|entry| entry.contender.as_ref());
        base.expect("`env` is installed everywhere").milliseconds(50)
    };
    let (without_terminal, at_terminal) = (base(false), base(true));
    for Entry { row, contender } in entries {
        let Some(contender) = contender else { continue };
        let base = if row.at_terminal { at_terminal } else { without_terminal };
        let (median, p90) = (contender.milliseconds(50), contender.milliseconds(90));
        row.result = Measured::Times {
            median_ms: rounded(median),
            p90_ms: rounded(p90),
            ratio: rounded(median / base),
        };
    }
}

pub(crate) fn env_true(sandbox: &Sandbox) -> Command {
    sandbox.call("/usr/bin/env".as_ref(), ["true"]).command
}

/// The measured kage: the one in `KAGE`, or else the one built with the benchmarks.
pub(crate) fn kage(sandbox: &Sandbox, words: &[&str]) -> Command {
    let program = env::var_os("KAGE").map_or_else(support::kage, PathBuf::from);
    sandbox.call(&program, words).command
}

fn on_bus(command: &mut Command, session: &Session) {
    command.env("DBUS_SESSION_BUS_ADDRESS", &session.address);
}

/// Where the secrets of a pool are stored.
pub(crate) enum SecretLocation<'a> {
    File,
    Command,
    Keychain(&'a Session),
}

/// A realistic pool: 20 subscriptions are a config of 5 KB.
pub(crate) fn pool(location: &SecretLocation, subscriptions: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for at in 0..subscriptions {
        let (name, priority) = (format!("subscription-{at:02}"), (50 + at * 5).to_string());
        let described = format!(
            "account {at} of the team, paid for by the department, renewed every month by card of the lead"
        );
        let source = match location {
            SecretLocation::File => "file".to_owned(),
            SecretLocation::Command => format!("command:echo {}", token(&name)),
            SecretLocation::Keychain(_) => "keychain".to_owned(),
        };
        let words = ["subscription", "add", &name, "--credential", &source, "--priority", &priority];
        let more = ["--tags", "team,backend,large,eu", "--description", &described];
        let mut add = sandbox.kage(words.iter().chain(&more)).stdin(&token(&name));
        if let SecretLocation::Keychain(session) = location {
            on_bus(&mut add.command, session);
        }
        add.run().success();
    }
    sandbox
}
