//! Links the unwinder in.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// A start needs nothing of libgcc: a panic ends the process. But as a library of its own it is looked up, mapped and
/// set up each time, which takes a tenth of a millisecond.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|known| known == value);
    let is_this_machine =
        env::var("HOST") == env::var("TARGET") && is("CARGO_CFG_TARGET_POINTER_WIDTH", "64");
    if !is_this_machine || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    let archives = ["libgcc_eh.a", "libgcc.a"].map(archive);
    let [Some(unwinder), Some(rest)] = archives else { return };
    // Another compiler has them elsewhere.
    println!("cargo::rerun-if-changed={}", unwinder.display());
    println!("cargo::rerun-if-changed={}", rest.display());
    let own = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names it"));
    // What the linker finds first under that name: a script of its own.
    let script = format!("INPUT(\"{}\" \"{}\")\n", unwinder.display(), rest.display());
    fs::write(own.join("libgcc_s.so"), script).expect("cargo made its directory");
    println!("cargo::rustc-link-search=native={}", own.display());
}

/// Where what links has an archive. One that it does not know it names as it was asked.
fn archive(name: &str) -> Option<PathBuf> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or("cc".into());
    let asked = Command::new(linker).arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}
