//! What standard input gave, for another attempt: in memory while it is little, else in a file without a
//! name that nobody else can open.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use tempfile::SpooledTempFile;

/// How much stays in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;

pub(super) struct Spool(SpooledTempFile);

impl Spool {
    pub(super) fn new() -> Self {
        Self(SpooledTempFile::new(IN_MEMORY))
    }

    /// An error leaves the spool of no use: what it has is not all that came.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(bytes)
    }

    /// Reads from a place, in bytes from the beginning; the answer is how much, 0 at the end.
    pub(super) fn read_at(&mut self, place: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.seek(SeekFrom::Start(place))?;
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
    fn what_was_read_comes_again_and_more_can_follow() {
        let mut spool = Spool::new();
        assert_eq!(all(&mut spool), b"");
        spool.append(b"one\0").unwrap();
        assert_eq!(all(&mut spool), b"one\0");
        spool.append(b"\xfftwo").unwrap();
        assert_eq!(all(&mut spool), b"one\0\xfftwo");
    }

    #[test]
    fn much_of_it_is_in_a_file_and_comes_again_all_the_same() {
        let mut spool = Spool::new();
        let piece: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        (0..20).for_each(|_| spool.append(&piece).unwrap());
        assert!(spool.0.is_rolled());
        assert_eq!(all(&mut spool), piece.repeat(20));
    }

    #[test]
    fn no_room_is_an_error() {
        let mut spool = Spool(SpooledTempFile::new_in(4, "/dev/null"));
        spool.append(b"1234").unwrap();
        assert!(spool.append(b"5").is_err());
    }
}
