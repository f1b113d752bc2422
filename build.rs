//! Links the unwinder in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A start needs nothing of libgcc: a panic ends the process. But as a library of its own it is looked up, mapped and
/// set up each time, which takes a tenth of a millisecond.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|known| known == value);
    let is_here = env::var("HOST") == env::var("TARGET");
    if !is_here || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    let Some(archives) = ["libgcc_eh.a", "libgcc.a"].map(archive).into_iter().collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let own = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names it"));
    let names: Vec<_> = archives.iter().map(|path| format!("\"{}\"", path.display())).collect();
    // What the linker finds first under that name: a script of its own.
    fs::write(own.join("libgcc_s.so"), format!("INPUT({})\n", names.join(" ")))
        .expect("cargo made its directory");
    println!("cargo::rustc-link-search=native={}", own.display());
}

/// Where the C compiler has an archive. One that it does not know it names as it was asked.
fn archive(name: &str) -> Option<PathBuf> {
    let asked = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    (path != Path::new(name)).then_some(path)
}
