//! The size of a terminal. Every module that fits something into one asks here.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// How much fits on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// What a terminal without a size counts as.
pub(crate) const DEFAULT: Size = Size { columns: 80, rows: 24 };

/// The size of the terminal behind a stream; `None` where there is no terminal. One that says 0, as a serial line or
/// a pseudo-terminal whose size nobody has set, counts as 80 x 24.
pub(crate) fn size(stream: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(stream).ok()?;
    let known = |cells: u16, usual: usize| if cells == 0 { usual } else { cells.into() };
    Some(Size { columns: known(size.ws_col, DEFAULT.columns), rows: known(size.ws_row, DEFAULT.rows) })
}

/// The same where something is drawn in any case.
pub(crate) fn size_or_default(stream: impl AsFd) -> Size {
    size(stream).unwrap_or(DEFAULT)
}
