//! The rules that decide which output of an attempt passes, which is withheld, and which is discarded. Pure:
//! bytes come in, and bytes to write go to a closure. `pump` reads and writes.

mod lines;
mod whole;

use std::io;

use crate::agent::Captured;

pub use lines::Lines;
pub use whole::Whole;

/// The maximum length of withheld output, and of a line that is classified, in bytes.
pub const MAX_HELD: usize = 1 << 20;

/// Receives the bytes to write now.
pub type Out<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// The rules for one form of output, over all attempts of a run. Errors come only from `out`.
pub trait Hold: Send {
    /// Begins a new attempt. Its withheld output may be discarded later. Without `hold` all output passes
    /// immediately.
    fn begin(&mut self, hold: bool);

    /// Takes the next output and returns how many bytes of it were consumed. The rest, which is never longer
    /// than `MAX_HELD`, must be passed again with more output after it.
    fn feed(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<usize>;

    /// Ends the output of the attempt. `rest` is what `feed` did not consume.
    fn finish(&mut self, rest: &[u8], out: Out<'_>) -> io::Result<()>;

    /// Writes the withheld output: the attempt is final.
    fn release(&mut self, out: Out<'_>) -> io::Result<()>;

    /// Returns what `release` would write.
    fn withheld(&self) -> Vec<u8>;

    /// Drops the withheld output: another attempt follows.
    fn discard(&mut self);

    /// Whether output of the attempt was written that another attempt would contradict.
    fn is_committed(&self) -> bool;

    /// Returns the part of the attempt's output that serves as evidence.
    fn captured(&mut self) -> Captured;
}
