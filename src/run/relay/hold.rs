//! What of an attempt's output passes, what is withheld, and what is taken back. Pure: bytes come in, and
//! what is to be written goes to a closure; `pump` reads and writes.

mod lines;
mod whole;

use std::io;

use crate::agent::Captured;

pub use lines::Lines;
pub use whole::Whole;

/// The most that is withheld, and the longest line that is looked at, in bytes.
pub const MOST: usize = 1 << 20;

/// Where bytes go that are to be written now.
pub type Out<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// The rules for one form of output, over all attempts of a run. An error is always one of `out`.
pub trait Hold: Send {
    /// A new attempt begins. What it withholds may be taken back later; without `hold` all passes at once.
    fn begin(&mut self, hold: bool);

    /// Takes what has come, and tells how much of it is dealt with. The rest, which is never longer than
    /// `MOST`, is to be given again with more behind it.
    fn feed(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<usize>;

    /// The output is at its end, with a rest.
    fn finish(&mut self, rest: &[u8], out: Out<'_>) -> io::Result<()>;

    /// The attempt stands.
    fn release(&mut self, out: Out<'_>) -> io::Result<()>;

    /// What `release` would write.
    fn withheld(&self) -> Vec<u8>;

    /// Another attempt follows.
    fn discard(&mut self);

    /// Whether bytes of the attempt have gone out that cannot be taken back.
    fn is_committed(&self) -> bool;

    /// What was seen of the attempt.
    fn captured(&mut self) -> Captured;
}
