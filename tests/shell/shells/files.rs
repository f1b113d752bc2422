//! The line in a startup file: it is added once and removed again, and nothing else is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{Shell, home, tmux};
use crate::support::{Sandbox, copy_kage, has_all};

const OWN: &str = "# mine\nexport EDITOR=vi\n";

fn install(sandbox: &Sandbox, shell: &Shell) -> String {
    sandbox.kage(["init", shell.name, "--install", "--yes"]).run().success().prints("").stderr()
}

#[test]
fn the_line_is_added_once_works_and_is_removed_completely() {
    for shell in Shell::all() {
        let sandbox = home();
        sandbox.write(shell.startup_file, OWN);
        let said = install(&sandbox, shell);
        assert!(
            said.contains("added one line to") && said.contains(&format!("exec {}", shell.name)),
            "{said}"
        );
        let text = sandbox.read(shell.startup_file);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with(OWN), "{text}");
        assert_eq!(sandbox.read(&format!("{}.before-kage", shell.startup_file)), OWN);
        assert!(install(&sandbox, shell).contains("already has this line"));
        assert_eq!(sandbox.read(shell.startup_file), text);
        let printed = sandbox.kage(["init", shell.name, "--print-rc"]).run().success().stdout();
        assert_eq!(text, format!("{OWN}{printed}"));

        // The shell sources the file as at its start.
        let run =
            format!("source {}; claude it", shell.quoted(sandbox.path(shell.startup_file).to_str().unwrap()));
        sandbox
            .call(shell.name.as_ref(), ["-c", &run])
            .run()
            .success()
            .prints("claude on work-premium: it\n");

        sandbox
            .kage(["init", shell.name, "--uninstall", "--yes"])
            .run()
            .success()
            .mentions("removed one line from");
        assert_eq!(sandbox.read(shell.startup_file), OWN);
        sandbox
            .kage(["init", shell.name, "--uninstall", "--yes"])
            .run()
            .success()
            .mentions("does not have kage's line");
    }
}

#[test]
fn without_a_name_init_uses_the_users_shell() {
    for shell in Shell::all() {
        let sandbox = home();
        let path = format!("/usr/bin/{}", shell.name);
        let init = |flag: &str| sandbox.kage(["init", "--yes", flag]).env("SHELL", &path).run().success();
        assert_eq!(
            init("--print-rc").stdout(),
            sandbox.kage(["init", shell.name, "--print-rc"]).run().stdout()
        );
        init("--install");
        assert_eq!(sandbox.read(shell.startup_file).lines().count(), 1);
        init("--uninstall");
        assert_eq!(sandbox.read(shell.startup_file), "");
    }
    let unknown = home().kage(["init"]).env("SHELL", "/bin/dash").run().status(2);
    unknown.mentions("hint: kage init bash").is_one_line_and_a_hint();
}

#[test]
fn a_missing_file_is_created() {
    for shell in Shell::all() {
        let sandbox = home();
        install(&sandbox, shell);
        assert_eq!(sandbox.read(shell.startup_file).lines().count(), 1);
        assert!(!sandbox.path(&format!("{}.before-kage", shell.startup_file)).exists());
    }
}

#[test]
fn a_link_stays_a_link_and_the_mode_is_kept() {
    for shell in Shell::all() {
        let sandbox = home();
        let file = sandbox.write("dotfiles/file", OWN);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let link = sandbox.path(shell.startup_file);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&file, &link).unwrap();
        install(&sandbox, shell);
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(sandbox.read("dotfiles/file").lines().count(), 3);
    }
}

#[test]
fn the_users_own_line_is_enough_and_is_not_removed() {
    for shell in Shell::all() {
        let sandbox = home();
        let text = format!("{OWN}{}", shell.line());
        sandbox.write(shell.startup_file, &text);
        assert!(install(&sandbox, shell).contains(":3 already loads kage"));
        let refused = sandbox.kage(["init", shell.name, "--uninstall", "--yes"]).run().status(1);
        refused.mentions("+3 ").is_one_line_and_a_hint();
        assert_eq!(sandbox.read(shell.startup_file), text);
    }
}

#[test]
fn the_line_that_kage_added_is_removed_next_to_the_users_own() {
    for shell in Shell::all() {
        let sandbox = home();
        install(&sandbox, shell);
        let text = sandbox.read(shell.startup_file);
        sandbox.write(shell.startup_file, &format!("{}{text}", shell.line()));
        let left = sandbox.kage(["init", shell.name, "--uninstall", "--yes"]).run().status(1);
        left.mentions("removed one line from").mentions(":1 was not written by kage and is left unchanged");
        assert_eq!(sandbox.read(shell.startup_file), shell.line());
    }
}

#[test]
fn all_other_bytes_are_kept() {
    for shell in Shell::all() {
        let sandbox = home();
        let file = sandbox.write(shell.startup_file, "");
        let own = b"# caf\xe9\r\n\x00\n";
        fs::write(&file, own).unwrap();
        install(&sandbox, shell);
        assert!(fs::read(&file).unwrap().starts_with(own));
        sandbox.kage(["init", shell.name, "--uninstall", "--yes"]).run().success();
        assert_eq!(fs::read(&file).unwrap(), own);
    }
}

#[test]
fn a_dangling_link_is_left_unchanged() {
    for shell in Shell::all() {
        let sandbox = home();
        let link = sandbox.path(shell.startup_file);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("not/there/yet", &link).unwrap();
        let refused = sandbox.kage(["init", shell.name, "--install", "--yes"]).run().status(1);
        refused.mentions("is a link to not/there/yet, which does not exist").is_one_line_and_a_hint();
        assert!(link.is_symlink() && !link.exists());
    }
}

#[test]
fn the_backup_is_the_file_without_kage() {
    for shell in Shell::all() {
        let sandbox = home();
        sandbox.write(shell.startup_file, OWN);
        install(&sandbox, shell);
        fs::remove_file(sandbox.path("bin/kage")).unwrap();
        install(&sandbox, shell);
        sandbox.kage(["init", shell.name, "--uninstall", "--yes"]).run().success();
        assert_eq!(sandbox.read(&format!("{}.before-kage", shell.startup_file)), OWN);
    }
}

#[test]
fn a_kage_with_another_name_adds_one_line_too() {
    for shell in Shell::all() {
        let sandbox = home();
        fs::remove_file(sandbox.path("bin/kage")).unwrap();
        let other = sandbox.path("opt/kage-0.1");
        copy_kage(&other);
        for _ in 0..2 {
            sandbox.call(&other, ["init", shell.name, "--install", "--yes"]).run().success();
            assert_eq!(sandbox.read(shell.startup_file).lines().count(), 1);
        }
        sandbox.call(&other, ["init", shell.name, "--uninstall", "--yes"]).run().success();
        assert_eq!(sandbox.read(shell.startup_file), "");
    }
}

#[test]
fn zsh_is_asked_for_its_directory() {
    if !has_all(&["zsh"]) {
        return;
    }
    let sandbox = home();
    sandbox.write("home/.zshenv", "ZDOTDIR=$HOME/zsh\n");
    sandbox.kage(["init", "zsh", "--install", "--yes"]).run().success();
    assert!(!sandbox.path("home/.zshrc").exists());
    assert_eq!(sandbox.read("home/zsh/.zshrc").lines().count(), 1);
    let whence = sandbox.call("zsh".as_ref(), ["-i", "-c", "whence -w claude"]).run().success();
    assert_eq!(whence.stdout(), "claude: function\n");
}

#[test]
fn bash_login_shells_get_a_note() {
    const NOTE: &str = "login shells, such as those of tmux, need this line in";
    let sandbox = home();
    let said = |file: &str, text: &str| {
        sandbox.write(file, text);
        sandbox.kage(["init", "bash", "--uninstall", "--yes"]).run().success();
        sandbox.kage(["init", "bash", "--install", "--yes"]).run().success().stderr()
    };
    assert!(said("home/.profile", "export A=1\n").contains(NOTE));
    let note = said("home/.bash_profile", "# .bashrc\n");
    let line = note.rsplit_once(&format!("{NOTE} ")).unwrap().1.split_once(": ").unwrap().1;
    assert!(note.contains("home/.bash_profile: "), "{note}");
    assert!(!said("home/.bash_profile", line).contains(NOTE));
    let kind = sandbox.call("bash".as_ref(), ["-l", "-i", "-c", "type -t claude"]).run().success();
    assert_eq!(kind.stdout(), "function\n");
}

#[test]
fn the_line_is_updated_when_kage_moves() {
    for shell in Shell::all() {
        let sandbox = home();
        install(&sandbox, shell);
        let before = sandbox.read(shell.startup_file);
        fs::remove_file(sandbox.path("bin/kage")).unwrap();
        install(&sandbox, shell);
        let after = sandbox.read(shell.startup_file);
        assert_eq!(after.lines().count(), 1);
        assert_ne!(before, after);
    }
}

#[test]
fn the_shell_starts_silently_if_kage_was_removed() {
    for shell in Shell::all() {
        let sandbox = home();
        install(&sandbox, shell);
        fs::remove_file(sandbox.path("bin/kage")).unwrap();
        let file = sandbox.path(shell.startup_file);
        let mut run = format!("source {}", shell.quoted(file.to_str().unwrap()));
        if shell.name != "fish" {
            run = format!("set -eu; {run}");
        }
        sandbox.call(shell.name.as_ref(), ["-c", &run]).run().success().prints("").says("");
    }
}

#[test]
fn init_asks_before_it_adds_the_line() {
    let sandbox = home();
    let refused = sandbox.kage(["init", "bash", "--install"]).run().status(2);
    refused.is_one_line_and_a_hint();
    assert!(!sandbox.path("home/.bashrc").exists());
    if !has_all(&["tmux"]) {
        return;
    }
    let tmux = tmux(&sandbox);
    let pane = tmux.first();
    pane.enter("kage init bash --install");
    pane.shows("(Y/n)");
    pane.enter("n");
    pane.shows("nothing changed");
    assert!(!sandbox.path("home/.bashrc").exists());
    pane.clears();
    pane.enter("kage init bash --install");
    pane.shows("(Y/n)");
    pane.press("C-c");
    pane.clears();
    assert!(!sandbox.path("home/.bashrc").exists());
    pane.enter("kage init bash --install");
    pane.shows("(Y/n)");
    pane.press("Enter");
    pane.shows("added one line");
    assert_eq!(sandbox.read("home/.bashrc").lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_reported() {
    let sandbox = home();
    // A directory with the name of the file, because root can write any file.
    fs::create_dir_all(sandbox.path("home/.bashrc")).unwrap();
    let refused = sandbox.kage(["init", "bash", "--install", "--yes"]).run().status(1);
    refused.mentions(".bashrc");
}
