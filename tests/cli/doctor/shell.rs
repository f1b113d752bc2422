//! Problems with start-up files, shims and `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::fixture::Fixture;
use crate::support::kage;

const BASHRC: &str = "home/.bashrc";
const SHIMS: &str = "home/.local/share/kage/shims";

/// Writes a shim as `kage shim install` does. Returns the directory of the shims.
pub(crate) fn install_shim(fixture: &Fixture, name: &str) -> PathBuf {
    shim_of(fixture, name, &kage().display().to_string())
}

fn shim_of(fixture: &Fixture, name: &str, kage: &str) -> PathBuf {
    let text = format!("#!/bin/sh\n# kage shim\nkage='{kage}'\nexec \"$kage\" exec -- {name} \"$@\"\n");
    let file = fixture.sandbox.write(&format!("{SHIMS}/{name}"), &text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    fixture.sandbox.path(SHIMS)
}

/// Puts the directory of the shims first in `PATH`.
fn with_shims_first(fixture: Fixture) -> Fixture {
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        fixture.sandbox.path(SHIMS).display(),
        fixture.sandbox.path("bin").display()
    );
    fixture.with("PATH", path)
}

#[test]
fn a_shell_without_kage_is_set_up() {
    for (shell, fix) in
        [("/bin/bash", "kage init bash --install --yes"), ("/usr/bin/fish", "kage init fish --install --yes")]
    {
        let fixture = Fixture::healthy().with("SHELL", shell);
        fixture.sandbox.write(BASHRC, "# kage init bash\n");
        fixture.finds("warning", "no-integration").has_fix(fix).apply_fix();
    }
}

#[test]
fn an_unsupported_shell_gets_shims() {
    let fixture = with_shims_first(Fixture::healthy().with("SHELL", "/bin/dash"));
    fs::remove_file(fixture.sandbox.path(BASHRC)).unwrap();
    fixture.finds("warning", "no-integration").has_fix("kage shim install claude").apply_fix();
}

#[test]
fn a_shim_alone_is_enough() {
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.sandbox.path(BASHRC)).unwrap();
    install_shim(&fixture, "claude");
    with_shims_first(fixture).assert_no_problems();
}

#[test]
fn a_login_shell_that_does_not_read_bashrc_is_made_to_read_it() {
    let fixture = Fixture::healthy();
    let profile = fixture.sandbox.write("home/.profile", "# .bashrc\n");
    let fix = format!("echo '[ -f ~/.bashrc ] && . ~/.bashrc' >>{}", profile.display());
    fixture.finds("warning", "login-shell").has_fix(&fix).apply_fix();
}

#[test]
fn the_users_own_function_is_enough() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write(BASHRC, "claude() { kage exec -- claude \"$@\"; }\n");
    fixture.assert_no_problems();
}

#[test]
fn a_start_up_file_that_calls_kage_twice_is_opened_at_the_second_call() {
    let fixture = Fixture::healthy();
    let text = fixture.sandbox.read(BASHRC);
    fixture.sandbox.write(BASHRC, &format!("{text}{text}"));
    let fix = format!("editor +4 {}", fixture.sandbox.path(BASHRC).display());
    fixture.finds("warning", "init-twice").has_fix(&fix).apply_fix_by_editing("d");
}

#[test]
fn a_start_up_file_that_calls_a_missing_kage_is_set_up_again() {
    let fixture = Fixture::healthy();
    let line = "eval \"$('/opt/my tools/kage' init bash)\"";
    fixture.sandbox.write(BASHRC, &format!("{line} # added by kage\n"));
    let gone = || fixture.finds("error", "init-kage-gone").mentions("/opt/my tools/kage");
    gone().has_fix("kage init bash --install --yes").apply_fix();
    // kage does not overwrite a line that it has not written.
    fixture.sandbox.write(BASHRC, &format!("{line}\n"));
    let fix = format!("editor +1 {}", fixture.sandbox.path(BASHRC).display());
    gone().has_fix(&fix).apply_fix_by_editing("s|'/opt/my tools/kage'|kage|");
}

#[test]
fn an_alias_that_bypasses_kage_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    let text = fixture.sandbox.read(BASHRC);
    fixture.sandbox.write(BASHRC, &format!("{text}alias claude='/usr/local/bin/claude --verbose'\n"));
    fixture.finds("warning", "alias-shadows").mentions("~/.bashrc starts `claude`").apply_fix_by_editing("d");
    fixture.sandbox.write(BASHRC, &format!("{text}alias claude='kage exec -- claude --verbose'\n"));
    fixture.assert_no_problems();
}

#[test]
fn a_shim_after_its_agent_in_path_is_moved_before_it() {
    let fixture = Fixture::healthy();
    let shims = install_shim(&fixture, "claude");
    let fix = format!("export PATH={}:\"$PATH\"", shims.display());
    fixture.finds("warning", "shims-not-first").mentions("bin/claude comes before").has_fix(&fix).apply_fix();
}

#[test]
fn a_shim_whose_kage_is_missing_is_installed_again() {
    let fixture = with_shims_first(Fixture::healthy());
    shim_of(&fixture, "claude", "/opt/gone/kage");
    let problem = fixture
        .finds("error", "shim-kage-gone")
        .mentions("/opt/gone/kage")
        .has_fix("kage shim install claude");
    problem.apply_fix();
}

#[test]
fn a_shim_is_installed_again_if_it_or_its_kage_is_not_executable() {
    let fixture = with_shims_first(Fixture::healthy());
    install_shim(&fixture, "claude");
    fixture.mode(&format!("{SHIMS}/claude"), 0o644);
    fixture.finds("warning", "shim-not-executable").has_fix("kage shim install claude").apply_fix();
    let kage = fixture.sandbox.write("other/kage", "");
    shim_of(&fixture, "claude", kage.to_str().unwrap());
    let problem = fixture.finds("error", "shim-kage-gone").mentions("other/kage, which is not executable");
    problem.has_fix("kage shim install claude").apply_fix();
    // An agent before it in `PATH` that is not executable is ignored.
    fixture.sandbox.write("front/claude", "");
    let path = format!(
        "{}:{}:{}:/usr/bin:/bin",
        fixture.sandbox.path("front").display(),
        fixture.sandbox.path(SHIMS).display(),
        fixture.sandbox.path("bin").display()
    );
    fixture.with("PATH", path).assert_no_problems();
}

#[test]
fn a_start_up_file_is_set_up_again_if_its_kage_is_not_executable() {
    let fixture = Fixture::healthy();
    let kage = fixture.sandbox.write("other/kage", "");
    fixture.sandbox.write(BASHRC, &format!("eval \"$('{}' init bash)\" # added by kage\n", kage.display()));
    let problem = fixture.finds("error", "init-kage-gone").mentions("other/kage, which is not executable");
    problem.has_fix("kage init bash --install --yes").apply_fix();
}

#[test]
fn a_shim_that_the_agent_has_overwritten_is_installed_again() {
    let fixture = with_shims_first(Fixture::healthy());
    let shims = install_shim(&fixture, "claude");
    fs::copy(fixture.sandbox.path("bin/claude"), shims.join("claude")).unwrap();
    let problem = fixture.finds("warning", "shim-overwritten").has_fix("kage shim install --force claude");
    problem.apply_fix();
}

#[test]
fn another_kage_that_is_first_in_path_is_a_problem_and_a_later_one_is_not() {
    let fixture = Fixture::healthy();
    let other = fixture.sandbox.write("other/kage", "#!/bin/sh\necho kage 0.0.1\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let bin = fixture.sandbox.path("bin");
    let dirs = [bin.display().to_string(), fixture.sandbox.path("other").display().to_string()];
    let fixture = fixture.with("PATH", format!("{}:{}:/usr/bin:/bin", dirs[0], dirs[1]));
    fixture.assert_no_problems();
    assert!(fixture.findings().message("other-kage").contains("other/kage (kage 0.0.1)"));
    let fixture =
        fixture.with("PATH", format!("{}:{}:/usr/bin:/bin", dirs[1], dirs[0])).with_doctor(&bin.join("kage"));
    fixture
        .finds("warning", "several-kages")
        .mentions("other/kage (kage 0.0.1)")
        .has_fix(&format!("export PATH={}:\"$PATH\"", dirs[0]))
        .apply_fix();
    assert!(other.exists());
}

#[test]
fn setup_for_one_shell_does_not_cover_another() {
    let fixture = Fixture::healthy().with("SHELL", "/bin/zsh");
    fixture.finds("warning", "no-integration").has_fix("kage init zsh --install --yes").apply_fix();
    let fixture = Fixture::healthy();
    fixture.sandbox.write(BASHRC, "alias review='kage exec -- claude -p review'\n");
    fixture.finds("warning", "no-integration").has_fix("kage init bash --install --yes").apply_fix();
}

#[test]
fn every_start_up_file_of_a_shell_is_checked() {
    let fish = "kage init fish | source";
    for (shell, file, line) in [
        ("bash", "home/.bash_profile", "eval \"$(kage init bash)\""),
        ("bash", "home/.profile", "eval \"$(kage init bash)\""),
        ("zsh", "home/.zprofile", "eval \"$(kage init zsh)\""),
        ("fish", "home/.config/fish/conf.d/kage.fish", fish),
    ] {
        let fixture = Fixture::healthy().with("SHELL", format!("/usr/bin/{shell}"));
        fs::remove_file(fixture.sandbox.path(BASHRC)).unwrap();
        fixture.finds("warning", "no-integration");
        fixture.sandbox.write(file, &format!("{line}\n"));
        fixture.assert_no_problems();
    }
}

#[test]
fn a_function_that_bypasses_kage_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    let text = fixture.sandbox.read(BASHRC);
    let own = "claude() { /opt/claude \"$@\"; }\n";
    // kage's own function is defined later and replaces it.
    fixture.sandbox.write(BASHRC, &format!("{own}{text}"));
    fixture.assert_no_problems();
    fixture.sandbox.write(BASHRC, &format!("{text}{own}"));
    let problem =
        fixture.finds("warning", "function-shadows").mentions("a function in ~/.bashrc starts `claude`");
    problem.apply_fix_by_editing("d");
}
