//! What kage keeps on a machine that others use too: modes under any umask, links planted where it writes, and
//! temporary files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rexpect::session::spawn_command;

use super::somebody::Somebody;
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
    let run = || sandbox.kage(["exec", "--", "true"]).run().success();
    run().says("");
    let state = sandbox.path(STATE);
    let place = state.display();
    for (dir, problem, flags) in [
        (STATE, format!("{place}, where kage keeps what it goes by"), "700"),
        ("home/.local/state/kage/usage", format!("{place}/usage, where kage keeps what it goes by"), "700"),
        ("home/.local", format!("{}, and so replace {place}", sandbox.path("home/.local").display()), "go-w"),
    ] {
        let dir = sandbox.path(dir);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let hint = format!("chmod {flags} {}", dir.display());
        run().says(&format!("kage: warning: others can write to {problem}\nhint: {hint}\n"));
        sandbox.call("sh".as_ref(), ["-c", &hint]).run().success();
        run().says("");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
        run().says("");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_state_directory_that_is_made_where_others_can_replace_it_is_warned_of() {
    let sandbox = pool();
    let shared = sandbox.path("work/it's shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let run =
        || sandbox.kage(["exec", "--", "true"]).env("KAGE_STATE_DIR", "it's shared/new").run().success();
    let hint = format!("chmod go-w '{}'", shared.display().to_string().replace('\'', r"'\''"));
    let place = shared.display();
    let said =
        format!("kage: warning: others can write to {place}, and so replace {place}/new\nhint: {hint}\n");
    run().says(&said);
    run().says(&said);
    sandbox.call("sh".as_ref(), ["-c", &hint]).run().success();
    run().says("");
}

#[test]
fn a_directory_that_the_user_cannot_close_leads_to_the_doctor() {
    let Some(somebody) = Somebody::new(pool()) else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let run = || somebody.kage(["exec", "--", "true"]).run().success();
    let state = somebody.sandbox.path(STATE);
    let owner = |dir: &str, owner: &str| {
        let words = [owner.into(), somebody.sandbox.path(dir).into_os_string()];
        somebody.sandbox.call("chown".as_ref(), words).run().success();
    };
    let above = somebody.sandbox.path("home/.local/state");
    let mode = |dir: &Path, mode| fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    owner("home/.local/state", "0:0");
    mode(&above, 0o755);
    run().says("");
    mode(&above, 0o777);
    let (shown, place) = (above.display(), state.display());
    let hint = "hint: kage doctor\n";
    run().says(&format!("kage: warning: others can write to {shown}, and so replace {place}\n{hint}"));
    owner("home/.local/state", "12345:12345");
    let whose = "belongs to another user (uid 12345)";
    run().says(&format!("kage: warning: {shown} {whose}, who can replace {place}\n{hint}"));
    somebody.owns_all();
    mode(&above, 0o755);
    run().says("");
    owner(STATE, "12345:12345");
    mode(&state, 0o777);
    run().says(&format!("kage: warning: {place}, where kage keeps what it goes by, {whose}\n{hint}"));
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
