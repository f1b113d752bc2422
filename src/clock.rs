//! The local time, without reading the whole time zone database.
//!
//! jiff finds a zone in an index of all zones, for which it walks `/usr/share/zoneinfo` in each new process.
//! That took a hundred system calls and two thirds of the CPU time of `kage exec`. Reading one file gives the
//! same result.

use std::env::{self, VarError};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Returns the user's time zone.
pub(crate) fn zone() -> TimeZone {
    zone_file(env::var("TZ")).and_then(|file| read(&file)).unwrap_or_else(TimeZone::system)
}

/// Returns the current time in the user's time zone.
pub(crate) fn now() -> Zoned {
    Timestamp::now().to_zoned(zone())
}

/// Returns the file of the zone in the two common cases: `TZ` is not set, or is a plain name. jiff handles
/// its other forms (a path or a POSIX rule), and a database in another location. Source: tzset(3).
fn zone_file(tz: Result<String, VarError>) -> Option<PathBuf> {
    match tz {
        Err(VarError::NotPresent) => Some("/etc/localtime".into()),
        Ok(name) if is_name(&name) && env::var_os("TZDIR").is_none() => {
            Some(Path::new("/usr/share/zoneinfo").join(name))
        }
        _ => None,
    }
}

/// Returns the name of the user's time zone, if it is known: `Europe/Berlin`. A rule has no name.
pub(crate) fn zone_name() -> Option<String> {
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

/// Whether the text is a plain zone name: `Europe/Berlin`, `Etc/GMT+1`.
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
    fn a_plain_name_is_a_file_and_jiff_handles_other_forms() {
        let file = |tz: &str| zone_file(Ok(tz.to_owned()));
        assert_eq!(file("Europe/Berlin"), Some("/usr/share/zoneinfo/Europe/Berlin".into()));
        assert_eq!(file("Etc/GMT+1"), Some("/usr/share/zoneinfo/Etc/GMT+1".into()));
        for other in ["", ":Europe/Berlin", "/etc/localtime", "../x", "a//b", "EST5EDT,M3.2.0,M11.1.0"] {
            assert_eq!(file(other), None, "{other}");
        }
        assert_eq!(zone_file(Err(VarError::NotPresent)), Some("/etc/localtime".into()));
    }

    #[test]
    fn a_zone_read_from_its_file_equals_the_one_that_jiff_finds() {
        let at: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        for name in ["Europe/Berlin", "America/St_Johns", "UTC"] {
            let Some(zone) = zone_file(Ok(name.to_owned())).and_then(|file| read(&file)) else {
                continue; // a machine without the database
            };
            let known = TimeZone::get(name).unwrap();
            assert_eq!(zone.to_offset(at), known.to_offset(at), "{name}");
        }
    }
}
