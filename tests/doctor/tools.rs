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
fn a_project_that_uses_kage_needs_direnv_to_know_it() {
    if !has_all(&["direnv"]) {
        return;
    }
    let clinic = Clinic::healthy();
    clinic.sandbox.write("work/.envrc", "use kage backend\n");
    clinic.finds("warning", "direnv-not-set-up").fixed_by("kage init direnv --install --yes").mended();
}

#[test]
fn a_project_that_uses_kage_needs_direnv() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write("work/.envrc", "use kage backend\n");
    clinic.sandbox.write(LIB, "use_kage() { :; }\n");
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
