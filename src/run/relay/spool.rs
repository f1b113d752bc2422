//! Keeps standard input for another attempt: in memory while it is small, otherwise in an unnamed file that
//! no other process can open.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use tempfile::SpooledTempFile;

/// How much is kept in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

pub(super) struct Spool(SpooledTempFile);

impl Spool {
    pub(super) fn new() -> Self {
        Self(SpooledTempFile::new(IN_MEMORY))
    }

    /// Appends bytes. After an error the spool is useless, because it does not contain all the input.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(bytes)
    }

    /// Reads at an offset in bytes and returns how much was read; 0 at the end.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(spool: &mut Spool) -> Vec<u8> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            let length = spool.read_at(bytes.len() as u64, &mut buffer).unwrap();
            if length == 0 {
                return bytes;
            }
            bytes.extend_from_slice(&buffer[..length]);
        }
    }

    #[test]
    fn input_is_read_again_and_more_can_be_appended() {
        let mut spool = Spool::new();
        assert_eq!(all(&mut spool), b"");
        spool.append(b"one\0").unwrap();
        assert_eq!(all(&mut spool), b"one\0");
        spool.append(b"\xfftwo").unwrap();
        assert_eq!(all(&mut spool), b"one\0\xfftwo");
    }

    #[test]
    fn large_input_is_kept_in_a_file_and_read_again() {
        let mut spool = Spool::new();
        let piece: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        (0..20).for_each(|_| spool.append(&piece).unwrap());
        assert!(spool.0.is_rolled());
        assert_eq!(all(&mut spool), piece.repeat(20));
    }

    #[test]
    fn a_write_without_room_is_an_error() {
        let mut spool = Spool(SpooledTempFile::new_in(4, "/dev/null"));
        spool.append(b"1234").unwrap();
        assert!(spool.append(b"5").is_err());
    }
}
