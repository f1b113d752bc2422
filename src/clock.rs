//! The local time, without reading the whole time zone database for it.
//!
//! jiff looks a zone up in an index of all of them, for which it walks `/usr/share/zoneinfo` in every new
//! process: a hundred system calls and two thirds of what `kage exec` computed. One file says the same.

use std::env::{self, VarError};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The user's time zone.
pub(crate) fn zone() -> TimeZone {
    file_of_zone(env::var("TZ")).and_then(|file| read(&file)).unwrap_or_else(TimeZone::system)
}

/// Now, in the user's time zone.
pub(crate) fn now() -> Zoned {
    Timestamp::now().to_zoned(zone())
}

/// Where the zone is described, in the two cases of every day: no `TZ`, and one that is a plain name. Its
/// other forms, a path or a POSIX rule, and a database elsewhere are left to jiff. Source: tzset(3).
fn file_of_zone(tz: Result<String, VarError>) -> Option<PathBuf> {
    match tz {
        Err(VarError::NotPresent) => Some("/etc/localtime".into()),
        Ok(name) if is_name(&name) && env::var_os("TZDIR").is_none() => {
            Some(Path::new("/usr/share/zoneinfo").join(name))
        }
        _ => None,
    }
}

/// The name of the user's time zone, where it is known: `Europe/Berlin`. A rule has none.
pub(crate) fn name_of_zone() -> Option<String> {
    match env::var("TZ") {
        Ok(name) => Some(name).filter(|name| is_name(name)),
        Err(VarError::NotUnicode(_)) => None,
        Err(VarError::NotPresent) => {
            let file = fs::canonicalize("/etc/localtime").ok()?;
            let (_, name) = file.to_str()?.split_once("/zoneinfo/")?;
            Some(name.to_owned()).filter(|name| is_name(name))
        }
    }
}

/// `Europe/Berlin`, `Etc/GMT+1`.
fn is_name(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    text.split('/').all(is_word)
}

fn read(file: &Path) -> Option<TimeZone> {
    TimeZone::tzif("local", &fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_a_file_and_anything_else_is_left_to_jiff() {
        let file = |tz: &str| file_of_zone(Ok(tz.to_owned()));
        assert_eq!(file("Europe/Berlin"), Some("/usr/share/zoneinfo/Europe/Berlin".into()));
        assert_eq!(file("Etc/GMT+1"), Some("/usr/share/zoneinfo/Etc/GMT+1".into()));
        for left in ["", ":Europe/Berlin", "/etc/localtime", "../x", "a//b", "EST5EDT,M3.2.0,M11.1.0"] {
            assert_eq!(file(left), None, "{left}");
        }
        assert_eq!(file_of_zone(Err(VarError::NotPresent)), Some("/etc/localtime".into()));
    }

    #[test]
    fn a_zone_that_was_read_is_the_one_jiff_knows() {
        let at: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        for name in ["Europe/Berlin", "America/St_Johns", "UTC"] {
            let Some(zone) = file_of_zone(Ok(name.to_owned())).and_then(|file| read(&file)) else {
                continue; // a machine without the database
            };
            let known = TimeZone::get(name).unwrap();
            assert_eq!(zone.to_offset(at), known.to_offset(at), "{name}");
        }
    }
}
