//! Where things are: the four kinds of data have one place each, the same on Linux and macOS.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Status};

/// The places of one user.
#[derive(Debug, Clone)]
pub struct Paths {
    pub home: PathBuf,
    /// Definitions: `KAGE_CONFIG`, else `config.toml` below `XDG_CONFIG_HOME/kage`.
    pub config: PathBuf,
    /// State and ledger: `KAGE_STATE_DIR`, else below `XDG_STATE_HOME/kage`.
    pub state: PathBuf,
    /// The encrypted credentials file.
    pub credentials: PathBuf,
    /// The key that opens it: `KAGE_IDENTITY`, else beside the config.
    pub identity: PathBuf,
    /// Scripts by which kage is called under an agent's name.
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

/// Whether the user named the config file, rather than leaving it to be made where it belongs.
pub fn config_is_named() -> bool {
    own("KAGE_CONFIG").is_some()
}

/// A variable of kage's own; it may be relative to the current directory.
fn own(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The XDG specification: a relative path in one of its variables is invalid and ignored.
fn xdg(variable: &str, home: &Path, default: &str) -> PathBuf {
    let given = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    given.unwrap_or_else(|| home.join(default)).join("kage")
}

/// `~/x` below the home directory; anything else as it is.
pub fn expand_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if path == "~" => home.to_owned(),
        None => PathBuf::from(path),
    }
}

/// kage itself, by a path that lasts: where `PATH` leads to it, that is a link which an upgrade changes, rather
/// than what the link leads to now.
pub fn program() -> Result<String, Failure> {
    let failed = |message: String| Failure::new(Status::Failed, message).hint("call kage by its full path");
    let exe = env::current_exe().map_err(|why| failed(format!("could not find out where kage is: {why}")))?;
    let is_this = |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|path| path == exe);
    let on_path = which::which_all("kage").into_iter().flatten().find(is_this);
    let path = on_path.unwrap_or(exe).into_os_string();
    path.into_string().map_err(|path| failed(format!("the path of kage is not text: {}", path.display())))
}
