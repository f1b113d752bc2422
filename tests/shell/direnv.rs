//! `kage init direnv` in the real direnv.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::shell::Shell;
use crate::support::{Ran, Sandbox, has_all, pool, readme};

const LIB: &str = "home/.config/direnv/lib/kage.sh";
/// What a run would go by, in a form that the line which asks for it has not.
const ASK: &str = r#"echo "<${KAGE_NAMESPACE-unset} ${KAGE_PRIORITY-unset}>""#;

fn installed() -> Sandbox {
    let sandbox = pool();
    sandbox.kage(["init", "direnv", "--install", "--yes"]).run().success();
    sandbox
}

/// An .envrc that its user has allowed.
fn envrc(sandbox: &Sandbox, dir: &str, text: &str) {
    sandbox.write(&format!("{dir}/.envrc"), text);
    sandbox.call("direnv".as_ref(), ["allow"]).cwd(sandbox.path(dir)).run().success();
}

/// What a command sees in a directory with an .envrc.
fn in_dir(sandbox: &Sandbox, dir: &str, command: &[&str]) -> Ran {
    let args = ["exec", "."].into_iter().chain(command.iter().copied());
    sandbox.call("direnv".as_ref(), args).cwd(sandbox.path(dir)).run()
}

#[test]
fn entering_a_directory_changes_the_namespace_and_leaving_it_restores_what_was() {
    if !has_all(&["direnv", "bash", "zsh"]) {
        return;
    }
    let sandbox = installed();
    envrc(&sandbox, "work/api", readme("use kage backend\n"));
    envrc(&sandbox, "work/api/jobs", readme("use kage backend batch"));
    envrc(&sandbox, "work/site", "set -euo pipefail\nuse kage frontend high\n");
    for mut shell in Shell::each(&sandbox) {
        shell.run(&format!("eval \"$(direnv hook {})\"; export KAGE_NAMESPACE=mine", shell.name));
        let mut stands = |dir: &str, expected: &str, prompt: &str| {
            shell.run(&format!("cd {}", sandbox.path(dir).display()));
            let seen = shell.run(ASK);
            assert!(seen.contains(&format!("<{expected}>")), "{}: {dir}: {seen}", shell.name);
            let seen = shell.run("echo \"[$(kage prompt)]\"");
            assert!(seen.contains(&format!("[{prompt}]")), "{}: {dir}: {seen}", shell.name);
        };
        stands("work", "mine unset", "mine");
        stands("work/api", "backend unset", "backend");
        stands("work/api/jobs", "backend batch", "backend batch");
        stands("work/site", "frontend high", "frontend high");
        stands("work/api", "backend unset", "backend");
        stands("work", "mine unset", "mine");
        shell.leave();
    }
}

#[test]
fn runs_below_a_directory_go_by_its_routes() {
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
fn an_inner_use_takes_the_place_of_the_one_around_it() {
    if !has_all(&["direnv", "bash"]) {
        return;
    }
    let sandbox = installed();
    envrc(&sandbox, "work/api", "set -euo pipefail\nuse kage backend batch\nexport AROUND=1\n");
    envrc(&sandbox, "work/api/web", "set -euo pipefail\nsource_up\nuse kage frontend\n");
    let ask = ["bash", "-c", r#"echo "${KAGE_NAMESPACE-} ${KAGE_PRIORITY-unset} ${AROUND-}""#];
    in_dir(&sandbox, "work/api/web", &ask).success().prints("frontend unset 1\n");
    // A level that was not said by `use kage` stays.
    envrc(&sandbox, "work/own", "export KAGE_PRIORITY=high\nuse kage frontend\n");
    in_dir(&sandbox, "work/own", &ask).success().prints("frontend high \n");
    envrc(&sandbox, "work/仕事", "use kage 仕事\n");
    in_dir(&sandbox, "work/仕事", &ask).success().prints("仕事 unset \n");
    // Neither a strict direnv nor another locale changes that.
    sandbox.write("home/.config/direnv/direnv.toml", "[global]\nstrict_env = true\n");
    let args = ["exec", "."].into_iter().chain(ask);
    let call = sandbox.call("direnv".as_ref(), args).cwd(sandbox.path("work/仕事")).env("LANG", "C");
    call.run().success().prints("仕事 unset \n");
}

#[test]
fn what_cannot_be_used_is_said_and_sets_nothing() {
    if !has_all(&["direnv", "bash"]) {
        return;
    }
    let sandbox = installed();
    let rows = [
        ("use kage", "expected a namespace and, if you like, a level: use kage backend batch"),
        ("use kage a b c", "expected a namespace and, if you like, a level: use kage backend batch"),
        ("use kage 'back end'", "'back end' cannot be a namespace (letters, digits, '.', '_', '-')"),
        ("use kage tag:x", "'tag:x' cannot be a namespace (letters, digits, '.', '_', '-')"),
        ("use kage -n", "'-n' cannot be a namespace (letters, digits, '.', '_', '-')"),
        ("use kage '$(id)'", "'$(id)' cannot be a namespace (letters, digits, '.', '_', '-')"),
        ("use kage batch", "'batch' is a level; the namespace comes first: use kage backend batch"),
        ("use kage backend urgent", "'urgent' is not a level (high, normal or batch)"),
    ];
    for (line, said) in rows {
        envrc(&sandbox, "work/wrong", &format!("{line} || echo \"status $? ${{KAGE_NAMESPACE-unset}}\"\n"));
        let ran = in_dir(&sandbox, "work/wrong", &["true"]).success();
        ran.mentions(&format!("use kage: {said}")).mentions("status 1 unset");
        envrc(&sandbox, "work/wrong", &format!("set -euo pipefail\n{line}\n"));
        let ran = in_dir(&sandbox, "work/wrong", &["true"]);
        assert!(!ran.output.status.success(), "{line}");
        ran.mentions(&format!("use kage: {said}"));
    }
}

#[test]
fn the_file_is_put_where_direnv_reads_it_and_taken_away_again() {
    let sandbox = Sandbox::new();
    let kage = |args: &[&str]| sandbox.kage([&["init", "direnv"], args].concat());
    let text = kage(&[]).run().success().stdout();
    let shown = sandbox.path(LIB).display().to_string();
    kage(&["--uninstall"]).run().success().says(&format!("kage: {shown} is not there\n"));
    let refused = format!(
        "kage: nobody can be asked whether to change {shown}\nhint: kage init direnv --install --yes\n"
    );
    kage(&["--install"]).run().status(2).says(&refused);
    kage(&["--install", "-y"]).run().success().says(&format!("kage: wrote {shown}\n")).prints("");
    assert_eq!(sandbox.read(LIB), text);
    kage(&["--install", "-y"]).run().success().says(&format!("kage: {shown} is there already\n"));

    // An older text is replaced; a link into a dotfile repository stays one.
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
        let stays =
            format!("kage: {shown} was not written by kage, and stays\nhint: mv {shown} {shown}.mine\n");
        kage(&[verb, "-y"]).run().status(1).says(&stays);
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
fn what_direnv_reads_has_no_fault_that_shellcheck_or_shfmt_know() {
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
    assert_eq!(mode & 0o111, 0, "it is read, not run");
}
