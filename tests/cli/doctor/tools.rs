//! Problems with tmux and direnv.

use super::fixture::Fixture;
use crate::support::has_all;

const LIB: &str = "home/.config/direnv/lib/kage.sh";

#[test]
fn a_tmux_without_popups_is_a_problem_only_with_kages_settings() {
    let fixture = Fixture::healthy();
    let tmux = |version: &str| fixture.sandbox.program("tmux", &format!("#!/bin/sh\necho tmux {version}\n"));
    tmux("3.1c");
    fixture.assert_no_problems();
    fixture.sandbox.write("home/.config/tmux/tmux.conf", "run-shell 'kage init tmux'\n");
    let problem = fixture.finds("warning", "tmux-old").mentions("tmux 3.1c");
    assert!(problem.fix.ends_with(" tmux"), "{}", problem.fix);
    // A package manager would use the network.
    problem.fix_manually(|_| drop(tmux("3.5a")));
    tmux("3.2");
    assert!(fixture.findings().message("tmux").contains("with kage's settings in ~/.config/tmux/tmux.conf"));
}

#[test]
fn a_tmux_that_calls_a_missing_kage_is_set_up_again() {
    let fixture = Fixture::healthy();
    fixture.sandbox.program("tmux", "#!/bin/sh\necho tmux 3.5a\n");
    let conf = "home/.tmux.conf";
    let line = "run-shell \"if [ -x /opt/gone/kage ]; then /opt/gone/kage init tmux | sh; fi\"";
    fixture.sandbox.write(conf, &format!("set -g mouse on\n{line} # added by kage\n"));
    let gone = || fixture.finds("error", "tmux-kage-gone").mentions("/opt/gone/kage, which does not exist");
    gone().has_fix("kage init tmux --install --yes").apply_fix();
    fixture.sandbox.write(conf, &format!("set -g mouse on\n{line}\n"));
    let fix = format!("editor +2 {}", fixture.sandbox.path(conf).display());
    gone().has_fix(&fix).apply_fix_by_editing("d");
}

#[test]
fn a_plugin_of_tpm_counts_as_kages_settings() {
    for (conf, plugins) in [
        ("home/.tmux.conf", "home/.tmux/plugins"),
        ("home/.config/tmux/tmux.conf", "home/.config/tmux/plugins"),
    ] {
        let fixture = Fixture::healthy();
        fixture.sandbox.program("tmux", "#!/bin/sh\necho tmux 3.5a\n");
        fixture.sandbox.write(conf, "set -g @plugin 'somebody/kage'\n");
        assert!(fixture.findings().message("tmux").contains("without kage's settings"));
        fixture.sandbox.write(&format!("{plugins}/kage/kage.tmux"), "");
        assert!(fixture.findings().message("tmux").contains("with kage's settings"));
        fixture.assert_no_problems();
    }
}

#[test]
fn a_project_that_uses_kage_needs_direnv_set_up_and_allowed() {
    if !has_all(&["direnv"]) {
        return;
    }
    let fixture = Fixture::healthy();
    let bashrc = fixture.sandbox.read("home/.bashrc");
    fixture.sandbox.write("home/.bashrc", &format!("{bashrc}eval \"$(direnv hook bash)\"\n"));
    fixture.sandbox.write("work/.envrc", "use kage backend\n");
    fixture.sandbox.call("direnv".as_ref(), ["allow"]).run().success();
    let set_up = "kage init direnv --install --yes";
    fixture.finds("warning", "direnv-not-set-up").has_fix(set_up).apply_fix();
    let text = fixture.sandbox.read(LIB);
    fixture.sandbox.write(LIB, &format!("{text}# of before\n"));
    fixture.finds("warning", "direnv-outdated").has_fix(set_up).apply_fix();
    // A changed `.envrc` must be allowed again.
    fixture.sandbox.write("work/.envrc", "use kage frontend\n");
    let fix = format!("direnv allow {}", fixture.sandbox.path("work").display());
    fixture.finds("warning", "direnv-denied").has_fix(&fix).apply_fix();
    fixture.sandbox.write("home/.bashrc", &bashrc);
    let fix =
        format!("echo 'eval \"$(direnv hook bash)\"' >>{}", fixture.sandbox.path("home/.bashrc").display());
    fixture.finds("warning", "direnv-no-hook").has_fix(&fix).apply_fix();
}

#[test]
fn a_project_that_uses_kage_needs_direnv() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write("work/.envrc", "use kage backend\n");
    fixture.sandbox.write(LIB, "use_kage() { :; }\n");
    let bashrc = fixture.sandbox.read("home/.bashrc");
    fixture.sandbox.write("home/.bashrc", &format!("{bashrc}eval \"$(direnv hook bash)\"\n"));
    for program in ["bash", "sh", "sed"] {
        let found =
            fixture.sandbox.call("sh".as_ref(), ["-c", &format!("command -v {program}")]).run().success();
        std::os::unix::fs::symlink(found.stdout().trim(), fixture.sandbox.path(&format!("bin/{program}")))
            .unwrap();
    }
    // Only this directory: others may contain the machine's direnv.
    let bin = fixture.sandbox.path("bin");
    let fixture = fixture.with("PATH", bin);
    let problem = fixture.finds("warning", "direnv-missing");
    assert!(problem.fix.ends_with(" direnv"), "{}", problem.fix);
    problem.fix_manually(|fixture| drop(fixture.sandbox.program("direnv", "#!/bin/sh\n")));
}
