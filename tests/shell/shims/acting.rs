//! What a shim does when it is called.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::shims::scene::{ANSWER, SHIMS, claude, install, path, printing, set_up, shim, shimmed};
use crate::support::{Sandbox, copy_kage, kage, token};

#[test]
fn a_shim_runs_the_agent_on_a_subscription_and_books_it() {
    let sandbox = shimmed();
    claude(&sandbox, ["-p", "why does it fail?"]).run().success().prints(ANSWER).says("");
    let ledger = sandbox.ledger();
    assert_eq!((ledger.len(), &ledger[0]["subscription"]), (1, &"work".into()));
    assert!(ledger[0]["session"].is_string(), "its session is recorded: {ledger:?}");
}

#[test]
fn namespace_and_level_come_from_the_environment() {
    let sandbox = shimmed();
    let call = claude(&sandbox, ["-p", "hi"]).env("KAGE_NAMESPACE", "backend").env("KAGE_PRIORITY", "batch");
    call.run().success();
    let attempt = &sandbox.ledger()[0];
    assert_eq!((&attempt["namespace"], &attempt["level"]), (&"backend".into(), &"batch".into()));
}

#[test]
fn arguments_are_passed_on_unchanged() {
    let sandbox = Sandbox::new();
    sandbox.config("[agents.aider]\ncredential_env = \"AIDER_KEY\"\n");
    sandbox.add("router", &["--agent", "aider"]);
    sandbox.program("aider", "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done\n");
    sandbox.kage(["shim", "install", "aider"]).run().success();
    let odd = OsString::from_vec(b"not \xff UTF-8".to_vec());
    let tables: [&[OsString]; 5] = [
        &[],
        &["--help".into()],
        &["--".into(), "--json".into(), "--".into()],
        &["-q".into(), "--namespace".into(), "x".into(), String::new().into()],
        &["two\nlines".into(), "$HOME `x` 'y'".into(), odd],
    ];
    for args in tables {
        let ran = sandbox.call(&sandbox.path(SHIMS).join("aider"), args).run().success().says("");
        let expected: Vec<u8> =
            args.iter().flat_map(|arg| [arg.clone().into_vec(), vec![0]].concat()).collect();
        assert_eq!(ran.output.stdout, expected, "{args:?}");
    }
    let booked = sandbox.ledger().len();
    assert_eq!(booked, tables.len() - 1, "all but `--help` ran on a subscription");
}

#[test]
fn status_and_signal_are_those_of_the_agent() {
    let sandbox = shimmed();
    for status in [0, 1, 7, 127] {
        sandbox.program("claude", &format!("#!/bin/sh\nexit {status}\n"));
        claude(&sandbox, ["-p", "hi"]).run().status(status);
    }
    sandbox.program("claude", "#!/bin/sh\nkill -TERM $$\n");
    let ran = claude(&sandbox, ["-p", "hi"]).run();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ran.output.status), Some(15));
}

#[test]
fn calls_that_need_no_subscription_become_the_real_agent() {
    let sandbox = printing();
    let script = r#"echo $$; exec claude "$@""#;
    for (inside, args) in [("", ["mcp", "list"]), ("", ["--version", ""]), ("run", ["-p", "hi"])] {
        let words = ["-c", script, "sh"].into_iter().chain(args);
        let ran = sandbox.call(Path::new("/bin/sh"), words).env("PATH", set_up(&sandbox));
        let ran = ran.env("KAGE_RUN", inside).env("KAGE_PASSPHRASE", "x").run().success().says("");
        let text = ran.stdout();
        let (pid, printed) = text.split_once('\n').unwrap();
        let real = sandbox.path("bin/claude");
        let expected = format!("{} {} on no subscription, no token {pid}\n", real.display(), args.join(" "));
        assert_eq!(printed, expected);
    }
    assert!(sandbox.ledger().is_empty());
}

#[test]
fn kages_passphrase_reaches_no_agent() {
    let sandbox = shimmed();
    sandbox.program("claude", "#!/bin/sh\necho \"${KAGE_PASSPHRASE-none}\"\n");
    let call = |args: &[&str]| claude(&sandbox, args).env("KAGE_PASSPHRASE", "invented");
    call(&["--version"]).run().success().prints("none\n");
    // In a run of kage it is only set if the user has kept it.
    call(&["-p", "hi"]).env("KAGE_RUN", "run").run().success().prints("invented\n");
}

#[test]
fn with_an_invalid_config_calls_without_a_subscription_still_work() {
    let sandbox = printing();
    sandbox.config("not toml");
    claude(&sandbox, ["--version"]).run().success().says("");
    claude(&sandbox, ["-p", "hi"]).run().status(2).is_one_line_and_a_hint().mentions("config.toml");
}

#[test]
fn without_a_ready_subscription_nothing_runs() {
    let sandbox = printing();
    sandbox.kage(["subscription", "disable", "work"]).run().success();
    claude(&sandbox, ["-p", "hi"]).run().status(75).prints("").is_one_line_and_a_hint();
}

#[test]
fn a_shim_whose_kage_is_missing_reports_it_and_runs_nothing() {
    let sandbox = printing();
    let other = sandbox.path("opt/o'brien/kage");
    copy_kage(&other);
    sandbox.call(&other, ["shim", "install", "claude"]).run().success();
    claude(&sandbox, ["-p", "hi"]).run().success();
    fs::remove_file(&other).unwrap();
    let said = format!(
        "kage: {} is missing or not executable, so `claude` cannot run on a subscription\n\
         hint: install kage there again, or remove this shim: rm '{}'\n",
        other.display(),
        shim(&sandbox).display()
    );
    for args in [["-p", "hi"], ["--version", ""]] {
        claude(&sandbox, args).run().status(127).prints("").says(&said);
    }
    assert_eq!(sandbox.ledger().len(), 1);
    // Also if it is a directory or a file that cannot be executed.
    fs::create_dir(&other).unwrap();
    claude(&sandbox, ["-p", "hi"]).run().status(127).says(&said);
    fs::remove_dir(&other).unwrap();
    fs::write(&other, "").unwrap();
    claude(&sandbox, ["-p", "hi"]).run().status(127).says(&said);
    install(&sandbox);
    claude(&sandbox, ["-p", "hi"]).run().success();
}

#[test]
fn a_shim_of_an_agent_that_is_no_longer_configured_runs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let config = sandbox.read(crate::support::CONFIG);
    sandbox.config(&format!("{config}\n[agents.aider]\ncredential_env = \"AIDER_KEY\"\n"));
    sandbox.program("aider", "#!/bin/sh\nenv\n");
    sandbox.kage(["shim", "install", "aider"]).run().success();
    sandbox.config(&config);
    let ran = sandbox.call(&sandbox.path(SHIMS).join("aider"), ["-m", "hi"]).run().status(2).prints("");
    ran.is_one_line_and_a_hint()
        .mentions("`aider` is not the program of a known agent")
        .mentions("kage shim remove aider");
    sandbox.kage(["shim", "remove", "aider"]).run().success();
}

#[test]
fn a_link_to_kage_with_an_agents_name_acts_as_a_shim() {
    let sandbox = printing();
    let link = sandbox.write("links/claude", "");
    fs::remove_file(&link).unwrap();
    symlink(kage(), &link).unwrap();
    let real = sandbox.path("bin/claude");
    let on_path = path(&[&sandbox.path("links"), &sandbox.path("bin")]);
    let ran = sandbox.call(&link, ["-p", "hi", "--help"]).env("PATH", &on_path).run().success().says("");
    let expected = format!("on work, {} ", token("work--ok"));
    assert!(ran.stdout().starts_with(real.to_str().unwrap()) && ran.stdout().contains(&expected));
    let ran = sandbox.call(&link, ["--help"]).env("PATH", &on_path).run().success().says("");
    assert!(ran.stdout().contains(" --help on no subscription"), "{}", ran.stdout());
    // A link with any other name is kage itself.
    let other = sandbox.path("links/pool");
    symlink(kage(), &other).unwrap();
    sandbox.call(&other, ["ps"]).run().success();
}

#[test]
fn a_copy_of_kage_with_an_agents_name_is_refused() {
    let sandbox = printing();
    let copy = sandbox.path("copies/claude");
    copy_kage(&copy);
    let ran = sandbox.call(&copy, ["-p", "hi"]).run().status(125).prints("").is_one_line_and_a_hint();
    ran.mentions("is a copy of kage").mentions("kage shim install claude");
}

#[test]
fn a_real_path_as_first_argument_is_run() {
    let sandbox = printing();
    let real = sandbox.write("editor/claude", &sandbox.read("bin/claude"));
    fs::set_permissions(&real, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let real = real.to_str().unwrap();
    let ran = claude(&sandbox, [real, "-p", "hi"]).run().success().says("").stdout();
    assert!(ran.starts_with(&format!("{real} ")) && ran.contains(" -p hi on work, "), "{ran}");
    let ran = claude(&sandbox, [real, "--version"]).run().success().stdout();
    assert!(ran.starts_with(&format!("{real} --version on no subscription, no token ")), "{ran}");
    // Any other path is a prompt.
    let prompt = sandbox.write("work/notes", "").into_os_string().into_string().unwrap();
    let ran = claude(&sandbox, ["-p", &prompt]).run().success().stdout();
    assert!(ran.starts_with(sandbox.path("bin/claude").to_str().unwrap()), "{ran}");
}

#[test]
fn a_runtime_and_a_script_as_first_arguments_run_with_the_credential() {
    let sandbox = printing();
    let node = sandbox.program("node", "#!/bin/sh\nexec \"$@\"\n");
    let script = sandbox.write("editor/cli.js", &sandbox.read("bin/claude"));
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (node, script) = (node.to_str().unwrap(), script.to_str().unwrap());
    let ran = claude(&sandbox, [node, script, "-p", "hi"]).run().success().says("").stdout();
    assert!(ran.starts_with(&format!("{script} -p hi on work, ")), "{ran}");
    let ran = claude(&sandbox, [node, script, "--version"]).run().success().stdout();
    assert!(ran.starts_with(&format!("{script} --version on no subscription, ")), "{ran}");
}
