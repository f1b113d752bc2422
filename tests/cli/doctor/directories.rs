//! Directories in which other users can replace kage's files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rexpect::session::spawn_command;

use super::fixture::Fixture;
use crate::support::has_all;

const CODE: &str = "directory-writable";
const STATE: &str = "home/.local/state/kage";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A directory and all directories below it.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    [dir.to_owned()].into_iter().chain(inside.flat_map(|path| directories(&path))).collect()
}

/// A home in which kage has created every directory that it can create.
fn used() -> Fixture {
    let fixture = Fixture::healthy();
    let sandbox = &fixture.sandbox;
    sandbox.program("claude", "#!/bin/sh\necho '2.1.332 (Claude Code)'\n");
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    // A terminal session creates `hooks`, and with settings of its own also `settings`.
    sandbox.write("home/.claude/mine.json", "{ \"env\": { \"ANTHROPIC_API_KEY\": \"sk-x\" } }");
    let mine = sandbox.path("home/.claude/mine.json");
    for words in [&[][..], &["--settings", mine.to_str().unwrap()]] {
        let session = sandbox.kage([&["exec", "--", "claude"], words].concat()).env("TERM", "xterm");
        spawn_command(session.command, Some(20_000)).unwrap().exp_eof().unwrap();
    }
    // The first query creates `sums` for a past month.
    let usage = sandbox.path("home/.local/state/kage/usage");
    let months = fs::read_dir(&usage).unwrap().flatten().map(|entry| entry.path());
    let month = months.into_iter().find(|file| file.extension().is_some_and(|is| is == "jsonl")).unwrap();
    fs::copy(&month, usage.join("2025-01.jsonl")).unwrap();
    sandbox.kage(["usage", "--since", "2025-01-01"]).run().success();
    sandbox.kage(["shim", "install", "claude"]).run().success();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        sandbox.path("home/.local/share/kage/shims").display(),
        sandbox.path("bin").display()
    );
    fixture.with("PATH", path)
}

#[test]
fn each_directory_of_kage_that_others_can_write_to_is_made_private() {
    let fixture = used();
    fixture.assert_no_problems();
    let ours = [".config/kage", ".local/share/kage", ".local/state/kage"];
    let ours = ours.iter().flat_map(|dir| directories(&fixture.sandbox.path(&format!("home/{dir}"))));
    let ours: Vec<_> = ours.collect();
    for name in ["kage", "shims", "usage", "sums", "hooks", "settings"] {
        assert!(ours.iter().any(|dir| dir.ends_with(name)), "no {name} among {ours:?}");
    }
    for dir in ours {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let problem = fixture.finds("error", CODE).mentions("other users can write to ~/");
        problem.has_fix(&format!("chmod 700 {}", dir.display())).apply_fix();
        assert_eq!(mode(&dir), 0o700);
    }
}

#[test]
fn only_write_access_to_a_directory_above_those_of_kage_is_removed() {
    let fixture = used();
    for inside in ["", "home", "home/.config", "home/.local", "home/.local/state", "home/.local/share"] {
        let dir = fixture.sandbox.path(inside);
        let dir = PathBuf::from(dir.to_str().unwrap().trim_end_matches('/'));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let problem = fixture.finds("error", CODE).mentions("and so replace ");
        problem.has_fix(&format!("chmod go-w {}", dir.display())).apply_fix();
        assert_eq!(mode(&dir), 0o755);
        // In these modes others cannot replace the files of the user. The group is not checked.
        for harmless in [0o1777, 0o775, 0o770] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(harmless)).unwrap();
            fixture.assert_no_problems();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn several_open_directories_are_each_reported_once() {
    let fixture = used();
    let open = ["home/.local", STATE, "home/.local/state/kage/usage", "home/.config/kage"];
    for inside in open {
        fixture.mode(inside, 0o777);
    }
    let found = fixture.findings();
    let mut fixes: Vec<_> =
        found.problems().iter().map(|problem| problem["fix"].as_str().unwrap().to_owned()).collect();
    let fix = |inside: &str, flags: &str| format!("chmod {flags} {}", fixture.sandbox.path(inside).display());
    let mut expected = vec![fix(open[0], "go-w")];
    expected.extend(open[1..].iter().map(|inside| fix(inside, "700")));
    fixes.sort();
    expected.sort();
    assert_eq!(fixes, expected);
    fixture.sandbox.call("sh".as_ref(), ["-c", &fixes.join(" && ")]).run().success();
    fixture.assert_no_problems();
}

#[test]
fn a_directory_that_the_user_named_stays_readable() {
    let named = "work/it's here";
    for (variable, inside) in [
        ("KAGE_STATE_DIR", ""),
        ("KAGE_CONFIG", "/my.toml"),
        ("KAGE_IDENTITY", "/key"),
        ("XDG_STATE_HOME", ""),
        ("XDG_DATA_HOME", ""),
    ] {
        for shell in ["bash", "zsh", "fish"] {
            if !has_all(&[shell]) {
                continue;
            }
            let fixture = Fixture::healthy();
            let fixture = if shell == "bash" { fixture } else { fixture.in_shell(shell) };
            let sandbox = &fixture.sandbox;
            sandbox.write(&format!("{named}/my.toml"), &sandbox.read(crate::support::CONFIG));
            sandbox.write(&format!("{named}/key"), &sandbox.read("home/.config/kage/identity"));
            fixture.mode(&format!("{named}/key"), 0o600);
            let copy = ["-a", "home/.local/share/kage", "work/it's here/"];
            sandbox.call("cp".as_ref(), copy).cwd(sandbox.path("")).run().success();
            let dir = sandbox.path(named);
            let value = PathBuf::from(format!("{}{inside}", dir.display()));
            let fixture = fixture.with(variable, value);
            fixture.assert_no_problems();
            fixture.mode(named, 0o777);
            let quoted = dir.display().to_string().replace('\'', r"'\''");
            fixture.finds("error", CODE).has_fix(&format!("chmod go-w '{quoted}'")).apply_fix();
            assert_eq!(mode(&dir), 0o755);
        }
    }
}

#[test]
fn directories_below_a_state_directory_that_the_user_named_are_made_private() {
    let fixture = Fixture::healthy();
    let fixture = fixture.with("KAGE_STATE_DIR", "state");
    fixture.sandbox.kage(["exec", "--", "true"]).env("KAGE_STATE_DIR", "state").run().success();
    fixture.assert_no_problems();
    fixture.mode("work/state/usage", 0o777);
    let usage = fixture.sandbox.path("work/state/usage");
    fixture.finds("error", CODE).has_fix(&format!("chmod 700 {}", usage.display())).apply_fix();
    fixture.mode("work", 0o777);
    let work = fixture.sandbox.path("work");
    fixture.finds("error", CODE).has_fix(&format!("chmod go-w {}", work.display())).apply_fix();
}

#[test]
fn directories_along_links_are_checked() {
    let fixture = Fixture::healthy();
    let sandbox = &fixture.sandbox;
    let (real, between) = (sandbox.path("work/real"), sandbox.path("work/between"));
    fs::create_dir(&between).unwrap();
    fs::rename(sandbox.path("home/.local/state"), &real).unwrap();
    symlink("../real", between.join("link")).unwrap();
    symlink(between.join("link"), sandbox.path("home/.local/state")).unwrap();
    let config = sandbox.path("work/dotfiles/kage.toml");
    fs::create_dir(sandbox.path("work/dotfiles")).unwrap();
    fs::rename(sandbox.path(crate::support::CONFIG), &config).unwrap();
    symlink(&config, sandbox.path(crate::support::CONFIG)).unwrap();
    fixture.assert_no_problems();
    for inside in ["work/real", "work/between", "work", "work/dotfiles", "home/.local"] {
        fixture.mode(inside, 0o777);
        let dir = fixture.sandbox.path(inside);
        fixture.finds("error", CODE).has_fix(&format!("chmod go-w {}", dir.display())).apply_fix();
    }
    // A loop of links does not stop the doctor.
    symlink("loop", sandbox.path("work/loop")).unwrap();
    let ran = sandbox.kage(["doctor"]).env("KAGE_STATE_DIR", sandbox.path("work/loop/kage")).run();
    assert!(ran.stdout().contains("\nok ") && ran.output.status.code().is_some(), "{}", ran.stdout());
}

#[test]
fn a_sticky_directory_of_the_user_is_not_a_problem() {
    let fixture = used();
    for dir in [STATE, "home/.config/kage", "home/.local/share/kage/shims"] {
        fixture.mode(dir, 0o1777);
        fixture.assert_no_problems();
    }
}

/// The test does not run the fixes that need `sudo`. It makes their changes itself.
#[test]
fn a_directory_of_another_user_gets_a_new_owner_or_is_no_longer_used() {
    let fixture = || {
        let fixture = Fixture::healthy();
        fixture.sandbox.write("shared/kage/x", "");
        fixture
    };
    let sudo = |fixture: &Fixture, inside: &str| {
        format!("sudo chown -R \"$(id -un)\" {}", fixture.sandbox.path(inside).display())
    };
    if !rustix::process::getuid().is_root() {
        return;
    }
    // Root can do anything anyway. In its directories only other writers count.
    let named = fixture().unprivileged();
    named.chown("shared", "0:0");
    let dir = named.sandbox.path("shared/kage");
    named.mode("shared/kage", 0o1777);
    let named = named.with("KAGE_STATE_DIR", dir);
    named.finds("error", CODE).has_fix("unset KAGE_STATE_DIR").apply_fix();
    named.mode("shared/kage", 0o755).mode("shared", 0o777);
    named.chown("shared/kage", "65534:65534");
    named.finds("error", CODE).has_fix("unset KAGE_STATE_DIR").apply_fix();

    let above = Fixture::healthy().unprivileged();
    above.chown_one("home/.local/state", "0:0");
    above.mode("home/.local/state", 0o755);
    above.assert_no_problems();
    above.mode("home/.local/state", 0o777);
    let dir = above.sandbox.path("home/.local/state");
    let problem = above.finds("error", CODE).has_fix(&format!("sudo chmod +t {}", dir.display()));
    problem.fix_manually(|fixture| {
        fixture.mode("home/.local/state", 0o1777);
    });

    let foreign = Fixture::healthy().unprivileged();
    foreign.chown_one(STATE, "12345:12345");
    foreign.mode(STATE, 0o777);
    let fix = format!("{} && chmod 700 {}", sudo(&foreign, STATE), foreign.sandbox.path(STATE).display());
    let problem = foreign.finds("error", "directory-foreign").mentions("belongs to another user (uid 12345)");
    problem.has_fix(&fix).fix_manually(|fixture| {
        fixture.chown_to_user();
        fixture.mode(STATE, 0o700);
    });
    foreign.chown_one("home/.config", "12345:12345");
    foreign.mode("home/.config", 0o755);
    let problem =
        foreign.finds("error", "directory-foreign").mentions("(uid 12345), who can replace ~/.config/kage");
    problem.has_fix(&sudo(&foreign, "home/.config")).fix_manually(Fixture::chown_to_user);
    // The owner of the directory that contains the home is not checked.
    foreign.chown_one("", "12345:12345");
    foreign.assert_no_problems();
    foreign.chown_to_user();
    // A directory that cannot be written is reported only once.
    foreign.chown_one(STATE, "12345:12345");
    let problem = foreign.finds("error", "state-not-writable").has_fix(&sudo(&foreign, STATE));
    problem.fix_manually(Fixture::chown_to_user);
}
