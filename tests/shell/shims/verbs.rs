//! `kage shim install`, `remove` and `list`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rexpect::session::spawn_command;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::shims::scene::{SHIMS, install, set_up, shim, shimmed};
use crate::support::{Sandbox, has_all, kage};

fn names(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(SHIMS)).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn each_agent_with_a_subscription_gets_a_shim() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox
        .kage(["subscription", "add", "plus", "--agent", "codex", "--credential", "file"])
        .stdin("sk-x")
        .run();
    let ran = sandbox.kage(["shim", "install"]).env("PATH", set_up(&sandbox)).run().success();
    let (dir, kage) = (sandbox.path(SHIMS), kage());
    let said = ["claude", "codex"]
        .map(|name| format!("kage: wrote {}, which calls {}\n", dir.join(name).display(), kage.display()));
    ran.prints("").says(&said.concat());
    assert_eq!(names(&sandbox), ["claude", "codex"]);
    assert_eq!((mode(&dir), mode(&dir.join("claude"))), (0o700, 0o755));
}

#[test]
fn without_a_subscription_an_agent_must_be_named() {
    let sandbox = Sandbox::new();
    let ran = sandbox.kage(["shim", "install"]).run().status(2).is_one_line_and_a_hint();
    ran.mentions("hint: kage shim install claude");
    sandbox.kage(["shim", "install", "cluade"]).run().status(2).is_one_line_and_a_hint();
    assert_eq!(names(&sandbox), [] as [&str; 0]);
    sandbox.kage(["shim", "install", "gemini"]).run().success();
    assert_eq!(names(&sandbox), ["gemini"]);
}

#[test]
fn the_shim_passes_shellcheck_and_shfmt() {
    if !has_all(&["shellcheck", "shfmt"]) {
        return;
    }
    let sandbox = shimmed();
    let shim = shim(&sandbox);
    let shim = shim.to_str().unwrap();
    sandbox.call(Path::new("shellcheck"), [shim]).run().success().prints("");
    sandbox
        .call(Path::new("shfmt"), ["-i", "2", "-ci", "-ln", "posix", "-d", shim])
        .run()
        .success()
        .prints("");
}

#[test]
fn a_shim_is_rewritten_and_a_link_to_kage_becomes_a_shim() {
    let sandbox = shimmed();
    let shim = shim(&sandbox);
    let text = fs::read_to_string(&shim).unwrap();
    fs::write(&shim, text.replace(kage().to_str().unwrap(), "/gone/kage")).unwrap();
    install(&sandbox);
    assert_eq!(fs::read_to_string(&shim).unwrap(), text);
    fs::remove_file(&shim).unwrap();
    symlink(kage(), &shim).unwrap();
    install(&sandbox);
    assert!(!shim.is_symlink() && fs::read_to_string(&shim).unwrap() == text);
}

#[test]
fn a_file_that_is_not_a_shim_is_left_unchanged() {
    let sandbox = shimmed();
    let shim = shim(&sandbox);
    let foreign = "#!/bin/sh\necho an agent that has updated itself into this place\n";
    fs::write(&shim, foreign).unwrap();
    for verb in ["install", "remove"] {
        let ran = sandbox.kage(["shim", verb, "claude"]).run().status(1).is_one_line_and_a_hint();
        ran.mentions("is not a shim and is left unchanged");
    }
    // If one of several shims cannot be written, none is.
    let ran = sandbox.kage(["shim", "install", "codex", "claude"]).run().status(1);
    ran.mentions("hint: to replace it: kage shim install --force claude");
    assert_eq!(
        (names(&sandbox), fs::read_to_string(&shim).unwrap()),
        (vec!["claude".into()], foreign.into())
    );
    sandbox.kage(["shim", "remove"]).run().success().mentions("no shims in ");
    assert!(shim.exists());
    let dangling = sandbox.path(SHIMS).join("codex");
    symlink("/no/such/file", &dangling).unwrap();
    sandbox.kage(["shim", "install", "codex"]).run().status(1);
    sandbox.kage(["shim", "install", "--force", "claude", "codex"]).run().success();
    assert!(fs::read_to_string(&shim).unwrap().contains("# kage shim") && !dangling.is_symlink());
    fs::remove_file(&shim).unwrap();
    fs::create_dir(&shim).unwrap();
    sandbox.kage(["shim", "install", "--force", "claude"]).run().status(1).is_one_line_and_a_hint();
}

#[test]
fn shims_are_removed_one_by_one_or_all_together() {
    let sandbox = shimmed();
    let shim = shim(&sandbox);
    sandbox.kage(["shim", "install", "codex", "gemini"]).run().success();
    let said = format!("kage: removed {}\n", shim.display());
    sandbox.kage(["shim", "remove", "claude"]).run().success().prints("").says(&said);
    let said = format!("kage: {} does not exist\n", shim.display());
    sandbox.kage(["shim", "remove", "claude"]).run().success().says(&said);
    assert_eq!(names(&sandbox), ["codex", "gemini"]);
    sandbox.kage(["shim", "remove"]).run().success();
    assert!(!sandbox.path(SHIMS).exists(), "the directory is removed too");
    sandbox.kage(["shim", "remove"]).run().success().mentions("no shims in ");
    sandbox.kage(["shim", "remove", "../../x"]).run().status(2).is_one_line_and_a_hint();
}

#[test]
fn the_list_shows_each_shims_kage_and_real_program() {
    let sandbox = shimmed();
    let listed = |path: &str| -> Value {
        let ran = sandbox.kage(["shim", "list", "--json"]).env("PATH", path).run().success().says("");
        serde_json::from_str(&ran.stdout()).unwrap()
    };
    let expected = serde_json::json!({
        "schema": 1,
        "dir": sandbox.path(SHIMS),
        "shims": [{
            "agent": "claude",
            "path": shim(&sandbox),
            "kage": kage(),
            "kage_is_there": true,
            "program": sandbox.path("bin/claude"),
            "is_first": true,
        }],
    });
    assert_eq!(listed(&set_up(&sandbox)), expected);
    let alone = listed("/usr/bin:/bin");
    assert_eq!(
        (&alone["shims"][0]["program"], &alone["shims"][0]["is_first"]),
        (&Value::Null, &false.into())
    );
    let text = fs::read_to_string(shim(&sandbox)).unwrap();
    fs::write(shim(&sandbox), text.replace(kage().to_str().unwrap(), "/gone/kage")).unwrap();
    assert_eq!(listed(&set_up(&sandbox))["shims"][0]["kage_is_there"], false);
    let shown = sandbox.kage(["shim", "list"]).env("PATH", set_up(&sandbox)).run().success().stdout();
    assert!(shown.contains("/gone/kage (missing)") && shown.contains("First on PATH"), "{shown}");
    sandbox.kage(["shim", "remove"]).run().success();
    sandbox
        .kage(["shim", "list"])
        .run()
        .success()
        .prints("There are no shims. Create one: kage shim install claude\n");
    assert_eq!(listed("/bin")["shims"], serde_json::json!([]));
}

/// The output of `kage shim list` at a terminal of this width; 0 is a terminal that does not report its
/// width.
fn listed_at(sandbox: &Sandbox, columns: usize) -> String {
    let script = format!("stty -onlcr cols {columns} rows 24; exec '{}' shim list", kage().display());
    let call = sandbox.call("sh".as_ref(), ["-c", &script]).env("TERM", "xterm").env("PATH", set_up(sandbox));
    let shown = spawn_command(call.command, Some(20_000)).unwrap().exp_eof().unwrap();
    // Each character of this text is one byte of the output.
    String::from_utf8(shown.chars().map(|byte| u8::try_from(byte).unwrap()).collect()).unwrap()
}

#[test]
fn the_list_fits_the_terminal_and_keeps_the_end_of_a_path() {
    let sandbox = shimmed();
    let long = "/opt/ソフトウェア/a-directory-with-a-rather-long-name/👩‍👩‍👧/releases/current/bin/kage";
    let text = fs::read_to_string(shim(&sandbox)).unwrap();
    fs::write(shim(&sandbox), text.replace(kage().to_str().unwrap(), long)).unwrap();
    let whole = sandbox.kage(["shim", "list"]).env("PATH", set_up(&sandbox)).run().success().stdout();
    assert!(
        whole.contains(&format!("{long} (missing)")) && whole.contains(" ~/.local/share/kage/shims/claude "),
        "{whole}"
    );
    for (columns, heads) in [
        (120, "AgentShimkageProgramFirst on PATH"),
        (80, "AgentShimkageProgramFirst on PATH"),
        (60, "AgentkageProgramFirst on PATH"),
        (40, "AgentkageFirst on PATH"),
    ] {
        let shown = listed_at(&sandbox, columns);
        assert!(shown.lines().all(|line| line.width() <= columns), "at {columns}:\n{shown}");
        let cells: String = shown.lines().nth(1).unwrap().split('│').map(str::trim).collect();
        assert_eq!(cells, heads, "at {columns}:\n{shown}");
        assert!(
            shown.contains(" claude ") && shown.contains("(missing) ") && shown.contains(" yes "),
            "{shown}"
        );
    }
    assert_eq!(listed_at(&sandbox, 0), listed_at(&sandbox, 80));
    assert_eq!(listed_at(&sandbox, 500), whole);
}
