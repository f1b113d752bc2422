//! The rules for output in one piece: it is written at the end of the final attempt, unless it grows too long
//! to be withheld.

use std::{io, mem};

use super::{Hold, MAX_HELD, Out};
use crate::agent::Captured;

pub struct Whole {
    most: usize,
    hold: bool,
    /// All the output so far, unless it has grown too long.
    kept: Vec<u8>,
    /// How much of `kept` has been written.
    written: usize,
    overflowed: bool,
}

impl Whole {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { most: MAX_HELD, hold: true, kept: Vec::new(), written: 0, overflowed: false }
    }

    fn forget(&mut self) {
        *self = Self { most: self.most, hold: self.hold, ..Self::new() };
    }

    fn write_kept(&mut self, out: Out<'_>) -> io::Result<()> {
        let from = mem::replace(&mut self.written, self.kept.len());
        if from < self.kept.len() { out(&self.kept[from..]) } else { Ok(()) }
    }
}

impl Hold for Whole {
    fn begin(&mut self, hold: bool) {
        self.forget();
        self.hold = hold;
    }

    fn feed(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<usize> {
        if !self.overflowed && self.kept.len() + bytes.len() > self.most {
            self.overflowed = true;
            self.write_kept(out)?;
            self.kept = Vec::new();
        }
        if self.overflowed {
            out(bytes)?;
        } else {
            self.kept.extend_from_slice(bytes);
            if !self.hold {
                self.write_kept(out)?;
            }
        }
        Ok(bytes.len())
    }

    fn finish(&mut self, _rest: &[u8], _out: Out<'_>) -> io::Result<()> {
        Ok(())
    }

    fn release(&mut self, out: Out<'_>) -> io::Result<()> {
        self.write_kept(out)
    }

    fn withheld(&self) -> Vec<u8> {
        self.kept[self.written..].to_vec()
    }

    fn discard(&mut self) {
        self.forget();
    }

    fn is_committed(&self) -> bool {
        self.overflowed || self.written > 0
    }

    fn captured(&mut self) -> Captured {
        let whole = (!self.overflowed).then(|| self.kept.clone());
        Captured { whole, ..Captured::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(most: usize) -> Whole {
        Whole { most, ..Whole::new() }
    }

    fn fed(whole: &mut Whole, pieces: &[&[u8]]) -> Vec<u8> {
        let mut written = Vec::new();
        for piece in pieces {
            let out = &mut |bytes: &[u8]| {
                written.extend_from_slice(bytes);
                Ok(())
            };
            assert_eq!(whole.feed(piece, out).unwrap(), piece.len());
        }
        written
    }

    fn released(whole: &mut Whole) -> Vec<u8> {
        let mut written = Vec::new();
        let out = &mut |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        whole.release(out).unwrap();
        written
    }

    #[test]
    fn output_is_written_only_at_the_release() {
        let mut whole = whole(8);
        assert_eq!(fed(&mut whole, &[b"ab\0", b"\xff\xfe"]), b"");
        assert!(!whole.is_committed());
        assert_eq!(whole.captured().whole.as_deref(), Some(&b"ab\0\xff\xfe"[..]));
        assert_eq!(released(&mut whole), b"ab\0\xff\xfe");
        assert_eq!(released(&mut whole), b"");
    }

    #[test]
    fn discarded_output_is_never_written() {
        let mut whole = whole(8);
        fed(&mut whole, &[b"bad"]);
        assert_eq!(whole.withheld(), b"bad");
        whole.discard();
        whole.begin(true);
        fed(&mut whole, &[b"good"]);
        assert_eq!(released(&mut whole), b"good");
    }

    #[test]
    fn output_that_is_too_long_passes_from_the_first_byte() {
        let mut whole = whole(4);
        assert_eq!(fed(&mut whole, &[b"abc", b"d"]), b"");
        assert_eq!(fed(&mut whole, &[b"e", b"fg"]), b"abcdefg");
        assert!(whole.is_committed());
        assert_eq!(whole.captured().whole, None);
        assert_eq!(released(&mut whole), b"");
    }

    #[test]
    fn without_hold_bytes_pass_immediately_and_are_still_captured() {
        let mut whole = whole(4);
        whole.begin(false);
        assert_eq!(fed(&mut whole, &[b"ab", b"c"]), b"abc");
        assert_eq!(whole.captured().whole.as_deref(), Some(&b"abc"[..]));
        assert_eq!(fed(&mut whole, &[b"de"]), b"de");
        assert_eq!(whole.captured().whole, None);
    }
}
