//! What the agent hands to its status line: read once, and given once more to the command behind kage.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::process::Stdio;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// No more than this is read, in bytes; a real input has a few thousand.
const LONGEST: usize = 1 << 20;

/// Standard input to its end, as far as it comes before the deadline: whoever keeps it open is not waited for.
pub(super) fn read(deadline: Instant) -> Vec<u8> {
    let stdin = rustix::stdio::stdin();
    let (mut input, mut piece) = (Vec::new(), [0; 8192]);
    while input.len() < LONGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => continue,
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        match rustix::io::read(stdin, &mut piece) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => break,
            Ok(length) => input.extend_from_slice(&piece[..length]),
        }
    }
    input
}

/// The same for a command: in a pipe where it fits into one, for nobody is left to fill it when kage has become
/// the command, else in an unlinked file.
pub(super) fn once_more(input: &[u8]) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    match writer.write(input) {
        Ok(written) if written == input.len() => return Ok(reader.into()),
        Err(failed) if failed.kind() != ErrorKind::WouldBlock => return Err(failed),
        _ => {}
    }
    let mut file: File = tempfile::tempfile()?;
    file.write_all(input)?;
    file.rewind()?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_command_reads_it_all_however_much_it_is() {
        for length in [0, 1, 4096, 65_536, 65_537, 1_000_000] {
            let stdin = once_more(&vec![b'x'; length]).unwrap();
            let counted = Command::new("wc").arg("-c").stdin(stdin).output().unwrap().stdout;
            assert_eq!(String::from_utf8(counted).unwrap().trim(), length.to_string());
        }
    }
}
