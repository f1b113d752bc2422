//! How little memory kage keeps beside an agent, which may run for days.

use std::fs;

/// Gives back the pages of code that starting took, kage's own and the libraries'. They are the files', and
/// the few that waiting needs come back by themselves. Without `/proc` nothing is known of them.
#[allow(unsafe_code)]
pub(super) fn shrink() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code) {
        let start = std::ptr::without_provenance_mut(start);
        // SAFETY: a mapping of a file that nothing in this process can write to has the bytes of the file,
        // which is what it is filled with again. A program in use is not written to on disk either.
        unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
}

/// Where a line of the maps has a file's code, and how many bytes. Source: proc(5), `/proc/pid/maps`.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    // Without a path it is nobody's file, and the kernel's own begin with a bracket.
    let is_of_a_file = fields.nth(3)?.starts_with('/');
    let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).ok());
    Some((start?, end?.checked_sub(start?)?)).filter(|_| is_code && is_of_a_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_files_is_given_back() {
        assert_eq!(code("1000-3000 r-xp 00001000 fe:00 77    /usr/bin/kage"), Some((0x1000, 0x2000)));
        assert_eq!(code("1000-3000 rw-p 00001000 fe:00 77    /usr/bin/kage"), None);
        assert_eq!(code("1000-3000 rwxp 00001000 fe:00 77    /usr/bin/kage"), None);
        assert_eq!(code("1000-3000 r-xp 00000000 00:00 0     [vdso]"), None);
        assert_eq!(code("1000-3000 r-xp 00000000 00:00 0"), None);
        assert_eq!(code(""), None);
    }
}
