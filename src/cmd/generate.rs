//! `kage generate`: writes the completion scripts and the man pages that are checked in under completions/.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::man;
use crate::shell::{COMPLETIONS, PROGRAM};

pub(super) fn run(dir: &Path) -> Result<()> {
    for (name, text) in COMPLETIONS {
        write(&dir.join(name), &text.replace(PROGRAM, "kage"))?;
    }
    for (name, page) in man::pages() {
        write(&dir.join("man").join(name), &page)?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(file, text)).with_context(|| format!("could not write {}", file.display()))
}
