//! What kage keeps on a machine that others use too: modes under any umask, links planted where it writes, and
//! temporary files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rexpect::session::spawn_command;

use crate::support::{CONFIG, Call, Sandbox, kage, pool, token};

const STATE: &str = "home/.local/state/kage";

/// kage under an umask.
fn under(sandbox: &Sandbox, umask: &str, words: &[&str]) -> Call {
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    let kage = kage().to_str().unwrap().to_owned();
    let words =
        ["-c", &script, &kage].map(str::to_owned).into_iter().chain(words.iter().map(ToString::to_string));
    sandbox.call("/bin/sh".as_ref(), words)
}

/// Everything below a directory, with itself.
fn all_below(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let inside = inside.flat_map(|path| if path.is_dir() { all_below(&path) } else { vec![path] });
    [dir.to_owned()].into_iter().chain(inside).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_kage_writes_is_the_users_alone_whatever_the_umask() {
    for umask in ["0", "077"] {
        let sandbox = Sandbox::new();
        let add = ["subscription", "add", "work", "--credential", "file"];
        under(&sandbox, umask, &add).stdin(&token("work--429five")).run().success();
        under(&sandbox, umask, &["subscription", "add", "other", "--credential", "file"])
            .stdin(&token("other--ok"))
            .run()
            .success();
        sandbox.stand_in_claude();
        under(&sandbox, umask, &["exec", "--", "claude", "-p", "hi"]).run().success();
        // A session at the terminal has hooks, and one that cannot be heard is in the log.
        let session = under(&sandbox, umask, &["exec", "-s", "other", "--", "claude"]).env("TERM", "xterm");
        spawn_command(session.command, Some(20_000)).unwrap().exp_eof().unwrap();
        let lost = under(&sandbox, umask, &["hook"]).env("KAGE_RUN", "lost").env("KAGE_SUBSCRIPTION", "work");
        lost.stdin("{}").run().success();
        under(&sandbox, umask, &["shim", "install", "claude"]).run().success();
        under(&sandbox, umask, &["doctor"]).run();
        let page = sandbox.path("home/.local/share/kage/page.html");
        under(&sandbox, umask, &["usage", "--html", page.to_str().unwrap()]).run().success();
        let ours: Vec<_> = [".config/kage", ".local/share/kage", ".local/state/kage"]
            .iter()
            .flat_map(|dir| all_below(&sandbox.path(&format!("home/{dir}"))))
            .collect();
        for name in [
            "config.toml",
            "identity",
            "credentials",
            "state.json",
            "usage",
            "hooks",
            "hook.log",
            "page.html",
        ] {
            assert!(ours.iter().any(|path| path.ends_with(name)), "no {name} among {ours:?}");
        }
        for path in ours {
            let shim = path.ends_with("shims/claude");
            let open = if shim { mode(&path) & 0o022 } else { mode(&path) & 0o077 };
            assert_eq!(open, 0, "{} has mode {:o} under {umask}", path.display(), mode(&path));
        }
        let agent =
            under(&sandbox, umask, &["exec", "-s", "other", "--", "sh", "-c", "umask"]).run().success();
        assert_eq!(u32::from_str_radix(agent.stdout().trim(), 8), u32::from_str_radix(umask, 8));
    }
}

#[test]
fn a_link_planted_where_kage_writes_is_not_written_through() {
    let sandbox = pool();
    sandbox.stand_in_claude();
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    let victim = sandbox.write("home/victim", "untouched\n");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    let temporary = [
        format!("{STATE}/state.json.new"),
        "home/.local/share/kage/credentials.new".to_owned(),
        format!("{CONFIG}.new"),
    ];
    for place in &temporary {
        symlink(&victim, sandbox.path(place)).unwrap();
    }
    sandbox.add("third", &[]);
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    for place in &temporary {
        assert!(fs::symlink_metadata(sandbox.path(place)).is_err(), "{place} is still there");
    }
    // Where a link stands in place of a file that is appended to, or locked, nothing is written at all.
    let month = fs::read_dir(sandbox.path(&format!("{STATE}/usage"))).unwrap().flatten();
    let month = month.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|is| is == "jsonl"));
    let places = [sandbox.path(&format!("{STATE}/state.lock")), month.unwrap()];
    for place in places {
        let kept = place.with_extension("kept");
        fs::rename(&place, &kept).unwrap();
        symlink(&victim, &place).unwrap();
        let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run();
        assert!(ran.stderr().contains("could not"), "{}: {}", place.display(), ran.stderr());
        fs::rename(&kept, &place).unwrap();
    }
    let log = sandbox.path(&format!("{STATE}/hook.log"));
    symlink(&victim, &log).unwrap();
    let lost = sandbox.kage(["hook"]).env("KAGE_RUN", "lost").env("KAGE_SUBSCRIPTION", "personal");
    lost.stdin("{}").run().success();
    assert_eq!((sandbox.read("home/victim").as_str(), mode(&victim)), ("untouched\n", 0o644));
}

#[test]
fn a_file_planted_where_kage_writes_a_secret_does_not_get_it() {
    let sandbox = pool();
    let place = sandbox.write("home/.local/share/kage/credentials.new", "");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
    // Whoever holds it open would read what is written into it.
    let held = fs::File::open(&place).unwrap();
    sandbox.add("third", &[]);
    assert_eq!(held.metadata().unwrap().len(), 0, "the secrets were written into it");
    assert_eq!(mode(&sandbox.path("home/.local/share/kage/credentials")), 0o600);
}

#[test]
fn a_directory_that_others_can_write_to_is_warned_of() {
    let sandbox = pool();
    sandbox.kage(["exec", "--", "true"]).run().success().says("");
    let state = sandbox.path(STATE);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = sandbox.kage(["exec", "--", "true"]).run().success();
    let said = format!("kage: warning: others can write to {}, where ", state.display());
    assert!(ran.stderr().starts_with(&said) && ran.stderr().lines().count() == 1, "{}", ran.stderr());
}

#[test]
fn what_is_spooled_has_no_name_that_others_could_open() {
    let sandbox = pool();
    let temporary = sandbox.write("tmp/none", "");
    fs::remove_file(&temporary).unwrap();
    // It reads all, so that all is spooled, and looks for it then.
    sandbox.program("claude", "#!/bin/sh\nwc -c\nls -A \"$TMPDIR\"\n");
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).env("TMPDIR", temporary.parent().unwrap());
    let ran = ran.stdin(&"x".repeat(3 << 20)).run().success();
    assert_eq!(ran.stdout().trim(), (3 << 20).to_string());
}
