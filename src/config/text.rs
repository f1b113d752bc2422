//! Reads the text of the config file. Called by `Config`.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use super::locate;
use crate::error::Failure;
use crate::text::quoted_path;

/// Reads the text of the config. A missing file is an empty text.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    match read_up_to(file, LONGEST) {
        Ok(bytes) if bytes.len() as u64 >= LONGEST => {
            let failure = Failure::usage(format!("{shown} is too large for a config file"));
            Err(failure.hint(format!("ls -l {}", quoted_path(file))))
        }
        Ok(bytes) => String::from_utf8(bytes).map_err(|refused| {
            let before = String::from_utf8_lossy(&refused.as_bytes()[..refused.utf8_error().valid_up_to()]);
            let line = locate::line_at(&before, before.len());
            Failure::usage(format!("{shown}:{line}: not valid UTF-8")).hint("save it as UTF-8")
        }),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(directory) if directory.kind() == ErrorKind::IsADirectory => {
            let hint =
                format!("KAGE_CONFIG must name a file, such as {}", quoted_path(&file.join("config.toml")));
            Err(Failure::usage(format!("could not read {shown}: it is a directory")).hint(hint))
        }
        Err(refused) => {
            let failure = Failure::usage(format!("could not read {shown}: {refused}"));
            Err(failure.hint(format!("ls -l {}", quoted_path(file))))
        }
    }
}

/// Returns the bytes of a config that may be invalid, or none if it cannot be read.
pub(crate) fn bytes(file: &Path) -> Vec<u8> {
    read_up_to(file, LONGEST).unwrap_or_default()
}

/// Ten times the size of a config with ten thousand subscriptions. The limit exists because the path may be a
/// device that never ends.
const LONGEST: u64 = 16 << 20;

fn read_up_to(file: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = File::open(file)?;
    let known = file.metadata()?.len().min(longest);
    let mut bytes = Vec::with_capacity(usize::try_from(known).unwrap_or_default() + 1);
    file.take(longest).read_to_end(&mut bytes)?;
    Ok(bytes)
}
