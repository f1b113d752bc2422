//! The input that the agent passes to its status line: kage reads it and passes it on to the user's command.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::process::Stdio;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// The maximum number of bytes that are read; a real input has a few thousand.
const LONGEST: usize = 1 << 20;

/// Reads standard input to its end or until the deadline. The agent may keep it open, so it may never end.
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

/// Returns the input as the standard input of a command: a filled pipe or, if the input does not fit, an
/// unlinked file. After kage has become the command, no process is left to write to the pipe.
pub(super) fn as_stdin(input: &[u8]) -> io::Result<Stdio> {
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
    fn a_command_reads_the_whole_input_of_any_size() {
        for length in [0, 1, 4096, 65_536, 65_537, 1_000_000] {
            let stdin = as_stdin(&vec![b'x'; length]).unwrap();
            let counted = Command::new("wc").arg("-c").stdin(stdin).output().unwrap().stdout;
            assert_eq!(String::from_utf8(counted).unwrap().trim(), length.to_string());
        }
    }
}
