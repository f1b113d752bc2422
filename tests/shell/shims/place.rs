//! The directory of the shims: it is first on PATH, and agents do not write to it.

use std::fs;
use std::path::Path;

use crate::shims::scene::{ANSWER, SHIMS, claude, path, set_up, shim, shimmed};
use crate::support::has_all;

#[test]
fn which_names_the_shim_first_and_then_the_real_agent() {
    let sandbox = shimmed();
    let (shim, real) = (shim(&sandbox), sandbox.path("bin/claude"));
    let which = |path: String| {
        sandbox.call(Path::new("/usr/bin/which"), ["-a", "claude"]).env("PATH", path).run().success().stdout()
    };
    assert_eq!(which(set_up(&sandbox)), format!("{}\n{}\n", shim.display(), real.display()));
    // The user decides the order: after the real agent the shim has no effect, which `kage shim list` shows.
    let wrong = path(&[&sandbox.path("bin"), &sandbox.path(SHIMS)]);
    assert_eq!(which(wrong.clone()), format!("{}\n{}\n", real.display(), shim.display()));
    let listed = sandbox.kage(["shim", "list", "--json"]).env("PATH", wrong).run().success().stdout();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["shims"][0]["is_first"], false);
}

#[test]
fn an_agent_that_updates_itself_does_not_overwrite_the_shim() {
    let sandbox = shimmed();
    let written = fs::read(shim(&sandbox)).unwrap();
    // As the native installer and npm do: the new version replaces the file that the running one was started
    // from.
    let update = "#!/bin/sh\n[ \"$1\" = update ] || exit 3\n\
        printf '#!/bin/sh\\necho 2.0.0\\n' >\"$0.new\" && chmod +x \"$0.new\" && mv \"$0.new\" \"$0\"\n";
    let real = sandbox.program("claude", update);
    claude(&sandbox, ["update"]).run().success().says("");
    claude(&sandbox, ["--version"]).run().success().prints("2.0.0\n");
    assert!(fs::read_to_string(&real).unwrap().contains("2.0.0"));
    assert_eq!(fs::read(shim(&sandbox)).unwrap(), written);
    claude(&sandbox, ["-p", "hi"]).run().success().prints("2.0.0\n");
    assert_eq!(sandbox.ledger()[0]["subscription"], "work");
}

#[test]
fn an_agent_that_updates_by_a_link_is_followed() {
    let sandbox = shimmed();
    let stand_in = sandbox.read("bin/claude");
    let link = sandbox.path("bin/claude");
    for version in ["1.0.0", "2.0.0"] {
        let real = sandbox.program(&format!("versions/{version}"), &stand_in);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(real, &link).unwrap();
        claude(&sandbox, ["-p", "hi"]).run().success().prints(ANSWER);
    }
}

#[test]
fn the_line_for_the_startup_file_puts_the_shim_first_in_each_shell() {
    let sandbox = shimmed();
    for shell in ["sh", "bash", "zsh", "fish"] {
        if !has_all(&[shell]) {
            continue;
        }
        let user = format!("/usr/bin/{shell}");
        let ran = sandbox.kage(["shim", "install", "claude"]).env("SHELL", user).run().success();
        let line = ran.mentions("are not first on PATH").stdout();
        assert_eq!(line.lines().count(), 1, "{line}");
        let shims = "$HOME/.local/share/kage/shims";
        let expected = match shell {
            "fish" => format!("fish_add_path --path --move --prepend \"{shims}\"\n"),
            _ => format!("export PATH=\"{shims}:$PATH\"\n"),
        };
        assert_eq!(line, expected);
        // Even if the directory was already on PATH.
        let call = sandbox.call(Path::new(shell), ["-c", &format!("{line}command -v claude")]);
        let before = path(&[&sandbox.path("bin"), &sandbox.path(SHIMS)]);
        let ran = call.env("PATH", before).run().success();
        assert_eq!(ran.stdout().trim(), shim(&sandbox).to_str().unwrap(), "{shell}");
    }
    let ran = sandbox.kage(["shim", "install", "claude"]).env("PATH", set_up(&sandbox)).run().success();
    ran.prints("");
}

#[test]
fn a_directory_outside_the_home_has_its_full_path() {
    let sandbox = shimmed();
    let data = sandbox.path("data o'brien");
    for (shell, quoted) in [("bash", r"o'\''brien"), ("fish", r"o\'brien")] {
        let call = sandbox.kage(["shim", "install", "claude"]).env("XDG_DATA_HOME", &data);
        let line = call.env("SHELL", format!("/bin/{shell}")).run().success().stdout();
        assert!(line.contains(quoted), "{line}");
        if has_all(&[shell]) {
            let call = sandbox.call(Path::new(shell), ["-c", &format!("{line}command -v claude")]);
            let found = call.run().success().stdout();
            assert_eq!(found.trim(), data.join("kage/shims/claude").to_str().unwrap(), "{shell}");
        }
    }
}
