//! The command that installs a program on this machine.

use super::scene::{Scene, found_on_path};

/// Package managers and their install commands.
const INSTALLERS: [(&str, &str); 5] = [
    ("apt-get", "sudo apt-get install"),
    ("dnf", "sudo dnf install"),
    ("pacman", "sudo pacman -S"),
    ("apk", "sudo apk add"),
    ("brew", "brew install"),
];

/// The command that installs a program with the first known package manager.
pub(super) fn install(program: &str, scene: &Scene) -> String {
    let known = INSTALLERS.iter().find(|(installer, _)| found_on_path(installer, scene).is_some());
    format!("{} {program}", known.map_or("sudo apt-get install", |(_, command)| command))
}
