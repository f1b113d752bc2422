//! Directories in which others can put something in the place of what kage keeps.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rexpect::session::spawn_command;

use super::clinic::Clinic;
use crate::support::has_all;

const CODE: &str = "directory-writable";
const STATE: &str = "home/.local/state/kage";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// All directories below one, with itself.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    [dir.to_owned()].into_iter().chain(inside.flat_map(|path| directories(&path))).collect()
}

/// A home in which kage has made all the directories that it makes.
fn used() -> Clinic {
    let clinic = Clinic::healthy();
    let sandbox = &clinic.sandbox;
    sandbox.program("claude", "#!/bin/sh\necho '2.1.330 (Claude Code)'\n");
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    // A session at the terminal has hooks, and settings of its own where it is given some.
    sandbox.write("home/.claude/mine.json", "{ \"env\": { \"ANTHROPIC_API_KEY\": \"sk-x\" } }");
    let mine = sandbox.path("home/.claude/mine.json");
    for words in [&[][..], &["--settings", mine.to_str().unwrap()]] {
        let session = sandbox.kage([&["exec", "--", "claude"], words].concat()).env("TERM", "xterm");
        spawn_command(session.command, Some(20_000)).unwrap().exp_eof().unwrap();
    }
    // A month that is over has sums of its own, made by the first question.
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
    clinic.with("PATH", path)
}

#[test]
fn each_directory_of_kage_that_others_can_write_to_is_made_private() {
    let clinic = used();
    clinic.is_well();
    let ours = [".config/kage", ".local/share/kage", ".local/state/kage"];
    let ours = ours.iter().flat_map(|dir| directories(&clinic.sandbox.path(&format!("home/{dir}"))));
    let ours: Vec<_> = ours.collect();
    for name in ["kage", "shims", "usage", "sums", "hooks", "settings"] {
        assert!(ours.iter().any(|dir| dir.ends_with(name)), "no {name} among {ours:?}");
    }
    for dir in ours {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let fault = clinic.finds("error", CODE).saying("others can write to ~/");
        fault.fixed_by(&format!("chmod 700 {}", dir.display())).mended();
        assert_eq!(mode(&dir), 0o700);
    }
}

#[test]
fn a_directory_above_those_of_kage_is_closed_for_others_and_no_more() {
    let clinic = used();
    for inside in ["", "home", "home/.config", "home/.local", "home/.local/state", "home/.local/share"] {
        let dir = clinic.sandbox.path(inside);
        let dir = PathBuf::from(dir.to_str().unwrap().trim_end_matches('/'));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let fault = clinic.finds("error", CODE).saying("and so replace ");
        fault.fixed_by(&format!("chmod go-w {}", dir.display())).mended();
        assert_eq!(mode(&dir), 0o755);
        // Others cannot rename in it what is not theirs.
        for harmless in [0o1777, 0o775, 0o770] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(harmless)).unwrap();
            clinic.is_well();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn several_open_directories_are_each_named_once() {
    let clinic = used();
    let open = ["home/.local", STATE, "home/.local/state/kage/usage", "home/.config/kage"];
    for inside in open {
        clinic.mode(inside, 0o777);
    }
    let found = clinic.examine();
    let mut fixes: Vec<_> =
        found.faults().iter().map(|fault| fault["fix"].as_str().unwrap().to_owned()).collect();
    let fix = |inside: &str, flags: &str| format!("chmod {flags} {}", clinic.sandbox.path(inside).display());
    let mut expected = vec![fix(open[0], "go-w")];
    expected.extend(open[1..].iter().map(|inside| fix(inside, "700")));
    fixes.sort();
    expected.sort();
    assert_eq!(fixes, expected);
    clinic.sandbox.call("sh".as_ref(), ["-c", &fixes.join(" && ")]).run().success();
    clinic.is_well();
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
            let clinic = Clinic::healthy();
            let clinic = if shell == "bash" { clinic } else { clinic.in_shell(shell) };
            let sandbox = &clinic.sandbox;
            sandbox.write(&format!("{named}/my.toml"), &sandbox.read(crate::support::CONFIG));
            sandbox.write(&format!("{named}/key"), &sandbox.read("home/.config/kage/identity"));
            clinic.mode(&format!("{named}/key"), 0o600);
            let copy = ["-a", "home/.local/share/kage", "work/it's here/"];
            sandbox.call("cp".as_ref(), copy).cwd(sandbox.path("")).run().success();
            let dir = sandbox.path(named);
            let value = PathBuf::from(format!("{}{inside}", dir.display()));
            let clinic = clinic.with(variable, value);
            clinic.is_well();
            clinic.mode(named, 0o777);
            let quoted = dir.display().to_string().replace('\'', r"'\''");
            clinic.finds("error", CODE).fixed_by(&format!("chmod go-w '{quoted}'")).mended();
            assert_eq!(mode(&dir), 0o755);
        }
    }
}

#[test]
fn what_is_below_a_state_directory_that_the_user_named_is_made_private() {
    let clinic = Clinic::healthy();
    let clinic = clinic.with("KAGE_STATE_DIR", "state");
    clinic.sandbox.kage(["exec", "--", "true"]).env("KAGE_STATE_DIR", "state").run().success();
    clinic.is_well();
    clinic.mode("work/state/usage", 0o777);
    let usage = clinic.sandbox.path("work/state/usage");
    clinic.finds("error", CODE).fixed_by(&format!("chmod 700 {}", usage.display())).mended();
    clinic.mode("work", 0o777);
    let work = clinic.sandbox.path("work");
    clinic.finds("error", CODE).fixed_by(&format!("chmod go-w {}", work.display())).mended();
}

#[test]
fn the_way_over_links_counts() {
    let clinic = Clinic::healthy();
    let sandbox = &clinic.sandbox;
    let (real, between) = (sandbox.path("work/real"), sandbox.path("work/between"));
    fs::create_dir(&between).unwrap();
    fs::rename(sandbox.path("home/.local/state"), &real).unwrap();
    symlink("../real", between.join("link")).unwrap();
    symlink(between.join("link"), sandbox.path("home/.local/state")).unwrap();
    let config = sandbox.path("work/dotfiles/kage.toml");
    fs::create_dir(sandbox.path("work/dotfiles")).unwrap();
    fs::rename(sandbox.path(crate::support::CONFIG), &config).unwrap();
    symlink(&config, sandbox.path(crate::support::CONFIG)).unwrap();
    clinic.is_well();
    for inside in ["work/real", "work/between", "work", "work/dotfiles", "home/.local"] {
        clinic.mode(inside, 0o777);
        let dir = clinic.sandbox.path(inside);
        clinic.finds("error", CODE).fixed_by(&format!("chmod go-w {}", dir.display())).mended();
    }
    // Links without an end lead nowhere.
    symlink("loop", sandbox.path("work/loop")).unwrap();
    let told = sandbox.kage(["doctor"]).env("KAGE_STATE_DIR", sandbox.path("work/loop/kage")).run();
    assert!(told.stdout().contains("\nok ") && told.output.status.code().is_some(), "{}", told.stdout());
}

#[test]
fn a_sticky_directory_of_the_users_own_is_theirs() {
    let clinic = used();
    for dir in [STATE, "home/.config/kage", "home/.local/share/kage/shims"] {
        clinic.mode(dir, 0o1777);
        clinic.is_well();
    }
}

/// What root has to do is not done by the test in the words of the mend, for want of sudo.
#[test]
fn a_directory_of_another_user_is_taken_back_or_named_no_more() {
    let clinic = || {
        let clinic = Clinic::healthy();
        clinic.sandbox.write("shared/kage/x", "");
        clinic
    };
    let sudo = |clinic: &Clinic, inside: &str| {
        format!("sudo chown -R \"$(id -un)\" {}", clinic.sandbox.path(inside).display())
    };
    if !rustix::process::getuid().is_root() {
        return;
    }
    // Of root's, which may do anything anyway, only who else can write to it counts.
    let named = clinic().of_somebody();
    named.chown("shared", "0:0");
    let dir = named.sandbox.path("shared/kage");
    named.mode("shared/kage", 0o1777);
    let named = named.with("KAGE_STATE_DIR", dir);
    named.finds("error", CODE).fixed_by("unset KAGE_STATE_DIR").mended();
    named.mode("shared/kage", 0o755).mode("shared", 0o777);
    named.chown("shared/kage", "65534:65534");
    named.finds("error", CODE).fixed_by("unset KAGE_STATE_DIR").mended();

    let above = Clinic::healthy().of_somebody();
    above.chown_one("home/.local/state", "0:0");
    above.mode("home/.local/state", 0o755);
    above.is_well();
    above.mode("home/.local/state", 0o777);
    let dir = above.sandbox.path("home/.local/state");
    let fault = above.finds("error", CODE).fixed_by(&format!("sudo chmod +t {}", dir.display()));
    fault.mended_by_hand(|clinic| {
        clinic.mode("home/.local/state", 0o1777);
    });

    let foreign = Clinic::healthy().of_somebody();
    foreign.chown_one(STATE, "12345:12345");
    foreign.mode(STATE, 0o777);
    let fix = format!("{} && chmod 700 {}", sudo(&foreign, STATE), foreign.sandbox.path(STATE).display());
    let fault = foreign.finds("error", "directory-foreign").saying("belongs to another user (uid 12345)");
    fault.fixed_by(&fix).mended_by_hand(|clinic| {
        clinic.chown_to_somebody();
        clinic.mode(STATE, 0o700);
    });
    foreign.chown_one("home/.config", "12345:12345");
    foreign.mode("home/.config", 0o755);
    let fault =
        foreign.finds("error", "directory-foreign").saying("(uid 12345), who can replace ~/.config/kage");
    fault.fixed_by(&sudo(&foreign, "home/.config")).mended_by_hand(Clinic::chown_to_somebody);
    // Who owns what the home lies in is the administrator's business.
    foreign.chown_one("", "12345:12345");
    foreign.is_well();
    foreign.chown_to_somebody();
    // One that cannot be written is not told of twice.
    foreign.chown_one(STATE, "12345:12345");
    let fault = foreign.finds("error", "state-not-writable").fixed_by(&sudo(&foreign, STATE));
    fault.mended_by_hand(Clinic::chown_to_somebody);
}
