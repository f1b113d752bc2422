//! The recipes of docs/recipes.md, run exactly as written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::shims::scene::{ANSWER, install, set_up, shim, shimmed};
use crate::support::{Call, Sandbox, has_all, missing_is_failure, wait_until};

/// A snippet of the page, found by its language and a part of it, with the sandbox's home instead of the
/// reader's.
fn snippet(sandbox: &Sandbox, language: &str, part: &str) -> String {
    let page = include_str!("../../../docs/recipes.md");
    let opening = format!("\n```{language}\n");
    let mut blocks = page.split(&opening).skip(1);
    let block =
        blocks.find_map(|rest| rest.split_once("```").map(|(block, _)| block).filter(|it| it.contains(part)));
    let block = block.unwrap_or_else(|| panic!("no snippet with `{part}`"));
    block.replace("/home/you", sandbox.path("home").to_str().unwrap())
}

/// A sandbox with the agent where its installer puts it.
fn at_home() -> Sandbox {
    let sandbox = shimmed();
    let local = sandbox.path("home/.local/bin");
    fs::create_dir_all(&local).unwrap();
    fs::rename(sandbox.path("bin/claude"), local.join("claude")).unwrap();
    fs::create_dir_all(sandbox.path("home/code/api")).unwrap();
    sandbox
}

/// A call with only these variables, as a service starts its programs.
fn as_service(mut call: Call, variables: &[(&str, &str)]) -> Call {
    call.command.env_clear().envs(variables.iter().copied());
    call
}

/// The only attempt in the ledger.
fn booked(sandbox: &Sandbox) -> Value {
    let ledger = sandbox.ledger();
    assert_eq!(ledger.len(), 1, "{ledger:#?}");
    ledger[0].clone()
}

#[test]
fn an_editor_calls_the_shim_with_the_path_of_the_real_agent() {
    let sandbox = shimmed();
    let real = sandbox.write("home/.vscode/extensions/agent/claude", &sandbox.read("bin/claude"));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    let settings: Value =
        serde_json::from_str(&format!("{{{}}}", snippet(&sandbox, "json", "claudeProcessWrapper"))).unwrap();
    let wrapper = settings["claudeCode.claudeProcessWrapper"].as_str().unwrap();
    assert_eq!(Path::new(wrapper), shim(&sandbox));
    // An editor that the desktop started does not have the variables of the shell's startup file.
    let home = sandbox.path("home");
    let variables = [("HOME", home.to_str().unwrap()), ("PATH", "/usr/bin:/bin")];
    let call = sandbox.call(Path::new(wrapper), [real.to_str().unwrap(), "-p", "hi"]);
    as_service(call, &variables).run().success().prints(ANSWER).says("");
    assert_eq!(booked(&sandbox)["subscription"], "work");
}

#[test]
fn a_crontab_line_works_in_crons_environment() {
    let sandbox = at_home();
    let crontab = snippet(&sandbox, "crontab", "claude");
    let home = sandbox.path("home");
    let home = home.to_str().unwrap();
    // Source: crontab(5): cron sets these, HOME and LOGNAME from the password file.
    let mut variables = vec![("HOME", home), ("LOGNAME", "you"), ("SHELL", "/bin/sh")];
    let (job, settings) =
        crontab.lines().collect::<Vec<_>>().split_last().map(|(a, b)| (*a, b.to_vec())).unwrap();
    variables.extend(settings.iter().map(|line| line.split_once('=').unwrap()));
    let command = job.splitn(6, ' ').last().unwrap();
    let call = sandbox.call(Path::new("/bin/sh"), ["-c", command]).cwd(home);
    as_service(call, &variables).run().success().prints("").says("");
    assert_eq!(sandbox.read("home/changes.txt"), ANSWER);
    assert_eq!(booked(&sandbox)["namespace"], "nightly");
}

/// cron's crontabs and lock have fixed paths, so it runs in its own mount namespace.
const CRON: &str = r#"set -e
mount -t tmpfs none /run
mount -t tmpfs none /etc/cron.d
mount --bind /dev/null /etc/crontab
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
install -m 600 "$1" /var/spool/cron/crontabs/"$(id -un)"
exec /usr/sbin/cron -f
"#;

/// A process that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_crontab_works_under_the_real_cron() {
    if !has_all(&["/usr/sbin/cron", "unshare"]) {
        return;
    }
    let allowed = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/run"]).output();
    if !allowed.is_ok_and(|ran| ran.status.success()) {
        return missing_is_failure("cron needs root and a mount namespace");
    }
    let sandbox = at_home();
    // Immediately instead of in the morning, and in this home.
    let crontab = snippet(&sandbox, "crontab", "claude").replace("30 6 * * 1-5", "@reboot");
    assert!(crontab.contains("@reboot"), "{crontab}");
    let home = sandbox.path("home");
    let file = sandbox.write("crontab", &format!("HOME={}\n{crontab}", home.display()));
    let mut cron = Command::new("unshare");
    cron.args(["-m", "sh", "-c", CRON, "sh", file.to_str().unwrap()]).stdin(Stdio::null());
    let _cron = Daemon(cron.spawn().unwrap());
    wait_until("cron has run the line", || sandbox.read("home/changes.txt") == ANSWER);
    assert_eq!(booked(&sandbox)["namespace"], "nightly");
}

#[test]
fn xargs_spreads_its_runs_over_the_subscriptions() {
    const FILES: usize = 24;
    let sandbox = Sandbox::new();
    for name in ["one", "two", "three", "four"] {
        sandbox.add(name, &[]);
    }
    sandbox.stand_in_claude();
    install(&sandbox);
    for at in 0..FILES {
        sandbox.write(&format!("work/src/file {at}.rs"), "");
    }
    let call = sandbox.call(Path::new("/bin/sh"), ["-c", &snippet(&sandbox, "sh", "xargs")]);
    call.env("PATH", set_up(&sandbox)).run().success().prints("").says("");
    for at in 0..FILES {
        assert_eq!(sandbox.read(&format!("work/src/file {at}.rs.review")), ANSWER);
    }
    let mut shares = BTreeMap::<String, usize>::new();
    for attempt in sandbox.ledger() {
        assert_eq!(attempt["verdict"], "succeeded", "{attempt}");
        *shares.entry(attempt["subscription"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(shares.values().sum::<usize>(), FILES, "no run needed a second attempt");
    // The least busy subscription gets the next run, so that all are used.
    assert!(shares.len() == 4 && shares.values().all(|&share| (3..=9).contains(&share)), "{shares:?}");
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease was left");
}

#[test]
fn a_makefile_runs_its_targets_in_parallel() {
    if !has_all(&["make"]) {
        return;
    }
    let sandbox = shimmed();
    sandbox.write("work/Makefile", &snippet(&sandbox, "make", "claude"));
    for name in ["a", "b", "c", "d", "e"] {
        sandbox.write(&format!("work/{name}.md"), "text");
    }
    let make = || sandbox.call(Path::new("make"), ["-s", "-j", "4"]).env("PATH", set_up(&sandbox));
    make().run().success().prints("").says("");
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(sandbox.read(&format!("work/{name}.summary")), ANSWER);
    }
    assert!(sandbox.ledger().iter().all(|attempt| attempt["namespace"] == "docs"));
    make().run().success();
    assert_eq!(sandbox.ledger().len(), 5, "existing targets are not made again");
    // A failed run leaves no incomplete target.
    fs::remove_file(sandbox.path("work/a.summary")).unwrap();
    sandbox.kage(["subscription", "disable", "work"]).run().success();
    make().run().status(2);
    assert!(!sandbox.path("work/a.summary").exists());
}

#[test]
fn a_git_hook_writes_the_commit_message() {
    if !has_all(&["git"]) {
        return;
    }
    let sandbox = shimmed();
    let git = |args: &[&str]| {
        let mut call = sandbox.call(Path::new("git"), args).env("PATH", set_up(&sandbox));
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            call = call.env(name, "you@example.org");
        }
        call.env("GIT_EDITOR", "true").run()
    };
    git(&["init", "-q"]).success();
    let hook = sandbox.write("work/.git/hooks/prepare-commit-msg", &snippet(&sandbox, "sh", "git diff"));
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("work/file", "text");
    git(&["add", "file"]).success();
    git(&["commit", "-q"]).success().prints("").says("");
    git(&["log", "-1", "--format=%B"]).success().prints(&format!("{ANSWER}\n"));
    assert_eq!(booked(&sandbox)["namespace"], "commits");
    // The user's own message is kept.
    git(&["commit", "-q", "--allow-empty", "-m", "mine"]).success();
    git(&["log", "-1", "--format=%s"]).success().prints("mine\n");
    assert_eq!(sandbox.ledger().len(), 1);
}

/// The values of a key in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn a_systemd_unit_is_valid_and_its_command_runs() {
    let sandbox = at_home();
    let unit = snippet(&sandbox, "ini", "ExecStart");
    let home = sandbox.path("home");
    let home = home.to_str().unwrap();
    if has_all(&["systemd-analyze"]) {
        let file = sandbox.write("home/.config/systemd/user/review.service", &unit);
        let call = || {
            let args = ["verify", "--user", "--man=no", file.to_str().unwrap()];
            // A runtime directory without sockets.
            sandbox.call(Path::new("systemd-analyze"), args).env("XDG_RUNTIME_DIR", sandbox.path("work"))
        };
        call().run().success().prints("").says("");
        fs::rename(shim(&sandbox), sandbox.path("shim")).unwrap();
        call().run().status(1).mentions("is not executable");
        fs::rename(sandbox.path("shim"), shim(&sandbox)).unwrap();
    }
    // systemd must be process 1, so the test does what systemd does for this service.
    let unit = unit.replace("%h", home);
    let output = values(&unit, "StandardOutput")[0].strip_prefix("append:").unwrap();
    let environment = values(&unit, "Environment").join(" ");
    let mut variables = vec![("HOME", home), ("LOGNAME", "you"), ("USER", "you"), ("SHELL", "/bin/bash")];
    variables.extend(environment.split(' ').map(|word| word.split_once('=').unwrap()));
    let start = format!("exec {} >>'{output}'", values(&unit, "ExecStart")[0]);
    let call = sandbox.call(Path::new("/bin/sh"), ["-c", &start]);
    let call = call.cwd(values(&unit, "WorkingDirectory")[0]);
    as_service(call, &variables).run().success().prints("").says("");
    assert_eq!(sandbox.read("home/review.txt"), ANSWER);
    let attempt = booked(&sandbox);
    assert_eq!((&attempt["namespace"], &attempt["level"]), (&"nightly".into(), &"batch".into()));
}

#[test]
fn a_shim_works_with_closed_standard_input() {
    let sandbox = shimmed();
    // Some daemons start programs this way.
    let call = sandbox.call(Path::new("/bin/sh"), ["-c", "exec claude -p hi <&-"]);
    call.env("PATH", set_up(&sandbox)).run().success().prints(ANSWER).says("");
}
