//! The library that stands between kage and the system: `shim.c`, built once a run.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::plan::Trial;
use crate::scene::Scene;

/// Where the library is; `None` where no compiler is, or where the kage under test does not load it, as one that is
/// linked statically.
pub fn shim(trial: &Trial<'_>) -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(build).clone();
    if built.is_none() {
        trial.skip("there is no C compiler, or kage loads no library");
    }
    built
}

fn build() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Another run may have it loaded, so it is put there whole.
    let (new, library) = (dir.join(format!("shim-{}.so", std::process::id())), dir.join("shim.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/shim.c");
    let flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
    let built = Command::new("cc").args(flags).arg(&new).arg(source).arg("-ldl").status();
    assert!(built.ok()?.success(), "the library could not be built");
    std::fs::rename(new, &library).ok()?;
    Some(library)
}

/// A command of the scene's kage with the library in between.
pub fn between(scene: &Scene, library: &PathBuf, command: &mut Command) {
    command.env("LD_PRELOAD", library).env("TORTURE_PROGRAM", scene.kage.canonicalize().unwrap());
}

/// How many calls a command makes, as the library counts them. It has to succeed.
pub fn calls_of(scene: &Scene, library: &PathBuf, under: bool, mut command: Command) -> u64 {
    let count = scene.path("count");
    between(scene, library, command.env("TORTURE_COUNT", &count));
    if under {
        command.env("TORTURE_UNDER", scene.state_dir());
    }
    let ended = scene.run(&mut command).unwrap();
    let counted = std::fs::read_to_string(&count).unwrap_or_default();
    counted.trim().parse().unwrap_or_else(|_| panic!("nothing was counted: {} {}", ended.status, ended.err))
}
