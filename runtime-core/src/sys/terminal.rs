//! Pseudo-terminals (ioctl_tty(2), pty(7)).

use super::files::owned;
use super::{Call, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `ioctl(master, TIOCSPTLCK, &0)`: unlocks the slave.
pub(crate) fn unlock_pty(master: BorrowedFd<'_>) -> Result<()> {
    let unlock: libc::c_int = 0;
    // SAFETY: the kernel reads an int.
    check(
        Call::Ioctl,
        i64::from(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) }),
    )
    .map(drop)
}

/// `ioctl(master, TIOCGPTPEER, flags)`, since Linux 4.13: the slave of this very master, whatever lies at its path.
pub(crate) fn pty_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: numbers only.
    check(Call::Ioctl, i64::from(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) }))
        .map(owned)
}

/// `ioctl(terminal, TIOCSCTTY, 0)`: makes it the controlling terminal of this session.
pub(crate) fn take_controlling_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: numbers only.
    check(Call::Ioctl, i64::from(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })).map(drop)
}

/// `ioctl(terminal, TIOCSWINSZ, &size)`.
pub(crate) fn set_window_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads a winsize.
    check(
        Call::Ioctl,
        i64::from(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }),
    )
    .map(drop)
}
