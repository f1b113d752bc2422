//! kage never runs itself endlessly, regardless of what is on PATH.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::shims::scene::{ANSWER, SHIMS, claude, path, set_up, shim, shimmed};
use crate::support::{Sandbox, kage};

/// A second directory with a shim, as left by another home or an older setup.
fn other_shims(sandbox: &Sandbox) -> PathBuf {
    let data = sandbox.path("other");
    sandbox.kage(["shim", "install", "claude"]).env("XDG_DATA_HOME", &data).run().success();
    data.join("kage/shims")
}

/// A directory of the sandbox.
fn dir(sandbox: &Sandbox, name: &str) -> PathBuf {
    let dir = sandbox.path(name);
    fs::create_dir(&dir).unwrap();
    dir
}

#[test]
fn the_real_agent_is_found_after_every_shim() {
    let sandbox = shimmed();
    let (shims, bin) = (sandbox.path(SHIMS), sandbox.path("bin"));
    let other = other_shims(&sandbox);
    let linked = sandbox.path("linked");
    symlink(&shims, &linked).unwrap();
    let copied = dir(&sandbox, "copied");
    fs::copy(shim(&sandbox), copied.join("claude")).unwrap();
    let link = dir(&sandbox, "link");
    symlink(kage(), link.join("claude")).unwrap();
    let to_shim = dir(&sandbox, "to-shim");
    symlink(shim(&sandbox), to_shim.join("claude")).unwrap();
    let relative = Path::new("../home/.local/share/kage/shims");
    let paths: [&[&Path]; 9] = [
        &[&shims, &bin],
        &[&shims, &shims, &bin, &shims],
        &[&shims, &other, &bin],
        &[&other, &shims, &bin],
        &[&linked, &shims, &bin],
        &[&copied, &shims, &bin],
        &[&link, &shims, &bin],
        &[&to_shim, &linked, &other, &copied, &link, &shims, &bin],
        &[relative, Path::new("../bin")],
    ];
    for (at, dirs) in paths.iter().enumerate() {
        let ran = claude(&sandbox, ["-p", "hi"]).env("PATH", path(dirs)).run();
        ran.success().prints(ANSWER).says("");
        assert_eq!(sandbox.ledger().len(), at + 1, "one run is one attempt: {dirs:?}");
        // kage finds the real agent directly and starts no other shim, which would also end.
        let planned =
            sandbox.kage(["exec", "--dry-run", "--", "claude"]).env("PATH", path(dirs)).run().success();
        assert!(planned.stdout().contains("/bin/claude"), "{dirs:?}: {}", planned.stdout());
    }
}

#[test]
fn an_empty_entry_of_path_is_the_current_directory() {
    let sandbox = shimmed();
    sandbox.program("claude", "#!/bin/sh\necho here\n");
    fs::rename(sandbox.path("bin/claude"), sandbox.path("work/claude")).unwrap();
    for path in [format!("{}::/usr/bin:/bin", sandbox.path(SHIMS).display()), set_up(&sandbox) + ":"] {
        for run in ["", "inside"] {
            let ran = claude(&sandbox, ["-p", "hi"]).env("PATH", &path).env("KAGE_RUN", run).run();
            ran.success().prints("here\n").says("");
        }
    }
    assert_eq!(sandbox.ledger().len(), 2);
}

#[test]
fn a_shim_given_as_the_real_path_is_skipped() {
    let sandbox = shimmed();
    let shim = shim(&sandbox);
    let other = other_shims(&sandbox).join("claude");
    for given in [&shim, &other] {
        claude(&sandbox, [given.to_str().unwrap(), "-p", "hi"]).run().success().prints(ANSWER).says("");
        let args = ["exec", "--", given.to_str().unwrap(), "-p", "hi"];
        sandbox.kage(args).env("PATH", set_up(&sandbox)).run().success().prints(ANSWER).says("");
    }
    assert_eq!(sandbox.ledger().len(), 4);
}

#[test]
fn without_a_real_agent_on_path_the_shim_reports_it() {
    let sandbox = shimmed();
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    for args in [["-p", "hi"], ["--version", ""], [shim(&sandbox).to_str().unwrap(), "-p"]] {
        let ran = claude(&sandbox, args).run().status(127).prints("").is_one_line_and_a_hint();
        ran.mentions("`claude` is kage itself; no other `claude` is on PATH");
    }
}

#[test]
fn an_agent_that_calls_itself_by_the_shim_gets_the_real_one() {
    let sandbox = shimmed();
    let real = r#"#!/bin/sh
echo "$*" >>called
if [ "$1" != inner ]; then claude inner; exit; fi
echo "inner on $KAGE_SUBSCRIPTION"
"#;
    sandbox.program("claude", real);
    // An older installation later on PATH is not used.
    let older = sandbox.write("older/claude", "#!/bin/sh\necho older\n");
    fs::set_permissions(&older, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path(&[&sandbox.path(SHIMS), &sandbox.path("bin"), &sandbox.path("older")]);
    claude(&sandbox, ["-p", "hi"]).env("PATH", path).run().success().prints("inner on work\n").says("");
    assert_eq!(sandbox.ledger().len(), 1);
    let called = sandbox.read("work/called");
    assert_eq!(called.lines().count(), 2, "{called}");
}

#[test]
fn a_script_with_the_agents_name_that_calls_the_shim_ends_after_a_few_levels() {
    let sandbox = shimmed();
    let again = format!("exec '{}' \"$@\"", shim(&sandbox).display());
    for before in ["", "unset KAGE_RUN\n"] {
        sandbox.program("claude", &format!("#!/bin/sh\n{before}{again}\n"));
        for args in [["-p", "hi"], ["--version", ""]] {
            let ran = claude(&sandbox, args).run().status(125).prints("");
            ran.mentions("kage called itself, 8 levels deep");
        }
    }
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null, "a lease was left");
}

/// A wrapper as other tools install it: it runs the next program with its name in another directory.
const WRAPPER: &str = r#"#!/bin/sh
own=$(dirname "$0")
echo wrapped >>"$HOME/wrapped"
IFS=:
for dir in $PATH; do
  if [ "$dir" != "$own" ] && [ -x "$dir/claude" ]; then exec "$dir/claude" "$@"; fi
done
exit 9
"#;

#[test]
fn the_wrapper_of_another_tool_works_before_and_after_the_shim() {
    let sandbox = shimmed();
    sandbox.program("claude", "#!/bin/sh\necho \"real on ${KAGE_SUBSCRIPTION-none}\"\n");
    let wrapper = sandbox.write("other/claude", WRAPPER);
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let (shims, other, bin) = (sandbox.path(SHIMS), sandbox.path("other"), sandbox.path("bin"));
    for dirs in [[&other, &shims, &bin], [&shims, &other, &bin]] {
        let path = path(&dirs.map(PathBuf::as_path));
        for (args, said) in [(["-p", "hi"], "real on work\n"), (["--version", ""], "real on none\n")] {
            claude(&sandbox, args).env("PATH", &path).run().success().prints(said).says("");
            assert_eq!(sandbox.read("home/wrapped"), "wrapped\n", "the wrapper runs once: {path}");
            fs::remove_file(sandbox.path("home/wrapped")).unwrap();
        }
        // An agent that calls `claude` through both.
        sandbox.program("nested", "#!/bin/sh\nexec claude -p again\n");
        let args = ["exec", "--", "nested"];
        sandbox.kage(args).env("PATH", &path).run().success().prints("real on work\n").says("");
        fs::remove_file(sandbox.path("home/wrapped")).unwrap();
    }
}

#[test]
fn a_script_that_also_clears_the_environment_still_ends() {
    let sandbox = shimmed();
    let again = format!(r#"exec env -i HOME="$HOME" PATH="$PATH" '{}' "$@""#, shim(&sandbox).display());
    sandbox.program("claude", &format!("#!/bin/sh\necho once >>\"$HOME/times\"\n{again}\n"));
    let ran = claude(&sandbox, ["-p", "hi"]).run().status(125).prints("");
    ran.mentions("kage called itself, 8 levels deep");
    assert_eq!(sandbox.read("home/times").lines().count(), 8);
    // A call without a subscription replaces kage, so all of it is one process, which ends too.
    let ran = claude(&sandbox, ["--version"]).run().status(125).prints("");
    ran.mentions("kage called itself, 8 levels deep");
}

#[test]
fn a_script_that_only_looks_like_a_shim_is_an_agent() {
    let sandbox = shimmed();
    // A small script of the user that mentions kage.
    sandbox.program("claude", "#!/bin/sh\n# my kage shim\necho own\n");
    for args in [["-p", "hi"], ["--version", ""]] {
        claude(&sandbox, args).run().success().prints("own\n").says("");
    }
}
