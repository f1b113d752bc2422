//! Faults of the start-up files, of shims and of PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::clinic::Clinic;
use crate::support::kage;

const BASHRC: &str = "home/.bashrc";
const SHIMS: &str = "home/.local/share/kage/shims";

/// What `kage shim install` writes; the answer is the directory.
pub(crate) fn install_shim(clinic: &Clinic, name: &str) -> PathBuf {
    shim_of(clinic, name, &kage().display().to_string())
}

fn shim_of(clinic: &Clinic, name: &str, kage: &str) -> PathBuf {
    let text = format!("#!/bin/sh\n# kage shim\nkage='{kage}'\nexec \"$kage\" exec -- {name} \"$@\"\n");
    let file = clinic.sandbox.write(&format!("{SHIMS}/{name}"), &text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    clinic.sandbox.path(SHIMS)
}

/// A clinic in which the shims come first on PATH.
fn with_shims_first(clinic: Clinic) -> Clinic {
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        clinic.sandbox.path(SHIMS).display(),
        clinic.sandbox.path("bin").display()
    );
    clinic.with("PATH", path)
}

#[test]
fn a_shell_that_knows_nothing_of_kage_is_set_up() {
    for (shell, fix) in
        [("/bin/bash", "kage init bash --install --yes"), ("/usr/bin/fish", "kage init fish --install --yes")]
    {
        let clinic = Clinic::healthy().with("SHELL", shell);
        clinic.sandbox.write(BASHRC, "# kage init bash\n");
        clinic.finds("warning", "no-integration").fixed_by(fix).mended();
    }
}

#[test]
fn a_shell_that_kage_has_no_functions_for_gets_shims() {
    let clinic = with_shims_first(Clinic::healthy().with("SHELL", "/bin/dash"));
    fs::remove_file(clinic.sandbox.path(BASHRC)).unwrap();
    clinic.finds("warning", "no-integration").fixed_by("kage shim install claude").mended();
}

#[test]
fn a_shim_alone_is_enough() {
    let clinic = Clinic::healthy();
    fs::remove_file(clinic.sandbox.path(BASHRC)).unwrap();
    install_shim(&clinic, "claude");
    with_shims_first(clinic).is_well();
}

#[test]
fn a_login_shell_that_reads_no_bashrc_is_led_to_it() {
    let clinic = Clinic::healthy();
    let profile = clinic.sandbox.write("home/.profile", "# .bashrc\n");
    let fix = format!("echo '[ -f ~/.bashrc ] && . ~/.bashrc' >>{}", profile.display());
    clinic.finds("warning", "login-shell").fixed_by(&fix).mended();
}

#[test]
fn a_function_of_the_users_own_is_enough() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write(BASHRC, "claude() { kage exec -- claude \"$@\"; }\n");
    clinic.is_well();
}

#[test]
fn a_start_up_file_that_calls_kage_twice_is_opened_at_the_second() {
    let clinic = Clinic::healthy();
    let text = clinic.sandbox.read(BASHRC);
    clinic.sandbox.write(BASHRC, &format!("{text}{text}"));
    let fix = format!("editor +4 {}", clinic.sandbox.path(BASHRC).display());
    clinic.finds("warning", "init-twice").fixed_by(&fix).mended_by_editing("d");
}

#[test]
fn a_start_up_file_that_calls_a_kage_that_is_gone_is_set_up_anew() {
    let clinic = Clinic::healthy();
    let line = "eval \"$('/opt/my tools/kage' init bash)\"";
    clinic.sandbox.write(BASHRC, &format!("{line} # added by kage\n"));
    let gone = || clinic.finds("error", "init-kage-gone").saying("/opt/my tools/kage");
    gone().fixed_by("kage init bash --install --yes").mended();
    // What kage has not written it does not write over.
    clinic.sandbox.write(BASHRC, &format!("{line}\n"));
    let fix = format!("editor +1 {}", clinic.sandbox.path(BASHRC).display());
    gone().fixed_by(&fix).mended_by_editing("s|'/opt/my tools/kage'|kage|");
}

#[test]
fn an_alias_that_goes_past_kage_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    let text = clinic.sandbox.read(BASHRC);
    clinic.sandbox.write(BASHRC, &format!("{text}alias claude='/usr/local/bin/claude --verbose'\n"));
    clinic.finds("warning", "alias-shadows").saying("~/.bashrc takes `claude`").mended_by_editing("d");
    clinic.sandbox.write(BASHRC, &format!("{text}alias claude='kage exec -- claude --verbose'\n"));
    clinic.is_well();
}

#[test]
fn an_agent_that_comes_before_its_shim_is_put_behind_it() {
    let clinic = Clinic::healthy();
    let shims = install_shim(&clinic, "claude");
    let fix = format!("export PATH={}:\"$PATH\"", shims.display());
    clinic.finds("warning", "shims-not-first").saying("bin/claude comes before").fixed_by(&fix).mended();
}

#[test]
fn a_shim_whose_kage_is_gone_is_installed_anew() {
    let clinic = with_shims_first(Clinic::healthy());
    shim_of(&clinic, "claude", "/opt/gone/kage");
    let fault =
        clinic.finds("error", "shim-kage-gone").saying("/opt/gone/kage").fixed_by("kage shim install claude");
    fault.mended();
}

#[test]
fn a_shim_that_is_not_executable_or_calls_such_a_kage_is_installed_anew() {
    let clinic = with_shims_first(Clinic::healthy());
    install_shim(&clinic, "claude");
    clinic.mode(&format!("{SHIMS}/claude"), 0o644);
    clinic.finds("warning", "shim-not-executable").fixed_by("kage shim install claude").mended();
    let kage = clinic.sandbox.write("other/kage", "");
    shim_of(&clinic, "claude", kage.to_str().unwrap());
    let fault = clinic.finds("error", "shim-kage-gone").saying("other/kage, which is not executable");
    fault.fixed_by("kage shim install claude").mended();
    // Such an agent in front of it is passed over.
    clinic.sandbox.write("front/claude", "");
    let path = format!(
        "{}:{}:{}:/usr/bin:/bin",
        clinic.sandbox.path("front").display(),
        clinic.sandbox.path(SHIMS).display(),
        clinic.sandbox.path("bin").display()
    );
    clinic.with("PATH", path).is_well();
}

#[test]
fn a_start_up_file_that_calls_a_kage_that_is_not_executable_is_set_up_anew() {
    let clinic = Clinic::healthy();
    let kage = clinic.sandbox.write("other/kage", "");
    clinic.sandbox.write(BASHRC, &format!("eval \"$('{}' init bash)\" # added by kage\n", kage.display()));
    let fault = clinic.finds("error", "init-kage-gone").saying("other/kage, which is not executable");
    fault.fixed_by("kage init bash --install --yes").mended();
}

#[test]
fn a_shim_that_the_agent_has_overwritten_is_installed_anew() {
    let clinic = with_shims_first(Clinic::healthy());
    let shims = install_shim(&clinic, "claude");
    fs::copy(clinic.sandbox.path("bin/claude"), shims.join("claude")).unwrap();
    let fault = clinic.finds("warning", "shim-overwritten").fixed_by("kage shim install --force claude");
    fault.mended();
}

#[test]
fn another_kage_that_comes_first_is_put_behind_and_one_behind_is_only_told() {
    let clinic = Clinic::healthy();
    let other = clinic.sandbox.write("other/kage", "#!/bin/sh\necho kage 0.0.1\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let bin = clinic.sandbox.path("bin");
    let dirs = [bin.display().to_string(), clinic.sandbox.path("other").display().to_string()];
    let clinic = clinic.with("PATH", format!("{}:{}:/usr/bin:/bin", dirs[0], dirs[1]));
    clinic.is_well();
    assert!(clinic.examine().message("other-kage").contains("other/kage (kage 0.0.1)"));
    let clinic =
        clinic.with("PATH", format!("{}:{}:/usr/bin:/bin", dirs[1], dirs[0])).asking(&bin.join("kage"));
    clinic
        .finds("warning", "several-kages")
        .saying("other/kage (kage 0.0.1)")
        .fixed_by(&format!("export PATH={}:\"$PATH\"", dirs[0]))
        .mended();
    assert!(other.exists());
}

#[test]
fn set_up_for_one_shell_is_not_set_up_for_another() {
    let clinic = Clinic::healthy().with("SHELL", "/bin/zsh");
    clinic.finds("warning", "no-integration").fixed_by("kage init zsh --install --yes").mended();
    let clinic = Clinic::healthy();
    clinic.sandbox.write(BASHRC, "alias review='kage exec -- claude -p review'\n");
    clinic.finds("warning", "no-integration").fixed_by("kage init bash --install --yes").mended();
}

#[test]
fn every_file_that_a_shell_reads_at_its_start_counts() {
    let fish = "kage init fish | source";
    for (shell, file, line) in [
        ("bash", "home/.bash_profile", "eval \"$(kage init bash)\""),
        ("bash", "home/.profile", "eval \"$(kage init bash)\""),
        ("zsh", "home/.zprofile", "eval \"$(kage init zsh)\""),
        ("fish", "home/.config/fish/conf.d/kage.fish", fish),
    ] {
        let clinic = Clinic::healthy().with("SHELL", format!("/usr/bin/{shell}"));
        fs::remove_file(clinic.sandbox.path(BASHRC)).unwrap();
        clinic.finds("warning", "no-integration");
        clinic.sandbox.write(file, &format!("{line}\n"));
        clinic.is_well();
    }
}

#[test]
fn a_function_that_goes_past_kage_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    let text = clinic.sandbox.read(BASHRC);
    let own = "claude() { /opt/claude \"$@\"; }\n";
    // kage's own comes later and takes its place.
    clinic.sandbox.write(BASHRC, &format!("{own}{text}"));
    clinic.is_well();
    clinic.sandbox.write(BASHRC, &format!("{text}{own}"));
    let fault = clinic.finds("warning", "function-shadows").saying("a function in ~/.bashrc takes `claude`");
    fault.mended_by_editing("d");
}
