//! The paths of kage's files: one location for each of the four kinds of data, the same on Linux and macOS.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Status};

/// The paths of one user.
#[derive(Debug, Clone)]
pub struct Paths {
    pub home: PathBuf,
    /// The definitions: `KAGE_CONFIG`, else `XDG_CONFIG_HOME/kage/config.toml`.
    pub config: PathBuf,
    /// The directory of the state and the ledger: `KAGE_STATE_DIR`, else `XDG_STATE_HOME/kage`.
    pub state: PathBuf,
    /// The encrypted credentials file.
    pub credentials: PathBuf,
    /// The key of the credentials file: `KAGE_IDENTITY`, else `XDG_CONFIG_HOME/kage/identity`.
    pub identity: PathBuf,
    /// The directory of the scripts that call kage under an agent's name.
    pub shims: PathBuf,
}

impl Paths {
    pub fn from_environment() -> Result<Self, Failure> {
        let home = directories::BaseDirs::new().map(|base| base.home_dir().to_owned()).ok_or_else(|| {
            Failure::new(Status::Usage, "could not find your home directory")
                .hint("export HOME=/path/to/home")
        })?;
        let config = xdg("XDG_CONFIG_HOME", &home, ".config");
        let data = xdg("XDG_DATA_HOME", &home, ".local/share");
        Ok(Self {
            state: own("KAGE_STATE_DIR").unwrap_or_else(|| xdg("XDG_STATE_HOME", &home, ".local/state")),
            config: own("KAGE_CONFIG").unwrap_or_else(|| config.join("config.toml")),
            identity: own("KAGE_IDENTITY").unwrap_or_else(|| config.join("identity")),
            credentials: data.join("credentials"),
            shims: data.join("shims"),
            home,
        })
    }
}

/// Whether the user named the config file with `KAGE_CONFIG`.
pub fn config_is_named() -> bool {
    own("KAGE_CONFIG").is_some()
}

/// Returns the path in one of kage's own variables. It may be relative to the current directory.
fn own(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the kage directory below an XDG variable or its default. The XDG specification says that a
/// relative path in its variables is invalid and must be ignored.
fn xdg(variable: &str, home: &Path, default: &str) -> PathBuf {
    let given = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.unwrap_or_else(|| home.join(default)).join("kage")
}

/// Expands a leading `~/` to the home directory. Other paths are returned unchanged.
pub fn expand_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if path == "~" => home.to_owned(),
        None => PathBuf::from(path),
    }
}

/// Returns a path to kage that survives an upgrade: a `kage` in `PATH` that resolves to this program, often a
/// link that an upgrade changes. If there is none, returns the path of this program.
pub fn program() -> Result<String, Failure> {
    let failed = |message: String| Failure::new(Status::Failed, message).hint("call kage by its full path");
    let exe = env::current_exe().map_err(|why| failed(format!("could not find the path of kage: {why}")))?;
    let is_this = |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|path| path == exe);
    let on_path = which::which_all("kage").into_iter().flatten().find(is_this);
    let path = on_path.unwrap_or(exe).into_os_string();
    path.into_string()
        .map_err(|path| failed(format!("the path of kage is not valid UTF-8: {}", path.display())))
}
