//! The size of a terminal. Called by all modules that fit output to it.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// The size of a screen in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The size used for a terminal that reports none.
pub(crate) const DEFAULT: Size = Size { columns: 80, rows: 24 };

/// Returns the size of a stream's terminal; `None` if it has no terminal. A reported size of 0 counts as
/// `DEFAULT`: serial lines and pseudo-terminals whose size was never set report it.
pub(crate) fn size(stream: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(stream).ok()?;
    let known = |cells: u16, usual: usize| if cells == 0 { usual } else { cells.into() };
    Some(Size { columns: known(size.ws_col, DEFAULT.columns), rows: known(size.ws_row, DEFAULT.rows) })
}

/// Returns the size of a stream's terminal, or `DEFAULT` without one.
pub(crate) fn size_or_default(stream: impl AsFd) -> Size {
    size(stream).unwrap_or(DEFAULT)
}
