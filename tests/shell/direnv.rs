//! `kage init direnv` in the real direnv.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::shell::Shell;
use crate::support::{Ran, Sandbox, documented, has_all, pool};

const LIB: &str = "home/.config/direnv/lib/kage.sh";
/// Prints the variables that a run uses, in a form that does not occur in the command line itself.
const SHOW: &str = r#"echo "<${KAGE_NAMESPACE-unset} ${KAGE_PRIORITY-unset}>""#;

fn installed() -> Sandbox {
    let sandbox = pool();
    sandbox.kage(["init", "direnv", "--install", "--yes"]).run().success();
    sandbox
}

/// Writes an .envrc and allows it.
fn envrc(sandbox: &Sandbox, dir: &str, text: &str) {
    sandbox.write(&format!("{dir}/.envrc"), text);
    sandbox.call("direnv".as_ref(), ["allow"]).cwd(sandbox.path(dir)).run().success();
}

/// Runs a command in the environment that direnv sets in a directory.
fn in_dir(sandbox: &Sandbox, dir: &str, command: &[&str]) -> Ran {
    let args = ["exec", "."].into_iter().chain(command.iter().copied());
    sandbox.call("direnv".as_ref(), args).cwd(sandbox.path(dir)).run()
}

#[test]
fn entering_a_directory_changes_the_namespace_and_leaving_it_restores_the_old_one() {
    if !has_all(&["direnv", "bash", "zsh"]) {
        return;
    }
    let sandbox = installed();
    envrc(&sandbox, "work/api", documented("use kage backend\n"));
    envrc(&sandbox, "work/api/jobs", documented("use kage backend batch"));
    envrc(&sandbox, "work/site", "set -euo pipefail\nuse kage frontend high\n");
    for mut shell in Shell::each(&sandbox) {
        shell.run(&format!("eval \"$(direnv hook {})\"; export KAGE_NAMESPACE=mine", shell.name));
        let mut check = |dir: &str, expected: &str, prompt: &str| {
            shell.run(&format!("cd {}", sandbox.path(dir).display()));
            let seen = shell.run(SHOW);
            assert!(seen.contains(&format!("<{expected}>")), "{}: {dir}: {seen}", shell.name);
            let seen = shell.run("echo \"[$(kage prompt)]\"");
            assert!(seen.contains(&format!("[{prompt}]")), "{}: {dir}: {seen}", shell.name);
        };
        check("work", "mine unset", "mine");
        check("work/api", "backend unset", "backend");
        check("work/api/jobs", "backend batch", "backend batch");
        check("work/site", "frontend high", "frontend high");
        check("work/api", "backend unset", "backend");
        check("work", "mine unset", "mine");
        shell.leave();
    }
}

#[test]
fn runs_below_a_directory_use_the_routes_of_its_namespace() {
    if !has_all(&["direnv"]) {
        return;
    }
    let sandbox = installed();
    sandbox.kage(["sub", "route", "--namespace", "backend", "--subscriptions", "personal"]).run().success();
    envrc(&sandbox, "work/api", "use kage backend\n");
    let kage = crate::support::kage();
    let why = in_dir(&sandbox, "work/api", &[kage.to_str().unwrap(), "why", "--json"]).success();
    let why: serde_json::Value = serde_json::from_str(&why.stdout()).unwrap();
    assert_eq!(why["chosen"], "personal", "{why:#}");
}

#[test]
fn an_inner_use_replaces_the_outer_one() {
    if !has_all(&["direnv", "bash"]) {
        return;
    }
    let sandbox = installed();
    envrc(&sandbox, "work/api", "set -euo pipefail\nuse kage backend batch\nexport AROUND=1\n");
    envrc(&sandbox, "work/api/web", "set -euo pipefail\nsource_up\nuse kage frontend\n");
    let show = ["bash", "-c", r#"echo "${KAGE_NAMESPACE-} ${KAGE_PRIORITY-unset} ${AROUND-}""#];
    in_dir(&sandbox, "work/api/web", &show).success().prints("frontend unset 1\n");
    // A level that `use kage` did not set is kept.
    envrc(&sandbox, "work/own", "export KAGE_PRIORITY=high\nuse kage frontend\n");
    in_dir(&sandbox, "work/own", &show).success().prints("frontend high \n");
    envrc(&sandbox, "work/仕事", "use kage 仕事\n");
    in_dir(&sandbox, "work/仕事", &show).success().prints("仕事 unset \n");
    // It also works with a strict direnv and in another locale.
    sandbox.write("home/.config/direnv/direnv.toml", "[global]\nstrict_env = true\n");
    let args = ["exec", "."].into_iter().chain(show);
    let call = sandbox.call("direnv".as_ref(), args).cwd(sandbox.path("work/仕事")).env("LANG", "C");
    call.run().success().prints("仕事 unset \n");
}

#[test]
fn unusable_values_are_reported_and_set_nothing() {
    if !has_all(&["direnv", "bash"]) {
        return;
    }
    let sandbox = installed();
    let rows = [
        ("use kage", "expected a namespace and optionally a level, for example: use kage backend batch"),
        (
            "use kage a b c",
            "expected a namespace and optionally a level, for example: use kage backend batch",
        ),
        ("use kage 'back end'", "'back end' is not a valid namespace (letters, digits, '.', '_', '-')"),
        ("use kage tag:x", "'tag:x' is not a valid namespace (letters, digits, '.', '_', '-')"),
        ("use kage -n", "'-n' is not a valid namespace (letters, digits, '.', '_', '-')"),
        ("use kage '$(id)'", "'$(id)' is not a valid namespace (letters, digits, '.', '_', '-')"),
        ("use kage batch", "'batch' is a level; the namespace comes first: use kage backend batch"),
        ("use kage backend urgent", "'urgent' is not a level (high, normal or batch)"),
    ];
    for (line, message) in rows {
        envrc(&sandbox, "work/wrong", &format!("{line} || echo \"status $? ${{KAGE_NAMESPACE-unset}}\"\n"));
        let ran = in_dir(&sandbox, "work/wrong", &["true"]).success();
        ran.mentions(&format!("use kage: {message}")).mentions("status 1 unset");
        envrc(&sandbox, "work/wrong", &format!("set -euo pipefail\n{line}\n"));
        let ran = in_dir(&sandbox, "work/wrong", &["true"]);
        assert!(!ran.output.status.success(), "{line}");
        ran.mentions(&format!("use kage: {message}"));
    }
}

#[test]
fn the_file_is_installed_where_direnv_reads_it_and_removed_again() {
    let sandbox = Sandbox::new();
    let kage = |args: &[&str]| sandbox.kage([&["init", "direnv"], args].concat());
    let text = kage(&[]).run().success().stdout();
    let shown = sandbox.path(LIB).display().to_string();
    kage(&["--uninstall"]).run().success().says(&format!("kage: {shown} does not exist\n"));
    let refused = format!(
        "kage: cannot ask whether to change {shown}: there is no terminal\nhint: kage init direnv --install --yes\n"
    );
    kage(&["--install"]).run().status(2).says(&refused);
    kage(&["--install", "-y"]).run().success().says(&format!("kage: wrote {shown}\n")).prints("");
    assert_eq!(sandbox.read(LIB), text);
    kage(&["--install", "-y"]).run().success().says(&format!("kage: {shown} is already up to date\n"));

    // An older version is replaced; a link into a dotfile repository is kept.
    let dotfile = sandbox.write("home/dotfiles/kage.sh", "# kage for direnv: older\n");
    fs::remove_file(sandbox.path(LIB)).unwrap();
    symlink(&dotfile, sandbox.path(LIB)).unwrap();
    kage(&["--install", "-y"]).run().success();
    assert!(sandbox.path(LIB).is_symlink());
    assert_eq!(sandbox.read("home/dotfiles/kage.sh"), text);
    kage(&["--uninstall", "-y"]).run().success().says(&format!("kage: removed {shown}\n"));
    assert!(!sandbox.path(LIB).is_symlink());

    sandbox.write(LIB, "use_kage() { :; }\n");
    for verb in ["--install", "--uninstall"] {
        let refused = format!(
            "kage: {shown} was not written by kage and is left unchanged\nhint: mv {shown} {shown}.mine\n"
        );
        kage(&[verb, "-y"]).run().status(1).says(&refused);
    }
    assert_eq!(sandbox.read(LIB), "use_kage() { :; }\n");

    let elsewhere = sandbox.path("home/direnv");
    kage(&["--install", "-y"]).env("DIRENV_CONFIG", &elsewhere).run().success();
    assert_eq!(sandbox.read("home/direnv/lib/kage.sh"), text);
    kage(&["--install", "-y"]).env("XDG_CONFIG_HOME", &elsewhere).run().success();
    assert_eq!(sandbox.read("home/direnv/direnv/lib/kage.sh"), text);
    kage(&["--alias", "claude"]).run().status(2).is_one_line_and_a_hint();
    kage(&["--print-rc"]).run().status(2).is_one_line_and_a_hint();
}

#[test]
fn the_direnv_library_passes_shellcheck_and_shfmt() {
    if !has_all(&["shellcheck", "shfmt"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let text = sandbox.kage(["init", "direnv"]).run().success().stdout();
    let file = sandbox.write("kage.sh", &text);
    let file = file.to_str().unwrap();
    sandbox.call("shellcheck".as_ref(), [file]).run().success().prints("");
    sandbox.call("shfmt".as_ref(), ["-i", "2", "-ci", "-d", file]).run().success().prints("");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0, "the file is sourced, not executed");
}
