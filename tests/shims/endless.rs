//! kage never runs kage without end, whatever is on PATH.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::scene::{ANSWER, SHIMS, claude, path, set_up, shim, shimmed};
use crate::support::{Sandbox, kage};

/// A second directory with a shim in it, as another home or an older set-up leaves it.
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
fn the_real_agent_is_found_behind_every_shim() {
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
fn a_shim_given_as_the_real_path_is_looked_behind() {
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
fn with_nothing_behind_the_shim_it_says_so() {
    let sandbox = shimmed();
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    for args in [["-p", "hi"], ["--version", ""], [shim(&sandbox).to_str().unwrap(), "-p"]] {
        let ran = claude(&sandbox, args).run().status(127).prints("").is_one_line_and_a_hint();
        ran.mentions("`claude` is kage itself; there is no other on PATH");
    }
}

#[test]
fn an_agent_that_calls_itself_by_the_shim_gets_the_real_one() {
    let sandbox = shimmed();
    let real =
        "#!/bin/sh\nif [ \"$1\" = -p ]; then claude inner; else echo \"inner on $KAGE_SUBSCRIPTION\"; fi\n";
    sandbox.program("claude", real);
    claude(&sandbox, ["-p", "hi"]).run().success().prints("inner on work\n").says("");
    assert_eq!(sandbox.ledger().len(), 1);
}

#[test]
fn a_script_under_the_agents_name_that_calls_the_shim_ends_after_a_few_levels() {
    let sandbox = shimmed();
    let again = format!("exec '{}' \"$@\"", shim(&sandbox).display());
    for before in ["", "unset KAGE_RUN\n"] {
        sandbox.program("claude", &format!("#!/bin/sh\n{before}{again}\n"));
        for args in [["-p", "hi"], ["--version", ""]] {
            let ran = claude(&sandbox, args).run().status(125).prints("");
            ran.mentions("kage runs itself, 8 levels deep");
        }
    }
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null, "a lease stayed");
}

#[test]
fn what_is_only_near_a_shim_is_an_agent() {
    let sandbox = shimmed();
    // Small, of the user, with kage's name in it.
    sandbox.program("claude", "#!/bin/sh\n# my kage shim\necho own\n");
    for args in [["-p", "hi"], ["--version", ""]] {
        claude(&sandbox, args).run().success().prints("own\n").says("");
    }
}
