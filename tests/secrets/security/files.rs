//! kage's files on a machine with other users: modes under any umask, planted links, and temporary files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rexpect::session::spawn_command;

use super::unprivileged_user::UnprivilegedUser;
use crate::support::{CONFIG, Call, Sandbox, kage, pool, token};

const STATE: &str = "home/.local/state/kage";

/// A call of kage with this umask.
fn with_umask(sandbox: &Sandbox, umask: &str, words: &[&str]) -> Call {
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    let kage = kage().to_str().unwrap().to_owned();
    let words =
        ["-c", &script, &kage].map(str::to_owned).into_iter().chain(words.iter().map(ToString::to_string));
    sandbox.call("/bin/sh".as_ref(), words)
}

/// All files below a directory, and the directory itself.
fn all_below(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let inside = inside.flat_map(|path| if path.is_dir() { all_below(&path) } else { vec![path] });
    [dir.to_owned()].into_iter().chain(inside).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_the_user_can_read_what_kage_writes_under_any_umask() {
    for umask in ["0", "077"] {
        let sandbox = Sandbox::new();
        let add = ["subscription", "add", "work", "--credential", "file"];
        with_umask(&sandbox, umask, &add).stdin(&token("work--429five")).run().success();
        with_umask(&sandbox, umask, &["subscription", "add", "other", "--credential", "file"])
            .stdin(&token("other--ok"))
            .run()
            .success();
        sandbox.stand_in_claude();
        with_umask(&sandbox, umask, &["exec", "--", "claude", "-p", "hi"]).run().success();
        // A session at the terminal has hooks, and a hook without a run writes to the log.
        let session = with_umask(&sandbox, umask, &["exec", "-s", "other", "--", "claude"]);
        let session = session.env("TERM", "xterm");
        spawn_command(session.command, Some(20_000)).unwrap().exp_eof().unwrap();
        let lost = with_umask(&sandbox, umask, &["hook"]).env("KAGE_RUN", "lost");
        lost.env("KAGE_SUBSCRIPTION", "work").stdin("{}").run().success();
        with_umask(&sandbox, umask, &["shim", "install", "claude"]).run().success();
        with_umask(&sandbox, umask, &["doctor"]).run();
        let page = sandbox.path("home/.local/share/kage/page.html");
        with_umask(&sandbox, umask, &["usage", "--html", page.to_str().unwrap()]).run().success();
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
            with_umask(&sandbox, umask, &["exec", "-s", "other", "--", "sh", "-c", "umask"]).run().success();
        assert_eq!(u32::from_str_radix(agent.stdout().trim(), 8), u32::from_str_radix(umask, 8));
    }
}

#[test]
fn a_planted_link_is_not_written_through() {
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
    for path in &temporary {
        symlink(&victim, sandbox.path(path)).unwrap();
    }
    sandbox.add("third", &[]);
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    for path in &temporary {
        assert!(fs::symlink_metadata(sandbox.path(path)).is_err(), "{path} is still there");
    }
    // If a link replaces a file that kage appends to or locks, kage writes nothing.
    let month = fs::read_dir(sandbox.path(&format!("{STATE}/usage"))).unwrap().flatten();
    let month = month.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|is| is == "jsonl"));
    let paths = [sandbox.path(&format!("{STATE}/state.lock")), month.unwrap()];
    for path in paths {
        let kept = path.with_extension("kept");
        fs::rename(&path, &kept).unwrap();
        symlink(&victim, &path).unwrap();
        let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run();
        assert!(ran.stderr().contains("could not"), "{}: {}", path.display(), ran.stderr());
        fs::rename(&kept, &path).unwrap();
    }
    let log = sandbox.path(&format!("{STATE}/hook.log"));
    symlink(&victim, &log).unwrap();
    let lost = sandbox.kage(["hook"]).env("KAGE_RUN", "lost").env("KAGE_SUBSCRIPTION", "personal");
    lost.stdin("{}").run().success();
    assert_eq!((sandbox.read("home/victim").as_str(), mode(&victim)), ("untouched\n", 0o644));
}

#[test]
fn a_planted_file_does_not_receive_a_secret() {
    let sandbox = pool();
    let planted = sandbox.write("home/.local/share/kage/credentials.new", "");
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o666)).unwrap();
    // A process that has it open could read everything written to it.
    let held = fs::File::open(&planted).unwrap();
    sandbox.add("third", &[]);
    assert_eq!(held.metadata().unwrap().len(), 0, "the secrets were written to the planted file");
    assert_eq!(mode(&sandbox.path("home/.local/share/kage/credentials")), 0o600);
}

#[test]
fn a_directory_that_others_can_write_to_causes_a_warning() {
    let sandbox = pool();
    let run = || sandbox.kage(["exec", "--", "true"]).run().success();
    run().says("");
    let state = sandbox.path(STATE);
    let path = state.display();
    for (dir, problem, flags) in [
        (STATE, format!("{path}, which holds kage's files"), "700"),
        ("home/.local/state/kage/usage", format!("{path}/usage, which holds kage's files"), "700"),
        ("home/.local", format!("{} and so replace {path}", sandbox.path("home/.local").display()), "go-w"),
    ] {
        let dir = sandbox.path(dir);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let hint = format!("chmod {flags} {}", dir.display());
        run().says(&format!("kage: warning: other users can write to {problem}\nhint: {hint}\n"));
        sandbox.call("sh".as_ref(), ["-c", &hint]).run().success();
        run().says("");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
        run().says("");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_new_state_directory_that_others_can_replace_causes_a_warning() {
    let sandbox = pool();
    let shared = sandbox.path("work/it's shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let run =
        || sandbox.kage(["exec", "--", "true"]).env("KAGE_STATE_DIR", "it's shared/new").run().success();
    let hint = format!("chmod go-w '{}'", shared.display().to_string().replace('\'', r"'\''"));
    let path = shared.display();
    let said =
        format!("kage: warning: other users can write to {path} and so replace {path}/new\nhint: {hint}\n");
    run().says(&said);
    run().says(&said);
    sandbox.call("sh".as_ref(), ["-c", &hint]).run().success();
    run().says("");
}

#[test]
fn the_hint_for_a_directory_that_the_user_cannot_fix_is_kage_doctor() {
    let Some(user) = UnprivilegedUser::new(pool()) else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let run = || user.kage(["exec", "--", "true"]).run().success();
    let state = user.sandbox.path(STATE);
    let owner = |dir: &str, owner: &str| {
        let words = [owner.into(), user.sandbox.path(dir).into_os_string()];
        user.sandbox.call("chown".as_ref(), words).run().success();
    };
    let above = user.sandbox.path("home/.local/state");
    let mode = |dir: &Path, mode| fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    owner("home/.local/state", "0:0");
    mode(&above, 0o755);
    run().says("");
    mode(&above, 0o777);
    let (shown, path) = (above.display(), state.display());
    let hint = "hint: kage doctor\n";
    run().says(&format!("kage: warning: other users can write to {shown} and so replace {path}\n{hint}"));
    owner("home/.local/state", "12345:12345");
    let whose = "belongs to another user (uid 12345)";
    run().says(&format!("kage: warning: {shown} {whose}, who can replace {path}\n{hint}"));
    user.take_ownership();
    mode(&above, 0o755);
    run().says("");
    owner(STATE, "12345:12345");
    mode(&state, 0o777);
    run().says(&format!("kage: warning: {path}, which holds kage's files, {whose}\n{hint}"));
}

#[test]
fn spooled_input_has_no_name_that_others_could_open() {
    let sandbox = pool();
    let temporary = sandbox.write("tmp/none", "");
    fs::remove_file(&temporary).unwrap();
    // The agent reads all input, so that all of it is spooled, and then lists the directory.
    sandbox.program("claude", "#!/bin/sh\nwc -c\nls -A \"$TMPDIR\"\n");
    let ran = sandbox.kage(["exec", "--", "claude", "-p", "hi"]).env("TMPDIR", temporary.parent().unwrap());
    let ran = ran.stdin(&"x".repeat(3 << 20)).run().success();
    assert_eq!(ran.stdout().trim(), (3 << 20).to_string());
}
