//! Builds `shim.c` once per run: a library that is preloaded into kage, between kage and the C library.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::plan::Trial;
use crate::scene::Scene;

/// The path of the library. `None` if there is no compiler.
pub fn shim(trial: &Trial<'_>) -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(build).clone();
    if built.is_none() {
        trial.skip("there is no C compiler");
    }
    built
}

fn build() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Another run may have it loaded, so the new one replaces it atomically.
    let (new, library) = (dir.join(format!("shim-{}.so", std::process::id())), dir.join("shim.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/shim.c");
    let flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
    let built = Command::new("cc").args(flags).arg(&new).arg(source).arg("-ldl").status();
    assert!(built.ok()?.success(), "could not build the library");
    std::fs::rename(new, &library).ok()?;
    Some(library)
}

/// Preloads the library into a command of the scene's kage.
pub fn preload(scene: &Scene, library: &PathBuf, command: &mut Command) {
    command.env("LD_PRELOAD", library).env("TORTURE_PROGRAM", scene.kage.canonicalize().unwrap());
}

/// The number of calls that a command makes, as counted by the library.
pub fn calls_of(scene: &Scene, library: &PathBuf, below_state: bool, mut command: Command) -> u64 {
    let count = scene.path("count");
    preload(scene, library, command.env("TORTURE_COUNT", &count));
    if below_state {
        command.env("TORTURE_UNDER", scene.state_dir());
    }
    let ended = scene.run(&mut command).unwrap();
    let counted = std::fs::read_to_string(&count).unwrap_or_default();
    counted.trim().parse().unwrap_or_else(|_| panic!("no calls were counted: {} {}", ended.status, ended.err))
}
