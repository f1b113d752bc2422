//! Faults of tmux and direnv.

use super::clinic::Clinic;
use crate::support::has_all;

const LIB: &str = "home/.config/direnv/lib/kage.sh";

#[test]
fn a_tmux_without_popups_matters_where_kage_has_keys_in_it() {
    let clinic = Clinic::healthy();
    let tmux = |version: &str| clinic.sandbox.program("tmux", &format!("#!/bin/sh\necho tmux {version}\n"));
    tmux("3.1c");
    clinic.is_well();
    clinic.sandbox.write("home/.config/tmux/tmux.conf", "run-shell 'kage init tmux'\n");
    let fault = clinic.finds("warning", "tmux-old").saying("tmux 3.1c");
    assert!(fault.fix.ends_with(" tmux"), "{}", fault.fix);
    // Packages come over the network.
    fault.mended_by_hand(|_| drop(tmux("3.5a")));
    tmux("3.2");
    assert!(clinic.examine().message("tmux").contains("with kage's keys in ~/.config/tmux/tmux.conf"));
}

#[test]
fn a_tmux_that_calls_a_kage_that_is_gone_is_set_up_anew() {
    let clinic = Clinic::healthy();
    clinic.sandbox.program("tmux", "#!/bin/sh\necho tmux 3.5a\n");
    let conf = "home/.tmux.conf";
    let line = "run-shell \"if [ -x /opt/gone/kage ]; then /opt/gone/kage init tmux | sh; fi\"";
    clinic.sandbox.write(conf, &format!("set -g mouse on\n{line} # added by kage\n"));
    let gone = || clinic.finds("error", "tmux-kage-gone").saying("/opt/gone/kage, which is gone");
    gone().fixed_by("kage init tmux --install --yes").mended();
    clinic.sandbox.write(conf, &format!("set -g mouse on\n{line}\n"));
    let fix = format!("editor +2 {}", clinic.sandbox.path(conf).display());
    gone().fixed_by(&fix).mended_by_editing("d");
}

#[test]
fn a_plugin_of_tpm_is_kage_in_tmux() {
    for (conf, plugins) in [
        ("home/.tmux.conf", "home/.tmux/plugins"),
        ("home/.config/tmux/tmux.conf", "home/.config/tmux/plugins"),
    ] {
        let clinic = Clinic::healthy();
        clinic.sandbox.program("tmux", "#!/bin/sh\necho tmux 3.5a\n");
        clinic.sandbox.write(conf, "set -g @plugin 'somebody/kage'\n");
        assert!(clinic.examine().message("tmux").contains("without kage's keys"));
        clinic.sandbox.write(&format!("{plugins}/kage/kage.tmux"), "");
        assert!(clinic.examine().message("tmux").contains("with kage's keys"));
        clinic.is_well();
    }
}

#[test]
fn a_project_that_uses_kage_needs_direnv_to_know_it_and_to_be_allowed() {
    if !has_all(&["direnv"]) {
        return;
    }
    let clinic = Clinic::healthy();
    let bashrc = clinic.sandbox.read("home/.bashrc");
    clinic.sandbox.write("home/.bashrc", &format!("{bashrc}eval \"$(direnv hook bash)\"\n"));
    clinic.sandbox.write("work/.envrc", "use kage backend\n");
    clinic.sandbox.call("direnv".as_ref(), ["allow"]).run().success();
    let set_up = "kage init direnv --install --yes";
    clinic.finds("warning", "direnv-not-set-up").fixed_by(set_up).mended();
    let text = clinic.sandbox.read(LIB);
    clinic.sandbox.write(LIB, &format!("{text}# of before\n"));
    clinic.finds("warning", "direnv-outdated").fixed_by(set_up).mended();
    // What was changed is not allowed any more.
    clinic.sandbox.write("work/.envrc", "use kage frontend\n");
    let fix = format!("direnv allow {}", clinic.sandbox.path("work").display());
    clinic.finds("warning", "direnv-denied").fixed_by(&fix).mended();
    clinic.sandbox.write("home/.bashrc", &bashrc);
    let fix =
        format!("echo 'eval \"$(direnv hook bash)\"' >>{}", clinic.sandbox.path("home/.bashrc").display());
    clinic.finds("warning", "direnv-no-hook").fixed_by(&fix).mended();
}

#[test]
fn a_project_that_uses_kage_needs_direnv() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write("work/.envrc", "use kage backend\n");
    clinic.sandbox.write(LIB, "use_kage() { :; }\n");
    let bashrc = clinic.sandbox.read("home/.bashrc");
    clinic.sandbox.write("home/.bashrc", &format!("{bashrc}eval \"$(direnv hook bash)\"\n"));
    for program in ["bash", "sh", "sed"] {
        let found =
            clinic.sandbox.call("sh".as_ref(), ["-c", &format!("command -v {program}")]).run().success();
        std::os::unix::fs::symlink(found.stdout().trim(), clinic.sandbox.path(&format!("bin/{program}")))
            .unwrap();
    }
    // No other directory, in which the machine's direnv may be.
    let bin = clinic.sandbox.path("bin");
    let clinic = clinic.with("PATH", bin);
    let fault = clinic.finds("warning", "direnv-missing");
    assert!(fault.fix.ends_with(" direnv"), "{}", fault.fix);
    fault.mended_by_hand(|clinic| drop(clinic.sandbox.program("direnv", "#!/bin/sh\n")));
}
